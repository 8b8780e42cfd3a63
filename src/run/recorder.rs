//! Writes what a run leaves behind while it trains: logs, record, checkpoints, weights.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::console::event::{Event, Listener};
use crate::error::Stopped;
use crate::network::parameters::Network;
use crate::records::checkpoints::Beside;
use crate::records::eval_csv::{EvaluationLog, EvaluationRow};
use crate::records::gradients_csv::GradientLog;
use crate::records::position::KeptLogs;
use crate::records::provenance::timestamp;
use crate::records::run_toml::{Failure, RunRecord, State};
use crate::records::tests_csv::{TestRow, record_test};
use crate::records::train_csv::TrainingLog;
use crate::records::verify::RUN_FILES;
use crate::run::evaluator::RunEvaluator;
use crate::run::spec::{Run, RunOptions};
use crate::run::tensorboard::EventFile;
use crate::system::atomic_file::remove_leftovers;
use crate::system::hash::hash_file;
use crate::training::checkpoint::Checkpoint;
use crate::training::evaluation::splits::{Evaluations, Split};
use crate::training::evaluation::views::Views;
use crate::training::gradient_norms::GradientRow;
use crate::training::metrics::TrainingRow;
use crate::training::trainer::{Outcome, Recorder, Trainer};

/// Writes what the training loop reports.
pub struct RunRecorder<'a> {
    run: &'a Run<'a>,
    options: &'a RunOptions,
    /// The record, as it will be written next.
    record: RunRecord,
    listener: Listener<'a>,
    train_log: TrainingLog,
    evaluation_log: EvaluationLog,
    /// If the recipe asks for one.
    gradient_log: Option<GradientLog>,
    events: Option<EventFile>,
    clock: Instant,
    /// When training errors were last read.
    last_read: Instant,
    earlier_seconds: f64,
    first_iteration: u64,
    evaluating_seconds: f64,
    /// Spent on writing, hashing and flushing logs, record, checkpoints and weights.
    saving_seconds: f64,
}

