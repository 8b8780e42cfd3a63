//! Whether each kernel makes on a device what it makes on the emulator, of the same inputs.
//!
//! The emulator does a step first and keeps what is in memory after each kernel. The device then
//! gets that memory before each of its kernels, so that what an earlier one made otherwise in the
//! last place does not grow.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::sync::Mutex;

use anyhow::{Result, anyhow, ensure};
use tch::{Device, Kind, Tensor};

use crate::bench::kernels::{Inputs, larger, largest_of_all};
use crate::config::network_name::NetworkName;
use crate::kernels::launch::{Grid, Launch};
use crate::kernels::launcher::launcher;
use crate::kernels::list::{COLLECT, Facts};
use crate::network::architecture::layer::Parameter;
use crate::network::forward::gradient::Gradient;
use crate::network::forward::pass::Mode;
use crate::network::parameters::Network;
use crate::network::stepwise::Stepwise;

/// Images of the step, which the emulator takes a second each for.
const IMAGES: i64 = 4;

/// Hands kernels on, and sees to what is in memory before and after them.
struct Watched {
    inner: &'static dyn Launch,
    device: Device,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// What a step works on.
    memory: Vec<Tensor>,
    /// That memory at first and after each launch, on the CPU: written by the first step, read by
    /// the other.
    states: Vec<Vec<Tensor>>,
    /// Whether it is being read.
    compares: bool,
    launches: usize,
    differences: BTreeMap<&'static str, f64>,
}

fn copies(memory: &[Tensor]) -> Vec<Tensor> {
    memory.iter().map(|tensor| tensor.to_device(Device::Cpu).copy()).collect()
}

impl Kept {
    fn before(&mut self) {
        if !self.compares && self.states.is_empty() {
            self.states.push(copies(&self.memory));
        }
        if self.compares
            && let Some(state) = self.states.get(self.launches)
        {
            for (tensor, before) in self.memory.iter().zip(state) {
                tensor.shallow_clone().copy_(before);
            }
        }
    }

    fn after(&mut self, kernel: &Facts) {
        self.launches += 1;
        let found = copies(&self.memory);
        if !self.compares {
            self.states.push(found);
            return;
        }
        let Some(expected) = self.states.get(self.launches) else { return };
        let entry = self.differences.entry(kernel.name).or_default();
        *entry = larger(*entry, largest_of_all(&found, expected));
    }
}

impl Launch for Watched {
    unsafe fn launch_raw(
        &self,
        kernel: &Facts,
        grid: Grid,
        parameter: *const c_void,
    ) -> Result<()> {
        let poisoned = |_| anyhow!("another thread failed");
        self.kept.lock().map_err(poisoned)?.before();
        // SAFETY: the caller's.
        unsafe { self.inner.launch_raw(kernel, grid, parameter)? };
        if let Device::Cuda(index) = self.device {
            tch::Cuda::synchronize(index as i64);
        }
        self.kept.lock().map_err(poisoned)?.after(kernel);
        Ok(())
    }
}

/// Of each kernel of a step of `network`, the largest difference between what it makes on `device`
/// and on the emulator, of the largest value.
///
/// # Errors
/// If the kernels cannot do the network, or one cannot be launched.
pub fn differences(network: NetworkName, device: Device) -> Result<BTreeMap<&'static str, f64>> {
    differences_of(network, device, launcher(device)?)
}

fn differences_of(
    network: NetworkName,
    device: Device,
    kernels: &'static dyn Launch,
) -> Result<BTreeMap<&'static str, f64>> {
    let (states, _, expected) = step(network, Device::Cpu, launcher(Device::Cpu)?, None)?;
    let launches = states.len();
    let (_, mut kept, found) = step(network, device, kernels, Some(states))?;
    ensure!(kept.launches + 1 == launches, "{} launches, not {launches}", kept.launches);
    // What a step gives is made anew in each: the flat gradient, which `collect` completes.
    let entry = kept.differences.entry(COLLECT.facts.name).or_default();
    *entry = larger(*entry, largest_of_all(&found, &expected));
    Ok(kept.differences)
}

