//! Whole nets on the emulator against autograd.

use super::*;
use crate::config::precision::Precision;
use crate::kernels::launch::{Emulator, Grid, Order};
use crate::kernels::list::{Facts, HEAD};
use crate::kernels::parameters::Head;
use crate::network::architecture::cifar;
use crate::network::parameters::Compute;
use crate::network::stepwise::convolution::normal;

fn network(name: &str, precision: Precision) -> Network {
    let architecture = cifar::architecture(name.parse().unwrap(), 10).unwrap();
    Network::new(architecture, 5, Device::Cpu)
        .with_compute(Compute { precision, ..Compute::default() })
}

/// `count` images and their labels, channels-last.
fn batch(count: i64) -> (Tensor, Tensor) {
    let labels: Vec<i64> = (0..count).map(|image| (image * 7 + 3) % 10).collect();
    (normal(0, &[count, 32, 32, 3]).permute([0, 3, 1, 2]), Tensor::from_slice(&labels))
}

/// Gradient and running statistics of a step of the own kernels.
fn own(name: &str, count: i64, order: Order) -> (Gradient, Tensor) {
    let (images, labels) = batch(count);
    let network = network(name, Precision::Bf16);
    let emulator = Box::leak(Box::new(Emulator { order }));
    let stepwise = Stepwise::new(&network, count, emulator).unwrap();
    let gradient = stepwise.gradient(&network, Mode::Training, &images, &labels).unwrap();
    (gradient, network.running_stats().copy())
}

/// The same of autograd.
fn libtorch(name: &str, count: i64, precision: Precision) -> (Gradient, Tensor) {
    let (images, labels) = batch(count);
    let network = network(name, precision);
    (network.gradient(&images, &labels), network.running_stats().copy())
}

fn difference(a: &Tensor, b: &Tensor) -> f64 {
    (a - b).norm().double_value(&[]) / b.norm().double_value(&[])
}

#[test]
fn a_step_of_the_own_kernels_is_as_near_to_float32_as_that_of_libtorch_in_bfloat16() {
    for (name, count) in [("plain-8", 3), ("resnet-8", 4), ("resnet-14", 3)] {
        let (own, statistics) = own(name, count, Order::InStep);
        let (half, _) = libtorch(name, count, Precision::Bf16);
        let (full, expected) = libtorch(name, count, Precision::F32);
        let pairs = [
            ("logits", &own.logits, &half.logits, &full.logits),
            ("gradient", &own.parameters, &half.parameters, &full.parameters),
        ];
        for (what, own, half, full) in pairs {
            let (own, half) = (difference(own, full), difference(half, full));
            assert!(own < 1.2 * half, "{name} {what}: {own} against {half}");
        }
        assert!(difference(&own.loss, &full.loss) < 3e-3, "{name}: loss");
        assert!(difference(&statistics, &expected) < 5e-3, "{name}: statistics");
    }
}

#[test]
fn a_hundred_classes_have_the_loss_and_the_gradient_of_libtorch() {
    let (images, _) = batch(3);
    let labels = Tensor::from_slice(&[99i64, 0, 41]);
    let architecture = cifar::architecture("resnet-8".parse().unwrap(), 100).unwrap();
    let compute = Compute { precision: Precision::Bf16, ..Compute::default() };
    let network = Network::new(architecture, 5, Device::Cpu).with_compute(compute);
    let start = network.running_stats().copy();
    let expected = network.gradient(&images, &labels);
    network.running_stats().shallow_clone().copy_(&start);
    let emulator: &'static Emulator = &Emulator { order: Order::RunAhead };
    let stepwise = Stepwise::new(&network, 3, emulator).unwrap();
    let own = stepwise.gradient(&network, Mode::Training, &images, &labels).unwrap();
    // Of the last layer, whose inputs went through bfloat16 in both.
    let last = |gradient: &Gradient| {
        let count = 100 * 65;
        gradient.parameters.narrow(0, gradient.parameters.size()[0] - count, count)
    };
    assert!(difference(&own.logits, &expected.logits) < 2e-2);
    let wrong = own.logits.argmax(-1, false).ne_tensor(&labels).sum(Kind::Float);
    assert!(own.wrong.as_ref().unwrap().equal(&wrong), "wrong images");
    assert!(difference(&own.loss, &expected.loss) < 2e-3);
    assert!(difference(&last(&own), &last(&expected)) < 2e-2);
}