impl<'a> RunRecorder<'a> {
    /// Opens the logs after what is `kept` of them, which is where `record` says that the run is.
    pub fn open(
        run: &'a Run<'a>,
        options: &'a RunOptions,
        record: RunRecord,
        kept: KeptLogs,
        listener: Listener<'a>,
    ) -> Result<RunRecorder<'a>> {
        let done = record.progress.iterations;
        // The record comes first: a folder with logs and no record would be nobody's.
        remove_leftovers(run.directory.path());
        record.write(&run.directory.record())?;
        if record.extensions.last().is_some_and(|last| last.from == done) {
            // Of the weights that it goes on from: those that it ends with are tested anew.
            run.directory.remove_tests()?;
        }
        let train_log = TrainingLog::open(&run.directory.train_log(), kept.train)?;
        let evaluation_log = EvaluationLog::open(&run.directory.evaluation_log(), kept.evaluation)?;
        let logs_gradients = run.config.recipe.gradient_norms_every > 0;
        let gradient_log = logs_gradients
            .then(|| GradientLog::open(&run.directory.gradient_log(), kept.gradients))
            .transpose()?;
        // Event files cannot be cut back: the file is made again from the logs, which were.
        let events = options
            .tensorboard
            .as_deref()
            .and_then(|folder| watched(EventFile::from_logs(folder, &run.directory), listener));
        let recorder = RunRecorder {
            run,
            options,
            listener,
            train_log,
            evaluation_log,
            gradient_log,
            events,
            clock: Instant::now(),
            last_read: Instant::now(),
            earlier_seconds: record.progress.seconds,
            first_iteration: done,
            evaluating_seconds: 0.0,
            saving_seconds: 0.0,
            record,
        };
        listener(Event::Started { done, iterations: run.config.recipe.iterations });
        Ok(recorder)
    }

    /// Brings the record up to date and writes it.
    fn save(&mut self, state: State) -> Result<()> {
        let elapsed = self.clock.elapsed().as_secs_f64();
        let images = (self.record.progress.iterations - self.first_iteration)
            * self.run.config.recipe.batch_size;
        self.record.state = state;
        self.record.progress.seconds = self.earlier_seconds + elapsed;
        self.record.progress.images_per_second =
            images as f64 / (elapsed - self.evaluating_seconds - self.saving_seconds).max(1e-9);
        self.record.progress.checkpoint_percent =
            (self.saving_seconds / elapsed.max(1e-9) * 1e4).round() / 100.0;
        self.record.provenance.updated = timestamp();
        self.train_log.sync()?;
        self.evaluation_log.sync()?;
        self.gradient_log.as_ref().map_or(Ok(()), GradientLog::sync)?;
        self.record.write(&self.run.directory.record())
    }

    /// Writes the end of the training, whatever it was; of a finished one also the paper's test,
    /// unless `stop` is set meanwhile.
    pub fn close(
        mut self,
        outcome: Result<Outcome>,
        trainer: &Trainer,
        evaluator: &RunEvaluator,
        stop: &AtomicBool,
    ) -> Result<Outcome> {
        self.record.progress.warmup_ended_after = trainer.warmup_ended_after();
        let tested = match outcome {
            Ok(Outcome::Finished) => self.test(trainer, evaluator, stop),
            outcome => outcome,
        };
        let outcome = match tested {
            Ok(outcome) => outcome,
            Err(error) => {
                // The disk may be full: the error that stopped the training is the one to tell.
                self.record
                    .failures
                    .push(Failure { time: timestamp(), reason: format!("{error:#}") });
                let _ = self.save(State::Interrupted);
                (self.listener)(Event::Ended("failed".to_string()));
                return Err(error);
            }
        };
        let (state, word) = match outcome {
            Outcome::Finished => (State::Finished, "done"),
            Outcome::Interrupted(_) => (State::Interrupted, "stopped"),
            Outcome::Diverged(_) => (State::Diverged, "diverged: the loss is NaN"),
        };
        let start = Instant::now();
        if outcome == Outcome::Finished {
            if self.options.keep_state {
                let hash = self.write_checkpoint(&trainer.state())?;
                self.record.kept_state_sha256 = Some(hash);
            }
            self.save_weights(trainer.network())?;
        }
        if state != State::Interrupted {
            // What is hashed is what was logged.
            self.train_log.check()?;
            self.evaluation_log.check()?;
            self.gradient_log.as_ref().map_or(Ok(()), GradientLog::check)?;
            self.hash_files()?;
        }
        self.saving_seconds += start.elapsed().as_secs_f64();
        self.save(state)?;
        if state != State::Interrupted {
            self.run.directory.tidy(&self.record)?;
        }
        (self.listener)(Event::Ended(word.to_string()));
        Ok(outcome)
    }

    /// The paper's standard test of a trained net on ImageNet: ten crops. Where `stop` is set before
    /// its end, the state is kept, and the test is begun again on resuming.
    fn test(
        &mut self,
        trainer: &Trainer,
        evaluator: &RunEvaluator,
        stop: &AtomicBool,
    ) -> Result<Outcome> {
        match evaluator.ten_crops(trainer.network(), stop) {
            Err(error) if error.is::<Stopped>() => {
                let state = trainer.state();
                self.checkpoint(&state)?;
                return Ok(Outcome::Interrupted(state.iteration));
            }
            result => {
                if let Some((result, reasons)) = result? {
                    self.unreadable(reasons, "it counts as wrong");
                    let row = TestRow::new(Views::TenCrop, &result);
                    record_test(&self.run.directory.tests(), row)?;
                }
            }
        }
        Ok(Outcome::Finished)
    }

    /// Writes a checkpoint with the record and the logs as they are. Returns its SHA-256.
    fn write_checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<String> {
        // Rows first: a checkpoint must never be ahead of its logs.
        self.save(State::Running)?;
        let beside = Beside {
            record: self.record.to_text()?,
            train_log: self.train_log.prefix(),
            evaluation_log: self.evaluation_log.prefix(),
            gradient_log: self.gradient_log.as_ref().map(GradientLog::prefix),
        };
        self.run.directory.checkpoints().write(checkpoint, Some(&beside))
    }

    /// Puts images that cannot be read on record, and names those that were not known yet.
    fn unreadable(&mut self, reasons: Vec<String>, consequence: &str) {
        for reason in reasons {
            if self.record.unreadable_images.insert(reason.clone()) {
                (self.listener)(Event::Note(format!("{reason}; {consequence}")));
            }
        }
    }

    fn save_weights(&mut self, network: &Network) -> Result<()> {
        let path = self.run.directory.weights();
        network.save_weights(&path, self.record.run.recipe.normalize)?;
        self.record.weights_sha256 = Some(hash_file(&path)?);
        if !self.options.keep_weights {
            std::fs::remove_file(&path)
                .with_context(|| format!("{}: cannot be removed", path.display()))?;
        }
        Ok(())
    }

    /// Adds to the event file, if there is one.
    fn watch(&mut self, write: impl FnOnce(&mut EventFile) -> Result<()>) {
        self.events = self
            .events
            .take()
            .and_then(|mut events| watched(write(&mut events), self.listener).map(|()| events));
    }

    /// Puts the hashes of all files on record.
    fn hash_files(&mut self) -> Result<()> {
        for name in RUN_FILES {
            let path = self.run.directory.path().join(name);
            if path.exists() {
                self.record.files.insert(name.to_string(), hash_file(&path)?);
            }
        }
        Ok(())
    }
}

