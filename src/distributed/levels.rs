//! The sum over all ranks: at once, or within each machine first and then between machines.
//!
//! Each rank adds one part of the vector: parts go to the ranks that add them, and sums to all. In
//! two levels the first of these happens among the ranks of a machine, where links are fast. Each
//! then has the machine's sum of one part, and adds it up with the ranks that have the same part on
//! other machines. So a part of the vector leaves a machine once, and not once for each of its
//! ranks. The sums are those of the same [`tree`], so the bits do not depend on which way is taken.

use std::ops::Range;

use anyhow::Result;
use tch::Tensor;

use crate::distributed::exchange::Exchange;
use crate::distributed::tree;

/// Which rank a process has on its machine, and how many there are, as far as that is said.
#[derive(Debug, Clone)]
pub struct Seat {
    /// Its machine.
    pub host: String,
    /// Counted from 0 on each machine.
    pub local_rank: usize,
    /// As its launcher says.
    pub local_world: Option<usize>,
}

/// How many ranks each machine has, if there are several machines with an equal number, more than
/// one, of ranks that follow one another. A launcher's number goes before that of equal hosts.
pub fn ranks_per_machine(seats: &[Seat]) -> Option<usize> {
    let of = |seat: &Seat| {
        let on_host = || seats.iter().filter(|other| other.host == seat.host).count();
        seat.local_world.unwrap_or_else(on_host)
    };
    let each = of(seats.first()?);
    let in_order =
        |(rank, seat): (usize, &Seat)| of(seat) == each && seat.local_rank == rank % each;
    let several = each > 1 && each < seats.len() && seats.len().is_multiple_of(each);
    (several && seats.iter().enumerate().all(in_order)).then_some(each)
}

/// The exchanges of two levels.
pub struct Levels {
    /// Among the ranks of this machine.
    pub within: Box<dyn Exchange>,
    /// Among the ranks that have the same number on their machines.
    pub between: Box<dyn Exchange>,
}

impl Levels {
    /// The groups of each machine, if they are one subtree of the `groups` of a batch: else a
    /// machine has no sum of its own in the tree.
    fn machines(&self, groups: usize) -> Option<Vec<Range<usize>>> {
        let machines = self.between.world();
        let all = (0..machines).map(|machine| tree::share(groups, machine, machines));
        let is_subtree = |own: &Range<usize>| tree::subtrees(0..groups, own).len() == 1;
        let all: Vec<Range<usize>> = all.collect();
        all.iter().all(is_subtree).then_some(all)
    }

    /// Whether a batch of so many groups is added up in two levels.
    pub fn fit(&self, groups: usize) -> bool {
        self.machines(groups).is_some()
    }

    /// As [`sum`], on this rank, which is rank `rank` of all; none where a batch of so many groups
    /// is to be added up in one level.
    pub fn sum(&self, groups: usize, rank: usize, own: &[Tensor]) -> Option<Result<Tensor>> {
        let machines = self.machines(groups)?;
        let each = self.within.world();
        let machine = machines[rank / each].clone();
        let first = rank / each * each;
        let world = each * machines.len();
        let within: Vec<Vec<Range<usize>>> = (first..first + each)
            .map(|rank| tree::subtrees(machine.clone(), &tree::share(groups, rank, world)))
            .collect();
        let between: Vec<Vec<Range<usize>>> = machines.into_iter().map(|own| vec![own]).collect();
        let added = || {
            let part = add_part(&*self.within, machine, &within, own)?;
            let length = part.size()[0];
            let part = add_part(&*self.between, 0..groups, &between, &[part])?;
            let part = self.between.all_gather(&part)?.narrow(0, 0, length);
            let sum = self.within.all_gather(&part)?;
            Ok(sum.narrow(0, 0, own[0].size()[0]))
        };
        Some(added())
    }
}

/// The sum over all `groups` of a batch, from the sums over the subtrees of each rank, of which
/// `own` are this rank's, in order: [length] each, where `exchange` needs them.
pub fn sum(exchange: &dyn Exchange, groups: usize, own: &[Tensor]) -> Result<Tensor> {
    let world = exchange.world();
    let subtrees: Vec<Vec<Range<usize>>> = (0..world)
        .map(|rank| tree::subtrees(0..groups, &tree::share(groups, rank, world)))
        .collect();
    let part = add_part(exchange, 0..groups, &subtrees, own)?;
    Ok(exchange.all_gather(&part)?.narrow(0, 0, own[0].size()[0]))
}

/// This rank's part of the sum over `groups`: of the vector's length over the number of ranks,
/// rounded up, and filled with zeros at the vector's end. `subtrees` are those of each rank, whose
/// sums it has.
fn add_part(
    exchange: &dyn Exchange,
    groups: Range<usize>,
    subtrees: &[Vec<Range<usize>>],
    own: &[Tensor],
) -> Result<Tensor> {
    let (world, count) = (exchange.world() as i64, own[0].size()[0]);
    let part = (count + world - 1) / world;
    let most = subtrees.iter().map(Vec::len).max().unwrap_or(1) as i64;
    // [rank, subtree, part]; a rank with fewer subtrees than another sends zeros in their place.
    let input = Tensor::stack(own, 0)
        .to_device(exchange.device())
        .constant_pad_nd([0, part * world - count, 0, most - own.len() as i64])
        .view([most, world, part])
        .permute([1, 0, 2])
        .contiguous();
    let parts = exchange.all_to_all(&input)?;
    let mut known = |range: &Range<usize>| {
        subtrees.iter().enumerate().find_map(|(rank, ranges)| {
            let position = ranges.iter().position(|own| own == range)?;
            Some(parts.get(rank as i64).get(position as i64))
        })
    };
    Ok(tree::sum(groups, &mut known))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of each rank: host, number there, and how many its launcher says.
    fn found(seats: &[(&str, usize, Option<usize>)]) -> Option<usize> {
        let seat = |(host, local_rank, local_world): &(&str, usize, Option<usize>)| Seat {
            host: host.to_string(),
            local_rank: *local_rank,
            local_world: *local_world,
        };
        ranks_per_machine(&seats.iter().map(seat).collect::<Vec<_>>())
    }

    #[test]
    fn machines_with_equally_many_ranks_one_after_the_other_make_two_levels() {
        let two = Some(2);
        assert_eq!(found(&[("a", 0, two), ("a", 1, two), ("b", 0, two), ("b", 1, two)]), two);
        // Where no launcher says it, hosts do.
        assert_eq!(found(&[("a", 0, None), ("a", 1, None), ("b", 0, None), ("b", 1, None)]), two);
    }

    #[test]
    fn one_machine_unequal_ones_and_another_order_make_one_level() {
        let two = Some(2);
        assert_eq!(found(&[("a", 0, two), ("a", 1, two)]), None);
        assert_eq!(found(&[("a", 0, Some(1)), ("b", 0, Some(1))]), None);
        assert_eq!(found(&[("a", 0, None), ("a", 1, None), ("b", 0, None)]), None);
        assert_eq!(found(&[("a", 0, two), ("a", 1, two), ("b", 0, Some(1)), ("c", 0, two)]), None);
        // Dealt out in turn.
        assert_eq!(found(&[("a", 0, two), ("b", 0, two), ("a", 1, two), ("b", 1, two)]), None);
    }
}
