//! The process that trains one run of a sweep. It is told what to do in one argument, tells how it
//! goes in lines of JSON on stdout, and inherits the lock of the run's directory as its stdin, so
//! that the lock lasts as long as any of the two processes lives.

use std::cell::Cell;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::config::dataset_name::DatasetName;
use crate::config::network_name::NetworkName;
use crate::config::recipe::Recipe;
use crate::console::event::Event;
use crate::dataset;
use crate::error::{EXIT_DONE, EXIT_INTERRUPTED, EXIT_RUN_FAILED, bad_input};
use crate::records::directory::RunDirectory;
use crate::records::extend_to::ExtendTo;
use crate::run::initial_weights::WeightSource;
use crate::run::spec::{Run, RunOptions};
use crate::system::process::die_with;
use crate::system::{device, signals};
use crate::training::trainer::Outcome;

/// The scheduler is told of an iteration at most this often.
const TELL_EVERY: Duration = Duration::from_millis(200);

/// What a worker is told to do. It travels as TOML, which keeps every digit of a number.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Job {
    /// The run's directory.
    pub directory: PathBuf,
    /// The network.
    pub network: NetworkName,
    /// The seed.
    pub seed: u64,
    /// The dataset.
    pub dataset: DatasetName,
    /// Its folder, if it is not the usual one.
    pub data: Option<PathBuf>,
    /// `cpu` or `cuda:N`.
    pub device: String,
    /// Time between checkpoints.
    pub checkpoint_every_seconds: f64,
    /// Whether the weights are kept.
    pub keep_weights: bool,
    /// Whether the final state is kept.
    pub keep_state: bool,
    /// Whether a GPU gets each iteration as one CUDA graph.
    pub graph: bool,
    /// Threads that decode images.
    pub loaders: usize,
    /// The folder of TensorBoard's event file.
    pub tensorboard: Option<PathBuf>,
    /// Process number of the scheduler.
    pub scheduler: u32,
    /// The recipe.
    pub recipe: Recipe,
    /// The weight file that it starts from, if it has one.
    pub weights: Option<WeightSource>,
    /// The length to which it is extended, if it is.
    pub extend_to: Option<ExtendTo>,
}

impl Job {
    /// The job as the worker's argument.
    pub fn to_text(&self) -> Result<String> {
        toml::to_string(self).context("the job")
    }

    /// Reads the worker's argument.
    pub fn parse(text: &str) -> Result<Job> {
        toml::from_str(text).map_err(|error| {
            bad_input(format!("the job cannot be read: {}", error.message())).into()
        })
    }

    /// Trains, and returns the exit code.
    pub fn carry_out(self) -> Result<u8> {
        die_with(self.scheduler, EXIT_INTERRUPTED);
        let stop = signals::quiet_stop_flag()?;
        let device = device::select(self.device.parse()?)?;
        let data = dataset::load(self.dataset, self.data.as_deref())?;
        let run = Run::new(
            RunDirectory::at(&self.directory),
            self.network,
            self.seed,
            self.recipe,
            &data,
            device,
        )?
        .starting_from(self.weights, self.extend_to.as_ref())?
        .extended(self.extend_to)?;
        let options = RunOptions {
            checkpoint_every: Duration::from_secs_f64(self.checkpoint_every_seconds),
            keep_weights: self.keep_weights,
            keep_state: self.keep_state,
            tensorboard: self.tensorboard,
            graph: self.graph,
            loaders: self.loaders,
        };
        let relay = Relay { told: Cell::new(None) };
        Ok(match run.train_locked(&options, &|event| relay.tell(event), &stop)? {
            Outcome::Finished => EXIT_DONE,
            Outcome::Diverged(_) => EXIT_RUN_FAILED,
            Outcome::Interrupted(_) => EXIT_INTERRUPTED,
        })
    }
}

/// Writes events to stdout.
struct Relay {
    told: Cell<Option<Instant>>,
}

impl Relay {
    fn tell(&self, event: Event) {
        if matches!(event, Event::Iteration(_)) {
            if self.told.get().is_some_and(|told| told.elapsed() < TELL_EVERY) {
                return;
            }
            self.told.set(Some(Instant::now()));
        }
        // A scheduler that has gone away takes this process with it; until then the training goes
        // on.
        if let Ok(line) = serde_json::to_string(&event) {
            let _ = writeln!(std::io::stdout(), "{line}");
        }
    }
}
