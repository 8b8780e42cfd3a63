//! The kernels: where their source is, what they are told, and what they may take of a GPU.

use std::marker::PhantomData;

use crate::kernels::parameters::{
    Batch, Collect, Convolution, Head, Norm, Pointwise, Update, WeightGradient,
};

/// Threads of every kernel's blocks (parameters.h).
pub const THREADS: u32 = 256;

/// Most classes that the head has room for.
pub const MOST_CLASSES: i64 = 1024;

/// Most channels that the normalisation's kernels can do: eight a thread.
pub const MOST_CHANNELS: i64 = 8 * THREADS as i64;

/// Headers of all sources.
pub const HEADERS: [(&str, &str); 5] = [
    ("eight.h", include_str!("eight.h")),
    ("gpu.h", include_str!("gpu.h")),
    ("parameters.h", include_str!("parameters.h")),
    ("sums.h", include_str!("sums.h")),
    ("tile.h", include_str!("tile.h")),
];

/// A file of kernels, which is compiled as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum File {
    /// Batch normalisation, shortcut and ReLU.
    Norm,
    /// Convolutions forward and by their input.
    Convolution,
    /// Convolutions by their weights.
    Weights,
    /// 1×1 convolutions with the normalisation before them.
    Pointwise,
    /// From the last maps to the loss and back.
    Head,
    /// The flat gradient, and the update.
    Update,
    /// Training batches.
    Batch,
}

impl File {
    /// All of them, those first that take longest to compile.
    pub const ALL: [File; 7] = [
        File::Convolution,
        File::Pointwise,
        File::Weights,
        File::Norm,
        File::Head,
        File::Update,
        File::Batch,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            File::Norm => "norm.cu",
            File::Convolution => "convolution.cu",
            File::Weights => "weights.cu",
            File::Pointwise => "pointwise.cu",
            File::Head => "head.cu",
            File::Update => "update.cu",
            File::Batch => "batch.cu",
        }
    }

    /// Its text.
    pub fn text(self) -> &'static str {
        match self {
            File::Norm => include_str!("norm.cu"),
            File::Convolution => include_str!("convolution.cu"),
            File::Weights => include_str!("weights.cu"),
            File::Pointwise => include_str!("pointwise.cu"),
            File::Head => include_str!("head.cu"),
            File::Update => include_str!("update.cu"),
            File::Batch => include_str!("batch.cu"),
        }
    }
}

/// What is known of a kernel before it is compiled.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// Its name, in the source and in what is compiled of it.
    pub name: &'static str,
    /// Where it stands.
    pub file: File,
    /// Bytes of shared memory that a launch asks for.
    pub shared_bytes: u32,
    /// Registers of a thread that it may take, on any architecture; nothing may be spilled.
    pub registers: u32,
    /// Passes over the banks of shared memory that a load of a matrix takes in the mean: 1 without
    /// conflicts.
    pub passes: f64,
}

/// A kernel that is told a `Parameter`.
#[derive(Debug)]
pub struct Kernel<Parameter> {
    /// What is known of it.
    pub facts: Facts,
    parameter: PhantomData<fn(Parameter)>,
}

const fn kernel<P>(name: &'static str, file: File, shared_bytes: u32, registers: u32) -> Kernel<P> {
    let facts = Facts { name, file, shared_bytes, registers, passes: 1.0 };
    Kernel { facts, parameter: PhantomData }
}

/// Bytes that the sums over all blocks take: two doubles a thread.
const SUMS: u32 = 16 * THREADS;

const fn larger(a: u32, b: u32) -> u32 {
    if a > b { a } else { b }
}

/// A 3×3 convolution, by the sides of its tile and its channels.
#[derive(Clone, Copy)]
struct Tile {
    inputs: u32,
    outputs: u32,
    /// Of the output.
    side: u32,
    /// Of the output's rows in one tile.
    rows: u32,
    stride: u32,
}

const fn tile(inputs: u32, outputs: u32, side: u32, rows: u32, stride: u32) -> Tile {
    Tile { inputs, outputs, side, rows, stride }
}

impl Tile {
    const fn weight_bytes(self) -> u32 {
        9 * self.inputs * self.outputs * 2
    }

    /// Of the input, with what the outermost taps reach.
    const fn input_bytes(self) -> u32 {
        ((self.rows - 1) * self.stride + 3) * ((self.side - 1) * self.stride + 3) * self.inputs * 2
    }

