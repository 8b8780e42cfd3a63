//! Bytes that a step must move if every operation reads its operands and writes its results once,
//! and nothing stays in a cache between two.

use crate::config::precision::Precision;
use crate::network::architecture::layer::{Layer, LayerKind};
use crate::network::architecture::table::Architecture;

/// Passes over a convolution's output: written by the convolution; read for the statistics; read
/// and the activation written; backward: the gradient and the output read for the sums, both read
/// again and the output's gradient written, which two backward convolutions read.
const OUTPUT_PASSES: i64 = 1 + 1 + 2 + 2 + 3 + 2;

/// Passes over its input: read forward and for the weights' gradient; its own gradient written.
const INPUT_PASSES: i64 = 3;

/// More passes where a shortcut is added: it is read; backward the sum's sign is read, the masked
/// gradient written, and two gradients added.
const SHORTCUT_PASSES: i64 = 1 + 1 + 1 + 3;

/// Bytes an image.
pub(crate) fn bytes(architecture: &Architecture, precision: Precision) -> u64 {
    let residual = architecture.shortcut.is_some();
    let values: i64 = architecture.layers().iter().map(|layer| layer_values(layer, residual)).sum();
    values as u64 * precision.bytes()
}

fn layer_values(layer: &Layer, residual: bool) -> i64 {
    let pixels = layer.output_side * layer.output_side;
    let stride = match layer.kind {
        LayerKind::Convolution { stride, .. } | LayerKind::Projection { stride } => stride,
        LayerKind::Gate => 1,
        LayerKind::FullyConnected => return 0,
    };
    let shortcut = if residual && layer.name.ends_with("conv2") { SHORTCUT_PASSES } else { 0 };
    pixels
        * (layer.outputs * (OUTPUT_PASSES + shortcut)
            + layer.inputs * stride * stride * INPUT_PASSES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::network_name::NetworkName;
    use crate::network::architecture::cifar;

    #[test]
    fn traffic_of_a_net_without_and_with_shortcuts_equals_a_count_by_hand() {
        let count = |name| bytes(&cifar::architecture(name, 10).unwrap(), Precision::F32);
        // plain-8: outputs 3 × 16·32², 2 × 32·16², 2 × 64·8²; inputs 3·32², 3 × 16·32², 32·16²,
        // 32·16², 64·8².
        let (a, b, c) = (16 * 1024, 32 * 256, 64 * 64);
        let plain = 4 * (11 * (3 * a + 2 * b + 2 * c) + 3 * (3 * 1024 + 3 * a + 2 * b + c));
        assert_eq!(count(NetworkName::plain(8)), plain);
        assert_eq!(count(NetworkName::residual(8)) - plain, 4 * 6 * (a + b + c));
    }
}