/// Whether the head finds images with these labels wrong, all of which have these logits.
fn wrong_by_the_head(logits: &[f32], labels: &[i64]) -> Vec<f32> {
    let (images, classes) = (labels.len() as i64, logits.len() as i64);
    let float = |shape: &[i64]| Tensor::zeros(shape, (Kind::Float, Device::Cpu));
    let maps = || Tensor::zeros([images, 8, 8, 64], (Kind::BFloat16, Device::Cpu));
    let (input, gradient, labels) = (maps(), maps(), Tensor::from_slice(labels));
    // Weights of zero: each image's logits are the biases.
    let (weights, bias) = (float(&[classes, 64]), Tensor::from_slice(logits));
    let (found, gradients) = (float(&[images, classes]), float(&[images, classes]));
    let (pooled, losses) = (float(&[images, 64]), float(&[2, images]));
    let (vectors, partial) = (float(&[7, 64]), float(&[images, 2, 64]));
    let counter = Tensor::zeros([1], (Kind::Int, Device::Cpu));
    let vector = |row| Address::of(&vectors.get(row));
    let parameter = Head {
        input: Activation {
            maps: Address::of(&input),
            mean: vector(0),
            factor: vector(1),
            beta: vector(2),
            ..Activation::default()
        },
        weights: Address::of(&weights),
        bias: Address::of(&bias),
        labels: Address::of(&labels),
        logits: Address::of(&found),
        d_logits: Address::of(&gradients),
        pooled: Address::of(&pooled),
        losses: Address::of(&losses),
        gradient: Address::of(&gradient),
        norm: NormState {
            mean: vector(0),
            factor: vector(1),
            inverse: vector(1),
            slope: vector(3),
            offset: vector(4),
            d_gamma: vector(5),
            d_beta: vector(6),
            partial: Address::of(&partial),
            counter: Address::of(&counter),
            rows: images as i32 * 64,
            channels: 64,
            ..NormState::default()
        },
        images_count: images as i32,
        classes: classes as i32,
    };
    let emulator: &dyn Launch = &Emulator { order: Order::RunBehind };
    // SAFETY: the parameter's tensors live in this function.
    unsafe { emulator.launch(&HEAD, (images as u32, 1), &parameter).unwrap() };
    Vec::try_from(losses.get(1)).unwrap()
}

#[test]
fn an_image_is_wrong_unless_its_class_is_the_first_of_the_largest_as_in_libtorch() {
    let ramp: Vec<f32> = (0..40).map(|class| class as f32).collect();
    let mut equal = vec![1.0; 40];
    (equal[5], equal[37]) = (2.0, 2.0);
    let mut nan = ramp.clone();
    (nan[7], nan[34]) = (f32::NAN, f32::NAN);
    let three = vec![0.5, 2.0, -1.0];
    for (logits, first) in [(ramp, 39), (equal, 5), (nan, 7), (three, 1), (vec![0.0; 33], 0)] {
        let labels = [0, 1, 2].into_iter().chain(0..logits.len() as i64).collect::<Vec<_>>();
        let expected: Vec<f32> =
            labels.iter().map(|&label| if label == first { 0.0 } else { 1.0 }).collect();
        assert_eq!(Tensor::from_slice(&logits).argmax(-1, false).int64_value(&[]), first);
        assert_eq!(wrong_by_the_head(&logits, &labels), expected, "{logits:?}");
    }
}

#[test]
fn whichever_thread_and_block_is_first_a_step_has_the_same_bits() {
    let steps = Order::ALL.map(|order| own("resnet-8", 2, order));
    let [(first, statistics), others @ ..] = &steps;
    for (other, same) in others {
        assert!(first.parameters.equal(&other.parameters), "gradient");
        assert!(first.logits.equal(&other.logits) && first.loss.equal(&other.loss), "logits");
        assert!(statistics.equal(same), "statistics");
    }
}

#[test]
fn a_second_step_in_the_same_memory_is_what_it_would_have_been_alone() {
    let (images, labels) = batch(2);
    let network = network("resnet-8", Precision::Bf16);
    let emulator: &'static Emulator = &Emulator { order: Order::InStep };
    let stepwise = Stepwise::new(&network, 2, emulator).unwrap();
    let start = network.running_stats().copy();
    let step = || {
        network.running_stats().shallow_clone().copy_(&start);
        stepwise.gradient(&network, Mode::Training, &images, &labels).unwrap()
    };
    let first = step();
    stepwise.gradient(&network, Mode::Training, &images.flip([0]), &labels).unwrap();
    let second = step();
    assert!(first.parameters.equal(&second.parameters) && first.loss.equal(&second.loss));
}

#[test]
fn the_traffic_of_a_step_names_its_launches_in_order() {
    /// Notes what is launched.
    #[derive(Default)]
    struct Notes(std::sync::Mutex<Vec<&'static str>>);
    impl Launch for Notes {
        unsafe fn launch_raw(
            &self,
            kernel: &Facts,
            _: Grid,
            _: *const std::ffi::c_void,
        ) -> Result<()> {
            self.0.lock().unwrap().push(kernel.name);
            Ok(())
        }
    }
    for name in ["plain-20", "resnet-20"] {
        let (images, labels) = batch(2);
        let network = network(name, Precision::Bf16);
        let notes: &'static Notes = Box::leak(Box::default());
        let stepwise = Stepwise::new(&network, 2, notes).unwrap();
        stepwise.gradient(&network, Mode::Training, &images, &labels).unwrap();
        let launched = notes.0.lock().unwrap().clone();
        let traffic = stepwise.traffic();
        assert_eq!(launched, traffic.iter().map(|(name, _)| *name).collect::<Vec<_>>());
        // 19 forward, 18 by inputs, 19 by weights, the head, the flat gradient.
        assert_eq!(launched.len(), 58);
        assert!(traffic.iter().all(|(_, bytes)| *bytes > 0));
    }
}

#[test]
fn nets_that_the_kernels_cannot_do_are_refused_by_name() {
    let refused = |name: &str, precision| {
        let emulator: &'static Emulator = &Emulator { order: Order::InStep };
        Stepwise::new(&network(name, precision), 2, emulator).err().unwrap()
    };
    for name in ["resnet-8c", "preact-resnet-8", "highway-19"] {
        assert!(refused(name, Precision::Bf16).contains(name));
    }
    assert!(refused("resnet-8", Precision::F32).contains("precision=bf16"));
}
