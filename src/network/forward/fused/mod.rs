//! Batch normalisation, the addition of a shortcut, and ReLU as one operation with few passes over
//! memory.
//!
//! On a CPU, outside the convolutions a step is memory traffic: libtorch's separate
//! operations read and write every map many times. `norm.cpp` computes the same in two passes
//! forward and two backward; a test holds it to libtorch's operations.

#[cfg(test)]
mod tests;

use std::ffi::{CStr, c_char, c_void};

use tch::{Device, Kind, Tensor};

/// Weight of the newest batch in the running statistics (PyTorch's default).
pub(crate) const MOMENTUM: f64 = 0.1;

/// Channels that the fused kernels work on at a time.
const LANES: i64 = 16;

unsafe extern "C" {
    fn resnet_norm(
        results: *mut *mut c_void,
        x: *const c_void,
        gamma: *const c_void,
        beta: *const c_void,
        running_mean: *const c_void,
        running_variance: *const c_void,
        shortcut: *const c_void,
        relu: bool,
        training: bool,
        momentum: f64,
        epsilon: f64,
    ) -> bool;
    fn resnet_norm_error() -> *const c_char;
    fn resnet_norm_instruction_set() -> i32;
    fn resnet_settings(deterministic: bool, tf32: bool);
    fn resnet_copy_ahead(target: *mut c_void, source: *mut c_void) -> bool;
}

/// The instruction set that the fused kernels use on this CPU.
pub fn instruction_set() -> &'static str {
    // SAFETY: asks the CPU.
    match unsafe { resnet_norm_instruction_set() } {
        4 => "AVX-512",
        3 => "AVX2",
        _ => "baseline",
    }
}

/// Tells libtorch's CUDA half whether float32 convolutions and products may round their inputs to
/// TF32, and whether its results must repeat exactly (else it tries out algorithms). Nothing
/// changes on a CPU.
pub fn settings(deterministic: bool, tf32: bool) {
    // SAFETY: sets flags of libtorch's global context.
    unsafe { resnet_settings(deterministic, tf32) }
}

/// Copies `source` into `target`; a copy from page-locked memory to a GPU does not wait for it.
pub fn copy_ahead(target: &mut Tensor, source: &Tensor) {
    // SAFETY: both pointers are to live tensors, and libtorch checks shapes and kinds; the message
    // is a C string.
    unsafe {
        let done = resnet_copy_ahead(target.as_mut_ptr().cast(), source.as_ptr().cast_mut().cast());
        assert!(done, "{}", CStr::from_ptr(resnet_norm_error()).to_string_lossy());
    }
}

/// A batch normalisation, float32.
pub(crate) struct Norm<'a> {
    /// gamma, [channels].
    pub scale: &'a Tensor,
    /// beta, [channels].
    pub shift: &'a Tensor,
    /// Running mean and variance, [channels] each; training without them leaves them as they are.
    pub running: Option<(&'a Tensor, &'a Tensor)>,
    /// Whether the batch's own statistics are used.
    pub training: bool,
    /// Their weight in the running ones.
    pub momentum: f64,
    /// Added to the variance.
    pub epsilon: f64,
}

/// Maps for two consumers: the tensors have the same values, in the same memory, but each brings a
/// gradient of its own back.
pub(crate) struct Maps {
    /// For the next convolution.
    pub main: Tensor,
    /// For the next shortcut.
    pub again: Tensor,
    /// What the next convolution makes of them, where that was done already.
    pub ahead: Option<Convolved>,
}

/// What a convolution made, [n, c, h, w].
pub(crate) struct Convolved {
    /// The maps.
    pub maps: Tensor,
    /// What their batch normalisation needs of the batch, float32 [5, c], where it was summed up
    /// while they were written.
    pub statistics: Option<Tensor>,
}

impl From<Tensor> for Convolved {
    fn from(maps: Tensor) -> Convolved {
        Convolved { maps, statistics: None }
    }
}

impl Maps {
    /// Both as C++ returns them.
    ///
    /// # Safety
    /// The pointers must be to at::Tensors that belong to nobody else.
    pub(crate) unsafe fn from_pointers(results: [*mut c_void; 2]) -> Maps {
        // SAFETY: the caller's.
        let [main, again] = results.map(|result| unsafe { Tensor::from_ptr(result as *mut _) });
        Maps { main, again, ahead: None }
    }
}

/// A tensor as C++ takes it, null for none.
pub(crate) fn pointer(tensor: Option<&Tensor>) -> *const c_void {
    tensor.map_or(std::ptr::null(), |tensor| tensor.as_ptr() as *const c_void)
}

impl From<Tensor> for Maps {
    /// Both are the same tensor: autograd adds their gradients.
    fn from(main: Tensor) -> Maps {
        Maps { again: main.shallow_clone(), main, ahead: None }
    }
}

impl Norm<'_> {
    /// The normalised maps [n, c, h, w], plus `shortcut` (of the same shape), through ReLU if
    /// `relu`. `fused` asks for the fused kernels where they can do it: on a CPU, in float32
    /// or bfloat16, with channels divisible by 16.
    pub fn apply(&self, maps: &Tensor, shortcut: Option<&Tensor>, relu: bool, fused: bool) -> Maps {
        let possible = maps.device() == Device::Cpu
            && matches!(maps.kind(), Kind::Float | Kind::BFloat16)
            && maps.size()[1] % LANES == 0;
        if fused && possible {
            self.fused(maps, shortcut, relu)
        } else {
            self.plain(maps, shortcut, relu).into()
        }
    }

    fn plain(&self, maps: &Tensor, shortcut: Option<&Tensor>, relu: bool) -> Tensor {
        let (mean, variance) = self.running.unzip();
        let mut output = maps.batch_norm(
            Some(self.scale),
            Some(self.shift),
            mean,
            variance,
            self.training,
            self.momentum,
            self.epsilon,
            true,
        );
        if let Some(shortcut) = shortcut {
            output = output.g_add_(shortcut);
        }
        if relu { output.relu_() } else { output }
    }

    fn fused(&self, maps: &Tensor, shortcut: Option<&Tensor>, relu: bool) -> Maps {
        let (mean, variance) = self.running.unzip();
        let mut results = [std::ptr::null_mut(); 2];
        // SAFETY: the pointers are those of live at::Tensors or null, as norm.cpp expects; the
        // results are new at::Tensors of ours.
        unsafe {
            let done = resnet_norm(
                results.as_mut_ptr(),
                pointer(Some(maps)),
                pointer(Some(self.scale)),
                pointer(Some(self.shift)),
                pointer(mean),
                pointer(variance),
                pointer(shortcut),
                relu,
                self.training,
                self.momentum,
                self.epsilon,
            );
            // libtorch's errors are panics everywhere in tch; the program's outermost frame makes
            // one line of them.
            assert!(done, "{}", CStr::from_ptr(resnet_norm_error()).to_string_lossy());
            Maps::from_pointers(results)
        }
    }
}
