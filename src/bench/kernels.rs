//! Each of the project's own kernels alone: how long it takes on a GPU, and whether it makes there
//! what it makes on the emulator.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Result, anyhow};
use serde::Serialize;
use tch::{Device, Kind, Tensor};

use crate::config::kernels::Kernels;
use crate::config::network_name::NetworkName;
use crate::config::precision::Precision;
use crate::kernels::cuda::Concurrency;
use crate::kernels::launch::{Grid, Launch};
use crate::kernels::launcher::{gpu, launcher};
use crate::kernels::list::{Facts, NOTHING};
use crate::kernels::parameters::Update;
use crate::network::architecture::cifar;
use crate::network::forward::pass::Mode;
use crate::network::parameters::{Compute, Network};
use crate::network::stepwise::Stepwise;
use crate::random::{Purpose, Stream};
use crate::system::cuda_graph::CudaGraph;

/// Launches of a kernel that are timed as one CUDA graph.
const LAUNCHES: usize = 200;

/// Kernels of the chain that does nothing: about those of a step of ResNet-20.
const CHAIN: usize = 60;

/// Images of the step that is compared with the emulator's, which takes a second each.
const COMPARED_IMAGES: i64 = 4;

/// One kernel in a step.
#[derive(Debug, Clone, Serialize)]
pub struct KernelRow {
    /// Its name.
    pub kernel: String,
    /// Launches in one step.
    pub launches: usize,
    /// Of one launch, mean over those of a step.
    pub microseconds: f64,
    /// Maps and sums that it reads and writes at least, by that time.
    pub gigabytes_per_second: f64,
    /// Largest difference from what the emulator makes, of the largest value; none for what leaves
    /// no maps.
    pub difference: Option<f64>,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub struct KernelMeasurements {
    /// The network whose step it is.
    pub network: NetworkName,
    /// Images a step.
    pub batch: i64,
    /// Of one kernel in a chain that does nothing.
    pub empty_microseconds: f64,
    /// The same where a kernel may start while the one before it ends; none on a CPU.
    pub empty_overlap_microseconds: Option<f64>,
    /// Of all kernels of a step, one after the other.
    pub step_microseconds: f64,
    /// The kernels, by name.
    pub rows: Vec<KernelRow>,
}

/// Measures the kernels of a step of `network` on `batch` images.
///
/// # Errors
/// If the device has none, or they cannot do the network.
pub fn measure(network: NetworkName, batch: i64, device: Device) -> Result<KernelMeasurements> {
    let differences = differences(network, device)?;
    let timed: &'static Timed =
        Box::leak(Box::new(Timed { inner: launcher(device)?, device, launches: Mutex::default() }));
    let (net, images, labels) = step_inputs(network, batch, device)?;
    let stepwise = Stepwise::new(&net, batch, timed).map_err(|reason| anyhow!(reason))?;
    stepwise.gradient(&net, Mode::Training, &images, &labels)?;
    let launches = timed.launches.lock().map(|launches| launches.clone()).unwrap_or_default();
    let mut sums: BTreeMap<&str, (usize, f64, i64)> = BTreeMap::new();
    for ((name, microseconds), (_, bytes)) in launches.iter().zip(stepwise.traffic()) {
        let sum = sums.entry(name).or_default();
        *sum = (sum.0 + 1, sum.1 + microseconds, sum.2 + bytes);
    }
    let rows = sums.into_iter().map(|(kernel, (launches, microseconds, bytes))| KernelRow {
        kernel: kernel.to_string(),
        launches,
        microseconds: microseconds / launches as f64,
        gigabytes_per_second: bytes as f64 / microseconds / 1e3,
        difference: differences.get(kernel).copied(),
    });
    Ok(KernelMeasurements {
        network,
        batch,
        empty_microseconds: empty_chain(launcher(device)?, device)?,
        empty_overlap_microseconds: overlapping_chain(device)?,
        step_microseconds: launches.iter().map(|(_, microseconds)| microseconds).sum(),
        rows: rows.collect(),
    })
}

/// A network, and a batch for it.
fn step_inputs(
    network: NetworkName,
    count: i64,
    device: Device,
) -> Result<(Network, Tensor, Tensor)> {
    let architecture = cifar::architecture(network, 10)?;
    let compute =
        Compute { precision: Precision::Bf16, kernels: Kernels::Own, ..Compute::default() };
    let network = Network::new(architecture, 0, device).with_compute(compute);
    let mut stream = Stream::new(0, Purpose::Shapes, 0);
    let values: Vec<f32> = (0..count * 32 * 32 * 3).map(|_| stream.normal() as f32).collect();
    let images = Tensor::from_slice(&values).view([count, 32, 32, 3]).permute([0, 3, 1, 2]);
    let labels = Tensor::arange(count, (Kind::Int64, Device::Cpu)).remainder(10);
    Ok((network, images.to_device(device), labels.to_device(device)))
}

/// Of each kernel, the largest difference between what a step leaves on `device` and on the
/// emulator, of the largest value.
fn differences(network: NetworkName, device: Device) -> Result<BTreeMap<&'static str, f64>> {
    let step = |device: Device| -> Result<Vec<(&'static str, Tensor)>> {
        let (net, images, labels) = step_inputs(network, COMPARED_IMAGES, device)?;
        let stepwise = Stepwise::new(&net, COMPARED_IMAGES, launcher(device)?)
            .map_err(|reason| anyhow!(reason))?;
        stepwise.gradient(&net, Mode::Training, &images, &labels)?;
        let kept = |tensor: &Tensor| tensor.to_device(Device::Cpu).to_kind(Kind::Double);
        Ok(stepwise.results().into_iter().map(|(name, tensor)| (name, kept(tensor))).collect())
    };
    let mut largest: BTreeMap<&'static str, f64> = BTreeMap::new();
    for ((name, here), (_, emulated)) in step(device)?.into_iter().zip(step(Device::Cpu)?) {
        let scale = emulated.abs().max().double_value(&[]).max(f64::MIN_POSITIVE);
        let found = (here - emulated).abs().max().double_value(&[]) / scale;
        let entry = largest.entry(name).or_default();
        *entry = if found.is_nan() { found } else { entry.max(found) };
    }
    Ok(largest)
}

