//! The kernels of normalisation on the emulator against libtorch in float64 on the same inputs.

mod pointwise;

use super::*;
use crate::config::kernels::Kernels;
use crate::config::precision::Precision;
use crate::network::architecture::cifar;
use crate::network::forward::fused::MOMENTUM;
use crate::network::parameters::{Compute, Network};
use crate::random::{Purpose, Stream};

/// Inputs and their kind: maps, shortcut, two upstream gradients, gamma, beta.
#[derive(Clone, Copy)]
struct Case {
    channels: i64,
    shape: [i64; 2],
    images: i64,
    shortcut: bool,
    relu: bool,
    /// Whether both consumers bring a gradient back.
    both: bool,
    /// Added to the maps, and what they are multiplied by.
    offset: f64,
    scale: f64,
}

impl Case {
    fn inputs(&self) -> [Tensor; 6] {
        let mut stream = Stream::new(7, Purpose::Initialisation, self.channels as u64);
        let mut normal = |shape: &[i64]| {
            let count = shape.iter().product::<i64>();
            let values: Vec<f32> = stream.normals(count as usize);
            Tensor::from_slice(&values).view(shape)
        };
        let [height, width] = self.shape;
        let mut maps = |scale: f64, offset: f64| {
            let values = normal(&[self.images, height, width, self.channels]) * scale + offset;
            values.to_kind(Kind::BFloat16).permute([0, 3, 1, 2])
        };
        let maps = [maps(self.scale, self.offset), maps(1.0, 0.0), maps(1.0, 0.0), maps(1.0, 0.0)];
        let gamma = normal(&[self.channels]) * 0.1 + 1.0;
        let beta = normal(&[self.channels]) * 0.3;
        let [x, shortcut, dy, more] = maps;
        [x, shortcut, dy, more, gamma, beta]
    }

    /// Output, gradients of (maps, scale, shift, shortcut), running statistics: of the kernels, or
    /// of libtorch in float64. The second takes ReLU's signs from `own`, the kernels' output, since
    /// they may differ where rounding makes zero of a sum.
    fn results(&self, own: Option<&Tensor>) -> Vec<Tensor> {
        let kind = own.map(|_| Kind::Double);
        let [x, shortcut, dy, more, gamma, beta] = self.inputs().map(|input| match kind {
            Some(kind) => input.to_kind(kind),
            None => input,
        });
        let [x, shortcut, gamma, beta] =
            [x, shortcut, gamma, beta].map(|input| input.set_requires_grad(true));
        let options = (gamma.kind(), Device::Cpu);
        let [mean, variance] =
            [Tensor::zeros([self.channels], options), Tensor::ones([self.channels], options)];
        let norm = Norm {
            scale: &gamma,
            shift: &beta,
            running: Some((&mean, &variance)),
            training: true,
            momentum: MOMENTUM,
            epsilon: 1e-5,
        };
        let added = self.shortcut.then_some(&shortcut);
        let (main, again) = match own {
            None => {
                let convolved = x.shallow_clone().into();
                let Maps { main, again, .. } = apply(&norm, &convolved, added, self.relu, None);
                (main, again)
            }
            Some(own) => {
                let sum = x.batch_norm(
                    Some(&gamma),
                    Some(&beta),
                    Some(&mean),
                    Some(&variance),
                    true,
                    MOMENTUM,
                    1e-5,
                    false,
                );
                let sum = if self.shortcut { sum + &shortcut } else { sum };
                let passes = own.gt(0.0).to_kind(Kind::Double);
                let output = if self.relu { sum * passes } else { sum };
                (output.shallow_clone(), output)
            }
        };
        // What two gradients add up to in bfloat16 is rounded before ReLU lets it through.
        let upstream = match own {
            Some(_) if self.both => {
                vec![(&dy + &more).to_kind(Kind::BFloat16).to_kind(Kind::Double)]
            }
            _ if self.both => vec![dy, more],
            _ => vec![dy],
        };
        let scalar = [&main, &again]
            .into_iter()
            .zip(&upstream)
            .map(|(output, gradient)| (output * gradient).sum(Kind::Double))
            .reduce(|sum, more| sum + more)
            .unwrap();
        let mut leaves = vec![&x, &gamma, &beta];
        leaves.extend(added);
        let mut results = vec![main.detach()];
        results.extend(Tensor::run_backward(&[scalar], &leaves, false, false));
        results.extend([mean, variance]);
        results
    }
}

