//! The kernels of ImageNet's 1×1 convolutions: the time of each on maps of a ResNet-50, and whether
//! they make on a device what they make on the emulator.

use std::collections::BTreeMap;

use anyhow::Result;
use tch::{Device, Kind, Tensor};

use crate::bench::kernels::{KernelRow, LAUNCHES, largest_of_all, microseconds};
use crate::kernels::cuda::Taken;
use crate::kernels::launcher::launcher;
use crate::kernels::list::{Kernel, POINTWISE, PointwisePair};
use crate::kernels::parameters::{Address, NormState, Pointwise};
use crate::network::forward::fused::{Convolved, MOMENTUM, Norm};
use crate::network::forward::own::{Next, apply};
use crate::random::{Purpose, Stream};

/// Images of a batch whose maps are timed on a GPU.
const IMAGES: i64 = 256;

/// A row for each kernel.
///
/// # Errors
/// If one cannot be launched.
pub fn rows(device: Device, taken: &BTreeMap<&'static str, Taken>) -> Result<Vec<KernelRow>> {
    let mut rows = Vec::new();
    for pair in &POINTWISE {
        let [forward, backward] = differences(pair, device);
        let maps = Maps::new(pair, device);
        for (kernel, difference) in [(&pair.forward, forward), (&pair.backward, backward)] {
            let taken = taken.get(kernel.facts.name).copied();
            rows.push(KernelRow { difference, taken, ..maps.row(kernel, device)? });
        }
    }
    Ok(rows)
}

/// Of what the kernels make, the largest differences between `device` and the emulator: forward and
/// by the input.
fn differences(pair: &PointwisePair, device: Device) -> [f64; 2] {
    let [found, expected] = [device, Device::Cpu].map(|device| outcome(pair, device));
    [0, 1].map(|part| largest_of_all(&found[part], &expected[part]))
}

/// Maps and statistics forward; gradients by the input. Of a normalisation with a shortcut and the
/// convolution after it.
fn outcome(pair: &PointwisePair, device: Device) -> [Vec<Tensor>; 2] {
    let (inputs, outputs) = pair.channels;
    let mut stream = Stream::new(3, Purpose::Shapes, inputs as u64);
    let mut normal = |shape: &[i64]| {
        let values: Vec<f32> = stream.normals(shape.iter().product::<i64>() as usize);
        Tensor::from_slice(&values).view(shape)
    };
    let mut maps = |channels: i64| {
        let maps = normal(&[3, 9, 11, channels]).to_kind(Kind::BFloat16);
        maps.permute([0, 3, 1, 2]).to_device(device)
    };
    let [x, shortcut] = [maps(inputs), maps(inputs)].map(|maps| maps.set_requires_grad(true));
    let (dz, again) = (maps(outputs), maps(inputs));
    let weight = (normal(&[outputs, inputs, 1, 1]) * 0.1).to_kind(Kind::BFloat16).to_device(device);
    let mut vector = |channels: i64, around: f64| {
        (normal(&[channels]) * 0.2 + around).to_device(device).set_requires_grad(true)
    };
    let (scale, shift) = (vector(inputs, 1.0), vector(inputs, 0.0));
    let (next_scale, next_shift) = (vector(outputs, 1.0), vector(outputs, 0.0));
    let norm = |scale, shift| Norm {
        scale,
        shift,
        running: None,
        training: true,
        momentum: MOMENTUM,
        epsilon: 1e-5,
    };
    let next = Next { weight: &weight, norm: norm(&next_scale, &next_shift) };
    let convolved: Convolved = x.shallow_clone().into();
    let made = apply(&norm(&scale, &shift), &convolved, Some(&shortcut), true, Some(&next));
    let ahead = made.ahead.expect("a convolution was asked for");
    let scalar = (&ahead.maps * dz).sum(Kind::Float) + (&made.again * again).sum(Kind::Float);
    let leaves = [&x, &scale, &shift, &shortcut];
    let gradients = Tensor::run_backward(&[scalar], &leaves, false, false);
    let statistics = ahead.statistics.expect("kernels sum up").narrow(0, 0, 3);
    [vec![made.main.detach(), ahead.maps.detach(), statistics], gradients]
        .map(|results| results.into_iter().map(|result| result.to_device(Device::Cpu)).collect())
}