    const fn forward(self, name: &'static str, registers: u32) -> Kernel<Convolution> {
        let bytes = larger(self.weight_bytes() + self.input_bytes(), SUMS);
        let mut kernel = kernel(name, File::Convolution, bytes, registers);
        // Of every second pixel two are in each group of banks: two passes for pixels, one for
        // weights, of which there are as many matrices, or twice as many.
        if self.stride == 2 {
            kernel.facts.passes = if self.outputs == 32 { 3.0 / 2.0 } else { 4.0 / 3.0 };
        }
        kernel
    }

    /// By its input, of which a tile has `rows`.
    const fn backward(self, name: &'static str, rows: u32, registers: u32) -> Kernel<Convolution> {
        let gradient = (rows + 2) * (self.side * self.stride + 2) * self.outputs * 2;
        let bytes = larger(self.weight_bytes() + gradient, SUMS);
        kernel(name, File::Convolution, bytes, registers)
    }

    const fn weights(self, name: &'static str, registers: u32) -> Kernel<WeightGradient> {
        let maps = self.input_bytes() + self.rows * self.side * self.outputs * 2;
        let squares = self.squares();
        let here = if squares < 8 { squares } else { 8 };
        let mut kernel = kernel(name, File::Weights, larger(maps, here * 9 * 256 * 4), registers);
        // Two for the pixels of each of nine taps, one for the gradients.
        if self.stride == 2 {
            kernel.facts.passes = 19.0 / 10.0;
        }
        kernel
    }

    /// Squares of 16 × 16 channels, of which a block of `weights` does eight.
    const fn squares(self) -> u32 {
        (self.inputs / 16) * (self.outputs / 16)
    }
}

/// Sums of normalisation: sixteen floats a thread.
const NORM_SUMS: u32 = 64 * THREADS;

/// Statistics of the batch, and the running ones.
pub static NORM_STATISTICS: Kernel<Norm> = kernel("norm_statistics", File::Norm, NORM_SUMS, 104);
/// Normalisation, shortcut, ReLU.
pub static NORM_APPLY: Kernel<Norm> = kernel("norm_apply", File::Norm, 0, 104);
/// What the gradient needs of the whole batch.
pub static NORM_SUMS_BACK: Kernel<Norm> = kernel("norm_sums", File::Norm, NORM_SUMS, 112);
/// The gradient by the convolution's output.
pub static NORM_INPUT_GRADIENT: Kernel<Norm> = kernel("norm_input_gradient", File::Norm, 0, 112);

/// The first layer, of images.
pub static FORWARD_FIRST: Kernel<Convolution> =
    tile(16, 16, 32, 16, 1).forward("forward_first", 104);
/// 16 channels.
pub static FORWARD_16: Kernel<Convolution> = tile(16, 16, 32, 16, 1).forward("forward_16", 104);
/// 16 to 32 channels, stride 2.
pub static FORWARD_16_32: Kernel<Convolution> =
    tile(16, 32, 16, 16, 2).forward("forward_16_32", 96);
/// 32 channels.
pub static FORWARD_32: Kernel<Convolution> = tile(32, 32, 16, 16, 1).forward("forward_32", 104);
/// 32 to 64 channels, stride 2.
pub static FORWARD_32_64: Kernel<Convolution> = tile(32, 64, 8, 8, 2).forward("forward_32_64", 88);
/// 64 channels.
pub static FORWARD_64: Kernel<Convolution> = tile(64, 64, 8, 8, 1).forward("forward_64", 80);

/// 16 channels, by the input.
pub static BACKWARD_16: Kernel<Convolution> =
    tile(16, 16, 32, 16, 1).backward("backward_16", 16, 104);
/// 16 to 32 channels.
pub static BACKWARD_16_32: Kernel<Convolution> =
    tile(16, 32, 16, 16, 2).backward("backward_16_32", 16, 112);
/// 32 channels.
pub static BACKWARD_32: Kernel<Convolution> =
    tile(32, 32, 16, 16, 1).backward("backward_32", 16, 104);
/// 32 to 64 channels.
pub static BACKWARD_32_64: Kernel<Convolution> =
    tile(32, 64, 8, 8, 2).backward("backward_32_64", 16, 96);
/// 64 channels.
pub static BACKWARD_64: Kernel<Convolution> = tile(64, 64, 8, 8, 1).backward("backward_64", 8, 80);

/// The first layer, by the weights.
pub static WEIGHTS_FIRST: Kernel<WeightGradient> =
    tile(16, 16, 32, 16, 1).weights("weights_first", 168);
/// 16 channels.
pub static WEIGHTS_16: Kernel<WeightGradient> = tile(16, 16, 32, 16, 1).weights("weights_16", 184);
/// 16 to 32 channels.
pub static WEIGHTS_16_32: Kernel<WeightGradient> =
    tile(16, 32, 16, 16, 2).weights("weights_16_32", 192);
