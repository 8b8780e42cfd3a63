//! What stands between the image and the classifier, as plain data.

/// Single layers on maps of one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerStage {
    /// Layers.
    pub layers: usize,
    /// Filters of every layer.
    pub filters: i64,
}

/// What stands between the image and the classifier.
#[derive(Debug, Clone)]
pub enum Body {
    /// A convolution, then blocks of layers: plain and residual nets.
    Blocks {
        /// The first convolution.
        stem: Stem,
        /// The layers of each block.
        kind: BlockKind,
        /// Where normalisation and ReLU stand.
        order: Order,
        /// The stages, in order.
        stages: Vec<Stage>,
    },
    /// Highway layers with 2×2 max pooling between stages.
    Highway {
        /// The first convolution, if it is not a highway layer's.
        stem: Option<Stem>,
        /// The stages, in order.
        stages: Vec<LayerStage>,
        /// Outputs of a hidden fully connected layer at the end, if there is one.
        hidden: Option<i64>,
    },
    /// 3×3 convolutions with 2×2 max pooling after each stage, then two hidden fully connected
    /// layers.
    Vgg {
        /// The stages, in order.
        stages: Vec<LayerStage>,
        /// Outputs of each hidden layer.
        hidden: i64,
    },
    /// Inception modules.
    GoogLeNet {
        /// Filters of all its layers.
        widths: Widths,
        /// Whether it has the two auxiliary classifiers.
        auxiliary: bool,
    },
}

/// The first convolution, and the maximum pooling that may follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stem {
    /// Filters of the convolution.
    pub filters: i64,
    /// Side of its kernel.
    pub kernel: i64,
    /// Its stride.
    pub stride: i64,
    /// Whether 3×3 maximum pooling with stride 2 (and a padding of 1) follows.
    pub pool: bool,
}

/// Where the batch normalisation and the ReLU of blocks stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// After each convolution, the last ReLU of a block after the addition (He et al. 2015).
    PostActivation,
    /// Before each convolution, and once more before the classifier, so that nothing stands on the
    /// way from one addition to the next (He et al. 2016, arXiv 1603.05027).
    PreActivation,
}

/// The layers of one block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockKind {
    /// Two 3×3 layers (Figure 5, left).
    Basic,
    /// A 1×1 layer that reduces the channels, a 3×3 layer, and a 1×1 layer with four times the
    /// filters (Figure 5, right).
    Bottleneck {
        /// Whether a stride is on the 3×3 layer (torchvision's, "v1.5") instead of on the first 1×1
        /// layer (the paper's).
        stride_on_3x3: bool,
    },
}

/// Blocks on maps of one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stage {
    /// Blocks.
    pub blocks: usize,
    /// Filters of every 3×3 layer.
    pub filters: i64,
    /// Stride of the first block.
    pub stride: i64,
}

/// Filters of an inception module's layers, in the order of torchvision's arguments and of the
/// paper's Table 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inception {
    /// "3a".
    pub name: &'static str,
    /// 1×1; 1×1 before the 3×3; 3×3; 1×1 before the second 3×3 (5×5 in the paper); that one; 1×1
    /// after the pooling.
    pub filters: [i64; 6],
}

/// Filters of all layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Widths {
    /// Of the three convolutions before the modules: 7×7, 1×1, 3×3.
    pub stem: [i64; 3],
    /// The modules, in groups that work on maps of one size.
    pub groups: Vec<Vec<Inception>>,
    /// Filters of an auxiliary classifier's convolution, and outputs of its hidden layer.
    pub auxiliary: [i64; 2],
}

/// Sides of the maps at each place of the net.
pub(crate) struct Sides {
    /// Of the 7×7 convolution's output.
    pub first: i64,
    /// Of the next two convolutions.
    pub second: i64,
    /// Of each group of modules.
    pub groups: [i64; 3],
}
