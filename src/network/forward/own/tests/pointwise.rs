//! 1×1 convolutions with the normalisation before them: on the emulator against float64, against
//! the same one after the other, and in whole nets.

use tch::{Device, Kind, Tensor};

use crate::config::kernels::Kernels;
use crate::config::network_name::Family;
use crate::config::precision::Precision;
use crate::kernels::list::POINTWISE;
use crate::kernels::tests::{double, largest, rounded};
use crate::network::architecture;
use crate::network::architecture::body::Body;
use crate::network::architecture::table::Architecture;
use crate::network::forward::fused::{MOMENTUM, Norm};
use crate::network::forward::gradient::Gradient;
use crate::network::forward::own::{LAUNCHED, Next, apply, convolve, has_convolutions_for};
use crate::network::forward::pass::Mode;
use crate::network::parameters::{Compute, Network};
use crate::random::{Purpose, Stream};

/// Normally distributed numbers, the same for the same `key`.
fn normal(key: u64, shape: &[i64]) -> Tensor {
    let mut stream = Stream::new(11, Purpose::Shapes, key);
    let values: Vec<f32> = stream.normals(shape.iter().product::<i64>() as usize);
    Tensor::from_slice(&values).view(shape)
}

/// A convolution and what is around it.
#[derive(Debug, Clone, Copy)]
struct Case {
    channels: (i64, i64),
    /// Images, height, width.
    shape: [i64; 3],
    shortcut: bool,
    /// Whether y has another consumer, which brings a gradient back.
    consumed: bool,
    /// What the maps are multiplied by, and what is added.
    scale: f64,
    offset: f64,
}

/// Shapes that fill no block, one, and several with a rest; every channel pair with and without
/// shortcut; extreme values.
fn cases() -> Vec<Case> {
    let usual = Case {
        channels: (64, 256),
        shape: [2, 5, 7],
        shortcut: true,
        consumed: true,
        scale: 1.0,
        offset: 0.0,
    };
    let pairs = POINTWISE.iter().flat_map(|pair| {
        [true, false].map(|shortcut| Case {
            channels: pair.channels,
            shortcut,
            consumed: shortcut,
            ..usual
        })
    });
    pairs
        .chain([
            Case { shape: [1, 1, 3], channels: (256, 64), ..usual },
            Case { shape: [3, 8, 8], channels: (256, 64), consumed: false, ..usual },
            Case { shape: [3, 11, 13], ..usual },
            Case { shape: [5, 7, 9], channels: (512, 128), shortcut: false, ..usual },
            Case { scale: 300.0, offset: 1e3, ..usual },
            Case { scale: 1e-3, channels: (256, 64), ..usual },
        ])
        .collect()
}

/// Everything that goes into a case.
struct Inputs {
    x: Tensor,
    shortcut: Option<Tensor>,
    weight: Tensor,
    /// gamma and beta before, and after.
    before: [Tensor; 2],
    after: [Tensor; 2],
    dz: Tensor,
    again: Option<Tensor>,
    /// Running mean and variance after.
    running: [Tensor; 2],
}

impl Case {
    fn inputs(self) -> Inputs {
        let (inputs, outputs) = self.channels;
        let [images, height, width] = self.shape;
        let maps = |key, channels, scale: f64, offset: f64| {
            let values = normal(key, &[images, height, width, channels]) * scale + offset;
            values.to_kind(Kind::BFloat16).permute([0, 3, 1, 2])
        };
        let vectors = |key, channels: i64| {
            [normal(key, &[channels]) * 0.2 + 1.0, normal(key + 1, &[channels]) * 0.3]
        };
        let weight = normal(3, &[outputs, inputs, 1, 1]) * (2.0 / inputs as f64).sqrt();
        Inputs {
            x: maps(1, inputs, self.scale, self.offset),
            shortcut: self.shortcut.then(|| maps(2, inputs, 1.0, 0.0)),
            weight: weight.to_kind(Kind::BFloat16),
            before: vectors(4, inputs),
            after: vectors(6, outputs),
            dz: maps(8, outputs, 1.0, 0.0),
            again: self.consumed.then(|| maps(9, inputs, 1.0, 0.0)),
            running: [normal(10, &[outputs]) * 0.1, normal(11, &[outputs]).abs() + 0.5],
        }
    }
}