/// 32 channels.
pub static WEIGHTS_32: Kernel<WeightGradient> = tile(32, 32, 16, 16, 1).weights("weights_32", 216);
/// 32 to 64 channels.
pub static WEIGHTS_32_64: Kernel<WeightGradient> =
    tile(32, 64, 8, 8, 2).weights("weights_32_64", 192);
/// 64 channels.
pub static WEIGHTS_64: Kernel<WeightGradient> = tile(64, 64, 8, 8, 1).weights("weights_64", 184);

/// A 1×1 convolution: channels that are summed over, and pixels and channels of a block.
const fn slab_bytes(terms: u32) -> u32 {
    let (here, pixels) = match terms {
        64 | 128 => (256, 64),
        256 => (64, 64),
        _ => (64, 32),
    };
    larger(2 * (terms * here + pixels * (terms + here)), NORM_SUMS)
}

const fn pointwise(name: &'static str, terms: u32, registers: u32) -> Kernel<Pointwise> {
    kernel(name, File::Pointwise, slab_bytes(terms), registers)
}

/// The 1×1 convolutions, in the order in which src/network/forward/own/norm.cpp counts them.
pub static POINTWISE: [PointwisePair; 4] = [
    PointwisePair {
        channels: (64, 256),
        forward: pointwise("pointwise_forward_64_256", 64, 128),
        backward: pointwise("pointwise_backward_64_256", 256, 128),
    },
    PointwisePair {
        channels: (128, 512),
        forward: pointwise("pointwise_forward_128_512", 128, 128),
        backward: pointwise("pointwise_backward_128_512", 512, 128),
    },
    PointwisePair {
        channels: (256, 64),
        forward: pointwise("pointwise_forward_256_64", 256, 120),
        backward: pointwise("pointwise_backward_256_64", 64, 128),
    },
    PointwisePair {
        channels: (512, 128),
        forward: pointwise("pointwise_forward_512_128", 512, 120),
        backward: pointwise("pointwise_backward_512_128", 128, 128),
    },
];

/// Most blocks of a 1×1 convolution's grid: norm.cpp's.
pub const POINTWISE_BLOCKS: u32 = 264;

impl PointwisePair {
    /// Rows of both kernels' grids: blocks that share the channels of what is made (parameters.h).
    pub fn rows(&self) -> u32 {
        if self.channels.0.max(self.channels.1) == 512 { 2 } else { 1 }
    }
}

/// A 1×1 convolution's kernels.
#[derive(Debug)]
pub struct PointwisePair {
    /// Inputs and outputs.
    pub channels: (i64, i64),
    /// With the normalisation before it.
    pub forward: Kernel<Pointwise>,
    /// By its input.
    pub backward: Kernel<Pointwise>,
}

/// From the last maps to the loss and back.
pub static HEAD: Kernel<Head> =
    kernel("head", File::Head, (32 * 64 + 64 + MOST_CLASSES as u32) * 4, 72);
/// The flat gradient from its parts.
pub static COLLECT: Kernel<Collect> = kernel("collect", File::Update, 0, 56);
/// Decay, momentum and the update.
pub static UPDATE: Kernel<Update> = kernel("update", File::Update, 0, 32);

/// A training batch out of images in memory.
pub static BATCH: Kernel<Batch> = kernel("batch", File::Batch, 0, 40);
/// Nothing, to measure what a launch costs.
pub static NOTHING: Kernel<Update> = kernel("nothing", File::Update, 0, 16);

/// All of them.
pub fn all() -> Vec<Facts> {
    let norm = [&NORM_STATISTICS, &NORM_APPLY, &NORM_SUMS_BACK, &NORM_INPUT_GRADIENT];
    let convolutions = [
        &FORWARD_FIRST,
        &FORWARD_16,
        &FORWARD_16_32,
        &FORWARD_32,
        &FORWARD_32_64,
        &FORWARD_64,
        &BACKWARD_16,
        &BACKWARD_16_32,
        &BACKWARD_32,
        &BACKWARD_32_64,
        &BACKWARD_64,
    ];
    let weights =
        [&WEIGHTS_FIRST, &WEIGHTS_16, &WEIGHTS_16_32, &WEIGHTS_32, &WEIGHTS_32_64, &WEIGHTS_64];
    norm.map(|kernel| kernel.facts)
        .into_iter()
        .chain(convolutions.map(|kernel| kernel.facts))
        .chain(weights.map(|kernel| kernel.facts))
        .chain(POINTWISE.iter().flat_map(|pair| [pair.forward.facts, pair.backward.facts]))
        .chain([HEAD.facts, COLLECT.facts, UPDATE.facts, BATCH.facts, NOTHING.facts])
        .collect()
}
