//! A run's directory: `<experiment>/<network>/seed-<k>/`.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};

use crate::config::network_name::NetworkName;
use crate::config::recipe::Recipe;
use crate::error::{BadInput, bad_input};
use crate::network::architecture::table::Architecture;
use crate::records::checkpoints::CheckpointFolder;
use crate::records::extend_to::ExtendTo;
use crate::records::lock::{Attempt, LOCK, Patience, RunLock, refused, waiting};
use crate::records::position::{self, LogPaths, Position};
use crate::records::run_toml::{RunConfig, RunRecord, State};
use crate::records::verify::{
    CHECKPOINT_FOLDER, EVALUATION_LOG, GRADIENT_LOG, RECORD, TESTS, TRAIN_LOG, WEIGHTS,
    check_finished, check_kept_state, kept_state,
};
use crate::system::atomic_file::{create_folder, is_leftover};
use crate::system::hash::hash_file;
use crate::system::regular_file;
use crate::training::checkpoint::StateSize;

/// Why a run that has not begun is not extended.
pub const NOTHING_TO_EXTEND: &str =
    "there is no run yet: give the same command with --keep-state in place of --extend-to first";

/// The directory of one run.
#[derive(Debug, Clone)]
pub struct RunDirectory {
    path: PathBuf,
}

/// What is found in a run's directory.
pub enum Claim {
    /// Nothing yet.
    New,
    /// The same run, stopped; and how its record had to be restored.
    Resume(Box<RunRecord>, Option<String>),
    /// The same run, finished or diverged.
    Done(Box<RunRecord>),
    /// The run that is to be extended, finished.
    Extend(Box<RunRecord>),
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

    /// The log of gradient norms.
    pub fn gradient_log(&self) -> PathBuf {
        self.path.join(GRADIENT_LOG)
    }

    /// The paper's tests of the final weights.
    pub fn tests(&self) -> PathBuf {
        self.path.join(TESTS)
    }