fn norm<'a>([scale, shift]: &'a [Tensor; 2], running: Option<&'a [Tensor; 2]>) -> Norm<'a> {
    let running = running.map(|[mean, variance]| (mean, variance));
    Norm { scale, shift, running, training: true, momentum: MOMENTUM, epsilon: 1e-5 }
}

/// y, z, statistics of z, and gradients by x, gamma, beta, weight, shortcut.
struct Outcome {
    y: Tensor,
    z: Tensor,
    statistics: Tensor,
    gradients: Vec<Tensor>,
}

/// By the kernels: both at once, or one after the other.
fn own(given: &Inputs, together: bool) -> Outcome {
    let leaf = |tensor: &Tensor| tensor.detach().set_requires_grad(true);
    let (x, weight, before) =
        (leaf(&given.x), leaf(&given.weight), given.before.each_ref().map(leaf));
    let shortcut = given.shortcut.as_ref().map(leaf);
    let next = Next { weight: &weight, norm: norm(&given.after, Some(&given.running)) };
    let convolved = x.shallow_clone().into();
    let ahead = together.then_some(&next);
    let maps = apply(&norm(&before, None), &convolved, shortcut.as_ref(), true, ahead);
    let output = maps.ahead.unwrap_or_else(|| convolve(&maps.main, &next));
    let mut scalar = (&output.maps * &given.dz).sum(Kind::Float);
    if let Some(again) = &given.again {
        scalar += (&maps.again * again).sum(Kind::Float);
    }
    let [gamma, beta] = &before;
    let mut leaves = vec![&x, gamma, beta, &weight];
    leaves.extend(&shortcut);
    Outcome {
        gradients: Tensor::run_backward(&[scalar], &leaves, false, false),
        y: maps.main.detach(),
        z: output.maps.detach(),
        statistics: output.statistics.unwrap(),
    }
}

/// Gradients in float64, with `y` as the kernels made it, and roundings where maps are written.
fn exact_gradients(given: &Inputs, y: &Tensor) -> Vec<Tensor> {
    let double = |tensor: &Tensor| double(tensor).set_requires_grad(true);
    let (x, before) = (double(&given.x), given.before.each_ref().map(double));
    let (weight, input) = (double(&given.weight).detach(), y.to_kind(Kind::Double));
    let dz = given.dz.to_kind(Kind::Double);
    let by_input =
        |dz: &Tensor| dz.permute([0, 2, 3, 1]).matmul(&weight.flatten(1, -1)).permute([0, 3, 1, 2]);
    let dy = rounded(&by_input(&dz));
    let dy = match &given.again {
        Some(again) => rounded(&(dy + again.to_kind(Kind::Double))),
        None => dy,
    };
    let g = dy * y.gt(0.0).to_kind(Kind::Double);
    let [gamma, beta] = &before;
    let none = None::<&Tensor>;
    let sum = x.batch_norm(Some(gamma), Some(beta), none, none, true, MOMENTUM, 1e-5, false);
    let scalar = (sum * &g).sum(Kind::Double);
    let mut gradients = Tensor::run_backward(&[scalar], &[&x, gamma, beta], false, false);
    let rows = |maps: &Tensor| maps.permute([0, 2, 3, 1]).reshape([-1, maps.size()[1]]);
    gradients.push(rows(&dz).tr().matmul(&rows(&input)).view_as(&weight));
    gradients.extend(given.shortcut.as_ref().map(|_| g));
    gradients
}

