//! The kernels of ImageNet's 1×1 convolutions: the time of each on maps of a ResNet-50, and whether
//! they make on a device what they make on the emulator.

use std::collections::BTreeMap;

use anyhow::Result;
use tch::{Device, Kind, Tensor};

use crate::bench::kernels::{KernelRow, LAUNCHES, largest_of_all, microseconds};
use crate::kernels::cuda::Taken;
use crate::kernels::launcher::launcher;
use crate::kernels::list::{Kernel, POINTWISE, POINTWISE_BLOCKS, PointwisePair};
use crate::kernels::parameters::{Address, NormState, Pointwise};
use crate::random::{Purpose, Stream};

/// Images of a batch whose maps are timed on a GPU.
const IMAGES: i64 = 256;

/// Pixels of the comparison: each block has several tiles, and the last one is not full.
const COMPARED: i64 = 600;

/// Blocks that share the pixels of the comparison.
const COLUMNS: u32 = 2;

/// A row for each kernel.
///
/// # Errors
/// If one cannot be launched.
pub fn rows(device: Device, taken: &BTreeMap<&'static str, Taken>) -> Result<Vec<KernelRow>> {
    let launcher = launcher(device)?;
    let mut rows = Vec::new();
    for pair in &POINTWISE {
        for kernel in [&pair.forward, &pair.backward] {
            if launcher.has(&kernel.facts) {
                let taken = taken.get(kernel.facts.name).copied();
                let difference = difference(pair, kernel, device)?;
                rows.push(KernelRow { difference, taken, ..timed(pair, kernel, device)? });
            }
        }
    }
    Ok(rows)
}

/// The largest difference between what a kernel makes on `device` and on the emulator.
fn difference(pair: &PointwisePair, kernel: &Kernel<Pointwise>, device: Device) -> Result<f64> {
    let made = |device: Device| -> Result<Vec<Tensor>> {
        let mut stream = Stream::new(3, Purpose::Shapes, 0);
        let memory = Memory::new(pair, COMPARED, device, &mut |shape| {
            let values: Vec<f32> = stream.normals(shape.iter().product::<i64>() as usize);
            Tensor::from_slice(&values).view(shape).to_device(device)
        });
        // SAFETY: the parameter's tensors are the memory's.
        unsafe { launcher(device)?.launch(kernel, (COLUMNS, memory.rows), &memory.parameter())? };
        Ok(memory.made())
    };
    Ok(largest_of_all(&made(device)?, &made(Device::Cpu)?))
}

/// The time of a kernel on a batch's maps.
fn timed(pair: &PointwisePair, kernel: &Kernel<Pointwise>, device: Device) -> Result<KernelRow> {
    let (inputs, outputs) = pair.channels;
    // Table 1: 56×56 pixels where blocks have 256 channels, 28×28 where they have 512.
    let side = if inputs.max(outputs) == 256 { 56 } else { 28 };
    let pixels = if device == Device::Cpu { 100 } else { IMAGES * side * side };
    let normal = &mut |shape: &[i64]| Tensor::randn(shape, (Kind::Float, device));
    let memory = Memory::new(pair, pixels, device, normal);
    let (parameter, rows) = (memory.parameter(), memory.rows);
    let grid = ((POINTWISE_BLOCKS / rows).min(pixels as u32 / 32), rows);
    let launcher = launcher(device)?;
    // SAFETY: the parameter's tensors are the memory's.
    let launch = || unsafe { launcher.launch(kernel, grid, &parameter) };
    let microseconds = microseconds(device, LAUNCHES, &launch)? / LAUNCHES as f64;
    // Forward x, shortcut, y and z; by the input dz, x, more, the sign and the gradient.
    let forward = std::ptr::eq(kernel, &pair.forward);
    let values = if forward { 3 * inputs + outputs } else { 4 * inputs + outputs };
    Ok(KernelRow {
        kernel: format!("{} ({pixels} pixels)", kernel.facts.name),
        launches: 1,
        microseconds,
        gigabytes_per_second: (pixels * values * 2) as f64 / microseconds / 1e3,
        ..KernelRow::default()
    })
}

/// All that a convolution's kernels read and write.
struct Memory {
    /// x, the shortcut and what else comes to y; y and the gradient are written.
    read: [Tensor; 3],
    y: Tensor,
    gradient: Tensor,
    dz: Tensor,
    z: Tensor,
    weights: Tensor,
    /// Numbers of the normalisations before and after.
    before: Tensor,
    after: Tensor,
    partial: Tensor,
    counter: Tensor,
    pixels: i64,
    /// Of both kernels' grids.
    rows: u32,
}

impl Memory {
    /// For so many pixels, of what `normal` makes of a shape.
    fn new(
        pair: &PointwisePair,
        pixels: i64,
        device: Device,
        normal: &mut dyn FnMut(&[i64]) -> Tensor,
    ) -> Memory {
        let (inputs, outputs) = pair.channels;
        let widest = inputs.max(outputs);
        let mut half = |rows: i64, channels| normal(&[rows, channels]).to_kind(Kind::BFloat16);
        let read = std::array::from_fn(|_| half(pixels, inputs));
        let (dz, weights) = (half(pixels, outputs), half(outputs, inputs));
        let written = |channels| Tensor::zeros([pixels, channels], (Kind::BFloat16, device));
        let mut vectors = |channels| normal(&[NormState::ROWS, channels]).abs() + 0.5;
        Memory {
            read,
            y: written(inputs),
            gradient: written(inputs),
            dz,
            z: written(outputs),
            weights,
            before: vectors(inputs),
            after: vectors(outputs),
            partial: Tensor::zeros([i64::from(POINTWISE_BLOCKS), 2, widest], (Kind::Float, device)),
            counter: Tensor::zeros([1], (Kind::Int, device)),
            pixels,
            rows: pair.rows(),
        }
    }

    /// What a kernel may have written; each vector has a scale of its own.
    fn made(self) -> Vec<Tensor> {
        let vectors = self.before.unbind(0).into_iter().chain(self.after.unbind(0));
        let made = [self.y, self.gradient, self.z].into_iter().chain(vectors);
        made.map(|tensor| tensor.to_device(Device::Cpu)).collect()
    }

    fn state(&self, vectors: &Tensor) -> NormState {
        NormState::in_rows(vectors, &self.partial, &self.counter, self.pixels)
    }

    fn parameter(&self) -> Pointwise {
        let [x, shortcut, more] = self.read.each_ref().map(Address::of);
        Pointwise {
            before: self.state(&self.before),
            after: self.state(&self.after),
            x,
            shortcut,
            y: Address::of(&self.y),
            weights: Address::of(&self.weights),
            z: Address::of(&self.z),
            dz: Address::of(&self.dz),
            more,
            sign: shortcut,
            gradient: Address::of(&self.gradient),
            pixels: self.pixels as i32,
        }
    }
}
