//! Batch normalisation, shortcut and ReLU by the project's own kernels, as one autograd function
//! (`norm.cpp`), with the 1×1 convolution after them where there is a kernel for it: for nets whose
//! other convolutions are libtorch's.

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::sync::Once;

use tch::{Device, Kind, Tensor};

use crate::kernels::launcher::launcher;
use crate::kernels::list::{
    MOST_CHANNELS, NORM_APPLY, NORM_INPUT_GRADIENT, NORM_STATISTICS, NORM_SUMS_BACK, POINTWISE,
    PointwisePair,
};
use crate::network::architecture::body::{Body, Order};
use crate::network::architecture::layer::LayerKind;
use crate::network::architecture::table::Architecture;
use crate::network::forward::fused::{Convolved, Maps, Norm, pointer};

type Launcher = extern "C" fn(c_int, c_int, c_int, *const c_void, c_int) -> *const c_char;

/// A batch normalisation as norm.cpp takes it: pointers to at::Tensor, null for none.
#[repr(C)]
struct Given {
    gamma: *const c_void,
    beta: *const c_void,
    running_mean: *const c_void,
    running_variance: *const c_void,
    statistics: *const c_void,
    momentum: f64,
    epsilon: f64,
}

impl Given {
    fn new(norm: &Norm, statistics: Option<&Tensor>) -> Given {
        let (mean, variance) = norm.running.unzip();
        Given {
            gamma: pointer(Some(norm.scale)),
            beta: pointer(Some(norm.shift)),
            running_mean: pointer(mean),
            running_variance: pointer(variance),
            statistics: pointer(statistics),
            momentum: norm.momentum,
            epsilon: norm.epsilon,
        }
    }
}

unsafe extern "C" {
    fn resnet_own_norm_launcher(launcher: Launcher);
    fn resnet_own_norm(
        results: *mut *mut c_void,
        x: *const c_void,
        before: *const Given,
        shortcut: *const c_void,
        relu: bool,
        weight: *const c_void,
        after: *const Given,
    ) -> bool;
    fn resnet_own_convolution(
        results: *mut *mut c_void,
        x: *const c_void,
        weight: *const c_void,
        after: *const Given,
    ) -> bool;
    fn resnet_own_norm_error() -> *const c_char;
}

/// Whether the kernels can normalise these maps: bfloat16, channels divisible by 8.
pub(crate) fn can_do(maps: &Tensor) -> bool {
    let channels = maps.size()[1];
    maps.kind() == Kind::BFloat16 && channels % 8 == 0 && channels <= MOST_CHANNELS
}

/// The kernels of 1×1 convolutions between so many channels.
fn pair_of(inputs: i64, outputs: i64) -> Option<&'static PointwisePair> {
    POINTWISE.iter().find(|pair| pair.channels == (inputs, outputs))
}

/// Whether there is a kernel for this convolution (with stride 1) of such maps.
pub(crate) fn can_convolve(maps: &Tensor, weight: &Tensor) -> bool {
    let [outputs, inputs, 1, 1] = weight.size()[..] else { return false };
    can_do(maps)
        && weight.kind() == Kind::BFloat16
        && pair_of(inputs, outputs).is_some_and(|pair| {
            launcher(maps.device()).is_ok_and(|launcher| {
                launcher.has(&pair.forward.facts) && launcher.has(&pair.backward.facts)
            })
        })
        // Kernels read sixteen bytes at a time.
        && weight.is_contiguous()
        && weight.data_ptr().cast::<u8>().align_offset(16) == 0
}

/// Whether there is a kernel for one of a network's 1×1 convolutions.
pub(crate) fn has_convolutions_for(architecture: &Architecture) -> bool {
    let follows = matches!(architecture.body, Body::Blocks { order: Order::PostActivation, .. });
    follows
        && architecture.layers().iter().any(|layer| {
            matches!(
                layer.kind,
                LayerKind::Convolution { kernel: 1, stride: 1 }
                    | LayerKind::Projection { stride: 1 }
            ) && pair_of(layer.inputs, layer.outputs).is_some()
        })
}

/// A 1×1 convolution, [outputs, inputs, 1, 1], and the normalisation that follows it.
pub(crate) struct Next<'a> {
    pub weight: &'a Tensor,
    pub norm: Norm<'a>,
}

