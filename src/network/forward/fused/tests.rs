//! The fused operation against libtorch's separate ones, on the same inputs.

use super::*;
use crate::random::{Purpose, Stream};

const EPSILON: f64 = 1e-5;

/// Output, gradients of (maps, scale, shift, shortcut) and running statistics.
fn results(
    kind: Kind,
    channels: i64,
    side: i64,
    with_shortcut: bool,
    relu: bool,
    fused: bool,
) -> Vec<Tensor> {
    let mut stream = Stream::new(7, Purpose::Initialisation, 0);
    let mut normal = |shape: &[i64]| {
        let values: Vec<f32> = stream.normals(shape.iter().product::<i64>() as usize);
        Tensor::from_slice(&values).view(shape)
    };
    let mut maps = |offset: f64| {
        let values = normal(&[6, side, side, channels]) * 2.0 + offset;
        values.to_kind(kind).permute([0, 3, 1, 2]).set_requires_grad(true)
    };
    let (x, added) = (maps(3.0), maps(0.0));
    let (upstream, second) = (maps(0.0).detach(), maps(0.0).detach());
    let (scale, shift) = (
        (normal(&[channels]) * 0.1 + 1.0).set_requires_grad(true),
        (normal(&[channels]) * 0.3).set_requires_grad(true),
    );
    let [mean, variance] = [
        Tensor::zeros([channels], (Kind::Float, Device::Cpu)),
        Tensor::ones([channels], (Kind::Float, Device::Cpu)),
    ];
    let norm = Norm {
        scale: &scale,
        shift: &shift,
        running: Some((&mean, &variance)),
        training: true,
        momentum: MOMENTUM,
        epsilon: EPSILON,
    };
    let Maps { main, again, .. } = norm.apply(&x, with_shortcut.then_some(&added), relu, fused);
    let mut leaves = vec![&x, &scale, &shift];
    leaves.extend(with_shortcut.then_some(&added));
    let mut results = vec![main.detach()];
    let scalar = (main * upstream).sum(Kind::Float);
    // Without ReLU one consumer, with it two.
    let scalar = if relu { scalar + (again * second).sum(Kind::Float) } else { scalar };
    results.extend(Tensor::run_backward(&[scalar], &leaves, false, false));
    results.extend([mean, variance]);
    results
}

/// Largest difference, of the largest value.
fn difference(a: &Tensor, b: &Tensor) -> f64 {
    let (a, b) = (a.to_kind(Kind::Double), b.to_kind(Kind::Double));
    (&a - &b).abs().max().double_value(&[]) / b.abs().max().double_value(&[])
}

#[test]
fn output_gradients_and_statistics_equal_those_of_the_separate_operations() {
    for (kind, bound) in [(Kind::Float, 1e-5), (Kind::BFloat16, 5e-2)] {
        for (channels, side) in [(16, 32), (48, 9), (64, 5)] {
            for (with_shortcut, relu) in
                [(false, true), (true, true), (false, false), (true, false)]
            {
                let [fused, plain] = [true, false]
                    .map(|fused| results(kind, channels, side, with_shortcut, relu, fused));
                for (position, (fused, plain)) in fused.iter().zip(&plain).enumerate() {
                    assert_eq!(fused.kind(), plain.kind());
                    // At the edge of ReLU a bfloat16's rounding decides whether a gradient passes:
                    // such pixels are few, so a mean is compared.
                    let found = if kind == Kind::Float {
                        difference(fused, plain)
                    } else {
                        mean_difference(fused, plain)
                    };
                    assert!(
                        found < bound,
                        "{kind:?} {channels} shortcut {with_shortcut} relu {relu}, result {position}: {found}"
                    );
                }
            }
        }
    }
}

fn mean_difference(a: &Tensor, b: &Tensor) -> f64 {
    let (a, b) = (a.to_kind(Kind::Double), b.to_kind(Kind::Double));
    (&a - &b).abs().mean(Kind::Double).double_value(&[])
        / b.abs().mean(Kind::Double).double_value(&[])
}

#[test]
fn what_is_not_a_number_stays_so() {
    for kind in [Kind::Float, Kind::BFloat16] {
        let maps = Tensor::full([2, 16, 8, 8], f64::NAN, (Kind::Float, Device::Cpu)).to_kind(kind);
        let ones = Tensor::ones([16], (Kind::Float, Device::Cpu));
        let norm = Norm {
            scale: &ones,
            shift: &ones,
            running: None,
            training: true,
            momentum: MOMENTUM,
            epsilon: EPSILON,
        };
        assert_eq!(
            norm.apply(&maps, None, true, true).main.isnan().all().int64_value(&[]),
            1,
            "{kind:?}"
        );
    }
}

#[test]
fn evaluation_uses_the_running_statistics() {
    let maps = Tensor::randn([3, 32, 7, 7], (Kind::Float, Device::Cpu));
    let [scale, shift, mean, variance] =
        [0.5, -0.25, 0.125, 4.0].map(|value| Tensor::full([32], value, (Kind::Float, Device::Cpu)));
    let norm = Norm {
        scale: &scale,
        shift: &shift,
        running: Some((&mean, &variance)),
        training: false,
        momentum: MOMENTUM,
        epsilon: EPSILON,
    };
    let [fused, plain] = [true, false].map(|fused| norm.apply(&maps, None, true, fused).main);
    assert!(difference(&fused, &plain) < 1e-6);
}
