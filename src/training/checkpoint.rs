//! The state of an interrupted run: everything that the rest of the training depends on.
//!
//! Batches are a pure function of (seed, iteration), so there is no generator to save: three tensors, the iteration and the warm-up are all.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result};
use safetensors::tensor::SafeTensors;
use tch::{Device, Kind, Tensor};

use crate::network::weights::write_tensors;
use crate::schedule::WarmupState;

/// File name inside a run's `checkpoint` folder.
pub const FILE: &str = "state.safetensors";

/// A run after some iteration.
pub struct Checkpoint {
    /// The last iteration that was done.
    pub iteration: u64,
    /// The warm-up.
    pub warmup: WarmupState,
    /// float32, [parameters].
    pub theta: Tensor,
    /// float32, [parameters].
    pub velocity: Tensor,
    /// float32, [2 × normalised channels].
    pub statistics: Tensor,
}

impl Checkpoint {
    /// Writes the checkpoint to `path` as a whole or not at all.
    pub fn write(&self, path: &Path) -> Result<()> {
        let tensors = [("theta", &self.theta), ("velocity", &self.velocity), ("statistics", &self.statistics)]
            .map(|(name, tensor)| (name.to_string(), tensor.detach().to_device(Device::Cpu).contiguous()));
        let metadata = HashMap::from([
            ("iteration".to_string(), self.iteration.to_string()),
            ("warmup".to_string(), serde_json::to_string(&self.warmup).context("the warm-up state")?),
        ]);
        write_tensors(path, &tensors, metadata)
    }

    /// Reads a checkpoint.
    pub fn read(path: &Path) -> Result<Checkpoint> {
        let damaged = || format!("{}: the checkpoint cannot be read: remove it to train this run from the start", path.display());
        let bytes = std::fs::read(path).with_context(damaged)?;
        let (_, header) = SafeTensors::read_metadata(&bytes).with_context(damaged)?;
        let metadata = header.metadata().clone().unwrap_or_default();
        let file = SafeTensors::deserialize(&bytes).with_context(damaged)?;
        let text = |key: &str| metadata.get(key).with_context(|| format!("no \"{key}\" in it")).with_context(damaged);
        let tensor = |name: &str| -> Result<Tensor> {
            let view = file.tensor(name).with_context(damaged)?;
            let shape: Vec<i64> = view.shape().iter().map(|&side| side as i64).collect();
            Ok(Tensor::from_data_size(view.data(), &shape, Kind::Float))
        };
        Ok(Checkpoint {
            iteration: text("iteration")?.parse().with_context(damaged)?,
            warmup: serde_json::from_str(text("warmup")?).with_context(damaged)?,
            theta: tensor("theta")?,
            velocity: tensor("velocity")?,
            statistics: tensor("statistics")?,
        })
    }
}
