//! How alike the gradients at two inputs are, by depth (Balduzzi et al. 2017, section 2).

use std::sync::atomic::{AtomicBool, Ordering};

use tch::{Kind as Dtype, Tensor};

use crate::analysis::backward::{Place, gradients};
use crate::analysis::gradients::row::{Normalized, Quantity, Row, Weights};
use crate::analysis::statistics::moments;
use crate::analysis::walk::{Statistics, Walk};
use crate::network::parameters::Network;

/// How far the second input of a pair is on its way from the first to another image: a neighbour,
/// and that image.
pub const DISTANCES: [f64; 2] = [0.1, 1.0];

/// Correlations of a net at the pairs of `images`, [2n, 3, side, side]: the first n of them, and
/// points on the way from each of these to the next. `networks` are draws of its weights. Nothing
/// if `stop` is set meanwhile.
pub fn correlations(
    networks: &[Network],
    normalization: Normalized,
    images: &Tensor,
    stop: &AtomicBool,
    mut done: impl FnMut(),
) -> Option<Vec<Row>> {
    let mut rows = Vec::new();
    for distance in DISTANCES {
        let pairs = pairs(images, distance);
        let mut found: Vec<Vec<f64>> = Vec::new();
        for network in networks {
            if stop.load(Ordering::Relaxed) {
                return None;
            }
            let of_draw = of_draw(network, normalization, &pairs)?;
            found.resize(of_draw.len(), Vec::new());
            found.iter_mut().zip(of_draw).for_each(|(all, some)| all.extend(some));
            done();
        }
        rows.extend(self::rows(&networks[0], normalization, distance, &found)?);
    }
    Some(rows)
}

/// Pairs of inputs: [2n, 3, side, side], the second of each n behind the first.
fn pairs(images: &Tensor, distance: f64) -> Tensor {
    let first = images.narrow(0, 0, images.size()[0] / 2);
    let second = &first * (1.0 - distance) + first.roll([1], [0]) * distance;
    Tensor::cat(&[first, second], 0)
}

/// The correlation of each pair at the maps that each block takes, and that the classifier takes.
/// Pairs of which one gradient is 0 are left out.
fn of_draw(network: &Network, normalization: Normalized, pairs: &Tensor) -> Option<Vec<Vec<f64>>> {
    let statistics = match normalization {
        Normalized::Batch => Statistics::ConstantBatch,
        Normalized::None => Statistics::None,
    };
    let walk = Walk::new(network, statistics)?;
    let mut found = vec![Vec::new(); walk.blocks().len() + 1];
    let score = |scores: &Tensor| scores.select(1, 0).sum(scores.kind());
    gradients(&walk, pairs, &score, false, &mut |place, gradient| {
        if let Place::Maps(block) = place {
            found[block] = cosines(gradient);
        }
    });
    Some(found)
}

/// The cosine of each gradient in the first half with its partner in the second, as far as it is
/// there.
fn cosines(gradient: &Tensor) -> Vec<f64> {
    let half = gradient.size()[0] / 2;
    let [first, second] = [0, half]
        .map(|start| gradient.narrow(0, start, half).flatten(1, -1).to_kind(Dtype::Double));
    let dot = |a: &Tensor, b: &Tensor| (a * b).sum_dim_intlist([1i64].as_slice(), false, None);
    let cosine = dot(&first, &second) / (dot(&first, &first).sqrt() * dot(&second, &second).sqrt());
    let cosine = Vec::<f64>::try_from(cosine.to_device(tch::Device::Cpu)).unwrap_or_default();
    cosine.into_iter().filter(|value| value.is_finite()).collect()
}

fn rows(
    network: &Network,
    normalization: Normalized,
    distance: f64,
    found: &[Vec<f64>],
) -> Option<Vec<Row>> {
    let architecture = network.architecture();
    let walk = Walk::new(network, Statistics::None)?;
    let row = |(block, values): (usize, &Vec<f64>)| {
        let (mean, std) = moments(values);
        let before = block.checked_sub(1);
        let depth = walk.depth_of(before);
        let first = || architecture.layers().first().map(|layer| layer.name.clone());
        Row {
            network: architecture.name,
            weights: Weights::Initial,
            normalization,
            quantity: Quantity::Correlation,
            layer: before
                .map_or_else(|| first().unwrap_or_default(), |before| walk.blocks()[before].name()),
            depth: Some(depth),
            distance: Some(distance),
            mean,
            std,
        }
    };
    Some(found.iter().enumerate().map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cosine_is_that_of_each_pair_and_a_gradient_of_zero_has_none() {
        let gradient = Tensor::from_slice2(&[
            [1.0f32, 0.0, 0.0],
            [1.0, 1.0, 0.0],
            [0.0, 0.0, 0.0],
            [3.0, 4.0, 0.0],
            [-2.0, -2.0, 0.0],
            [1.0, 0.0, 0.0],
        ]);
        let found = cosines(&gradient);
        assert_eq!(found.len(), 2);
        assert!((found[0] - 0.6).abs() < 1e-12 && (found[1] + 1.0).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn the_second_input_is_on_the_way_to_the_next_image() {
        let images = Tensor::from_slice(&[0.0f32, 10.0, 20.0, 7.0]).view([4, 1, 1, 1]);
        let pairs = |distance| Vec::<f32>::try_from(pairs(&images, distance).flatten(0, -1));
        assert_eq!(pairs(1.0).unwrap(), [0.0, 10.0, 10.0, 0.0]);
        assert_eq!(pairs(0.25).unwrap(), [0.0, 10.0, 2.5, 7.5]);
    }
}
