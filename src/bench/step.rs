//! Measurements of the training step, and of what the machine could do at most.

use std::time::Duration;

use anyhow::Result;
use tch::{Device, Kind, Tensor};

use crate::bench::machine::{peak_memory, reset_peak_memory};
use crate::bench::{convolutions, traffic};
use crate::config::dataset_name::DatasetName;
use crate::config::kernels::Kernels;
use crate::config::network_name::Family;
use crate::config::recipe::{Normalize, Recipe};
use crate::dataset::data::Images;
use crate::kernels::cuda::Concurrency;
use crate::kernels::launcher::gpu;
use crate::network::architecture::table::Architecture;
use crate::network::parameters::{Compute, Network};
use crate::records::measurements::{Peaks, Row};
use crate::system::hash::sha256;
use crate::training::batches::resident::ResidentBatches;
use crate::training::batches::sampler::Sampler;
use crate::training::batches::{Batches, Normalization};
use crate::training::trainer::Trainer;

/// Iterations before the clock starts: caches, thread pools, the choice of algorithms, the capture
/// of a graph.
const WARM_UP: usize = 5;

/// On a GPU one clock reading covers so many iterations, since each waits for the device.
const GPU_BLOCK: usize = 20;

/// What is measured.
#[derive(Debug, Clone)]
pub struct Case {
    /// The dataset, which decides the family of networks and the size of the images.
    pub dataset: DatasetName,
    /// The network, `width` times as wide as the paper's.
    pub architecture: Architecture,
    /// Filters, as a multiple of the paper's.
    pub width: i64,
    /// Number format, kernels and segments.
    pub compute: Compute,
    /// Images a batch.
    pub batch: u64,
    /// Iterations that are timed.
    pub iterations: usize,
    /// What own kernels may do at the same time.
    pub concurrency: Concurrency,
    /// Whether a GPU gets each iteration as one CUDA graph, if it can.
    pub graph: bool,
    /// Where.
    pub device: Device,
}

impl Case {
    /// Measures it on `images` with the machine's `peaks`.
    pub fn measure(&self, images: &Images, peaks: &Peaks) -> Result<Row> {
        let Compute { precision, fused, kernels, segments } = self.compute;
        reset_peak_memory(self.device);
        let Timed { times, graph, parameters_sha256 } = self.times(images)?;
        let peak_memory_bytes = peak_memory(self.device);
        let architecture = &self.architecture;
        let convolution_milliseconds =
            convolutions::milliseconds(architecture, self.batch, precision, self.device);
        let seconds = quantile(&times, 0.5);
        let operations = 6.0 * architecture.multiply_adds() as f64 * self.batch as f64;
        let bytes = traffic::bytes(architecture, precision) as f64 * self.batch as f64;
        Ok(Row {
            network: architecture.name,
            dataset: self.dataset,
            precision,
            width: self.width,
            // The fused operation is the CPU's.
            path: match kernels {
                Kernels::Own if !fused => "own-separate",
                Kernels::Own => match self.concurrency {
                    Concurrency { overlap: false, branch: false } => "own",
                    Concurrency { overlap: true, branch: false } => "own-overlap",
                    Concurrency { overlap: false, branch: true } => "own-branch",
                    Concurrency { overlap: true, branch: true } => "own-overlap-branch",
                },
                Kernels::Libtorch if fused && self.device == Device::Cpu => "fused",
                Kernels::Libtorch => "plain",
            }
            .to_string(),
            graph,
            batch: self.batch,
            segments,
            iterations: self.iterations,
            parameters_sha256: Some(parameters_sha256),
            images_per_second: self.batch as f64 / seconds,
            milliseconds: seconds * 1e3,
            quartiles: [0.25, 0.75].map(|share| quantile(&times, share) * 1e3),
            peak_memory_bytes,
            flops_per_second: operations / seconds,
            convolution_milliseconds,
            outside_convolutions_percent: (1.0 - convolution_milliseconds / (seconds * 1e3))
                .max(0.0)
                * 100.0,
            operations_limit_milliseconds: operations / peaks.operations(precision) * 1e3,
            bytes_limit_milliseconds: bytes / peaks.copy_bytes_per_second * 1e3,
        })
    }

    /// Trains.
    fn times(&self, images: &Images) -> Result<Timed> {
        let recipe = Recipe { batch_size: self.batch, ..Recipe::default() };
        let mut network =
            Network::new(self.architecture.clone(), 0, self.device).with_compute(self.compute);
        let batches: Box<dyn Batches> = match self.dataset.family() {
            Family::Imagenet => {
                Box::new(Constant::new(&self.architecture, self.batch as i64, self.device))
            }
            Family::Cifar => {
                let normalization = Normalization::new(
                    Normalize::PixelMean,
                    images.side as i64,
                    || Ok(images.mean()),
                    self.device,
                )?;
                let plan = Sampler::new(0, images.len(), 0, self.batch, true);
                Box::new(ResidentBatches::new(
                    plan,
                    images,
                    normalization,
                    recipe.iterations,
                    self.device,
                ))
            }
        };
        let mut trainer = Trainer::new(&mut network, batches, &recipe, None);
        trainer.use_kernels()?;
        if let (Kernels::Own, Device::Cuda(index)) = (self.compute.kernels, self.device) {
            gpu(index)?.set_concurrency(self.concurrency);
        }
        let graph = self.graph
            && self.device != Device::Cpu
            && trainer.use_graph(true, self.device)?.is_none();
        trainer.time(WARM_UP)?;
        let block = if self.device == Device::Cpu { 1 } else { GPU_BLOCK.min(self.iterations) };
        let per_iteration = |time: Duration| time.as_secs_f64() / block as f64;
        let times: Result<Vec<f64>> = (0..self.iterations.div_ceil(block))
            .map(|_| trainer.time(block).map(per_iteration))
            .collect();
        let mut times = times?;
        times.sort_by(f64::total_cmp);
        Ok(Timed { times, graph, parameters_sha256: sha256_of(trainer.network().parameters())? })
    }
}

/// What training some iterations gave.
struct Timed {
    /// Seconds an iteration, sorted.
    times: Vec<f64>,
    /// Whether each was a graph.
    graph: bool,
    /// Of the parameters at the end.
    parameters_sha256: String,
}

fn sha256_of(parameters: &Tensor) -> Result<String> {
    let values = Vec::<f32>::try_from(parameters.detach().to_device(Device::Cpu))?;
    Ok(sha256(&values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>()))
}

/// One batch of random images again and again: the step of a net for images without their
/// decoding.
struct Constant {
    images: Tensor,
    labels: Tensor,
}

impl Constant {
    fn new(architecture: &Architecture, batch: i64, device: Device) -> Constant {
        let side = architecture.image_side;
        let images =
            Tensor::randn([batch, side, side, 3], (Kind::Float, device)).permute([0, 3, 1, 2]);
        Constant {
            images,
            labels: Tensor::arange(batch, (Kind::Int64, device)).remainder(architecture.classes),
        }
    }
}

impl Batches for Constant {
    fn load(&mut self, _iteration: u64) -> Result<()> {
        Ok(())
    }

    fn micro_batch(&self, start: i64, count: i64) -> (Tensor, Tensor) {
        (self.images.narrow(0, start, count), self.labels.narrow(0, start, count))
    }
}

/// The value below which `share` of the sorted values lie.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * share).round() as usize]
}