    /// Removes the tests of weights that are the run's no more.
    pub fn remove_tests(&self) -> Result<()> {
        match std::fs::remove_file(self.tests()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("{}: cannot be removed", self.tests().display()))
            }
            _ => Ok(()),
        }
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

    /// Where a stopped run goes on.
    pub fn position(&self, recipe: &Recipe, architecture: &Architecture) -> Result<Position> {
        let size = StateSize::of(architecture);
        let logs = LogPaths {
            train: self.train_log(),
            evaluation: self.evaluation_log(),
            gradients: self.gradient_log(),
        };
        position::find(&self.checkpoints(), &logs, recipe, size)
    }

    /// Looks at what the directory holds, without changing anything. A run of another identity, or
    /// files that are no run's, are refused. With `extend_to`, `config` is that of the extended run.
    pub fn claim(&self, config: &RunConfig, extend_to: Option<&ExtendTo>) -> Result<Claim> {
        let Some((record, note)) = self.recorded()? else {
            return match extend_to {
                None => Ok(Claim::New),
                Some(_) => Err(bad_input(NOTHING_TO_EXTEND).into()),
            };
        };
        match extend_to {
            Some(extend_to) => {
                let path = self.path.display();
                let extended = extend_to
                    .applied(config, &record)
                    .map_err(|BadInput(reason)| bad_input(format!("{path}: {reason}")))?;
                if let Some(difference) = config.difference(&extended) {
                    return Err(bad_input(format!(
                        "{path}: was changed meanwhile ({difference}); give the same command again"
                    ))
                    .into());
                }
                if record.run.recipe.iterations != extend_to.iterations {
                    return Ok(Claim::Extend(Box::new(record)));
                }
            }
            None => {
                if let Some(difference) = difference(config, &record) {
                    let path = self.path.display();
                    // What to do with one that was extended is said already.
                    let advice = match is_extended_one(config, &record) {
                        true => "",
                        false => "; choose another folder with --out, or remove this one",
                    };
                    return Err(bad_input(format!(
                        "{path}: holds another run ({difference}){advice}"
                    ))
                    .into());
                }
            }
        }
        Ok(match record.state {
            State::Finished | State::Diverged => Claim::Done(Box::new(record)),
            State::Running | State::Interrupted => Claim::Resume(Box::new(record), note),
        })
    }

    /// What the run in the directory, planned as `planned`, is once it is extended. Refuses one that
    /// cannot be; the directory is not named.
    pub fn extended(&self, planned: &RunConfig, extend_to: &ExtendTo) -> Result<RunConfig> {
        let Some((record, _)) = self.recorded()? else {
            return Err(bad_input(NOTHING_TO_EXTEND).into());
        };
        let config = extend_to.applied(planned, &record)?;
        if record.run.recipe.iterations != extend_to.iterations {
            check_finished(&self.path, &record)?;
            check_kept_state(&self.path, &record)?;
        }
        Ok(config)
    }

    /// Removes the checkpoints of a run that is over, but for the one that its record says is kept.
    pub fn tidy(&self, record: &RunRecord) -> Result<()> {
        match kept_state(&self.path, record)? {
            Some((kept, _)) => self.checkpoints().remove_all_but(&kept),
            None => self.checkpoints().remove(),
        }
    }

    /// The record of the run that `--run` named, which must be finished and have the weights that it
    /// ended with.
    pub fn finished(&self) -> Result<RunRecord> {
        self.finished_as("--run ")
    }

    /// The same of a run that something else named: `flag` stands before its path in errors.
    pub fn finished_as(&self, flag: &str) -> Result<RunRecord> {
        let path = self.path.display();
        let refused = |reason: &str| Err(bad_input(format!("{flag}{path}: {reason}")).into());
        if !self.record().exists() {
            return refused("there is no run in this folder (it has no run.toml)");
        }
        let record = RunRecord::read(&self.record())?;
        let weights = self.weights();
        if record.state != State::Finished {
            return refused("the run is not finished");
        }
        if !weights.exists() {
            return refused("its weights were not kept: train it again without --no-weights");
        }
        if Some(hash_file(&weights)?) != record.weights_sha256 {
            let weights = weights.display();
            return Err(
                bad_input(format!("{weights}: not the weights that the run ended with")).into()
            );
        }
        Ok(record)
    }

    /// The record of the run in the directory, if there is one. One that cannot be read is taken
    /// from the newest checkpoint, which a note then says. Files that are no run's are refused.
    pub fn recorded(&self) -> Result<Option<(RunRecord, Option<String>)>> {
        let path = self.path.display();
        let names: Vec<String> = match std::fs::read_dir(&self.path) {
            Ok(entries) => entries
                .flatten()
                .map(|entry| entry.file_name().to_string_lossy().into_owned())
                .collect(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(bad_input(format!(
                    "{path}: {error}; choose another folder with --out"
                ))
                .into());
            }
        };
        // A half-written record is what a kill in the first instant leaves.
        if names.iter().all(|name| is_no_data(name)) {
            return Ok(None);
        }
        let has_record = self.record().exists();
        let failure = match RunRecord::read(&self.record()) {
            Ok(record) => return Ok(Some((record, None))),
            Err(failure) => failure,
        };
        let saved = self.checkpoints().record().and_then(|text| toml::from_str(&text).ok());
        if let Some(record) = saved {
            let what =
                if has_record { format!("{failure:#}") } else { format!("{path}: no run.toml") };
            return Ok(Some((record, Some(format!("{what}; restored from the checkpoint")))));
        }
        if !has_record {
            return Err(bad_input(format!("{path}: the folder is not empty, and it holds no run (no run.toml); choose another with --out")).into());
        }
        if self.is_barely_begun(&names) {
            return Ok(None);
        }
        Err(bad_input(format!(
            "{failure:#}; there is no checkpoint to restore it from: restore it from a backup, or remove {path} to train the run from the start"
        ))
        .into())
    }

    /// Whether nothing would be lost if the run began anew: its record is torn, as a power cut in
    /// the first instant leaves it, and there is not a row.
    fn is_barely_begun(&self, names: &[String]) -> bool {
        let own = [RECORD, TRAIN_LOG, EVALUATION_LOG, GRADIENT_LOG];
        let is_torn = regular_file::read(&self.record())
            .is_ok_and(|bytes| bytes.iter().all(|&byte| byte == 0));
        let is_small = |path: PathBuf| path.metadata().map_or(true, |metadata| metadata.len() < 64);
        is_torn
            && names.iter().all(|name| own.contains(&name.as_str()) || is_no_data(name))
            && is_small(self.train_log())
            && is_small(self.evaluation_log())
            && is_small(self.gradient_log())
    }

    /// Makes the directory, and tries once to keep other processes off this run.
    pub fn try_lock(&self) -> Result<Attempt> {
        create_folder(&self.path).map_err(|error| {
            let path = self.path.display();
            bad_input(format!(
                "{path}: cannot be created: {error}; choose another folder with --out"
            ))
        })?;
        RunLock::attempt(&self.path)
    }

    /// Makes the directory, and keeps other processes off this run while the returned lock lives,
    /// here or in a process that it was handed down to. A process that was just killed is waited
    /// for, and in a cluster's job a node that may have died; `None` if `stop` was set meanwhile.
    /// What a person should know is told to `tell`.
    pub fn lock(&self, stop: &AtomicBool, tell: &dyn Fn(String)) -> Result<Option<RunLock>> {
        let patience = Patience::new();
        let mut told = false;
        loop {
            let holder = match self.try_lock()? {
                Attempt::Taken(lock) => {
                    lock.note.iter().for_each(|note| tell(note.clone()));
                    return Ok(Some(lock));
                }
                Attempt::Held(holder) => holder,
            };
            if stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            if patience.is_long(&holder) && !std::mem::replace(&mut told, true) {
                tell(waiting(&self.path, &holder));
            }
            if !patience.wait_for(&holder) {
                return Err(refused(&self.path, &holder).into());
            }
        }
    }
}

