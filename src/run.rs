//! One run: a network trained from one seed, with everything it leaves behind in its directory.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use anyhow::{Result, bail};
use tch::Device;

use crate::dataset::{self, Dataset};
use crate::network::{Network, NetworkName, cifar};
use crate::progress::RunDisplay;
use crate::recipe::Recipe;
use crate::records::{Attempt, Claim, DatasetRecord, EvaluationRow, Identity, Log, Progress, Provenance, RunDirectory, RunRecord, State, timestamp};
use crate::training::batches::{Normalization, TrainingBatches};
use crate::training::checkpoint::Checkpoint;
use crate::training::{EvaluationSet, Observer, Outcome, Plan, Trainer, TrainingRow};

const TRAIN_HEADER: &str = "iteration,learning_rate,loss,error";
const EVALUATION_HEADER: &str = "iteration,split,loss,error,top5_error";

/// A run that is to be done.
pub struct Run<'a> {
    /// Where it goes.
    pub directory: RunDirectory,
    /// What it is.
    pub identity: Identity,
    /// Its data.
    pub data: &'a Dataset,
    /// Where it trains.
    pub device: Device,
}

impl<'a> Run<'a> {
    /// A run of `network` with `seed` on `data`. Refuses a split that the data cannot give.
    pub fn new(directory: RunDirectory, network: NetworkName, seed: u64, recipe: Recipe, data: &'a Dataset, device: Device) -> Result<Run<'a>> {
        dataset::check_split(data, recipe.validation, recipe.batch_size)?;
        Ok(Run { directory, identity: Identity { network, seed, dataset: DatasetRecord::from(data), recipe }, data, device })
    }

    /// Checks that the directory can take this run, without changing it.
    pub fn check(&self) -> Result<()> {
        self.directory.claim(&self.identity).map(|_| ())
    }

    /// Trains what is not trained yet, and returns how it ended. A finished run is left as it is.
    pub fn train(&self, display: &RunDisplay, stop: &AtomicBool) -> Result<Outcome> {
        let _lock = self.directory.lock()?;
        let (record, checkpoint) = match self.directory.claim(&self.identity)? {
            Claim::Done(record) => {
                let iterations = record.progress.iterations;
                display.already_done(iterations);
                return Ok(if record.state == State::Diverged { Outcome::Diverged(iterations) } else { Outcome::Finished });
            }
            Claim::Resume(record, checkpoint) => (self.resumed(*record, checkpoint.as_deref()), checkpoint),
            Claim::New => (self.new_record(), None),
        };
        let mut network = Network::new(self.architecture(), self.identity.seed, self.device);
        let normalization = Normalization::new(self.identity.recipe.normalize, &self.data.train, self.device);
        let batches = self.batches(normalization.share());
        let mut recorder = Recorder::open(self, record, normalization, display)?;
        let mut trainer = Trainer::new(&mut network, batches, &self.identity.recipe, checkpoint.as_deref());
        let outcome = trainer.run(&mut recorder, stop);
        recorder.record.progress.warmup_ended_after = trainer.warmup_ended_after();
        recorder.close(outcome, &network)
    }

    fn architecture(&self) -> crate::network::Architecture {
        cifar::architecture(self.identity.network, self.data.classes.len() as i64)
    }

    fn batches(&self, normalization: Normalization) -> TrainingBatches {
        let Recipe { validation, batch_size, augment, iterations, .. } = self.identity.recipe;
        let plan = Plan::new(self.identity.seed, self.data.train.len(), validation as usize, batch_size, augment);
        TrainingBatches::new(plan, &self.data.train, normalization, iterations, self.device)
    }

    fn new_record(&self) -> RunRecord {
        RunRecord {
            state: State::Running,
            parameters: self.architecture().parameter_count(),
            differences_from_paper: self.identity.recipe.differences_from_paper(self.identity.network.depth),
            progress: Progress::default(),
            run: self.identity.clone(),
            provenance: Provenance::now(self.device),
            earlier_attempts: Vec::new(),
        }
    }

    /// The record of a stopped run, at its checkpoint.
    fn resumed(&self, record: RunRecord, checkpoint: Option<&Checkpoint>) -> RunRecord {
        let iterations = checkpoint.map_or(0, |checkpoint| checkpoint.iteration);
        let mut earlier_attempts = record.earlier_attempts;
        earlier_attempts.push(Attempt { until_iteration: iterations, provenance: record.provenance });
        RunRecord {
            progress: Progress { iterations, seconds: record.progress.seconds, ..Progress::default() },
            earlier_attempts,
            ..self.new_record()
        }
    }
}

/// Writes what the loop reports.
struct Recorder<'a> {
    run: &'a Run<'a>,
    record: RunRecord,
    display: &'a RunDisplay,
    train_log: Log,
    evaluation_log: Log,
    normalization: Normalization,
    /// Split name and images.
    evaluation_sets: Vec<(&'static str, EvaluationSet)>,
    clock: Instant,
    earlier_seconds: f64,
    first_iteration: u64,
    evaluating_seconds: f64,
}

impl<'a> Recorder<'a> {
    fn open(run: &'a Run<'a>, record: RunRecord, normalization: Normalization, display: &'a RunDisplay) -> Result<Recorder<'a>> {
        let recipe = &run.identity.recipe;
        let mut evaluation_sets = vec![("test", EvaluationSet::new(&run.data.test, run.device))];
        if recipe.validation > 0 {
            let held_out = crate::training::split(run.identity.seed, run.data.train.len(), recipe.validation as usize).1;
            evaluation_sets.push(("validation", EvaluationSet::of_positions(&run.data.train, &held_out, run.device)));
        }
        let done = record.progress.iterations;
        // The record comes first: a folder with logs and no record would be nobody's.
        record.write(&run.directory.record())?;
        let train_log = Log::open(&run.directory.train_log(), TRAIN_HEADER, done)?;
        if train_log.last_iteration() != done {
            let (path, last) = (run.directory.train_log(), train_log.last_iteration());
            bail!(
                "{}: ends at iteration {last}, the checkpoint is after {done}: rows were lost; remove the folder to train this run again",
                path.display()
            );
        }
        let recorder = Recorder {
            run,
            display,
            train_log,
            evaluation_log: Log::open(&run.directory.evaluation_log(), EVALUATION_HEADER, done)?,
            normalization,
            evaluation_sets,
            clock: Instant::now(),
            earlier_seconds: record.progress.seconds,
            first_iteration: done,
            evaluating_seconds: 0.0,
            record,
        };
        display.start(done, recipe);
        Ok(recorder)
    }

    /// Brings the record up to date and writes it.
    fn save(&mut self, state: State) -> Result<()> {
        let elapsed = self.clock.elapsed().as_secs_f64();
        let images = (self.record.progress.iterations - self.first_iteration) * self.run.identity.recipe.batch_size;
        self.record.state = state;
        self.record.progress.seconds = self.earlier_seconds + elapsed;
        self.record.progress.images_per_second = images as f64 / (elapsed - self.evaluating_seconds).max(1e-9);
        self.record.provenance.updated = timestamp();
        self.train_log.sync()?;
        self.evaluation_log.sync()?;
        self.record.write(&self.run.directory.record())
    }

    /// Writes the end of the training, whatever it was.
    fn close(mut self, outcome: Result<Outcome>, network: &Network) -> Result<Outcome> {
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(error) => {
                // The disk may be full: the error that stopped the training is the one to tell.
                let _ = self.save(State::Interrupted);
                self.display.finish("failed");
                return Err(error);
            }
        };
        let (state, word) = match outcome {
            Outcome::Finished => (State::Finished, "done"),
            Outcome::Interrupted(_) => (State::Interrupted, "stopped"),
            Outcome::Diverged(_) => (State::Diverged, "diverged: the loss is not a number"),
        };
        if outcome == Outcome::Finished {
            network.save_weights(&self.run.directory.weights())?;
        }
        self.save(state)?;
        if state != State::Interrupted {
            self.run.directory.remove_checkpoint()?;
        }
        self.display.finish(word);
        Ok(outcome)
    }
}

impl Observer for Recorder<'_> {
    fn started(&mut self, iteration: u64) {
        self.display.iteration(iteration);
    }

    fn trained(&mut self, rows: &[TrainingRow]) -> Result<()> {
        self.train_log.training(rows)?;
        if let Some(last) = rows.last() {
            self.record.progress.iterations = last.iteration;
            self.display.training_error(rows, self.run.identity.recipe.batch_size);
        }
        Ok(())
    }

    fn evaluate(&mut self, network: &Network, iteration: u64) -> Result<()> {
        let start = Instant::now();
        self.display.evaluating();
        let mut rows = Vec::new();
        for (split, images) in &self.evaluation_sets {
            let result = images.evaluate(network, &self.normalization);
            if *split == "test" {
                self.display.test_error(result.error());
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
        self.evaluating_seconds += start.elapsed().as_secs_f64();
        Ok(())
    }

    fn checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        // Rows first: a checkpoint must never be ahead of its logs.
        self.save(State::Running)?;
        self.run.directory.write_checkpoint(checkpoint)
    }
}