#[test]
fn outputs_statistics_and_gradients_are_those_of_float64_but_for_the_last_place_of_bfloat16() {
    for case in cases() {
        let given = case.inputs();
        let before = given.running.each_ref().map(double);
        let found = own(&given, true);
        let [gamma, beta] = &given.before.each_ref().map(double);
        let none = None::<&Tensor>;
        let sum = double(&given.x).batch_norm(
            Some(gamma),
            Some(beta),
            none,
            none,
            true,
            MOMENTUM,
            1e-5,
            false,
        );
        let sum = match &given.shortcut {
            Some(shortcut) => sum + double(shortcut),
            None => sum,
        };
        assert!(largest(&found.y, &sum.relu()) < 4.1e-3, "{case:?}: y");
        let z = double(&found.y).conv2d(
            &double(&given.weight),
            None::<Tensor>,
            [1, 1],
            [0, 0],
            [1, 1],
            1,
        );
        assert!(largest(&found.z, &z) < 4.1e-3, "{case:?}: z");
        // Statistics are of what is stored.
        let stored = double(&found.z);
        let (variance, mean) = stored.var_mean_dim(Some([0, 2, 3].as_slice()), false, false);
        let inverse = (&variance + 1e-5).rsqrt();
        let rows = stored.numel() as f64 / case.channels.1 as f64;
        let unbiased = &variance * (rows / (rows - 1.0));
        let expected = [
            ("mean", found.statistics.get(0), mean.shallow_clone()),
            ("inverse deviation", found.statistics.get(1), inverse.shallow_clone()),
            ("factor", found.statistics.get(2), inverse * double(&given.after[0])),
            ("running mean", given.running[0].shallow_clone(), &before[0] * 0.9 + mean * 0.1),
            (
                "running variance",
                given.running[1].shallow_clone(),
                &before[1] * 0.9 + unbiased * 0.1,
            ),
        ];
        for (what, found, exact) in expected {
            assert!(largest(&found, &exact) < 2e-6, "{case:?}: {what}");
        }
        let exact = exact_gradients(&given, &found.y);
        assert_eq!(exact.len(), found.gradients.len());
        let names = ["x", "gamma", "beta", "weight", "shortcut"];
        for ((found, exact), name) in found.gradients.iter().zip(&exact).zip(names) {
            // A gradient between two numbers of bfloat16 may be rounded to the other one.
            let bound = if found.kind() == Kind::BFloat16 { 8.2e-3 } else { 2e-4 };
            let difference = largest(found, exact);
            assert!(difference < bound, "{case:?}: gradient by {name}: {difference}");
        }
    }
}

#[test]
fn both_at_once_make_the_bits_of_one_after_the_other() {
    for case in cases() {
        let [together, apart] = [true, false].map(|together| own(&case.inputs(), together));
        assert!(together.y.equal(&apart.y) && together.z.equal(&apart.z), "{case:?}: maps");
        assert!(together.statistics.narrow(0, 0, 3).equal(&apart.statistics.narrow(0, 0, 3)));
        for (position, (one, other)) in together.gradients.iter().zip(&apart.gradients).enumerate()
        {
            // Sums of fewer channels are in another order in norm.cu; parts of a network end with
            // blocks, which have 256 and 512.
            let sums = case.channels.0 < 256 && position < 3;
            let same = if sums { largest(one, other) < 4.1e-3 } else { one.equal(other) };
            assert!(same, "{case:?}: gradient {position}");
        }
    }
}

/// Two blocks each of the first two stages of a ResNet-50, for images of 64×64 pixels. The weights of
/// projections follow those of the classes, of which kernels need a multiple of 8.
fn bottlenecks(name: &str) -> Architecture {
    let mut net = architecture::build(name.parse().unwrap(), Family::Imagenet, 64, 16).unwrap();
    if let Body::Blocks { stages, .. } = &mut net.body {
        stages.truncate(2);
        stages.iter_mut().for_each(|stage| stage.blocks = 2);
    }
    net
}

