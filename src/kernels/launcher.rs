//! Which launcher a device has.

use std::sync::OnceLock;

use anyhow::{Result, anyhow};
use tch::Device;

use crate::kernels::cuda::Gpu;
use crate::kernels::launch::{Emulator, Launch, Order};
use crate::kernels::nvrtc;

/// Most GPUs of a machine.
const GPUS: usize = 64;

/// What takes kernels for a device: the emulator for the CPU. The first call for a GPU compiles
/// them, unless that was done before, and takes seconds.
///
/// # Errors
/// In one line, what is missing.
pub fn launcher(device: Device) -> Result<&'static dyn Launch> {
    static EMULATOR: Emulator = Emulator { order: Order::InStep };
    match device {
        Device::Cuda(index) => gpu(index).map(|gpu| gpu as &dyn Launch),
        _ => Ok(&EMULATOR),
    }
}

/// What makes the kernels run on a device: the compiler with its version, or the emulator.
pub fn made_by(device: Device) -> Option<String> {
    match device {
        Device::Cuda(_) => {
            nvrtc::library().ok()?.version().ok().map(|version| format!("NVRTC {version}"))
        }
        _ => Some("emulator".to_string()),
    }
}

/// The kernels on GPU `index`.
///
/// # Errors
/// As [`launcher`].
pub fn gpu(index: usize) -> Result<&'static Gpu> {
    static FOUND: [OnceLock<Result<Gpu, String>>; GPUS] = [const { OnceLock::new() }; GPUS];
    let found = FOUND.get(index).ok_or_else(|| anyhow!("no own kernels: GPU {index} of {GPUS}"))?;
    let made = || Gpu::new(index).map_err(|error| format!("no own kernels: {error:#}"));
    found.get_or_init(made).as_ref().map_err(|reason| anyhow!("{reason}"))
}
