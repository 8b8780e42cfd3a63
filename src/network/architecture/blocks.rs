//! Plain and residual nets: a first convolution, then blocks of layers in stages, each stage on
//! maps of one size.

use crate::config::shortcut::Shortcut;
use crate::network::architecture::body::{BlockKind, Stage, Stem};
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

    /// The convolution as a layer.
    pub(crate) fn layer(self, image_side: i64) -> Layer {
        Layer::convolution(
            "conv1",
            self.kernel,
            self.stride,
            3,
            self.filters,
            self.convolution_side(image_side),
        )
    }
}

/// One block; its position gives its name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Block {
    stage: usize,
    position: usize,
    kind: BlockKind,
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

    /// torchvision's name of one of its layers.
    fn name(&self, layer: &str) -> String {
        format!("layer{}.{}.{layer}", self.stage + 1, self.position)
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
pub(crate) fn blocks(image_side: i64, stem: Stem, kind: BlockKind, stages: &[Stage]) -> Vec<Block> {
    let mut side = stem.output_side(image_side);
    let mut inputs = stem.filters;
    let mut blocks = Vec::new();
    for (stage, &Stage { blocks: count, filters, stride }) in stages.iter().enumerate() {
        for position in 0..count {
            let stride = if position == 0 { stride } else { 1 };
            let block = Block { stage, position, kind, filters, inputs, stride, input_side: side };
            (inputs, side) = (block.outputs(), block.side());
            blocks.push(block);
        }
    }
    blocks
}

/// The layers of the main path but for the last, and the projections.
pub(crate) fn layers(
    image_side: i64,
    stem: Stem,
    blocks: &[Block],
    shortcut: Option<Shortcut>,
) -> (Vec<Layer>, Vec<Layer>) {
    let mut main = vec![stem.layer(image_side)];
    let mut projections = Vec::new();
    for block in blocks {
        let mut inputs = block.inputs;
        for (index, BlockLayer { kernel, outputs, stride, side }) in
            block.layers().into_iter().enumerate()
        {
            main.push(Layer::convolution(
                &block.name(&format!("conv{}", index + 1)),
                kernel,
                stride,
                inputs,
                outputs,
                side,
            ));
            inputs = outputs;
        }
        if block.projects(shortcut) {
            let layer = Layer::convolution(
                &block.name("downsample.0"),
                1,
                block.stride,
                block.inputs,
                block.outputs(),
                block.side(),
            );
            projections.push(Layer {
                kind: LayerKind::Projection { stride: block.stride },
                role: LayerRole::Projection,
                ..layer
            });
        }
    }
    (main, projections)
}

/// Side of the output of a layer with this stride whose padding is half its kernel: one pixel for
/// every `stride` pixels, rounded up.
pub(crate) fn strided(side: i64, stride: i64) -> i64 {
    (side + stride - 1) / stride
}
