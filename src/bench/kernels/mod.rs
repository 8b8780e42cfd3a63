//! Each of the project's own kernels: how long it takes on a GPU, and whether it makes there what it
//! makes on the emulator.

mod lockstep;
mod pointwise;

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
use crate::config::recipe::Normalize;
use crate::dataset::data::Images;
use crate::kernels::cuda::{Concurrency, Taken};
use crate::kernels::launch::{Grid, Launch};
use crate::kernels::launcher::{gpu, launcher};
use crate::kernels::list::{Facts, NOTHING, all};
use crate::kernels::parameters::Update;
use crate::network::architecture::cifar;
use crate::network::forward::fused::{MOMENTUM, Norm};
use crate::network::forward::own;
use crate::network::forward::pass::Mode;
use crate::network::parameters::{Compute, Network};
use crate::network::stepwise::Stepwise;
use crate::random::{Purpose, Stream};
use crate::system::cuda_graph::CudaGraph;
use crate::training::batches::resident::ResidentBatches;
use crate::training::batches::sampler::Sampler;
use crate::training::batches::{Batches, Normalization};
use crate::training::optimizer::Optimizer;

/// Launches of a kernel that are timed as one CUDA graph.
const LAUNCHES: usize = 200;

/// Kernels of the chain that does nothing: about those of a step of ResNet-20.
const CHAIN: usize = 60;

/// By how much a kernel may differ from the emulator, of the largest value: two last places of
/// bfloat16, since the GPU adds products in another order.
const TOLERANCE: f64 = 0.01;

/// One kernel in a step.
#[derive(Debug, Clone, Default, Serialize)]
pub struct KernelRow {
    /// Its name.
    pub kernel: String,
    /// Launches in one step, or alone on maps of another size; 0 for what is not timed.
    pub launches: usize,
    /// Of one launch, mean over those of a step.
    pub microseconds: f64,
    /// Maps and sums that it reads and writes at least, by that time. Launches of one kernel in a
    /// row find them in the GPU's cache.
    pub gigabytes_per_second: f64,
    /// Largest difference from what the emulator makes of the same inputs, of the largest value.
    pub difference: f64,
    /// What it takes of a GPU; nothing on a CPU.
    pub taken: Option<Taken>,
}

impl KernelRow {
    /// Whether it makes what it makes on the emulator.
    pub fn agrees(&self) -> bool {
        self.difference < TOLERANCE
    }
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
    let differences = lockstep::differences(network, device)?;
    let timed: &'static Timed =
        Box::leak(Box::new(Timed { inner: launcher(device)?, device, launches: Mutex::default() }));
    let inputs = Inputs::new(network, batch, device)?;
    let stepwise =
        Stepwise::new(&inputs.network, batch, timed).map_err(|reason| anyhow!(reason))?;
    stepwise.gradient(&inputs.network, Mode::Training, &inputs.images, &inputs.labels)?;
    let launches = timed.launches.lock().map(|launches| launches.clone()).unwrap_or_default();
    let mut sums: BTreeMap<&str, (usize, f64, i64)> = BTreeMap::new();
    for ((name, microseconds), (_, bytes)) in launches.iter().zip(stepwise.traffic()) {
        let sum = sums.entry(name).or_default();
        *sum = (sum.0 + 1, sum.1 + microseconds, sum.2 + bytes);
    }
    let taken = taken(device)?;
    let mut rows: Vec<KernelRow> = sums
        .into_iter()
        .map(|(kernel, (launches, microseconds, bytes))| KernelRow {
            kernel: kernel.to_string(),
            launches,
            microseconds: microseconds / launches as f64,
            gigabytes_per_second: bytes as f64 / microseconds / 1e3,
            difference: differences.get(kernel).copied().unwrap_or(f64::NAN),
            taken: taken.get(kernel).copied(),
        })
        .collect();
    rows.extend(pointwise::rows(device, &taken)?);
    rows.extend(others(device)?);
    Ok(KernelMeasurements {
        network,
        batch,
        empty_microseconds: empty_chain(launcher(device)?, device)?,
        empty_overlap_microseconds: overlapping_chain(device)?,
        step_microseconds: launches.iter().map(|(_, microseconds)| microseconds).sum(),
        rows,
    })
}

/// A network, and a batch for it.
struct Inputs {
    network: Network,
    images: Tensor,
    labels: Tensor,
}

impl Inputs {
    fn new(network: NetworkName, count: i64, device: Device) -> Result<Inputs> {
        let architecture = cifar::architecture(network, 10)?;
        let compute =
            Compute { precision: Precision::Bf16, kernels: Kernels::Own, ..Compute::default() };
        let network = Network::new(architecture, 0, device).with_compute(compute);
        let mut stream = Stream::new(0, Purpose::Shapes, 0);
        let values: Vec<f32> = stream.normals((count * 32 * 32 * 3) as usize);
        let images = Tensor::from_slice(&values).view([count, 32, 32, 3]).permute([0, 3, 1, 2]);
        let labels = Tensor::arange(count, (Kind::Int64, Device::Cpu)).remainder(10);
        Ok(Inputs { network, images: images.to_device(device), labels: labels.to_device(device) })
    }
}

