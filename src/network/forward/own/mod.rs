//! Batch normalisation, shortcut and ReLU by the project's own kernels, as one autograd function
//! (`norm.cpp`): for nets whose convolutions are libtorch's.

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::sync::Once;

use tch::{Device, Kind, Tensor};

use crate::kernels::launcher::launcher;
use crate::kernels::list::{
    MOST_CHANNELS, NORM_APPLY, NORM_INPUT_GRADIENT, NORM_STATISTICS, NORM_SUMS_BACK,
};
use crate::kernels::parameters;
use crate::network::forward::fused::{Maps, Norm, pointer};

type Launcher = extern "C" fn(c_int, c_int, *const c_void, c_int) -> *const c_char;

unsafe extern "C" {
    fn resnet_own_norm_launcher(launcher: Launcher);
    fn resnet_own_norm(
        results: *mut *mut c_void,
        x: *const c_void,
        gamma: *const c_void,
        beta: *const c_void,
        running_mean: *const c_void,
        running_variance: *const c_void,
        shortcut: *const c_void,
        relu: bool,
        momentum: f64,
        epsilon: f64,
    ) -> bool;
    fn resnet_own_norm_error() -> *const c_char;
}

/// Whether the kernels can normalise these maps: bfloat16, channels divisible by 8.
pub(crate) fn can_do(maps: &Tensor) -> bool {
    let channels = maps.size()[1];
    maps.kind() == Kind::BFloat16 && channels % 8 == 0 && channels <= MOST_CHANNELS
}

/// [`Norm::apply`] in training mode, for maps that [`can_do`] allows.
pub(crate) fn apply(norm: &Norm, maps: &Tensor, shortcut: Option<&Tensor>, relu: bool) -> Maps {
    static READY: Once = Once::new();
    // SAFETY: `launch` is what norm.cpp calls.
    READY.call_once(|| unsafe { resnet_own_norm_launcher(launch) });
    let (mean, variance) = norm.running.unzip();
    let mut results = [std::ptr::null_mut(); 2];
    // SAFETY: the pointers are those of live at::Tensors or null, as norm.cpp expects; the results
    // are new at::Tensors of ours.
    unsafe {
        let done = resnet_own_norm(
            results.as_mut_ptr(),
            pointer(Some(maps)),
            pointer(Some(norm.scale)),
            pointer(Some(norm.shift)),
            pointer(mean),
            pointer(variance),
            pointer(shortcut),
            relu,
            norm.momentum,
            norm.epsilon,
        );
        // As libtorch's errors, which are panics everywhere in tch.
        assert!(done, "{}", CStr::from_ptr(resnet_own_norm_error()).to_string_lossy());
        Maps::from_pointers(results)
    }
}

thread_local! {
    /// What went wrong last on this thread.
    static FAILURE: RefCell<CString> = RefCell::default();
}

/// Launches a kernel for norm.cpp, on whatever thread the backward pass runs.
extern "C" fn launch(
    kernel: c_int,
    blocks: c_int,
    parameter: *const c_void,
    device: c_int,
) -> *const c_char {
    let device = usize::try_from(device).map_or(Device::Cpu, Device::Cuda);
    let kernel = match kernel {
        0 => &NORM_STATISTICS,
        1 => &NORM_APPLY,
        2 => &NORM_SUMS_BACK,
        _ => &NORM_INPUT_GRADIENT,
    };
    // SAFETY: norm.cpp's Norm is this one, and its addresses are of tensors that it holds.
    let done = launcher(device).and_then(|launcher| unsafe {
        let parameter = &*parameter.cast::<parameters::Norm>();
        launcher.launch(kernel, (blocks as u32, 1), parameter)
    });
    match done {
        Ok(()) => std::ptr::null(),
        Err(error) => FAILURE.with(|failure| {
            *failure.borrow_mut() = CString::new(format!("{error:#}")).unwrap_or_default();
            failure.borrow().as_ptr()
        }),
    }
}
