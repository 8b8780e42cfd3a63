//! Memory that a training step needs for activations, and how many segments fit into the memory that is there.

use super::architecture::{Architecture, Body};
use super::layer::{Layer, LayerKind};
use crate::recipe::Precision;

/// Part of the available memory that activations may take: gradients of maps, the convolutions' workspace and the data need the rest.
const SHARE: f64 = 0.6;

/// Values kept for the backward pass of one image: of each convolution the output, and what normalisation and ReLU make of it.
pub fn activation_values(architecture: &Architecture) -> u64 {
    let maps = |layer: &Layer| (layer.outputs * layer.output_side * layer.output_side) as u64;
    let normalised = |layer: &&Layer| !matches!(layer.kind, LayerKind::FullyConnected);
    2 * architecture.layers().iter().filter(normalised).map(maps).sum::<u64>()
}

/// Bytes of activations of a batch with `segments` segments: one segment's, and the maps between segments.
pub fn activation_bytes(architecture: &Architecture, batch: u64, precision: Precision, segments: u64) -> u64 {
    let largest = architecture.layers().iter().map(|layer| layer.outputs * layer.output_side * layer.output_side).max().unwrap_or(0) as u64;
    let kept = if segments > 1 { (segments - 1) * largest } else { 0 };
    (activation_values(architecture) / segments.max(1) + kept) * batch * precision.bytes()
}

/// The most segments that `architecture` can be cut into: one a block.
pub fn most_segments(architecture: &Architecture) -> u64 {
    match &architecture.body {
        Body::Pairs { stages, .. } => stages.iter().map(|stage| stage.blocks as u64).sum::<u64>().max(1),
        Body::Highway { .. } => 1,
    }
}

/// The fewest segments whose activations fit into `available` bytes, or those that need the least if none fit.
pub fn segments(architecture: &Architecture, batch: u64, precision: Precision, available: u64) -> u64 {
    let bytes = |segments: &u64| activation_bytes(architecture, batch, precision, *segments);
    let all = 1..=most_segments(architecture);
    all.clone().find(|segments| (bytes(segments) as f64) <= available as f64 * SHARE).or_else(|| all.min_by_key(bytes)).unwrap_or(1)
}

/// A number of bytes as text, such as "1.46 GiB".
pub fn gib(bytes: u64) -> String {
    format!("{:.2} GiB", bytes as f64 / (1u64 << 30) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{NetworkName, cifar};

    #[test]
    fn activations_of_plain_8_equal_a_count_by_hand() {
        // Three maps of 16 × 32² (the stem's and the first stage's), two of 32 × 16², two of 64 × 8²; two values are kept a pixel.
        let by_hand = 2 * (3 * 16 * 1024 + 2 * 32 * 256 + 2 * 64 * 64);
        assert_eq!(activation_values(&cifar::architecture(NetworkName::plain(8), 10)), by_hand);
    }

    #[test]
    fn the_1202_layer_net_is_cut_where_memory_is_small_and_left_whole_where_it_is_not() {
        let net = cifar::architecture(NetworkName::residual(1202), 10);
        let gib = 1 << 30;
        assert_eq!(segments(&net, 128, Precision::F32, 80 * gib), 1);
        let few = segments(&net, 128, Precision::F32, 12 * gib);
        assert!((2..20).contains(&few), "{few}");
        assert!(activation_bytes(&net, 128, Precision::F32, few) < 8 * gib);
        assert_eq!(segments(&cifar::architecture(NetworkName::residual(20), 10), 128, Precision::F32, 12 * gib), 1);
    }
}