/// Memory of a batch: zeros, with which a kernel has as much to do as with anything else.
struct Maps {
    /// Of the shape of the convolution's input.
    inputs: [Tensor; 5],
    /// Of that of its output.
    outputs: [Tensor; 2],
    weights: Tensor,
    vectors: Tensor,
    partial: Tensor,
    counter: Tensor,
    channels: (i64, i64),
    pixels: i64,
    /// Rows of the grids of both kernels.
    rows: u32,
}

impl Maps {
    fn new(pair: &PointwisePair, device: Device) -> Maps {
        let (inputs, outputs) = pair.channels;
        let widest = inputs.max(outputs);
        // Table 1: 56×56 pixels where blocks have 256 channels, 28×28 where they have 512.
        let side = if widest == 256 { 56 } else { 28 };
        let pixels = if device == Device::Cpu { 100 } else { IMAGES * side * side };
        let maps = |channels| Tensor::zeros([pixels, channels], (Kind::BFloat16, device));
        let float = (Kind::Float, device);
        Maps {
            inputs: std::array::from_fn(|_| maps(inputs)),
            outputs: std::array::from_fn(|_| maps(outputs)),
            weights: Tensor::zeros([outputs, inputs], (Kind::BFloat16, device)),
            vectors: Tensor::ones([11, widest], float),
            partial: Tensor::zeros([264, 2, widest], float),
            counter: Tensor::zeros([1], (Kind::Int, device)),
            channels: pair.channels,
            pixels,
            rows: if widest == 256 { 1 } else { 2 },
        }
    }

    fn state(&self, channels: i64) -> NormState {
        let at = |row: i64| Address::of(&self.vectors.get(row));
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
            partial: Address::of(&self.partial),
            counter: Address::of(&self.counter),
            rows: self.pixels as i32,
            channels: channels as i32,
            momentum: 0.1,
            epsilon: 1e-5,
        }
    }

    fn row(&self, kernel: &Kernel<Pointwise>, device: Device) -> Result<KernelRow> {
        let [x, shortcut, y, more, gradient] = &self.inputs;
        let [z, dz] = &self.outputs;
        let (inputs, outputs) = self.channels;
        let parameter = Pointwise {
            before: self.state(inputs),
            after: self.state(outputs),
            x: Address::of(x),
            shortcut: Address::of(shortcut),
            y: Address::of(y),
            weights: Address::of(&self.weights),
            z: Address::of(z),
            dz: Address::of(dz),
            more: Address::of(more),
            sign: Address::of(y),
            gradient: Address::of(gradient),
            pixels: self.pixels as i32,
        };
        let grid = ((264 / self.rows).min(self.pixels as u32 / 32), self.rows);
        let launcher = launcher(device)?;
        // SAFETY: the parameter's tensors are this one's.
        let launch = || unsafe { launcher.launch(kernel, grid, &parameter) };
        let microseconds = microseconds(device, LAUNCHES, &launch)? / LAUNCHES as f64;
        // Forward x, shortcut, y and z; by the input dz, x, more, the sign and the gradient.
        let values = if kernel.facts.name.contains("forward") {
            3 * inputs + outputs
        } else {
            4 * inputs + outputs
        };
        Ok(KernelRow {
            kernel: format!("{} ({} pixels)", kernel.facts.name, self.pixels),
            launches: 1,
            microseconds,
            gigabytes_per_second: (self.pixels * values * 2) as f64 / microseconds / 1e3,
            ..KernelRow::default()
        })
    }
}
