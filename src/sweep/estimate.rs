//! How long a sweep will take and how much disk it needs, from speeds that were measured: in the
//! records of runs on this kind of device, or else on the spot.

use std::time::Instant;

use tch::{Device, Kind, Tensor};

use crate::config::dataset_name;
use crate::config::network_name::NetworkName;
use crate::network::architecture::cifar;
use crate::network::parameters::Network;
use crate::records::run_toml::RunRecord;
use crate::sweep::plan::Task;
use crate::system::device;
use crate::training::optimizer::Optimizer;

/// Bytes of a row of `train.csv`, about.
const ROW_BYTES: f64 = 28.0;

/// Iterations of the measurement on the spot; the first is not timed.
const PROBE_ITERATIONS: u32 = 4;

/// Images of an iteration of it. On a CPU as few as give the speed of a whole batch: the
/// activations of 128 images take 300 MB.
fn probe_batch(device: Device) -> i64 {
    if device == Device::Cpu { 32 } else { 128 }
}

/// A speed and where it comes from.
pub struct Speed {
    /// Multiply-adds of forward passes per second of training.
    pub multiply_adds_per_second: f64,
    /// For a person.
    pub source: String,
}

impl Speed {
    /// The speed of training on `device`: the mean over the recorded runs of the sweep, or measured
    /// now.
    pub fn of(tasks: &[Task], device: Device) -> Speed {
        let name = device::describe(device).name;
        let recorded: Vec<f64> = tasks
            .iter()
            .filter_map(|task| {
                let record = RunRecord::read(&task.directory.record()).ok()?;
                let machine = &record.provenance.machine;
                let same = machine.device == name
                    && (name != "cpu" || machine.processor == device::processor());
                let per_image = task.iteration_cost() / task.run.recipe.batch_size as f64;
                (same && record.progress.images_per_second > 0.0)
                    .then_some(record.progress.images_per_second * per_image)
            })
            .collect();
        match recorded.len() {
            0 => Speed {
                multiply_adds_per_second: measure(device),
                source: format!("measured now: {PROBE_ITERATIONS} iterations of resnet-20"),
            },
            count => Speed {
                multiply_adds_per_second: recorded.iter().sum::<f64>() / count as f64,
                source: format!(
                    "from {count} recorded run{} here",
                    if count == 1 { "" } else { "s" }
                ),
            },
        }
    }

    /// Seconds for the training that is left of a run; evaluations come on top.
    pub fn seconds(&self, task: &Task) -> f64 {
        task.cost_left() / self.multiply_adds_per_second
    }
}

/// Bytes that a run takes at most: logs, weights and two checkpoints (parameters and
/// momentum_buffer each) while it trains.
pub fn disk_bytes(task: &Task) -> f64 {
    let parameters = task.parameters as f64;
    task.run.recipe.iterations as f64 * ROW_BYTES + parameters * 4.0 * (1.0 + 2.0 * 2.0)
}

fn measure(device: Device) -> f64 {
    let name = NetworkName::residual(20);
    let network = Network::new(cifar::architecture(name, 10).expect("20 is 6n+2"), 0, device);
    let batch = probe_batch(device);
    let images = Tensor::zeros(
        [batch, dataset_name::IMAGE_SIDE, dataset_name::IMAGE_SIDE, 3],
        (Kind::Float, device),
    )
    .permute([0, 3, 1, 2]);
    let labels = Tensor::zeros([batch], (Kind::Int64, device));
    let mut optimizer = Optimizer::new(network.parameters(), 0.9, 1e-4);
    let rate = Tensor::from(0.01f32).to_device(device);
    let mut start = Instant::now();
    for iteration in 0..=PROBE_ITERATIONS {
        optimizer.step(network.parameters(), &network.gradient(&images, &labels).parameters, &rate);
        // Waits for the device.
        let _ = network.is_finite();
        if iteration == 0 {
            start = Instant::now();
        }
    }
    let multiply_adds =
        network.architecture().multiply_adds() as f64 * batch as f64 * f64::from(PROBE_ITERATIONS);
    multiply_adds / start.elapsed().as_secs_f64().max(1e-9)
}
