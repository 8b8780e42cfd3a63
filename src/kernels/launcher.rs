//! Which launcher a device has.

use std::sync::OnceLock;

use anyhow::{Result, anyhow};
use tch::Device;

use crate::kernels::cuda::Gpu;
use crate::kernels::launch::{Emulator, Launch, Order};

/// Most GPUs of a machine.
const GPUS: usize = 64;

/// What takes kernels for a device: the emulator for the CPU. The first call for a GPU compiles
/// them, unless that was done before, and takes seconds.
///
/// # Errors
/// In one line, what is missing.
pub fn launcher(device: Device) -> Result<&'static dyn Launch> {
    static EMULATOR: Emulator = Emulator { order: Order::InStep };
    static FOUND: [OnceLock<Result<Gpu, String>>; GPUS] = [const { OnceLock::new() }; GPUS];
    match device {
        Device::Cuda(index) if index < GPUS => {
            let gpu = FOUND[index].get_or_init(|| {
                Gpu::new(index).map_err(|error| format!("no own kernels: {error:#}"))
            });
            match gpu {
                Ok(gpu) => Ok(gpu),
                Err(reason) => Err(anyhow!("{reason}")),
            }
        }
        _ => Ok(&EMULATOR),
    }
}