/// In what a run differs from the one on record, and what to do where that one is shorter, or was
/// extended.
fn difference(config: &RunConfig, record: &RunRecord) -> Option<String> {
    let iterations = config.recipe.iterations;
    match (config.difference(&record.run), record.extensions.last()) {
        (None, Some(last)) if record.shown_extensions().next().is_some() => Some(format!(
            "it was extended after iteration {}: for that one add --extend-to {}",
            last.from, last.to
        )),
        (Some(difference), Some(last))
            if ExtendTo::as_it_is(record).applied(config, record).is_ok() =>
        {
            Some(format!("{difference}: it was extended; for that one add --extend-to {}", last.to))
        }
        (Some(difference), _) if is_longer(config, record) => {
            Some(format!("{difference}; to train that one on, use --extend-to {iterations}"))
        }
        (Some(difference), Some(last)) if is_extended_one(config, record) => Some(format!(
            "{difference}: it was extended to {} iterations; for that one add --extend-to {} and leave out the keys of its recipe, which are on record",
            last.to, last.to
        )),
        (difference, _) => difference,
    }
}

/// Whether a run was extended, and differs in its recipe at most.
fn is_extended_one(config: &RunConfig, record: &RunRecord) -> bool {
    let recipe = record.run.recipe.clone();
    let alike = RunConfig { recipe, ..config.clone() };
    !record.extensions.is_empty() && alike.difference(&record.run).is_none()
}

/// Whether a run is a finished one in all but its length and what follows from that.
fn is_longer(config: &RunConfig, record: &RunRecord) -> bool {
    let (ours, theirs) = (&config.recipe, &record.run.recipe);
    let recipe = Recipe {
        iterations: theirs.iterations,
        milestones: theirs.milestones.clone(),
        evaluate_every: theirs.evaluate_every,
        lower_rate: theirs.lower_rate,
        ..ours.clone()
    };
    record.state == State::Finished
        && ours.iterations > theirs.iterations
        && RunConfig { recipe, ..config.clone() }.difference(&record.run).is_none()
}

/// Whether a file of this name holds nothing of a run.
fn is_no_data(name: &str) -> bool {
    name == LOCK || is_leftover(name)
}
