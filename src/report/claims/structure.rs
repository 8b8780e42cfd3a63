//! Claims that follow from the networks alone: they are counted, or computed, on the spot.

use std::collections::BTreeMap;

use anyhow::Result;
use tch::{Device, Tensor};

use crate::config::claims::{Pair, Quantity};
use crate::config::dataset_name::{DatasetName, IMAGE_SIDE};
use crate::config::network_name::{Family, NetworkName};
use crate::config::paper;
use crate::network::architecture;
use crate::network::architecture::layer::LayerRole;
use crate::network::architecture::table::Architecture;
use crate::network::embedding;
use crate::network::forward::pass::Mode;
use crate::network::parameters::Network;
use crate::random::{Purpose, Stream};
use crate::report::claims::ruling::{Ruling, Verdict};
use crate::report::format::thousands;

/// How far a score may be off, as a share of the largest one.
const TOLERANCE: f64 = 1e-4;

/// Random images that two nets are compared on.
const IMAGES: usize = 4;

/// The paper's network for the paper's images and classes.
fn net(name: NetworkName, family: Family) -> Option<Architecture> {
    let (side, classes) = match family {
        Family::Cifar => (IMAGE_SIDE, DatasetName::Cifar10.classes() as i64),
        Family::Imagenet => (paper::imagenet().crop, paper::imagenet().classes),
    };
    architecture::build(name, family, side, classes).ok()
}

fn count(quantity: Quantity, name: NetworkName, family: Family) -> Option<i64> {
    let net = net(name, family)?;
    Some(match quantity {
        Quantity::Parameters => net.parameter_count(),
        Quantity::MultiplyAdds => net.multiply_adds(),
        Quantity::Projections => {
            net.layers().iter().filter(|layer| layer.role == LayerRole::Projection).count() as i64
        }
    })
}

/// "269,722", or "3.86e9" of numbers whose digits nobody reads.
fn written(count: i64) -> String {
    match count {
        1_000_000_000.. => format!("{:.2}e9", count as f64 / 1e9),
        count => thousands(count),
    }
}

fn ruling(all: Option<Vec<(bool, String)>>) -> Ruling {
    let Some(found) = all else { return Ruling::not_tested() };
    let verdict = match found.iter().all(|(holds, _)| *holds) {
        true => Verdict::Confirmed,
        false => Verdict::Contradicted,
    };
    let numbers: Vec<String> = found.into_iter().map(|(_, text)| text).collect();
    Ruling { verdict, numbers: numbers.join("; "), runs: Vec::new() }
}

/// Whether each count is what is stated.
pub fn counts(
    quantity: Quantity,
    family: Family,
    values: &BTreeMap<NetworkName, f64>,
    within_percent: f64,
) -> Ruling {
    let check = |(&name, &stated): (&NetworkName, &f64)| {
        let found = count(quantity, name, family)?;
        let holds = (found as f64 / stated - 1.0).abs() * 100.0 <= within_percent;
        Some((holds, format!("{name} {}", written(found))))
    };
    ruling(values.iter().map(check).collect())
}

/// Whether the first of each pair has the smaller count.
pub fn smaller(quantity: Quantity, family: Family, pairs: &[Pair]) -> Ruling {
    compared(quantity, family, pairs, |one, other| one < other)
}

/// Whether both of each pair have the same count, but for so many percent.
pub fn same(quantity: Quantity, family: Family, pairs: &[Pair], within_percent: f64) -> Ruling {
    compared(quantity, family, pairs, |one, other| {
        (one as f64 / other as f64 - 1.0).abs() * 100.0 <= within_percent
    })
}

fn compared(
    quantity: Quantity,
    family: Family,
    pairs: &[Pair],
    holds: impl Fn(i64, i64) -> bool,
) -> Ruling {
    let check = |&(name, other): &Pair| {
        let (one, two) = (count(quantity, name, family)?, count(quantity, other, family)?);
        Some((holds(one, two), format!("{name} {}, {other} {}", written(one), written(two))))
    };
    ruling(pairs.iter().map(check).collect())
}

/// Whether each shallow net with random weights, embedded in the deep one, answers as it did.
pub fn embedding(pairs: &[Pair]) -> Result<Ruling> {
    let mut stream = Stream::new(0, Purpose::Shapes, 0);
    let side = IMAGE_SIDE;
    let values: Vec<f32> = stream.normals((IMAGES as i64 * 3 * side * side) as usize);
    let images = Tensor::from_slice(&values).view([-1, 3, side, side]);
    let check = |&(shallow, deep): &Pair| {
        let (one, other) = (net(shallow, Family::Cifar)?, net(deep, Family::Cifar)?);
        embedding::check(&one, &other).ok()?;
        let given = Network::new(one, 0, Device::Cpu);
        let made = Network::new(other, 0, Device::Cpu);
        embedding::embed(&given, &made, None);
        let (difference, largest) = tch::no_grad(|| {
            let scores = |net: &Network| net.forward(&images, Mode::Evaluation);
            let (wanted, found) = (scores(&given), scores(&made));
            let largest = |tensor: Tensor| tensor.abs().max().double_value(&[]);
            (largest(&wanted - &found), largest(wanted))
        });
        let holds = difference <= TOLERANCE * largest.max(1.0);
        Some((holds, format!("{shallow} in {deep}: a score differs by at most {difference:.1e}")))
    };
    Ok(ruling(pairs.iter().map(check).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_count_is_contradicted_and_a_right_one_confirmed() {
        let of = |stated: f64| {
            let values = BTreeMap::from([(NetworkName::residual(20), stated)]);
            counts(Quantity::Parameters, Family::Cifar, &values, 2.0)
        };
        assert_eq!(of(0.27e6).verdict, Verdict::Confirmed);
        assert_eq!(of(0.30e6).verdict, Verdict::Contradicted);
        assert_eq!(of(0.27e6).numbers, "resnet-20 269,722");
        let pair = |one: u64, other: u64| [(NetworkName::plain(one), NetworkName::plain(other))];
        let smaller = |pairs: &[_]| smaller(Quantity::MultiplyAdds, Family::Cifar, pairs).verdict;
        assert_eq!(smaller(&pair(20, 32)), Verdict::Confirmed);
        assert_eq!(smaller(&pair(32, 20)), Verdict::Contradicted);
    }

    #[test]
    fn a_net_in_a_deeper_one_answers_as_it_did() {
        let pairs = [(NetworkName::residual(8), NetworkName::residual(14))];
        assert_eq!(embedding(&pairs).unwrap().verdict, Verdict::Confirmed);
    }
}
