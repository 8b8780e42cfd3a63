//! The order in which the groups of a batch are added up.
//!
//! Floating-point sums depend on their order, so there is one: a tree over the groups of the batch,
//! whose halves are added first. Processes that each have an equal number of groups one after the
//! other each add up the subtrees that lie in their own, and what is left is added in the same
//! order wherever that happens. So the number of processes changes no bit.

use std::ops::Range;

use tch::Tensor;

/// The two halves of some groups; the first has one more where they are odd.
fn halves(groups: &Range<usize>) -> [Range<usize>; 2] {
    let middle = groups.start + groups.len().div_ceil(2);
    [groups.start..middle, middle..groups.end]
}

/// The groups of rank `rank` of `world`, which divides `groups`: equally many for each, one after
/// the other.
pub fn share(groups: usize, rank: usize, world: usize) -> Range<usize> {
    let each = groups / world;
    rank * each..(rank + 1) * each
}

/// The largest subtrees of the tree over `groups` that lie within `own`, in order.
pub fn subtrees(groups: Range<usize>, own: &Range<usize>) -> Vec<Range<usize>> {
    if groups.start >= own.end || groups.end <= own.start {
        return Vec::new();
    }
    if own.start <= groups.start && groups.end <= own.end {
        return vec![groups];
    }
    halves(&groups).into_iter().flat_map(|half| subtrees(half, own)).collect()
}

/// The sum over `groups` in the tree's order. `known` has the sum over a subtree, or has none, and
/// then its halves are asked for; of a single group it must have one. What it returns is added to
/// in place.
pub fn sum(groups: Range<usize>, known: &mut dyn FnMut(&Range<usize>) -> Option<Tensor>) -> Tensor {
    if let Some(sum) = known(&groups) {
        return sum;
    }
    assert!(groups.len() > 1, "the sum of group {} is not known", groups.start);
    let [first, second] = halves(&groups);
    let mut sum = self::sum(first, known);
    let more = self::sum(second, known);
    sum.g_add_(&more)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, Stream};

    /// Vectors whose sum depends on the order, one a group.
    fn terms(groups: usize) -> Vec<Tensor> {
        let mut stream = Stream::new(8, Purpose::Shapes, groups as u64);
        let mut values = || -> Vec<f32> { stream.normals(97) };
        (0..groups).map(|_| Tensor::from_slice(&values())).collect()
    }

    fn whole(terms: &[Tensor]) -> Tensor {
        sum(0..terms.len(), &mut |range| (range.len() == 1).then(|| terms[range.start].copy()))
    }

    /// What `world` processes make of it together.
    fn together(terms: &[Tensor], world: usize) -> Tensor {
        let groups = terms.len();
        let mut parts: Vec<(Range<usize>, Tensor)> = (0..world)
            .flat_map(|rank| subtrees(0..groups, &share(groups, rank, world)))
            .map(|tree| {
                let leaf = &mut |range: &Range<usize>| {
                    (range.len() == 1).then(|| terms[range.start].copy())
                };
                (tree.clone(), sum(tree, leaf))
            })
            .collect();
        sum(0..groups, &mut |range| {
            let position = parts.iter().position(|(part, _)| part == range)?;
            Some(parts.swap_remove(position).1)
        })
    }

    #[test]
    fn any_number_of_processes_that_divides_the_groups_has_the_same_bits() {
        for groups in 1..=24 {
            let terms = terms(groups);
            let alone = whole(&terms);
            for world in (1..=groups).filter(|world| groups.is_multiple_of(*world)) {
                assert!(together(&terms, world).equal(&alone), "{groups} groups, {world} ranks");
            }
        }
    }

    #[test]
    fn the_order_is_that_of_halves_and_for_three_groups_one_after_the_other() {
        let [a, b, c, d, e] =
            [1e8f32, 1.0, -1e8, 3.0, 0.5].map(|value| Tensor::from_slice(&[value]));
        let same = |found: Tensor, expected: Tensor| assert!(found.equal(&expected));
        let copies = |terms: &[&Tensor]| terms.iter().map(|term| term.copy()).collect::<Vec<_>>();
        same(whole(&copies(&[&a, &b, &c])), &a + &b + &c);
        same(whole(&copies(&[&a, &b, &c, &d])), (&a + &b) + (&c + &d));
        same(whole(&copies(&[&a, &b, &c, &d, &e])), ((&a + &b) + &c) + (&d + &e));
        let six = copies(&[&a, &b, &c, &d, &e, &a]);
        same(whole(&six), ((&a + &b) + &c) + ((&d + &e) + &a));
        assert!(!((&a + &b) + (&c + &d)).equal(&(&a + &b + &c + &d)), "the order matters here");
    }

    #[test]
    fn two_four_and_eight_processes_have_one_subtree_each() {
        for groups in [8, 16, 24, 40] {
            for world in [1, 2, 4, 8] {
                for rank in 0..world {
                    let own = share(groups, rank, world);
                    assert_eq!(subtrees(0..groups, &own), [own], "{groups} groups, {world}");
                }
            }
        }
        assert_eq!(subtrees(0..6, &(0..2)).as_slice(), std::slice::from_ref(&(0..2)));
        assert_eq!(subtrees(0..6, &(2..4)), [2..3, 3..4]);
    }
}
