//! What the machine can do at most, timed on the spot: a matrix product and a copy. And the memory
//! of this process.

use std::time::Instant;

use tch::{Device, Kind, Tensor};

use crate::config::precision::Precision;
use crate::network::forward::fused;
use crate::records::measurements::Peaks;
use crate::system::cuda_graph;
use crate::system::cuda_graph::CudaGraph;

/// Side of the square matrices.
const SIDE: i64 = 2048;

/// The same of a first try, where that is slow.
const SMALL_SIDE: i64 = 256;

/// Seconds that a product may take by the rate of the first try.
const PATIENCE: f64 = 2.0;

/// The same on a GPU, which a smaller product does not fill.
const GPU_SIDE: i64 = 8192;

/// On a GPU one clock reading covers so many calls, since each waits for the device.
const GPU_CALLS: usize = 10;

/// Bytes that are copied: more than any cache.
const COPIED: i64 = 256 << 20;

/// The best of so many tries counts: a peak is a peak.
const TRIES: usize = 4;

/// Operations of a product of square matrices.
fn operations(side: i64) -> f64 {
    2.0 * (side as f64).powi(3)
}

impl Peaks {
    /// Measures `device`.
    pub fn measure(device: Device) -> Peaks {
        let product = |kind: Kind, side: i64| {
            let [a, b] =
                [0, 1].map(|_| Tensor::rand([side, side], (Kind::Float, device)).to_kind(kind));
            operations(side) / best_seconds(device, || a.matmul(&b))
        };
        let rate = |kind: Kind| {
            if device != Device::Cpu {
                return product(kind, GPU_SIDE);
            }
            // A CPU without instructions for the precision would take minutes for the large one.
            let small = product(kind, SMALL_SIDE);
            if operations(SIDE) / small > PATIENCE { small } else { product(kind, SIDE) }
        };
        fused::settings(true, false);
        let f32_operations_per_second = rate(Kind::Float);
        let bf16_operations_per_second = rate(Kind::BFloat16);
        let tf32_operations_per_second = if device == Device::Cpu {
            f32_operations_per_second
        } else {
            fused::settings(true, true);
            rate(Kind::Float)
        };
        let source = Tensor::zeros([COPIED], (Kind::Uint8, device));
        let mut target = Tensor::ones([COPIED], (Kind::Uint8, device));
        let copy = best_seconds(device, || {
            target.copy_(&source);
            target.shallow_clone()
        });
        let copy_bytes_per_second = 2.0 * COPIED as f64 / copy;
        Peaks {
            f32_operations_per_second,
            tf32_operations_per_second,
            bf16_operations_per_second,
            copy_bytes_per_second,
        }
    }

    /// Operations a second in `precision`.
    pub fn operations(&self, precision: Precision) -> f64 {
        match precision {
            Precision::F32 => self.f32_operations_per_second,
            Precision::Tf32 => self.tf32_operations_per_second,
            Precision::Bf16 => self.bf16_operations_per_second,
        }
    }
}

/// Seconds of `work` at its best; the first call does not count. A GPU gets it as a CUDA graph, if
/// it can: else the host's time to launch small operations would be measured.
pub(crate) fn best_seconds(device: Device, mut work: impl FnMut() -> Tensor) -> f64 {
    drop(work());
    let graph = captured(device, &mut work);
    let calls = if device == Device::Cpu { 1 } else { GPU_CALLS };
    let mut launch = || match &graph {
        Some(graph) => graph.replay().expect("a captured graph"),
        None => drop(work()),
    };
    launch();
    synchronize(device);
    let mut once = || {
        let start = Instant::now();
        (0..calls).for_each(|_| launch());
        synchronize(device);
        start.elapsed().as_secs_f64() / calls as f64
    };
    (0..TRIES).map(|_| once()).fold(f64::INFINITY, f64::min)
}

/// `work` as one graph.
fn captured(device: Device, work: &mut impl FnMut() -> Tensor) -> Option<CudaGraph> {
    let Device::Cuda(index) = device else { return None };
    let mut graph = CudaGraph::new(index).ok()?;
    let mut once = || {
        drop(work());
        Ok(())
    };
    graph.warm_up(&mut once).ok()?;
    graph.capture(&mut once).ok()?;
    Some(graph)
}

/// Waits for a GPU.
fn synchronize(device: Device) {
    if let Device::Cuda(index) = device {
        tch::Cuda::synchronize(index as i64);
    }
}

/// Starts a new measurement of the largest memory.
pub fn reset_peak_memory(device: Device) {
    match device {
        Device::Cuda(index) => cuda_graph::reset_peak_memory(index),
        // Linux: "5" sets the high-water mark back to what is used now.
        _ => {
            release_freed_memory();
            drop(std::fs::write("/proc/self/clear_refs", "5"));
        }
    }
}

/// Gives the memory of freed tensors back to the system, which otherwise would count for the next
/// measurement.
pub fn release_freed_memory() {
    // SAFETY: the C library's allocator gives back what is free.
    unsafe { libc::malloc_trim(0) };
}

/// Largest memory since then, in bytes: of the process, or of libtorch's allocator on the GPU.
pub fn peak_memory(device: Device) -> Option<u64> {
    if let Device::Cuda(index) = device {
        return cuda_graph::peak_memory(index);
    }
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let kibibytes: u64 = text
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok())?;
    Some(kibibytes << 10)
}