/// Microseconds of one kernel in a chain of [`CHAIN`] that do nothing.
fn empty_chain(launcher: &'static dyn Launch, device: Device) -> Result<f64> {
    let parameter = Update::default();
    // SAFETY: the kernel reads nothing.
    let launch = || unsafe { launcher.launch(&NOTHING, (132, 1), &parameter) };
    Ok(microseconds(device, CHAIN, &launch)? / CHAIN as f64)
}

fn overlapping_chain(device: Device) -> Result<Option<f64>> {
    let Device::Cuda(index) = device else { return Ok(None) };
    let gpu = gpu(index)?;
    gpu.set_concurrency(Concurrency { overlap: true, branch: false });
    let time = empty_chain(gpu, device);
    gpu.set_concurrency(Concurrency::default());
    time.map(Some)
}

/// Microseconds that `count` launches take: as one CUDA graph on a GPU, once on a CPU.
fn microseconds(device: Device, count: usize, launch: &dyn Fn() -> Result<()>) -> Result<f64> {
    let Device::Cuda(index) = device else {
        let start = Instant::now();
        launch()?;
        return Ok(start.elapsed().as_secs_f64() * 1e6 * count as f64);
    };
    let mut graph = CudaGraph::new(index)?;
    graph.warm_up(launch)?;
    graph.capture(|| (0..count).try_for_each(|_| launch()))?;
    let mut times: Vec<f64> = Vec::new();
    for _ in 0..5 {
        tch::Cuda::synchronize(index as i64);
        let start = Instant::now();
        graph.replay()?;
        tch::Cuda::synchronize(index as i64);
        times.push(start.elapsed().as_secs_f64() * 1e6);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}

/// Times each kernel that it hands on.
struct Timed {
    inner: &'static dyn Launch,
    device: Device,
    /// Name and microseconds of each launch.
    launches: Mutex<Vec<(&'static str, f64)>>,
}

impl Launch for Timed {
    unsafe fn launch_raw(
        &self,
        kernel: &Facts,
        grid: Grid,
        parameter: *const c_void,
    ) -> Result<()> {
        // SAFETY: the caller's; a kernel that is done again writes what it wrote, but for the
        // running statistics.
        let launch = || unsafe { self.inner.launch_raw(kernel, grid, parameter) };
        let time = microseconds(self.device, LAUNCHES, &launch)? / LAUNCHES as f64;
        if let Ok(mut launches) = self.launches.lock() {
            launches.push((kernel.name, time));
        }
        Ok(())
    }
}
