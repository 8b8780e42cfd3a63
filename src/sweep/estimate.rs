//! How long a sweep will take and how much disk it needs, from speeds that were measured: in the
//! records of runs on this kind of device, or else on the spot.

use std::collections::HashMap;
use std::iter::Sum;
use std::ops::Add;
use std::time::Instant;

use serde::Serialize;
use tch::{Device, Kind, Tensor};

use crate::config::dataset_name::IMAGE_SIDE;
use crate::config::precision::Precision;
use crate::network::architecture::table::Architecture;
use crate::network::parameters::{Compute, Network};
use crate::records::run_toml::RunRecord;
use crate::report::format::counted;
use crate::sweep::plan::Task;
use crate::system::device;
use crate::training::optimizer::Optimizer;

/// Bytes of a row of `train.csv`, about.
const ROW_BYTES: f64 = 28.0;

/// Timed iterations of a measurement on the spot, of each of two networks.
const PROBE_ITERATIONS: usize = 4;

/// Seconds after which there are no further ones.
const PROBE_SECONDS: f64 = 1.0;

/// Multiply-adds of an iteration of it on a CPU: 32 images for ResNet-20. No more than give the
/// speed of a whole batch, whose activations take 300 MB.
const PROBE_COST: i64 = 32 * 41_000_000;

/// Seconds of two images beyond which a measurement ends with them: bfloat16 without instructions
/// for it.
const SLOW: f64 = 1.0;

/// The deeper of the two networks has at most so many times the multiply-adds of the other.
const DEEPER: i64 = 4;

/// Nor has it more than these, with which a few iterations would take many seconds on a CPU.
const DEEPEST: i64 = 1_000_000_000;

/// How much wider than what was measured an interval is, on either side: logs, checkpoints, making
/// batches, and what else the machine does.
const ALLOWANCE: f64 = 0.15;

/// Forward and backward pass of an image against its forward pass.
const PASSES: f64 = 3.0;

/// Seconds, and the bounds between which they should be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Span {
    /// At the mean of the speeds that were measured.
    #[serde(rename = "seconds_left")]
    pub likely: f64,
    /// At best.
    #[serde(rename = "least_seconds_left")]
    pub least: f64,
    /// At worst.
    #[serde(rename = "most_seconds_left")]
    pub most: f64,
}

impl Add for Span {
    type Output = Span;

    /// Bounds are added as they are: a machine that is slow for one run is slow for all.
    fn add(self, other: Span) -> Span {
        Span {
            least: self.least + other.least,
            likely: self.likely + other.likely,
            most: self.most + other.most,
        }
    }
}

impl Sum for Span {
    fn sum<I: Iterator<Item = Span>>(spans: I) -> Span {
        spans.fold(Span::default(), Add::add)
    }
}

/// Networks whose training has one speed: pixels along a side of their images, and precision.
type Kin = (i64, Precision);

/// Speeds, in multiply-adds of forward passes per second of training, and where they come from.
pub struct Speeds {
    measured: HashMap<Kin, Vec<f64>>,
    /// For a person.
    pub source: String,
}

impl Speeds {
    /// The speeds of training on `device`: of the recorded runs of the sweep, or measured now where
    /// none is of a kin.
    pub fn of(tasks: &[Task], device: Device) -> Speeds {
        // Asked once: for a GPU each is a process of its own.
        let here = (device::describe(device).name, device::processor());
        let mut measured: HashMap<Kin, Vec<f64>> = HashMap::new();
        for task in tasks {
            if let Some(speed) = recorded(task, &here) {
                measured.entry(kin(task)).or_default().push(speed);
            }
        }
        let recorded: usize = measured.values().map(Vec::len).sum();
        let mut probed = Vec::new();
        for task in tasks.iter().filter(|task| !task.status.is_over()) {
            measured.entry(kin(task)).or_insert_with(|| {
                let pair = pair(tasks, kin(task));
                probed.extend(pair.iter().map(|architecture| architecture.name.to_string()));
                pair.into_iter()
                    .flat_map(|net| measure(net, task.run.recipe.precision, device))
                    .collect()
            });
        }
        let mut sources = Vec::new();
        if recorded > 0 {
            sources.push(format!("from {} here", counted(recorded, "recorded run")));
        }
        if !probed.is_empty() {
            probed.sort();
            probed.dedup();
            let threads = counted(tch::get_num_threads() as usize, "thread");
            sources.push(format!(
                "measured now on {threads}, with what else is at work: iterations of {}",
                probed.join(", ")
            ));
        }
        Speeds { measured, source: sources.join("; ") }
    }

