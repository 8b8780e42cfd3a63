//! What each kernel is told: `parameters.h` in Rust. A test holds the sizes to the C++ ones.
//!
//! Addresses are of memory on the device; 0 stands for nothing.

use tch::Tensor;

/// An address on the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(transparent)]
pub struct Address(usize);

impl Address {
    /// Where a tensor's values begin. Whoever launches a kernel with it keeps the tensor.
    pub fn of(tensor: &Tensor) -> Address {
        Address(tensor.data_ptr() as usize)
    }

    /// The same, 0 for nothing.
    pub fn of_maybe(tensor: Option<&Tensor>) -> Address {
        tensor.map_or(Address::default(), Address::of)
    }

    /// The address itself.
    #[cfg(test)]
    pub(crate) fn pointer(self) -> *mut std::ffi::c_void {
        self.0 as *mut std::ffi::c_void
    }

    /// So many bytes further on.
    pub fn plus(self, bytes: usize) -> Address {
        Address(self.0 + bytes)
    }
}

/// A batch normalisation, [channels] float32 each; `partial` [blocks, 2, channels], `counter` one
/// int32 that is 0 between kernels.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub struct NormState {
    pub gamma: Address,
    pub beta: Address,
    pub mean: Address,
    pub inverse: Address,
    pub factor: Address,
    pub running_mean: Address,
    pub running_variance: Address,
    pub slope: Address,
    pub offset: Address,
    pub d_gamma: Address,
    pub d_beta: Address,
    pub partial: Address,
    pub counter: Address,
    pub rows: i32,
    pub channels: i32,
    pub momentum: f32,
    pub epsilon: f32,
}

impl NormState {
    /// Rows of the vectors that [`in_rows`](Self::in_rows) takes.
    pub const ROWS: i64 = 11;

    /// Of maps of `pixels` pixels, with its vectors, float32 [ROWS, channels], in the order of the
    /// fields; weight of the batch 0.1, epsilon 1e-5.
    pub fn in_rows(vectors: &Tensor, partial: &Tensor, counter: &Tensor, pixels: i64) -> NormState {
        let at = |row: i64| Address::of(&vectors.get(row));
        NormState {
            gamma: at(0),
            beta: at(1),
            mean: at(2),
            inverse: at(3),
            factor: at(4),
            running_mean: at(5),
            running_variance: at(6),
            slope: at(7),
            offset: at(8),
            d_gamma: at(9),
            d_beta: at(10),
            partial: Address::of(partial),
            counter: Address::of(counter),
            rows: pixels as i32,
            channels: vectors.size()[1] as i32,
            momentum: 0.1,
            epsilon: 1e-5,
        }
    }
}

/// Batch normalisation, shortcut and ReLU of maps of any size.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub struct Norm {
    pub state: NormState,
    pub x: Address,
    pub shortcut: Address,
    pub y: Address,
    pub sign: Address,
    pub dy: Address,
    pub more: Address,
    pub masked: Address,
    pub dx: Address,
    pub relu: i32,
}

/// What a shortcut adds.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub struct Shortcut {
    pub maps: Address,
    pub widens: i32,
}

/// Maps that a layer takes: as they are, or made of the layer before.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub struct Activation {
    pub maps: Address,
    pub mean: Address,
    pub factor: Address,
    pub beta: Address,
    pub shortcut: Shortcut,
    pub made: Address,
}

/// The gradient of a convolution's output.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub struct OutputGradient {
    pub gradient: Address,
    pub maps: Address,
    pub mean: Address,
    pub factor: Address,
    pub slope: Address,
    pub offset: Address,
}

/// A convolution, forward or by its input.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub struct Convolution {
    pub input: Activation,
    pub images: Address,
    pub output: OutputGradient,
    pub weights: Address,
    pub result: Address,
    pub norm: NormState,
    pub before: Address,
    pub sign: Address,
    pub more: Address,
    pub more_narrows: i32,
    pub images_count: i32,
}

/// A 1×1 convolution of ImageNet's nets with the normalisation before it.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub struct Pointwise {
    pub before: NormState,
    pub after: NormState,
    pub x: Address,
    pub shortcut: Address,
    pub y: Address,
    pub weights: Address,
    pub z: Address,
    pub dz: Address,
    pub more: Address,
    pub sign: Address,
    pub gradient: Address,
    pub pixels: i32,
}

/// The gradient of a convolution's weights.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub struct WeightGradient {
    pub input: Activation,
    pub images: Address,
    pub output: OutputGradient,
    pub partial: Address,
    pub images_count: i32,
}

/// The end of the forward pass and the beginning of the backward pass.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub struct Head {
    pub input: Activation,
    pub weights: Address,
    pub bias: Address,
    pub labels: Address,
    pub logits: Address,
    pub d_logits: Address,
    pub pooled: Address,
    pub losses: Address,
    pub gradient: Address,
    pub norm: NormState,
    pub images_count: i32,
    pub classes: i32,
}

/// One convolution's weights, as [`Collect`] finds them on the device: `parts` vectors of `count`
/// floats, and where they are in the flat vector.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub struct Parts {
    pub from: Address,
    pub offset: i64,
    pub count: i64,
    pub parts: i64,
}

impl Parts {
    /// As the four int64 that they are on the device.
    pub fn words(self) -> [i64; 4] {
        [self.from.0 as i64, self.offset, self.count, self.parts]
    }
}

/// The flat gradient from its parts.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub struct Collect {
    pub convolutions: Address,
    pub gradient: Address,
    pub d_logits: Address,
    pub pooled: Address,
    pub losses: Address,
    pub d_weights: Address,
    pub d_bias: Address,
    pub loss: Address,
    pub convolutions_count: i32,
    pub images_count: i32,
    pub classes: i32,
    pub channels: i32,
}

/// Decay, momentum and the update.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub struct Update {
    pub parameters: Address,
    pub momentum_buffer: Address,
    pub gradient: Address,
    pub learning_rate: Address,
    pub count: i64,
    pub momentum: f32,
    pub weight_decay: f32,
}

/// A training batch out of images in memory.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub struct Batch {
    pub pixels: Address,
    pub labels: Address,
    pub mean: Address,
    pub deviation: Address,
    pub plans: Address,
    pub row: Address,
    pub images: Address,
    pub picked: Address,
    pub start: i32,
    pub count: i32,
    pub batch_size: i32,
    pub side: i32,
    pub padded_side: i32,
}