/// Event files are for watching alone: that one cannot be written is no reason to end a training.
fn watched<T>(result: Result<T>, listener: Listener) -> Option<T> {
    result
        .map_err(|error| {
            listener(Event::Note(format!(
                "{error:#}; there are no further TensorBoard events of this run"
            )))
        })
        .ok()
}

impl Recorder for RunRecorder<'_> {
    fn started(&mut self, iteration: u64) {
        (self.listener)(Event::Iteration(iteration));
    }

    fn trained(&mut self, rows: &[TrainingRow]) -> Result<()> {
        let start = Instant::now();
        self.train_log.append(rows)?;
        self.saving_seconds += start.elapsed().as_secs_f64();
        self.watch(|events| events.training(rows));
        if let Some(last) = rows.last() {
            self.record.progress.iterations = last.iteration;
            let images = rows.len() as f64 * self.run.config.recipe.batch_size as f64;
            let error =
                rows.iter().map(|row| f64::from(row.error)).sum::<f64>() / rows.len() as f64;
            let images_per_second = images / self.last_read.elapsed().as_secs_f64().max(1e-9);
            self.last_read = Instant::now();
            (self.listener)(Event::Trained { error, images_per_second });
        }
        Ok(())
    }

    fn gradients(&mut self, rows: &[GradientRow]) -> Result<()> {
        let start = Instant::now();
        self.gradient_log.as_mut().map_or(Ok(()), |log| log.append(rows))?;
        self.saving_seconds += start.elapsed().as_secs_f64();
        Ok(())
    }

    fn replaced(&mut self, reasons: Vec<String>) {
        self.unreadable(reasons, "the next image in the list takes its place");
    }

    fn evaluated(&mut self, iteration: u64, evaluations: Evaluations) -> Result<()> {
        let start = Instant::now();
        let rows: Vec<EvaluationRow> = evaluations
            .splits
            .iter()
            .map(|(split, result)| EvaluationRow::new(iteration, *split, result))
            .collect();
        for (split, result) in &evaluations.splits {
            if *split == Split::Test {
                (self.listener)(Event::Tested(result.error()));
            }
        }
        self.evaluation_log.append(&rows)?;
        self.watch(|events| events.evaluations(&rows));
        self.unreadable(evaluations.unreadable, "it counts as wrong");
        self.evaluating_seconds += (evaluations.took + start.elapsed()).as_secs_f64();
        self.last_read = Instant::now();
        Ok(())
    }

    fn checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let start = Instant::now();
        self.write_checkpoint(checkpoint)?;
        self.saving_seconds += start.elapsed().as_secs_f64();
        self.last_read = Instant::now();
        Ok(())
    }
}