    /// The time that is left of a run: of its training and of its evaluations on `test_images`.
    pub fn time_left(&self, task: &Task, test_images: usize) -> Span {
        let Some(speeds) = self.measured.get(&kin(task)) else { return Span::default() };
        let recipe = &task.run.recipe;
        let evaluated = (test_images as u64 + recipe.validation) as f64 / PASSES;
        let each = evaluated / (recipe.evaluate_every as f64 * recipe.batch_size as f64);
        let cost = task.cost_left() * (1.0 + each);
        let fastest = speeds.iter().copied().fold(0.0, f64::max);
        let slowest = speeds.iter().copied().fold(f64::INFINITY, f64::min);
        let mean = speeds.iter().sum::<f64>() / speeds.len() as f64;
        Span {
            least: cost / fastest * (1.0 - ALLOWANCE),
            likely: cost / mean,
            most: cost / slowest * (1.0 + ALLOWANCE),
        }
    }
}

fn kin(task: &Task) -> Kin {
    (task.run.architecture.image_side, task.run.recipe.precision)
}

/// The speed of a run on record, if it was trained on the device and processor of these names.
fn recorded(task: &Task, (device, processor): &(String, String)) -> Option<f64> {
    let record = RunRecord::read(&task.directory.record()).ok()?;
    let machine = &record.provenance.machine;
    let same = machine.device == *device
        && (device != "cpu" || machine.processor == *processor)
        && record.run.recipe.precision == task.run.recipe.precision;
    let speed = record.progress.images_per_second * task.multiply_adds as f64;
    (same && speed > 0.0).then_some(speed)
}

/// The networks of a kin whose speed stands for all: the cheapest, and one that is deeper.
fn pair(tasks: &[Task], of: Kin) -> Vec<&Architecture> {
    let mut kindred: Vec<&Task> = tasks.iter().filter(|task| kin(task) == of).collect();
    kindred.sort_by_key(|task| task.multiply_adds);
    let cheapest = kindred.first().map(|task| &*task.run.architecture);
    let most = |cheapest: &Task| (cheapest.multiply_adds * DEEPER).min(DEEPEST);
    let affordable = |task: &&&Task| task.multiply_adds <= most(kindred[0]);
    let deeper = kindred.iter().rfind(affordable).map(|task| &*task.run.architecture);
    let deeper = deeper.filter(|deeper| cheapest.is_some_and(|net| net.name != deeper.name));
    cheapest.into_iter().chain(deeper).collect()
}

/// Speeds of single iterations of a network.
fn measure(architecture: &Architecture, precision: Precision, device: Device) -> Vec<f64> {
    let multiply_adds = architecture.multiply_adds();
    let batch = match device {
        Device::Cpu => (PROBE_COST / multiply_adds.max(1)).clamp(2, 32),
        _ if architecture.image_side == IMAGE_SIDE => 128,
        _ => 32,
    };
    let compute = Compute { precision, ..Compute::default() };
    let network = Network::new(architecture.clone(), 0, device).with_compute(compute);
    let mut optimizer = Optimizer::new(network.parameters(), 0.9, 1e-4);
    let rate = Tensor::from(0.01f32).to_device(device);
    let mut iteration = |batch: i64| {
        let side = architecture.image_side;
        let images =
            Tensor::zeros([batch, side, side, 3], (Kind::Float, device)).permute([0, 3, 1, 2]);
        let labels = Tensor::zeros([batch], (Kind::Int64, device));
        let start = Instant::now();
        let gradient = network.gradient(&images, &labels).parameters;
        optimizer
            .step(network.parameters(), &gradient, &rate)
            .expect("libtorch's own operations are no launches");
        // Waits for the device.
        let _ = network.is_finite();
        start.elapsed().as_secs_f64().max(1e-9)
    };
    let speed = |batch: i64, seconds: f64| multiply_adds as f64 * batch as f64 / seconds;
    let first = iteration(2);
    if first > SLOW && device == Device::Cpu {
        return vec![speed(2, first)];
    }
    // What the first of a size allocates is there for the others.
    iteration(batch);
    let start = Instant::now();
    let mut speeds = vec![speed(batch, iteration(batch))];
    while speeds.len() < PROBE_ITERATIONS && start.elapsed().as_secs_f64() < PROBE_SECONDS {
        speeds.push(speed(batch, iteration(batch)));
    }
    speeds
}

/// Bytes that a run takes at most: logs, weights and two checkpoints (parameters and
/// momentum_buffer each) while it trains.
pub fn disk_bytes(task: &Task) -> f64 {
    let parameters = task.parameters as f64;
    task.run.recipe.iterations as f64 * ROW_BYTES + parameters * 4.0 * (1.0 + 2.0 * 2.0)
}