/// Largest difference, of the largest value.
fn difference(a: &Tensor, b: &Tensor) -> f64 {
    let (a, b) = (a.to_kind(Kind::Double), b.to_kind(Kind::Double));
    (&a - &b).abs().max().double_value(&[]) / b.abs().max().double_value(&[])
}

#[test]
fn outputs_gradients_and_statistics_are_those_of_float64_but_for_the_last_place_of_bfloat16() {
    let usual = Case {
        channels: 16,
        shape: [5, 7],
        images: 3,
        shortcut: true,
        relu: true,
        both: true,
        offset: 3.0,
        scale: 2.0,
    };
    let shapes =
        [(16, [32, 32], 4), (24, [7, 7], 3), (64, [8, 8], 5), (512, [4, 4], 2), (2048, [2, 3], 3)];
    let shapes = shapes.map(|(channels, shape, images)| Case { channels, shape, images, ..usual });
    let ways = [
        (false, true, false),
        (true, true, false),
        (false, false, false),
        (true, false, true),
        (false, true, true),
    ];
    let ways = ways.map(|(shortcut, relu, both)| Case { shortcut, relu, both, ..usual });
    // Far from zero and narrow; large; small.
    let extreme = [
        Case { offset: 100.0, scale: 0.5, channels: 32, ..usual },
        Case { offset: -1e4, scale: 3e3, ..usual },
        Case { scale: 1e-3, offset: 0.0, ..usual },
    ];
    for case in shapes.into_iter().chain(ways).chain(extreme) {
        let own = case.results(None);
        let exact = case.results(Some(&own[0]));
        assert_eq!(own.len(), exact.len());
        for (position, (own, exact)) in own.iter().zip(&exact).enumerate() {
            // Far from zero, the mean's own last place is a part of the deviation.
            let bound = match own.kind() {
                Kind::BFloat16 => 4.1e-3,
                _ if case.offset > 10.0 => 2e-5,
                _ => 2e-6,
            };
            let found = difference(own, exact);
            assert!(
                found < bound,
                "{} channels {:?} shortcut {} relu {} both {} offset {}, result {position}: {found}",
                case.channels,
                case.shape,
                case.shortcut,
                case.relu,
                case.both,
                case.offset
            );
        }
    }
}

#[test]
fn what_is_not_a_number_stays_so() {
    let maps = Tensor::full([2, 16, 8, 8], f64::NAN, (Kind::BFloat16, Device::Cpu));
    let ones = Tensor::ones([16], (Kind::Float, Device::Cpu));
    let norm = Norm {
        scale: &ones,
        shift: &ones,
        running: None,
        training: true,
        momentum: MOMENTUM,
        epsilon: 1e-5,
    };
    let normalised = apply(&norm, &maps.into(), None, true, None).main;
    assert_eq!(normalised.isnan().all().int64_value(&[]), 1);
}

#[test]
fn segments_that_are_recomputed_change_no_bit() {
    let gradient = |segments| {
        let architecture = cifar::architecture("resnet-8b".parse().unwrap(), 10).unwrap();
        let compute = Compute {
            precision: Precision::Bf16,
            kernels: Kernels::Own,
            segments,
            ..Compute::default()
        };
        let network = Network::new(architecture, 1, Device::Cpu).with_compute(compute);
        let mut stream = Stream::new(3, Purpose::Shapes, 0);
        let values: Vec<f32> = stream.normals(2 * 3 * 1024);
        let images = Tensor::from_slice(&values).view([2, 32, 32, 3]).permute([0, 3, 1, 2]);
        let gradient = network.gradient(&images, &Tensor::from_slice(&[3i64, 7]));
        (gradient.parameters, network.running_stats().copy())
    };
    let ((whole, statistics), (recomputed, same)) = (gradient(1), gradient(3));
    assert!(whole.equal(&recomputed) && statistics.equal(&same));
}
