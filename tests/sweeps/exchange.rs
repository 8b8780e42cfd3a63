//! The sum over the ranks of a run: the bits do not depend on their number. Ranks are threads here.

use crate::ports::free_port;
use resnet_repro::distributed::group::Group;
use resnet_repro::distributed::place::Place;
use resnet_repro::distributed::tree;
use std::time::{Duration, Instant};
use tch::{Device, Kind, Tensor};

/// Calls `work` on each of `world` ranks at the same time, and returns what rank 0 gets.
fn together<T: Send>(world: usize, work: impl Fn(&Group) -> T + Sync) -> T {
    on_machines(&[world], work)
}

/// The same for ranks that are on as many machines as `machines` has numbers, each with so many.
fn on_machines<T: Send>(machines: &[usize], work: impl Fn(&Group) -> T + Sync) -> T {
    let port: u16 = free_port().parse().unwrap();
    let numbers = |ranks: &usize| (0..*ranks).map(|number| (number, *ranks)).collect::<Vec<_>>();
    let seats: Vec<(usize, usize)> = machines.iter().flat_map(numbers).collect();
    let world = seats.len();
    let one = |rank: usize| {
        let (local_rank, local_world) = seats[rank];
        let place = Place {
            rank,
            world,
            local_rank,
            local_world: Some(local_world),
            host: "127.0.0.1".to_string(),
            port,
            store_is_there: false,
            session: "test".to_string(),
        };
        let group = Group::join(place, Vec::new(), Device::Cpu, Duration::from_secs(300)).unwrap();
        let result = work(&group);
        group.end().unwrap();
        result
    };
    std::thread::scope(|scope| {
        let one = &one;
        let ranks: Vec<_> = (0..world).map(|rank| scope.spawn(move || one(rank))).collect();
        let mut results = ranks.into_iter().map(|rank| rank.join().unwrap());
        let first = results.next().unwrap();
        results.for_each(drop);
        first
    })
}

/// Numbers of group `group` whose sum depends on the order: float32, [length].
fn term(group: usize, length: i64) -> Tensor {
    let steps = Tensor::arange(length, (Kind::Double, Device::Cpu));
    let values: Tensor = (steps * 0.37 + group as f64 * 1.3).sin() * 10f64.powi(group as i32 % 4);
    values.to_kind(Kind::Float)
}

/// The sums over a rank's subtrees.
fn own(group: &Group, groups: usize, length: i64) -> Vec<Tensor> {
    tree::subtrees(0..groups, &group.share(groups))
        .into_iter()
        .map(|subtree| {
            tree::sum(subtree, &mut |range| (range.len() == 1).then(|| term(range.start, length)))
        })
        .collect()
}

#[test]
fn the_sum_over_ranks_has_the_bits_of_one_process_whatever_their_number() {
    // Lengths that the number of ranks does not divide, and one that is smaller.
    for (groups, length) in [(4, 1001), (6, 1003), (6, 2)] {
        let leaf = &mut |range: &std::ops::Range<usize>| {
            (range.len() == 1).then(|| term(range.start, length))
        };
        let expected = Vec::<f32>::try_from(tree::sum(0..groups, leaf)).unwrap();
        for world in (2..=groups).filter(|world| groups.is_multiple_of(*world)) {
            let found = together(world, |group| {
                let sum = group.sum(groups, &own(group, groups, length)).unwrap();
                Vec::<f32>::try_from(sum).unwrap()
            });
            assert!(found == expected, "{groups} groups, {length} numbers, {world} ranks");
        }
    }
}

#[test]
fn two_levels_and_one_have_the_same_bits() {
    // The machines' ranks, and the groups of a batch: where two levels are taken, and where not,
    // because there are not as many ranks on each or because a machine's groups are no subtree.
    for (machines, groups, levels) in [
        (&[2, 2][..], 4, 2),
        (&[2, 2], 12, 2),
        (&[4, 4], 8, 2),
        (&[2, 2, 2, 2], 16, 2),
        (&[3, 3], 12, 2),
        (&[1, 3], 4, 1),
        (&[2, 2, 2], 6, 1),
    ] {
        for length in [1003, 3] {
            let leaf = &mut |range: &std::ops::Range<usize>| {
                (range.len() == 1).then(|| term(range.start, length))
            };
            let expected = Vec::<f32>::try_from(tree::sum(0..groups, leaf)).unwrap();
            let (found, taken) = on_machines(machines, |group| {
                let sum = group.sum(groups, &own(group, groups, length)).unwrap();
                (Vec::<f32>::try_from(sum).unwrap(), group.levels(groups))
            });
            assert!(found == expected, "{machines:?}, {groups} groups, {length} numbers");
            assert_eq!(taken, levels, "{machines:?}, {groups} groups");
        }
    }
}

#[test]
fn what_ranks_say_comes_in_their_order_and_flags_are_those_of_any() {
    let (all, lines, agreed, numbers) = together(3, |group| {
        let rank = group.place().rank;
        let own = Tensor::from_slice(&[rank as f32, 0.5]);
        let all = Vec::<f32>::try_from(group.gather(&own).unwrap()).unwrap();
        let lines = group.lines(&vec![format!("rank {rank}"); rank]).unwrap();
        let agreed = group.agree(if rank == 2 { 4 } else { 1 }).unwrap();
        let numbers = group.numbers(&[rank as f64 / 3.0]).unwrap();
        (all, lines, agreed, numbers)
    });
    assert_eq!(all, [0.0, 0.5, 1.0, 0.5, 2.0, 0.5]);
    assert_eq!(lines, ["rank 1", "rank 2", "rank 2"]);
    assert_eq!(agreed, 5);
    assert_eq!(numbers, [0.0, 1.0 / 3.0, 2.0 / 3.0]);
}

#[test]
#[ignore = "a measurement: docs/cluster.md, \"Cost\""]
fn what_an_exchange_costs_between_two_ranks() {
    for (name, length, times) in [("resnet-20", 269_722, 100), ("resnet-50", 25_557_032, 8)] {
        let (exchange, agreement) = together(2, |group| {
            let own = [term(group.place().rank, length)];
            let best = |work: &dyn Fn()| {
                let once = |_| {
                    let start = Instant::now();
                    work();
                    start.elapsed().as_secs_f64() * 1e3
                };
                let mut times: Vec<f64> = (0..times).map(once).collect();
                times.sort_by(f64::total_cmp);
                (times[0], times[times.len() / 2])
            };
            let exchange = best(&|| drop(group.sum(2, &own).unwrap()));
            (exchange, best(&|| assert_eq!(group.agree(0).unwrap(), 0)))
        });
        println!("{name}: exchange {exchange:.3?} ms, agreement {agreement:.3?} ms (best, median)");
    }
}
