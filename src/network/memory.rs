//! Memory that a training step needs for activations, and how many segments fit into the memory
//! that is there.

use tch::Device;

use crate::config::precision::Precision;
use crate::network::architecture::blocks::Block;
use crate::network::architecture::body::Body;
use crate::network::architecture::layer::{Layer, LayerKind};
use crate::network::architecture::outline::{Outline, StepKind};
use crate::network::architecture::table::Architecture;
use crate::system::device;

/// Part of the available memory that activations may take: gradients of maps, the convolutions'
/// workspace and the data need the rest.
const SHARE: f64 = 0.6;

/// Values that maximum pooling keeps for each of its outputs: the output, and its place as a 64-bit
/// number, which is two values.
const POOLED: u64 = 3;

/// Values kept for the backward pass of one image: the output of each convolution, and what
/// normalisation and ReLU make of maps (ReLU alone overwrites them); of maximum pooling the
/// output and the places that it came from; of an inception module its joined branches.
pub fn activation_values(architecture: &Architecture) -> u64 {
    let convolutions: u64 = architecture.layers().iter().map(layer_values).sum();
    let steps = Outline::of(architecture).steps;
    let joined = steps.iter().map(|step| match step.kind {
        StepKind::MaxPool { .. } => POOLED * step.values(),
        StepKind::Inception { inputs } => step.values() + POOLED * pixels(inputs, step.side),
        _ => 0,
    });
    convolutions + joined.sum::<u64>()
}

/// Of a weighted layer and its normalisation.
fn layer_values(layer: &Layer) -> u64 {
    let output = match layer.kind {
        LayerKind::FullyConnected => 0,
        // Sigmoid keeps its output too.
        LayerKind::Gate => 2 * pixels(layer.outputs, layer.output_side),
        _ => pixels(layer.outputs, layer.output_side),
    };
    output + layer.norm.as_ref().map_or(0, |norm| pixels(norm.channels, norm.side))
}

fn pixels(channels: i64, side: i64) -> u64 {
    (channels * side * side) as u64
}

/// Bytes of activations of a batch with `segments` segments: those of the largest one, and the maps
/// between segments.
pub fn activation_bytes(
    architecture: &Architecture,
    batch: u64,
    precision: Precision,
    segments: u64,
) -> u64 {
    Activations::of(architecture).values(segments) * batch * precision.bytes()
}

/// The number of segments that needs the least memory: about the root of the number of blocks.
pub fn thriftiest_segments(architecture: &Architecture) -> u64 {
    let activations = Activations::of(architecture);
    (1..=activations.most_segments()).min_by_key(|&count| activations.values(count)).unwrap_or(1)
}

/// What one image's activations take.
struct Activations {
    /// Values of the whole network.
    whole: u64,
    /// The same by blocks, if it has any.
    blocks: Vec<BlockValues>,
}

impl Activations {
    fn of(architecture: &Architecture) -> Activations {
        Activations { whole: activation_values(architecture), blocks: blocks(architecture) }
    }

    /// The most segments that the network can be cut into: one a block.
    fn most_segments(&self) -> u64 {
        self.blocks.len().max(1) as u64
    }

    /// Values that are kept at most at a time, with `segments` segments.
    fn values(&self, segments: u64) -> u64 {
        if segments <= 1 || self.blocks.is_empty() {
            return self.whole;
        }
        let count = segment_blocks(self.blocks.len(), segments as usize);
        let parts = self.blocks.chunks(count);
        let kept = |part: &[BlockValues]| part.iter().map(|block| block.kept).sum::<u64>();
        let largest = parts.clone().map(kept).max().unwrap_or(0);
        // Each segment but the first starts from the maps of the block before it.
        let starts: u64 =
            parts.rev().skip(1).filter_map(|part| part.last()).map(|block| block.output).sum();
        largest + starts
    }
}

/// Values of one block, an image.
struct BlockValues {
    /// Kept for the backward pass.
    kept: u64,
    /// Of its output.
    output: u64,
}

/// The blocks in order; the first includes the layer and the pooling before it, the last what is
/// before the classifier. Only plain and residual nets have blocks.
fn blocks(architecture: &Architecture) -> Vec<BlockValues> {
    let Body::Blocks { stem, order, .. } = architecture.body else { return Vec::new() };
    let values = |block: &Block| {
        let projection = block.projection(architecture.shortcut);
        BlockValues {
            kept: block.main_layers().iter().chain(&projection).map(layer_values).sum(),
            output: pixels(block.outputs(), block.side()),
        }
    };
    let mut blocks: Vec<BlockValues> = architecture.blocks().iter().map(values).collect();
    let pooled = if stem.pool {
        POOLED * pixels(stem.filters, stem.output_side(architecture.image_side))
    } else {
        0
    };
    let first = layer_values(&stem.layer(architecture.image_side, order)) + pooled;
    blocks.iter_mut().take(1).for_each(|block| block.kept += first);
    let last = layer_values(&architecture.classifier());
    blocks.iter_mut().rev().take(1).for_each(|block| block.kept += last);
    blocks
}

/// Blocks of each segment, the last of which may have fewer, where `blocks` are cut into at most
/// `segments`.
pub(crate) fn segment_blocks(blocks: usize, segments: usize) -> usize {
    blocks.div_ceil(segments.max(1)).max(1)
}

/// The segments that come out where `wanted` are asked for: segments have equal numbers of blocks,
/// but for the last.
pub fn actual_segments(architecture: &Architecture, wanted: u64) -> u64 {
    let blocks = blocks(architecture).len();
    if blocks == 0 { 1 } else { blocks.div_ceil(segment_blocks(blocks, wanted as usize)) as u64 }
}

