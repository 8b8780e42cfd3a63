//! Plain and residual nets: a first convolution, then blocks of layers in stages, each stage on
//! maps of one size.

use crate::config::shortcut::Shortcut;
use crate::network::architecture::body::{BlockKind, Order, Stage, Stem};
use crate::network::architecture::layer::{Layer, LayerKind, LayerRole};

/// How many times its 3×3 layer's filters a bottleneck's last layer has (Table 1).
const EXPANSION: i64 = 4;

impl Stem {
    /// Side of the convolution's output for images of `image_side` pixels.
    pub(crate) fn convolution_side(self, image_side: i64) -> i64 {
        strided(image_side, self.stride)
    }

    /// Side of the maps that the first block takes.
    pub(crate) fn output_side(self, image_side: i64) -> i64 {
        strided(self.convolution_side(image_side), if self.pool { 2 } else { 1 })
    }

    /// The convolution as a layer. Before blocks of pre-activation its normalisation is that of the
    /// first block.
    pub(crate) fn layer(self, image_side: i64, order: Order) -> Layer {
        let side = self.convolution_side(image_side);
        let layer = Layer::convolution("conv1", self.kernel, self.stride, 3, self.filters, side);
        match order {
            Order::PostActivation => layer,
            Order::PreActivation => Layer { norm: None, ..layer },
        }
    }
}

/// One block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Block {
    stage: usize,
    position: usize,
    kind: BlockKind,
    order: Order,
    /// Filters of its 3×3 layers.
    filters: i64,
    /// Channels of its input.
    pub inputs: i64,
    /// Of the whole block.
    pub stride: i64,
    /// Side of its input for the architecture's images.
    input_side: i64,
}

/// One of a block's layers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockLayer {
    pub kernel: i64,
    pub outputs: i64,
    pub stride: i64,
    /// Side of its output for the architecture's images.
    pub side: i64,
}

impl Block {
    /// Channels of its output.
    pub fn outputs(&self) -> i64 {
        match self.kind {
            BlockKind::Basic => self.filters,
            BlockKind::Bottleneck { .. } => EXPANSION * self.filters,
        }
    }

    /// Side of its output for the architecture's images.
    pub fn side(&self) -> i64 {
        strided(self.input_side, self.stride)
    }

    /// Its layers in order; the shortcut is added to the last one's output.
    pub fn layers(&self) -> Vec<BlockLayer> {
        let mut side = self.input_side;
        let mut layer = |kernel, outputs, stride| {
            side = strided(side, stride);
            BlockLayer { kernel, outputs, stride, side }
        };
        match self.kind {
            BlockKind::Basic => {
                vec![layer(3, self.filters, self.stride), layer(3, self.filters, 1)]
            }
            BlockKind::Bottleneck { stride_on_3x3 } => {
                let (first, second) =
                    if stride_on_3x3 { (1, self.stride) } else { (self.stride, 1) };
                vec![
                    layer(1, self.filters, first),
                    layer(3, self.filters, second),
                    layer(1, self.outputs(), 1),
                ]
            }
        }
    }

    /// The strides of its layers, in order.
    pub fn strides(&self) -> Vec<i64> {
        self.layers().iter().map(|layer| layer.stride).collect()
    }

    /// torchvision's name: `layer1.0`.
    pub fn name(&self) -> String {
        format!("layer{}.{}", self.stage + 1, self.position)
    }

    /// Position of its stage.
    pub fn stage(&self) -> usize {
        self.stage
    }

    /// Where its normalisation and ReLU stand.
    pub fn order(&self) -> Order {
        self.order
    }

    /// Whether the shortcut begins after the block's first normalisation and ReLU: in nets of
    /// pre-activation, at the first block of each stage. The paper's appendix says so of the first
    /// block of all, its authors' code of all blocks that change dimensions.
    pub fn shares_activation(&self) -> bool {
        self.order == Order::PreActivation && self.position == 0
    }

    /// Its layers on the main path.
    pub fn main_layers(&self) -> Vec<Layer> {
        let (mut inputs, mut side) = (self.inputs, self.input_side);
        let mut layers = Vec::new();
        for (index, layer) in self.layers().into_iter().enumerate() {
            let name = format!("{}.conv{}", self.name(), index + 1);
            let BlockLayer { kernel, outputs, stride, side: output_side } = layer;
            let layer = Layer::convolution(&name, kernel, stride, inputs, outputs, output_side);
            layers.push(match self.order {
                Order::PostActivation => layer,
                Order::PreActivation => {
                    layer.preactivated(format!("{}.bn{}", self.name(), index + 1), side)
                }
            });
            (inputs, side) = (outputs, output_side);
        }
        layers
    }

    /// The projection on its shortcut, if it has one. In nets of pre-activation no normalisation
    /// follows it.
    pub fn projection(&self, shortcut: Option<Shortcut>) -> Option<Layer> {
        if !self.projects(shortcut) {
            return None;
        }
        let name = format!("{}.downsample.0", self.name());
        let (inputs, outputs, stride) = (self.inputs, self.outputs(), self.stride);
        let layer = Layer::convolution(&name, 1, stride, inputs, outputs, self.side());
        Some(Layer {
            kind: LayerKind::Projection { stride },
            role: LayerRole::Projection,
            norm: layer.norm.filter(|_| self.order == Order::PostActivation),
            ..layer
        })
    }

    /// Whether the shortcut joins maps of different dimensions.
    pub fn changes_shape(&self) -> bool {
        self.inputs != self.outputs() || self.stride != 1
    }

    /// Whether the shortcut is a 1×1 convolution.
    pub fn projects(&self, shortcut: Option<Shortcut>) -> bool {
        shortcut.is_some_and(|kind| kind.projects(self.inputs, self.outputs(), self.stride))
    }
}

/// All blocks in order, for images of `image_side` pixels.
pub(crate) fn blocks(
    image_side: i64,
    stem: Stem,
    kind: BlockKind,
    order: Order,
    stages: &[Stage],
) -> Vec<Block> {
    let mut input_side = stem.output_side(image_side);
    let mut inputs = stem.filters;
    let mut blocks = Vec::new();
    for (stage, &Stage { blocks: count, filters, stride }) in stages.iter().enumerate() {
        for position in 0..count {
            let stride = if position == 0 { stride } else { 1 };
            let block = Block { stage, position, kind, order, filters, inputs, stride, input_side };
            (inputs, input_side) = (block.outputs(), block.side());
            blocks.push(block);
        }
    }
    blocks
}

/// The layers of the main path but for the last, and the projections.
pub(crate) fn layers(
    image_side: i64,
    stem: Stem,
    order: Order,
    blocks: &[Block],
    shortcut: Option<Shortcut>,
) -> (Vec<Layer>, Vec<Layer>) {
    let mut main = vec![stem.layer(image_side, order)];
    main.extend(blocks.iter().flat_map(Block::main_layers));
    (main, blocks.iter().filter_map(|block| block.projection(shortcut)).collect())
}

/// Side of the output of a layer with this stride whose padding is half its kernel: one pixel for
/// every `stride` pixels, rounded up.
pub(crate) fn strided(side: i64, stride: i64) -> i64 {
    (side + stride - 1) / stride
}