/// Gradient and running statistics of a batch of two.
fn gradient(name: &str, compute: Compute) -> (Gradient, Tensor) {
    let network = Network::new(bottlenecks(name), 1, Device::Cpu).with_compute(compute);
    let images = normal(0, &[2, 64, 64, 3]).permute([0, 3, 1, 2]);
    let gradient = network.gradient(&images, &Tensor::from_slice(&[3i64, 7]));
    (gradient, network.running_stats().copy())
}

#[test]
fn nets_with_such_convolutions_are_known() {
    for (name, expected) in [("resnet-50", true), ("resnet-152", true), ("resnet-34", false)] {
        let net = architecture::build(name.parse().unwrap(), Family::Imagenet, 224, 10).unwrap();
        assert_eq!(has_convolutions_for(&net), expected, "{name}");
    }
}

const OWN: Compute =
    Compute { precision: Precision::Bf16, fused: true, kernels: Kernels::Own, segments: 1 };

/// How often a step launches the kernels whose names begin so.
fn launches(compute: Compute, beginnings: [&str; 3]) -> [usize; 3] {
    LAUNCHED.take();
    let _ = gradient("resnet-50", compute);
    let launched = LAUNCHED.take();
    beginnings.map(|beginning| launched.iter().filter(|name| name.starts_with(beginning)).count())
}

#[test]
fn a_net_of_bottlenecks_takes_each_kernel_as_often_as_it_has_such_layers() {
    // Of the first stage: its projection, the second block's first layer and both last layers; of
    // the second the same without a projection, which has a stride. Only 8 of 15 normalisations are
    // of other convolutions: the first layer, the first block's first one, which has 64 channels,
    // four of 3×3, the first of the second stage and its projection, which have a stride.
    let forward = ["pointwise_forward_64_256", "pointwise_forward_256_64", "pointwise_forward_"];
    assert_eq!(launches(OWN, forward), [3, 1, 7]);
    let backward = ["pointwise_backward_", "norm_statistics", "norm_sums"];
    assert_eq!(launches(OWN, backward), [7, 8, 9]);
    let separate = Compute { fused: false, ..OWN };
    assert_eq!(launches(separate, ["pointwise_", "norm_statistics", "norm_sums"]), [0, 15, 15]);
    LAUNCHED.take();
    let network = Network::new(bottlenecks("resnet-50"), 1, Device::Cpu).with_compute(OWN);
    let _ = network.forward(&normal(0, &[2, 64, 64, 3]).permute([0, 3, 1, 2]), Mode::Evaluation);
    assert!(LAUNCHED.take().is_empty());
}

#[test]
fn segments_of_bottlenecks_that_are_recomputed_change_no_bit() {
    for name in ["resnet-50", "resnet-50-v1.5", "plain-50"] {
        let (whole, statistics) = gradient(name, OWN);
        for segments in [2, 4] {
            let (again, same) = gradient(name, Compute { segments, ..OWN });
            assert!(whole.logits.equal(&again.logits) && statistics.equal(&same), "{name}");
            assert!(whole.parameters.equal(&again.parameters), "{name} {segments}: gradient");
        }
    }
}

#[test]
fn bottlenecks_are_as_near_to_float32_as_those_of_libtorch_in_bfloat16() {
    let difference =
        |a: &Tensor, b: &Tensor| (a - b).norm().double_value(&[]) / b.norm().double_value(&[]);
    for name in ["resnet-50", "resnet-50-v1.5"] {
        let (own, statistics) = gradient(name, OWN);
        let (half, _) = gradient(name, Compute { kernels: Kernels::Libtorch, ..OWN });
        let (full, expected) = gradient(
            name,
            Compute { kernels: Kernels::Libtorch, precision: Precision::F32, ..OWN },
        );
        let [near, libtorch] =
            [&own, &half].map(|found| difference(&found.parameters, &full.parameters));
        println!("{name}: {near} from float32, libtorch {libtorch}");
        assert!(near < 1.2 * libtorch, "{name}: {near} against {libtorch}");
        assert!(difference(&statistics, &expected) < 5e-3, "{name}: statistics");
    }
}