/// The fewest segments whose activations fit into `available` bytes, or those that need the least
/// if none fit.
pub fn segments(
    architecture: &Architecture,
    batch: u64,
    precision: Precision,
    available: u64,
) -> u64 {
    let activations = Activations::of(architecture);
    let bytes = |segments: &u64| activations.values(*segments) * batch * precision.bytes();
    let all = 1..=activations.most_segments();
    let fitting = all.clone().find(|segments| (bytes(segments) as f64) <= available as f64 * SHARE);
    actual_segments(architecture, fitting.or_else(|| all.min_by_key(bytes)).unwrap_or(1))
}

/// The segments on `device` where `wanted` are asked for: 0 leaves the choice to the memory that is
/// there, all in one where that is not known.
pub fn segments_on(
    device: Device,
    architecture: &Architecture,
    batch: u64,
    precision: Precision,
    wanted: u64,
) -> u64 {
    match wanted {
        0 => device::available_memory(device)
            .map_or(1, |available| segments(architecture, batch, precision, available)),
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
    use crate::config::network_name::NetworkName;
    use crate::network::architecture::{cifar, imagenet};

    #[test]
    fn activations_of_plain_8_equal_a_count_by_hand() {
        // Three maps of 16 × 32² (the stem's and the first stage's), two of 32 × 16², two of 64 ×
        // 8²; two values are kept a pixel.
        let by_hand = 2 * (3 * 16 * 1024 + 2 * 32 * 256 + 2 * 64 * 64);
        assert_eq!(
            activation_values(&cifar::architecture(NetworkName::plain(8), 10).unwrap()),
            by_hand
        );
    }

    #[test]
    fn activations_of_imagenet_nets_equal_counts_by_hand_and_those_of_their_blocks() {
        let net = |name: &str| imagenet::architecture(name.parse().unwrap(), 224, 1000).unwrap();
        let stem = 64 * (2 * 112 * 112 + 3 * 56 * 56);
        let stages = [64 * 56 * 56, 128 * 28 * 28, 256 * 14 * 14, 512 * 7 * 7];
        assert_eq!(
            activation_values(&net("plain-18")),
            stem + stages.iter().map(|maps| 2 * 4 * maps).sum::<u64>()
        );
        // A bottleneck: two layers and one of four times their maps, once more on a projected
        // shortcut. The paper's stride comes first.
        let bottlenecks =
            stages.iter().zip([3, 4, 6, 3]).map(|(maps, blocks)| 2 * (blocks * (2 + 4) + 4) * maps);
        assert_eq!(activation_values(&net("resnet-50")), stem + bottlenecks.sum::<u64>());
        for name in ["plain-18", "resnet-34", "resnet-50", "resnet-50-v1.5", "resnet-101c"] {
            let net = net(name);
            assert_eq!(
                blocks(&net).iter().map(|block| block.kept).sum::<u64>(),
                activation_values(&net),
                "{name}"
            );
            assert_eq!(
                activation_bytes(&net, 2, Precision::F32, 1),
                activation_values(&net) * 8,
                "{name}"
            );
            assert!(
                activation_bytes(&net, 2, Precision::F32, 4) < activation_values(&net) * 8,
                "{name}: segments save memory"
            );
        }
        assert_eq!(actual_segments(&net("vgg-16"), 4), 1, "a net without blocks is not cut");
    }

    #[test]
    fn activations_of_a_pre_activation_net_equal_a_count_by_hand_and_those_of_its_blocks() {
        let net = cifar::architecture("preact-resnet-8".parse().unwrap(), 10).unwrap();
        // Outputs of seven convolutions; the maps that each of the six in blocks and the classifier
        // take, normalised: 16 × 32² four times (stem's, two of stage 1, stage 2's first), and so on.
        let (a, b, c) = (16 * 1024, 32 * 256, 64 * 64);
        let outputs = 3 * a + 2 * b + 2 * c;
        let normalised = (2 * a + a) + (b + b) + (c + c);
        assert_eq!(activation_values(&net), outputs + normalised);
        for name in ["preact-resnet-8", "preact-resnet-29"] {
            let net = cifar::architecture(name.parse().unwrap(), 10).unwrap();
            let kept: u64 = blocks(&net).iter().map(|block| block.kept).sum();
            assert_eq!(kept, activation_values(&net), "{name}");
        }
    }

    #[test]
    fn the_1202_layer_net_is_cut_where_memory_is_small_and_left_whole_where_it_is_not() {
        let net = cifar::architecture(NetworkName::residual(1202), 10).unwrap();
        let gib = 1 << 30;
        assert_eq!(segments(&net, 128, Precision::F32, 80 * gib), 1);
        let few = segments(&net, 128, Precision::F32, 12 * gib);
        assert!((2..20).contains(&few), "{few}");
        // By hand for four segments: the first has 150 of the 200 blocks of the first stage, and
        // the stem.
        let largest = 2 * 16 * 1024 * (2 * 150 + 1);
        let starts = 16 * 1024 + 32 * 256 + 64 * 64;
        assert_eq!(activation_bytes(&net, 128, Precision::F32, 4), (largest + starts) * 128 * 4);
        assert_eq!(
            actual_segments(&cifar::architecture(NetworkName::residual(20), 10).unwrap(), 4),
            3,
            "nine blocks in fours are three segments"
        );
        assert_eq!(
            segments(
                &cifar::architecture(NetworkName::residual(20), 10).unwrap(),
                128,
                Precision::F32,
                12 * gib
            ),
            1
        );
    }
}
