//! One operation against libtorch's own views of both vectors.

use std::cell::Cell;

use tch::{Device, Kind};

use super::*;
use crate::config::network_name::{Family, NetworkName};
use crate::network::architecture;
use crate::network::architecture::table::Architecture;
use crate::network::forward::gradient::Gradient;
use crate::network::parameters::Compute;
use crate::random::{Purpose, Stream};

unsafe extern "C" {
    fn resnet_count_calls(count: bool);
    fn resnet_calls(name: *const c_char) -> i64;
}

thread_local! {
    static SEPARATE: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread's passes take libtorch's own views.
pub fn is_separate() -> bool {
    SEPARATE.get()
}

/// Two views of each parameter, of which one is taken: what a pass in bfloat16 did before.
pub fn separate(network: &Network) -> Vec<Tensor> {
    let single = network.views_of(&network.parameters);
    let half = network.views_of(&network.parameters.to_kind(Kind::BFloat16));
    let both = single.into_iter().zip(half).zip(taken_by_convolutions(network));
    both.map(|((single, half), taken)| if taken { half } else { single }).collect()
}

/// The gradient of `architecture` for two pictures; libtorch's calls for it are counted.
fn gradient(architecture: &Architecture, segments: usize, separate: bool) -> Gradient {
    let side = architecture.image_side;
    let compute = Compute { precision: Precision::Bf16, segments, ..Compute::default() };
    let network = Network::new(architecture.clone(), 3, Device::Cpu).with_compute(compute);
    let mut stream = Stream::new(1, Purpose::Shapes, 0);
    let values: Vec<f32> = stream.normals((2 * side * side * 3) as usize);
    let images = Tensor::from_slice(&values).view([2, side, side, 3]).permute([0, 3, 1, 2]);
    SEPARATE.set(separate);
    let labels = Tensor::from_slice(&[1i64, 4]);
    // SAFETY: counts this thread's calls.
    unsafe { resnet_count_calls(true) };
    let gradient = network.gradient(&images, &labels);
    unsafe { resnet_count_calls(false) };
    SEPARATE.set(false);
    gradient
}

fn net(name: &str, family: Family, side: i64) -> Architecture {
    architecture::build(name.parse::<NetworkName>().unwrap(), family, side, 10).unwrap()
}

/// The bits of float32 numbers: -0 is not 0.
fn bits(tensor: &Tensor) -> Tensor {
    tensor.view_dtype(Kind::Int)
}

#[test]
fn gradients_are_those_of_separate_views_to_the_last_bit() {
    let small = ["resnet-8", "plain-8", "resnet-8c", "preact-resnet-8"];
    let highway = net("highway-19", Family::Cifar, 32).narrowed(2);
    let large = ["resnet-50", "vgg-16", "googlenet"];
    let small = small.map(|name| net(name, Family::Cifar, 32));
    let large = large.map(|name| net(name, Family::Imagenet, 32).narrowed(8));
    for architecture in small.into_iter().chain([highway]).chain(large) {
        let name = architecture.name;
        for segments in [1, 3] {
            let [joined, separate] =
                [false, true].map(|separate| gradient(&architecture, segments, separate));
            assert!(separate.parameters.norm().double_value(&[]) > 0.0, "{name}");
            for (what, one, other) in [
                ("loss", &joined.loss, &separate.loss),
                ("logits", &joined.logits, &separate.logits),
                ("gradient", &joined.parameters, &separate.parameters),
            ] {
                assert!(bits(one).equal(&bits(other)), "{name}, {segments} segments: {what}");
            }
        }
    }
}

#[test]
fn values_shapes_strides_and_second_derivatives_are_those_of_separate_views() {
    for name in ["resnet-8c", "highway-19"] {
        let compute = Compute { precision: Precision::Bf16, ..Compute::default() };
        let network =
            Network::new(net(name, Family::Cifar, 32), 3, Device::Cpu).with_compute(compute);
        let [joined, separate] = [in_bfloat16, separate].map(|make| {
            let views = make(&network);
            // Every third is left aside.
            let used = views.iter().enumerate().filter(|(position, _)| position % 3 > 0);
            let cubes = used.map(|(_, view)| view.to_kind(Kind::Float).pow_tensor_scalar(3));
            let sum: Tensor = cubes.map(|cube| cube.sum(Kind::Float)).sum();
            let first = Tensor::run_backward(&[&sum], &[&network.parameters], true, true).remove(0);
            let along = first.pow_tensor_scalar(2).sum(Kind::Float);
            let second = Tensor::run_backward(&[&along], &[&network.parameters], false, false);
            (views, first.detach(), second[0].shallow_clone())
        });
        assert_eq!(joined.0.len(), separate.0.len());
        for (one, other) in joined.0.iter().zip(&separate.0) {
            assert_eq!((one.kind(), one.size()), (other.kind(), other.size()));
            assert!(one.stride() == other.stride() && one.equal(other), "{name}");
        }
        assert!(joined.2.norm().double_value(&[]) > 0.0);
        for (one, other) in [(&joined.1, &separate.1), (&joined.2, &separate.2)] {
            assert!(bits(one).equal(&bits(other)), "{name}");
        }
    }
}

#[test]
fn the_backward_pass_makes_no_zeros_for_a_view_and_no_copy_of_its_gradient() {
    const NAMES: [&CStr; 4] = [c"aten::zeros", c"aten::zero_", c"aten::clone", c"aten::cat"];
    let architecture = net("plain-8", Family::Cifar, 32);
    let [joined, separate] = [false, true].map(|separate| {
        gradient(&architecture, 1, separate);
        // SAFETY: the names are C strings, or none.
        unsafe { (NAMES.map(|name| resnet_calls(name.as_ptr())), resnet_calls(std::ptr::null())) }
    });
    // Of two views of each parameter one is left aside.
    let parameters = architecture.layers().iter().flat_map(|layer| layer.parameters()).count();
    let [zeros, filled, copied, joins] = joined.0;
    let parameters = parameters as i64;
    assert_eq!(separate.0, [zeros + parameters, filled + parameters, copied, joins]);
    assert_eq!((zeros, joins), (0, 2));
    assert!(joined.1 + parameters < separate.1, "{} of {} calls", joined.1, separate.1);
}
