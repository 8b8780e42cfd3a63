//! Writes what a run leaves behind while it trains: logs, record, checkpoints, weights.

use std::time::Instant;

use anyhow::{Context, Result};

use crate::console::event::{Event, Listener};
use crate::dataset::data::Source;
use crate::network::parameters::Network;
use crate::records::log::{EvaluationRow, Log};
use crate::records::provenance::timestamp;
use crate::records::run_toml::{Failure, RunRecord, State};
use crate::records::tests_csv::{TestRow, record_test};
use crate::records::verify::RUN_FILES;
use crate::run::spec::{Run, RunOptions};
use crate::run::tensorboard::EventFile;
use crate::system::hash::hash_file;
use crate::training::batches::{Normalization, sampler};
use crate::training::checkpoint::Checkpoint;
use crate::training::evaluation::EvaluationSet;
use crate::training::evaluation::crops::ViewTest;
use crate::training::evaluation::views::Views;
use crate::training::metrics::TrainingRow;
use crate::training::trainer::{Observer, Outcome};

const TRAIN_HEADER: &str = "iteration,learning_rate,loss,error";

const EVALUATION_HEADER: &str = "iteration,split,loss,error,top5_error";

/// Writes what the training loop reports.
pub struct Recorder<'a> {
    run: &'a Run<'a>,
    options: &'a RunOptions,
    /// The record, as it will be written next.
    pub record: RunRecord,
    listener: Listener<'a>,
    train_log: Log,
    evaluation_log: Log,
    events: Option<EventFile>,
    normalization: Normalization,
    /// Split name and images.
    evaluation_sets: Vec<(&'static str, EvaluationSet)>,
    clock: Instant,
    /// When training errors were last read.
    last_read: Instant,
    earlier_seconds: f64,
    first_iteration: u64,
    evaluating_seconds: f64,
    saving_seconds: f64,
}

impl<'a> Recorder<'a> {
    /// Opens the logs where `record` says that the run is.
    pub fn open(
        run: &'a Run<'a>,
        options: &'a RunOptions,
        record: RunRecord,
        normalization: Normalization,
        listener: Listener<'a>,
    ) -> Result<Recorder<'a>> {
        let recipe = &run.config.recipe;
        let set = |source, positions| {
            EvaluationSet::new(source, positions, recipe, run.device, options.loaders)
        };
        let mut evaluation_sets = vec![("test", set(&run.data.test, None))];
        if recipe.validation > 0 {
            let held_out =
                sampler::split(run.config.seed, run.data.train.len(), recipe.validation as usize).1;
            evaluation_sets.push(("validation", set(&run.data.train, Some(held_out))));
        }
        let done = record.progress.iterations;
        // The record comes first: a folder with logs and no record would be nobody's.
        record.write(&run.directory.record())?;
        let train_log = Log::open(&run.directory.train_log(), TRAIN_HEADER, done)?;
        let evaluation_log = Log::open(&run.directory.evaluation_log(), EVALUATION_HEADER, done)?;
        // Event files cannot be cut back: the file is made again from the logs, which were.
        let events = options
            .tensorboard
            .as_deref()
            .and_then(|folder| watched(EventFile::from_logs(folder, &run.directory), listener));
        let recorder = Recorder {
            run,
            options,
            listener,
            train_log,
            evaluation_log,
            events,
            normalization,
            evaluation_sets,
            clock: Instant::now(),
            last_read: Instant::now(),
            earlier_seconds: record.progress.seconds,
            first_iteration: done,
            evaluating_seconds: 0.0,
            saving_seconds: 0.0,
            record,
        };
        listener(Event::Started { done, iterations: recipe.iterations });
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
        self.record.write(&self.run.directory.record())
    }

    /// Writes the end of the training, whatever it was.
    pub fn close(mut self, outcome: Result<Outcome>, network: &Network) -> Result<Outcome> {
        let outcome = match outcome {
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
            Outcome::Diverged(_) => (State::Diverged, "diverged: the loss is not a number"),
        };
        if outcome == Outcome::Finished {
            self.test(network)?;
            self.save_weights(network)?;
        }
        if state != State::Interrupted {
            self.hash_files()?;
        }
        self.save(state)?;
        if state != State::Interrupted {
            self.run.directory.checkpoints().remove()?;
        }
        (self.listener)(Event::Ended(word.to_string()));
        Ok(outcome)
    }

    /// The paper's standard test of a net on photographs: ten crops.
    fn test(&mut self, network: &Network) -> Result<()> {
        let Source::Streamed(index) = &self.run.data.test else { return Ok(()) };
        (self.listener)(Event::Evaluating);
        let test = ViewTest::new(
            index.clone(),
            None,
            &self.run.config.recipe,
            Views::TenCrop,
            self.options.loaders,
        );
        let mut reasons = Vec::new();
        let result =
            test.evaluate(network, &self.normalization, &mut |reason| reasons.push(reason))?;
        self.unreadable(reasons, "it counts as wrong");
        record_test(&self.run.directory.tests(), TestRow::new(Views::TenCrop, &result))
    }

    /// Puts photographs that cannot be read on record, and names those that were not known yet.
    fn unreadable(&mut self, reasons: Vec<String>, consequence: &str) {
        for reason in reasons {
            if self.record.unreadable_images.insert(reason.clone()) {
                (self.listener)(Event::Note(format!("{reason}; {consequence}")));
            }
        }
    }

    fn save_weights(&mut self, network: &Network) -> Result<()> {
        let path = self.run.directory.weights();
        network.save_weights(&path)?;
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

impl Observer for Recorder<'_> {
    fn started(&mut self, iteration: u64) {
        (self.listener)(Event::Iteration(iteration));
    }

    fn trained(&mut self, rows: &[TrainingRow]) -> Result<()> {
        self.train_log.training(rows)?;
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

    fn replaced(&mut self, reasons: Vec<String>) {
        self.unreadable(reasons, "the next image in the list stands in its place");
    }

    fn evaluate(&mut self, network: &Network, iteration: u64) -> Result<f64> {
        let start = Instant::now();
        (self.listener)(Event::Evaluating);
        let (mut rows, mut reasons) = (Vec::new(), Vec::new());
        let mut watched = 0.0;
        for (split, images) in &self.evaluation_sets {
            let result = images
                .evaluate(network, &self.normalization, &mut |reason| reasons.push(reason))?;
            // The validation set comes last, if there is one: a schedule goes by it, else by the
            // test set, as the paper's does on ImageNet.
            watched = result.error();
            if *split == "test" {
                (self.listener)(Event::Tested(result.error()));
            }
            rows.push(EvaluationRow {
                iteration,
                split,
                loss: result.loss as f32,
                error: result.error() as f32,
                top5_error: result.top5_error() as f32,
            });
        }
        self.evaluation_log.evaluations(&rows)?;
        self.watch(|events| events.evaluations(&rows));
        self.unreadable(reasons, "it counts as wrong");
        self.evaluating_seconds += start.elapsed().as_secs_f64();
        self.last_read = Instant::now();
        Ok(watched)
    }

    fn checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let start = Instant::now();
        // Rows first: a checkpoint must never be ahead of its logs.
        self.save(State::Running)?;
        self.run.directory.checkpoints().write(checkpoint)?;
        self.saving_seconds += start.elapsed().as_secs_f64();
        self.last_read = Instant::now();
        Ok(())
    }
}