/// Largest difference between two tensors, of the second's largest value.
fn largest_difference(found: &Tensor, expected: &Tensor) -> f64 {
    let [found, expected] = [found, expected].map(|tensor| tensor.to_kind(Kind::Double));
    let scale = expected.abs().max().double_value(&[]).max(f64::MIN_POSITIVE);
    (found - expected).abs().max().double_value(&[]) / scale
}

/// The same of several; NaN stays.
fn largest_of_all(found: &[Tensor], expected: &[Tensor]) -> f64 {
    let pairs = found.iter().zip(expected);
    pairs.map(|(found, expected)| largest_difference(found, expected)).fold(0.0, larger)
}

/// The larger one; NaN stays.
fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || a > b { a } else { b }
}

/// Output, gradient and sums of a batch normalisation with a shortcut, by the kernels of `device`.
fn normalised(device: Device) -> Result<Vec<Tensor>> {
    let mut stream = Stream::new(1, Purpose::Shapes, 0);
    let mut normal = |shape: &[i64]| {
        let count = shape.iter().product::<i64>();
        let values: Vec<f32> = stream.normals(count as usize);
        Tensor::from_slice(&values).view(shape)
    };
    let shape = [4, 16, 16, 64];
    let mut maps = || normal(&shape).to_kind(Kind::BFloat16).permute([0, 3, 1, 2]);
    let (x, shortcut, upstream) = (maps(), maps(), maps());
    let (scale, shift) = (normal(&[64]) * 0.1 + 1.0, normal(&[64]) * 0.3);
    let [x, shortcut, scale, shift] =
        [x, shortcut, scale, shift].map(|input| input.to_device(device).set_requires_grad(true));
    let norm = Norm {
        scale: &scale,
        shift: &shift,
        running: None,
        training: true,
        momentum: MOMENTUM,
        epsilon: 1e-5,
    };
    let output = own::apply(&norm, &x.shallow_clone().into(), Some(&shortcut), true, None).main;
    let scalar = (&output * upstream.to_device(device)).sum(Kind::Float);
    let leaves = [&x, &scale, &shift, &shortcut];
    let gradients = Tensor::run_backward(&[scalar], &leaves, false, false);
    let results = std::iter::once(output.detach()).chain(gradients);
    Ok(results.map(|result| result.to_device(Device::Cpu)).collect())
}

/// Parameters after an update, by the kernel of `device`.
fn updated(device: Device) -> Result<Tensor> {
    let mut stream = Stream::new(2, Purpose::Shapes, 0);
    let mut normal = || {
        let values: Vec<f32> = stream.normals(5000);
        Tensor::from_slice(&values).to_device(device)
    };
    let (parameters, gradient) = (normal(), normal());
    let mut optimizer = Optimizer::new(&parameters, 0.9, 1e-4);
    optimizer.use_kernels(launcher(device)?);
    let rate = Tensor::from(0.1f32).to_device(device);
    for _ in 0..2 {
        optimizer.step(&parameters, &gradient, &rate)?;
    }
    Ok(parameters.to_device(Device::Cpu))
}

/// A training batch by the kernel of `device`.
fn batch(device: Device) -> Result<Tensor> {
    let pixels = (0..20 * 32 * 32 * 3).map(|index| (index * 7 % 251) as u8).collect();
    let images = Images { side: 32, pixels, labels: vec![3; 20] };
    let mean = || Ok(images.mean());
    let normalization = Normalization::new(Normalize::PixelMean, 32, mean, device)?;
    let plan = Sampler::new(9, 20, 0, 8, true);
    let mut batches = ResidentBatches::new(plan, &images, normalization, 10, device);
    batches.use_kernels(launcher(device)?);
    batches.load(1)?;
    Ok(batches.micro_batch(0, 8).0.to_device(Device::Cpu))
}

/// The kernels that are not a step's, with their differences from the emulator.
fn others(device: Device) -> Result<Vec<KernelRow>> {
    let norms = largest_of_all(&normalised(device)?, &normalised(Device::Cpu)?);
    let row = |kernel: &str, difference| KernelRow {
        kernel: kernel.to_string(),
        difference,
        ..KernelRow::default()
    };
    Ok(vec![
        row("norm (all four)", norms),
        row("update", largest_difference(&updated(device)?, &updated(Device::Cpu)?)),
        row("batch", largest_difference(&batch(device)?, &batch(Device::Cpu)?)),
    ])
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

/// What each kernel takes of a GPU.
fn taken(device: Device) -> Result<BTreeMap<&'static str, Taken>> {
    let Device::Cuda(index) = device else { return Ok(BTreeMap::new()) };
    let gpu = gpu(index)?;
    let one = |facts: Facts| Ok((facts.name, gpu.taken(&facts)?));
    all().into_iter().filter(|facts| gpu.has(facts)).map(one).collect()
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