/// [`Norm::apply`] in training mode, for maps that [`can_do`] allows; `next`, which [`can_convolve`]
/// must allow, is done with it.
pub(crate) fn apply(
    norm: &Norm,
    convolved: &Convolved,
    shortcut: Option<&Tensor>,
    relu: bool,
    next: Option<&Next>,
) -> Maps {
    let mut results = [std::ptr::null_mut(); 4];
    let after = next.map(|next| Given::new(&next.norm, None));
    // SAFETY: the pointers are those of live at::Tensors or null, as norm.cpp expects; the results
    // are new at::Tensors of ours, four of them with a convolution and else two.
    unsafe {
        let done = ready(|| {
            resnet_own_norm(
                results.as_mut_ptr(),
                pointer(Some(&convolved.maps)),
                &Given::new(norm, convolved.statistics.as_ref()),
                pointer(shortcut),
                relu,
                pointer(next.map(|next| next.weight)),
                after.as_ref().map_or(std::ptr::null(), std::ptr::from_ref),
            )
        });
        check(done);
        let [main, again, maps, statistics] = results;
        let mut result = Maps::from_pointers([main, again]);
        result.ahead = next.map(|_| convolved_from([maps, statistics]));
        result
    }
}

/// A 1×1 convolution that [`can_convolve`] allows, with what the normalisation after it needs.
pub(crate) fn convolve(maps: &Tensor, next: &Next) -> Convolved {
    let mut results = [std::ptr::null_mut(); 2];
    // SAFETY: as in `apply`.
    unsafe {
        let done = ready(|| {
            resnet_own_convolution(
                results.as_mut_ptr(),
                pointer(Some(maps)),
                pointer(Some(next.weight)),
                &Given::new(&next.norm, None),
            )
        });
        check(done);
        convolved_from(results)
    }
}

/// Calls norm.cpp, which has been told how to launch.
fn ready<T>(call: impl FnOnce() -> T) -> T {
    static READY: Once = Once::new();
    // SAFETY: `launch` is what norm.cpp calls.
    READY.call_once(|| unsafe { resnet_own_norm_launcher(launch) });
    call()
}

/// Panics with what went wrong in norm.cpp, as libtorch's errors do everywhere in tch.
fn check(done: bool) {
    // SAFETY: the message is a C string that lives until this thread's next call.
    assert!(done, "{}", unsafe { CStr::from_ptr(resnet_own_norm_error()) }.to_string_lossy());
}

/// Both as C++ returns them.
///
/// # Safety
/// The pointers must be to at::Tensors that belong to nobody else.
unsafe fn convolved_from(results: [*mut c_void; 2]) -> Convolved {
    // SAFETY: the caller's.
    let [maps, statistics] = results.map(|result| unsafe { Tensor::from_ptr(result as *mut _) });
    Convolved { maps, statistics: Some(statistics) }
}

thread_local! {
    /// What went wrong last on this thread.
    static FAILURE: RefCell<CString> = RefCell::default();
}

#[cfg(test)]
thread_local! {
    /// Names of the kernels that this thread launched.
    static LAUNCHED: RefCell<Vec<&'static str>> = RefCell::default();
}

/// Launches a kernel for norm.cpp, on whatever thread the backward pass runs.
extern "C" fn launch(
    kernel: c_int,
    columns: c_int,
    rows: c_int,
    parameter: *const c_void,
    device: c_int,
) -> *const c_char {
    let device = usize::try_from(device).map_or(Device::Cpu, Device::Cuda);
    let facts = match kernel {
        0 => &NORM_STATISTICS.facts,
        1 => &NORM_APPLY.facts,
        2 => &NORM_SUMS_BACK.facts,
        3 => &NORM_INPUT_GRADIENT.facts,
        pair @ 4..8 => &POINTWISE[pair as usize - 4].forward.facts,
        pair => &POINTWISE[pair as usize - 8].backward.facts,
    };
    #[cfg(test)]
    LAUNCHED.with_borrow_mut(|launched| launched.push(facts.name));
    // SAFETY: norm.cpp gives each kernel what it takes, with addresses of tensors that it holds.
    let done = launcher(device).and_then(|launcher| unsafe {
        launcher.launch_raw(facts, (columns as u32, rows as u32), parameter)
    });
    match done {
        Ok(()) => std::ptr::null(),
        Err(error) => FAILURE.with(|failure| {
            *failure.borrow_mut() = CString::new(format!("{error:#}")).unwrap_or_default();
            failure.borrow().as_ptr()
        }),
    }
}
