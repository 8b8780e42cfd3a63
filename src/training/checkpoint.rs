//! The state of an interrupted run: everything that the rest of the training depends on.
//!
//! Batches are a pure function of (seed, iteration), so there is no generator to save: three
//! tensors, the iteration and the schedule's memory are all.

use anyhow::{Context, Result, ensure};
use safetensors::tensor::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::network::architecture::table::Architecture;
use crate::network::weights::tensor_bytes;
use crate::training::schedule::ScheduleState;

/// Name of the note in the file that holds the position.
const NOTE: &str = "position";

/// What a checkpoint holds beside tensors.
#[derive(Serialize, Deserialize)]
struct Position {
    iteration: u64,
    #[serde(flatten)]
    schedule: ScheduleState,
    /// Said only where it is so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    evaluation_due: bool,
    /// Files of earlier versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    beside: Option<String>,
}

/// How many values the state of a network has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateSize {
    /// Parameters, each with its place in the momentum buffer.
    pub parameters: i64,
    /// Running means and variances.
    pub running_stats: i64,
}

impl StateSize {
    /// Of a network.
    pub fn of(architecture: &Architecture) -> StateSize {
        let layers = architecture.layers();
        let channels = layers.iter().filter_map(|layer| layer.norm.as_ref());
        StateSize {
            parameters: architecture.parameter_count(),
            running_stats: channels.map(|norm| 2 * norm.channels).sum(),
        }
    }
}

/// A run after some iteration.
pub struct Checkpoint {
    /// The last iteration that was done.
    pub iteration: u64,
    /// What the schedule remembers.
    pub schedule: ScheduleState,
    /// Whether this iteration is to be evaluated still: a stop came during its evaluation.
    pub evaluation_due: bool,
    /// float32, [parameters].
    pub parameters: Tensor,
    /// float32, [parameters].
    pub momentum_buffer: Tensor,
    /// float32, [2 × normalised channels].
    pub running_stats: Tensor,
}

#[cfg(test)]
impl Checkpoint {
    /// A checkpoint of five parameters, whose values tell its iteration.
    pub fn example(iteration: u64) -> Checkpoint {
        let tensor = || Tensor::arange(5, (Kind::Float, Device::Cpu)) * iteration as f64;
        Checkpoint {
            iteration,
            schedule: ScheduleState::default(),
            evaluation_due: false,
            parameters: tensor(),
            momentum_buffer: tensor(),
            running_stats: tensor(),
        }
    }
}

impl Checkpoint {
    /// The checkpoint as a safetensors file, with a text that the records keep beside the state.
    /// The same state and text make the same bytes.
    pub fn to_bytes(&self, beside: Option<String>) -> Result<Vec<u8>> {
        let tensors = [
            ("theta", &self.parameters),
            ("velocity", &self.momentum_buffer),
            ("statistics", &self.running_stats),
        ]
        .map(|(name, tensor)| {
            (name.to_string(), tensor.detach().to_device(Device::Cpu).contiguous())
        });
        let position = Position {
            iteration: self.iteration,
            schedule: self.schedule.clone(),
            evaluation_due: self.evaluation_due,
            beside,
        };
        tensor_bytes(&tensors, (NOTE, serde_json::to_string(&position).context("the position")?))
    }

    /// Reads a checkpoint from the bytes of its file, and the text beside it.
    pub fn from_bytes(bytes: &[u8]) -> Result<(Checkpoint, Option<String>)> {
        let (_, header) = SafeTensors::read_metadata(bytes)?;
        let note = header
            .metadata()
            .as_ref()
            .and_then(|notes| notes.get(NOTE))
            .context("it holds no position")?;
        let position: Position =
            serde_json::from_str(note).context("its position cannot be read")?;
        let file = SafeTensors::deserialize(bytes)?;
        let tensor = |name: &str| -> Result<Tensor> {
            let view = file.tensor(name)?;
            ensure!(view.dtype() == Dtype::F32, "tensor \"{name}\" is {:?}", view.dtype());
            let shape: Vec<i64> = view.shape().iter().map(|&side| side as i64).collect();
            Ok(Tensor::from_data_size(view.data(), &shape, Kind::Float))
        };
        let checkpoint = Checkpoint {
            iteration: position.iteration,
            schedule: position.schedule,
            evaluation_due: position.evaluation_due,
            parameters: tensor("theta")?,
            momentum_buffer: tensor("velocity")?,
            running_stats: tensor("statistics")?,
        };
        Ok((checkpoint, position.beside))
    }

    /// Refuses the state of another network.
    pub fn check(&self, size: StateSize) -> Result<()> {
        for (name, tensor, wanted) in [
            ("theta", &self.parameters, size.parameters),
            ("velocity", &self.momentum_buffer, size.parameters),
            ("statistics", &self.running_stats, size.running_stats),
        ] {
            let found = tensor.size();
            ensure!(found == [wanted], "tensor \"{name}\" has shape {found:?}, not [{wanted}]");
        }
        Ok(())
    }
}
