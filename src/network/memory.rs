//! Memory that a training step needs for activations, and how many segments fit into the memory that is there.

use tch::Device;

use super::architecture::{Architecture, Body};
use super::layer::{Layer, LayerKind};
use crate::device;
use crate::recipe::Precision;

/// Part of the available memory that activations may take: gradients of maps, the convolutions' workspace and the data need the rest.
const SHARE: f64 = 0.6;

/// Values kept for the backward pass of one image: of each convolution the output, and what normalisation and ReLU make of it.
pub fn activation_values(architecture: &Architecture) -> u64 {
    let maps = |layer: &Layer| (layer.outputs * layer.output_side * layer.output_side) as u64;
    let normalised = |layer: &&Layer| !matches!(layer.kind, LayerKind::FullyConnected);
    2 * architecture.layers().iter().filter(normalised).map(maps).sum::<u64>()
}

/// Bytes of activations of a batch with `segments` segments: those of the largest one, and the maps between segments.
pub fn activation_bytes(architecture: &Architecture, batch: u64, precision: Precision, segments: u64) -> u64 {
    let blocks = blocks(architecture);
    let values = if segments <= 1 || blocks.is_empty() {
        activation_values(architecture)
    } else {
        let parts: Vec<&[BlockValues]> = blocks.chunks(segment_blocks(blocks.len(), segments as usize)).collect();
        let largest = parts.iter().map(|part| part.iter().map(|block| block.kept).sum::<u64>()).max().unwrap_or(0);
        // Each segment but the first starts from the maps of the block before it.
        let starts: u64 = parts.iter().rev().skip(1).filter_map(|part| part.last()).map(|block| block.output).sum();
        largest + starts
    };
    values * batch * precision.bytes()
}

/// Values of one block, an image.
struct BlockValues {
    /// Kept for the backward pass.
    kept: u64,
    /// Of its output.
    output: u64,
}

/// The blocks in order; the first includes the layer before it. Highway nets have none.
fn blocks(architecture: &Architecture) -> Vec<BlockValues> {
    let Body::Pairs { stem_filters, stages } = &architecture.body else { return Vec::new() };
    let mut side = architecture.image_side;
    let mut blocks = Vec::new();
    let mut channels = *stem_filters;
    for stage in stages {
        side /= stage.stride;
        for block in 0..stage.blocks {
            let output = (stage.filters * side * side) as u64;
            let stride = if block == 0 { stage.stride } else { 1 };
            let layers = if architecture.name.shortcut.projects(channels, stage.filters, stride) { 3 } else { 2 };
            blocks.push(BlockValues { kept: 2 * layers * output, output });
            channels = stage.filters;
        }
    }
    let stem = 2 * (stem_filters * architecture.image_side * architecture.image_side) as u64;
    blocks.iter_mut().take(1).for_each(|first| first.kept += stem);
    blocks
}

/// Blocks of each segment, the last of which may have fewer, where `blocks` are cut into at most `segments`.
pub(super) fn segment_blocks(blocks: usize, segments: usize) -> usize {
    blocks.div_ceil(segments.max(1)).max(1)
}

/// The segments that come out where `wanted` are asked for: segments have equal numbers of blocks, but for the last.
pub fn actual_segments(architecture: &Architecture, wanted: u64) -> u64 {
    let blocks = blocks(architecture).len();
    if blocks == 0 { 1 } else { blocks.div_ceil(segment_blocks(blocks, wanted as usize)) as u64 }
}

/// The most segments that `architecture` can be cut into: one a block.
pub fn most_segments(architecture: &Architecture) -> u64 {
    blocks(architecture).len().max(1) as u64
}

/// The fewest segments whose activations fit into `available` bytes, or those that need the least if none fit.
pub fn segments(architecture: &Architecture, batch: u64, precision: Precision, available: u64) -> u64 {
    let bytes = |segments: &u64| activation_bytes(architecture, batch, precision, *segments);
    let all = 1..=most_segments(architecture);
    let fitting = all.clone().find(|segments| (bytes(segments) as f64) <= available as f64 * SHARE);
    actual_segments(architecture, fitting.or_else(|| all.min_by_key(bytes)).unwrap_or(1))
}

/// The segments on `device` where `wanted` are asked for: 0 leaves the choice to the memory that is there, all in one where that is not known.
pub fn segments_on(device: Device, architecture: &Architecture, batch: u64, precision: Precision, wanted: u64) -> u64 {
    match wanted {
        0 => device::available_memory(device).map_or(1, |available| segments(architecture, batch, precision, available)),
        _ => actual_segments(architecture, wanted),
    }
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
        // By hand for four segments: the first has 150 of the 200 blocks of the first stage, and the stem.
        let largest = 2 * 16 * 1024 * (2 * 150 + 1);
        let starts = 16 * 1024 + 32 * 256 + 64 * 64;
        assert_eq!(activation_bytes(&net, 128, Precision::F32, 4), (largest + starts) * 128 * 4);
        assert_eq!(actual_segments(&cifar::architecture(NetworkName::residual(20), 10), 4), 3, "nine blocks in fours are three segments");
        assert_eq!(segments(&cifar::architecture(NetworkName::residual(20), 10), 128, Precision::F32, 12 * gib), 1);
    }
}