/// Loss, wrong images, logits, and the gradient by each parameter.
fn given(gradient: Gradient, network: &Network) -> Vec<Tensor> {
    let Gradient { loss, logits, wrong, parameters } = gradient;
    let counts: Vec<i64> = network.layout.iter().map(Parameter::count).collect();
    let parts = parameters.split_with_sizes(&counts[..], 0);
    let all = [loss, logits].into_iter().chain(wrong).chain(parts);
    all.map(|tensor| tensor.to_device(Device::Cpu)).collect()
}

/// A step on `device` by its `kernels`: keeps its states, or compares them with those that are given.
/// Returns what the step gives last.
fn step(
    network: NetworkName,
    device: Device,
    kernels: &'static dyn Launch,
    states: Option<Vec<Vec<Tensor>>>,
) -> Result<(Vec<Vec<Tensor>>, Kept, Vec<Tensor>)> {
    let Inputs { network, images, labels } = Inputs::new(network, IMAGES, device)?;
    let watched: &'static Watched =
        Box::leak(Box::new(Watched { inner: kernels, device, kept: Mutex::default() }));
    let stepwise = Stepwise::new(&network, IMAGES, watched).map_err(|reason| anyhow!(reason))?;
    let mut memory = stepwise.memory();
    memory.push(network.running_stats().shallow_clone());
    // What nothing has been written to must not be compared.
    memory.iter().filter(|tensor| tensor.kind() != Kind::Int64).for_each(|tensor| {
        let _ = tensor.shallow_clone().zero_();
    });
    let fresh = |watched: &Watched| -> Result<_> {
        Ok(std::mem::take(&mut *watched.kept.lock().map_err(|_| anyhow!("a thread failed"))?))
    };
    let compares = states.is_some();
    let kept = Kept { memory, states: states.unwrap_or_default(), compares, ..Kept::default() };
    *watched.kept.lock().map_err(|_| anyhow!("a thread failed"))? = kept;
    let gradient = stepwise.gradient(&network, Mode::Training, &images, &labels)?;
    let mut kept = fresh(watched)?;
    Ok((std::mem::take(&mut kept.states), kept, given(gradient, &network)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::launch::{Emulator, Order};
    use crate::kernels::parameters::{Collect, Convolution};

    /// The emulator with two kernels that write a wrong number each: one in a map or in the smallest
    /// of its vectors, the other in how many images are wrong.
    struct Wrong {
        map: bool,
    }

    impl Launch for Wrong {
        unsafe fn launch_raw(
            &self,
            kernel: &Facts,
            grid: Grid,
            parameter: *const c_void,
        ) -> Result<()> {
            // SAFETY: the caller's; these kernels take a convolution and a Collect, whose addresses
            // are of main memory.
            unsafe {
                Emulator { order: Order::RunBehind }.launch_raw(kernel, grid, parameter)?;
                if kernel.name == "backward_32" {
                    let Convolution { result, norm, .. } = *parameter.cast();
                    match self.map {
                        true => *result.pointer().cast::<u16>() ^= 1 << 14,
                        false => *norm.offset.pointer().cast::<f32>() += 0.1,
                    }
                }
                if kernel.name == "collect" {
                    let Collect { loss, .. } = *parameter.cast();
                    *loss.plus(4).pointer().cast::<f32>() += 1.0;
                }
            }
            Ok(())
        }
    }

    #[test]
    fn a_kernel_that_makes_something_else_is_told_and_those_after_it_are_not() {
        for kernels in [&Wrong { map: true }, &Wrong { map: false }] {
            let found = differences_of("resnet-8".parse().unwrap(), Device::Cpu, kernels).unwrap();
            let wrong: Vec<&str> =
                found.iter().filter(|(_, found)| **found != 0.0).map(|(name, _)| *name).collect();
            assert_eq!(wrong, ["backward_32", "collect"], "{found:?}");
            for name in wrong {
                assert!(found[name] > 0.01 || found[name].is_nan(), "{found:?}");
            }
        }
    }
}
