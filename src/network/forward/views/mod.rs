//! The parameters as a pass takes them: views of the flat vector.
//!
//! In bfloat16, convolutions take views of one cast of the whole vector and everything else
//! float32 ones. `views.cpp` makes one operation of this, whose gradient is a few calls. libtorch's
//! own views of both vectors fill a tensor of zeros for each parameter in the backward pass.

#[cfg(test)]
mod tests;

use std::ffi::{CStr, c_char, c_void};

use tch::Tensor;

use crate::config::precision::Precision;
use crate::network::parameters::Network;

/// A parameter, as `views.cpp` has it.
#[repr(C)]
struct Piece {
    dimensions: i64,
    sizes: [i64; 4],
    bfloat16: bool,
}

unsafe extern "C" {
    fn resnet_views(
        results: *mut *mut c_void,
        flat: *const c_void,
        pieces: *const Piece,
        count: i64,
    ) -> bool;
    fn resnet_views_error() -> *const c_char;
}

/// Views of the network's parameters, in their order and torch's shapes: in the convolutions'
/// precision what convolutions take, else float32. Gradients come back to the flat vector.
pub(crate) fn views(network: &Network) -> Vec<Tensor> {
    match network.compute.precision {
        Precision::F32 | Precision::Tf32 => network.views_of(&network.parameters),
        #[cfg(test)]
        Precision::Bf16 if tests::is_separate() => tests::separate(network),
        Precision::Bf16 => in_bfloat16(network),
    }
}

fn in_bfloat16(network: &Network) -> Vec<Tensor> {
    let pieces: Vec<Piece> = network
        .layout
        .iter()
        .zip(taken_by_convolutions(network))
        .map(|(parameter, bfloat16)| {
            let mut sizes = [1; 4];
            sizes[..parameter.shape.len()].copy_from_slice(&parameter.shape);
            Piece { dimensions: parameter.shape.len() as i64, sizes, bfloat16 }
        })
        .collect();
    let mut results = vec![std::ptr::null_mut(); pieces.len()];
    // SAFETY: a live at::Tensor, and as many pieces and places for results as are told; the results
    // are new at::Tensors of ours.
    unsafe {
        let flat = network.parameters.as_ptr() as *const c_void;
        let done = resnet_views(results.as_mut_ptr(), flat, pieces.as_ptr(), pieces.len() as i64);
        // libtorch's errors are panics everywhere in tch; the program's outermost frame makes one
        // line of them.
        assert!(done, "{}", CStr::from_ptr(resnet_views_error()).to_string_lossy());
        results.into_iter().map(|result| Tensor::from_ptr(result as *mut _)).collect()
    }
}

/// For each parameter whether it is a convolution's weight or bias.
fn taken_by_convolutions(network: &Network) -> Vec<bool> {
    let mut taken = vec![false; network.layout.len()];
    let is_convolution = |weight: usize| network.layout[weight].shape.len() == 4;
    for slot in network.slots.iter().filter(|slot| is_convolution(slot.weight)) {
        for position in [Some(slot.weight), slot.bias].into_iter().flatten() {
            taken[position] = true;
        }
    }
    taken
}
