//! The convolutions of a step alone: what would be left of it if everything else cost nothing.

use std::collections::HashMap;

use tch::{Device, Kind, Tensor};

use crate::bench::machine::best_seconds;
use crate::config::precision::Precision;
use crate::network::architecture::layer::{Layer, LayerKind};
use crate::network::architecture::table::Architecture;
use crate::network::parameters::Compute;

/// Forward and backward of every convolution and fully connected layer of `architecture`, in
/// milliseconds. Layers that are alike are timed once.
pub(crate) fn milliseconds(
    architecture: &Architecture,
    batch: u64,
    precision: Precision,
    device: Device,
) -> f64 {
    let mut known: HashMap<(i64, i64, i64, String), f64> = HashMap::new();
    let kind = Compute { precision, ..Compute::default() }.kind();
    let mut total = 0.0;
    for (position, layer) in architecture.layers().iter().enumerate() {
        let key = (layer.inputs, layer.outputs, layer.output_side, layer.kind.to_string());
        total += *known
            .entry(key)
            .or_insert_with(|| seconds(layer, batch as i64, kind, device, position > 0));
    }
    total * 1e3
}

/// One layer; the images' gradient is not needed, so the first one has none.
fn seconds(layer: &Layer, batch: i64, kind: Kind, device: Device, input_gradient: bool) -> f64 {
    let random = |shape: &[i64]| Tensor::randn(shape, (Kind::Float, device)).to_kind(kind);
    let maps =
        |channels: i64, side: i64| random(&[batch, side, side, channels]).permute([0, 3, 1, 2]);
    let (kernel, stride) = match layer.kind {
        LayerKind::Convolution { kernel, stride } => (kernel, stride),
        LayerKind::Projection { stride } => (1, stride),
        LayerKind::Gate => (3, 1),
        LayerKind::FullyConnected => (1, 1),
    };
    let input = maps(layer.inputs, layer.output_side * stride).set_requires_grad(input_gradient);
    let weight = random(&[layer.outputs, kernel, kernel, layer.inputs])
        .permute([0, 3, 1, 2])
        .set_requires_grad(true);
    let upstream = maps(layer.outputs, layer.output_side);
    let leaves = if input_gradient { vec![&input, &weight] } else { vec![&weight] };
    // Backward from one number: the product with the upstream gradient and the sum are timed alone,
    // and taken off.
    let scalar = |output: &Tensor| (output * &upstream).sum(Kind::Float);
    let output =
        tch::no_grad(|| convolved(&input, &weight, kernel, stride)).set_requires_grad(true);
    let whole = best_seconds(device, || {
        Tensor::run_backward(
            &[scalar(&convolved(&input, &weight, kernel, stride))],
            &leaves,
            false,
            false,
        )
        .remove(0)
    });
    let beside = best_seconds(device, || {
        Tensor::run_backward(&[scalar(&output)], &[&output], false, false).remove(0)
    });
    (whole - beside).max(0.0)
}

fn convolved(input: &Tensor, weight: &Tensor, kernel: i64, stride: i64) -> Tensor {
    input.conv2d::<Tensor>(weight, None, [stride, stride], [kernel / 2, kernel / 2], [1, 1], 1)
}
