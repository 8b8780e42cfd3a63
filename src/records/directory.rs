//! A run's directory: `<experiment>/<network>/seed-<k>/`.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::config::network_name::NetworkName;
use crate::config::recipe::Recipe;
use crate::error::bad_input;
use crate::records::checkpoints::CheckpointFolder;
use crate::records::log;
use crate::records::run_toml::{RunConfig, RunRecord, State};
use crate::records::verify::{
    CHECKPOINT_FOLDER, EVALUATION_LOG, RECORD, TESTS, TRAIN_LOG, WEIGHTS,
};
use crate::system::atomic_file::PARTIAL_ENDING;
use crate::training::checkpoint::Checkpoint;

/// The directory of one run.
#[derive(Debug, Clone)]
pub struct RunDirectory {
    path: PathBuf,
}

/// How long a process that was just killed may take to let go of its lock.
const DYING: Duration = Duration::from_secs(1);

/// What is found in a run's directory.
pub enum Claim {
    /// Nothing yet.
    New,
    /// The same run, stopped.
    Resume(Box<RunRecord>),
    /// The same run, finished or diverged.
    Done(Box<RunRecord>),
}

impl RunDirectory {
    /// The directory of a network's run with `seed` inside an experiment's folder.
    pub fn of(experiment: &Path, network: NetworkName, seed: u64) -> RunDirectory {
        RunDirectory { path: experiment.join(network.to_string()).join(format!("seed-{seed}")) }
    }

    /// Any directory as a run's.
    pub fn at(path: &Path) -> RunDirectory {
        RunDirectory { path: path.to_path_buf() }
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The training log.
    pub fn train_log(&self) -> PathBuf {
        self.path.join(TRAIN_LOG)
    }

    /// The log of evaluations.
    pub fn evaluation_log(&self) -> PathBuf {
        self.path.join(EVALUATION_LOG)
    }

    /// The paper's tests of the final weights.
    pub fn tests(&self) -> PathBuf {
        self.path.join(TESTS)
    }

    /// The record.
    pub fn record(&self) -> PathBuf {
        self.path.join(RECORD)
    }

    /// The final weights.
    pub fn weights(&self) -> PathBuf {
        self.path.join(WEIGHTS)
    }

    /// The checkpoints of an unfinished run.
    pub fn checkpoints(&self) -> CheckpointFolder {
        CheckpointFolder::at(self.path.join(CHECKPOINT_FOLDER))
    }

    /// Where an interrupted run goes on, and what a person should know about it: the newest
    /// checkpoint that is whole and that both logs reach.
    pub fn position(&self, recipe: &Recipe) -> Result<(Option<Checkpoint>, Vec<String>)> {
        let splits = if recipe.validation > 0 { 2 } else { 1 };
        // An evaluation is written before anything of a later iteration.
        let evaluated =
            (log::last_iteration(&self.evaluation_log(), splits)? / recipe.evaluate_every + 1)
                * recipe.evaluate_every
                - 1;
        self.checkpoints().newest(log::last_iteration(&self.train_log(), 1)?.min(evaluated))
    }

    /// Looks at what the directory holds, without changing anything. A run of another identity, or
    /// files that are no run's, are refused.
    pub fn claim(&self, config: &RunConfig) -> Result<Claim> {
        let path = self.path.display();
        let is_empty = match std::fs::read_dir(&self.path) {
            // A half-written record is what a kill in the first instant leaves.
            Ok(entries) => entries
                .flatten()
                .all(|entry| entry.file_name().to_string_lossy().ends_with(PARTIAL_ENDING)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
            Err(error) => {
                return Err(bad_input(format!(
                    "{path}: {error}; choose another folder with --out"
                ))
                .into());
            }
        };
        if is_empty {
            return Ok(Claim::New);
        }
        if !self.record().exists() {
            return Err(bad_input(format!("{path}: the folder is not empty, and it holds no run (no run.toml); choose another with --out")).into());
        }
        let record = RunRecord::read(&self.record())?;
        if let Some(difference) = config.difference(&record.run) {
            return Err(bad_input(format!("{path}: holds another run ({difference}); choose another folder with --out, or remove this one")).into());
        }
        Ok(match record.state {
            State::Finished | State::Diverged => Claim::Done(Box::new(record)),
            State::Running | State::Interrupted => Claim::Resume(Box::new(record)),
        })
    }

    /// Makes the directory, and keeps other processes off this run while the returned handle lives,
    /// here or in a process that inherits it. The system drops the lock with the last of them.
    pub fn lock(&self) -> Result<File> {
        let path = self.path.display();
        let refused = |error| {
            bad_input(format!(
                "{path}: cannot be created: {error}; choose another folder with --out"
            ))
        };
        std::fs::create_dir_all(&self.path).map_err(refused)?;
        let folder = File::open(&self.path).with_context(|| path.to_string())?;
        let deadline = Instant::now() + DYING;
        loop {
            match folder.try_lock() {
                Ok(()) => return Ok(folder),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(20))
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(bad_input(format!("{path}: another process is at this run; wait for it, or choose another --out")).into());
                }
                // Some network file systems cannot lock; one process at a time is then up to the
                // user.
                Err(TryLockError::Error(_)) => return Ok(folder),
            }
        }
    }
}
