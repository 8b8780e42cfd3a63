//! Trains a run: claims its directory, builds what it needs, trains, and closes the record.

use std::sync::atomic::AtomicBool;

use anyhow::{Result, bail};

use crate::config::recipe::Recipe;
use crate::console::event::{Event, Listener};
use crate::dataset::data::Source;
use crate::error::Stopped;
use crate::network::memory;
use crate::network::parameters::{Compute, Network};
use crate::records::directory::Claim;
use crate::records::extension::Extension;
use crate::records::position::Position;
use crate::records::provenance::{Provenance, timestamp};
use crate::records::run_toml::{Attempt, Failure, Progress, RunRecord, State};
use crate::records::verify::check_finished;
use crate::run::evaluator::RunEvaluator;
use crate::run::ranks::Begin;
use crate::run::recorder::RunRecorder;
use crate::run::spec::{Run, RunOptions};
use crate::run::tensorboard::EventFile;
use crate::system::hash;
use crate::training::batches::source::batches;
use crate::training::batches::{Batches, Normalization};
use crate::training::checkpoint::Checkpoint;
use crate::training::trainer::{Outcome, Recorder, Trainer};

/// What there is to do.
enum Start {
    /// Nothing: the run ended so before.
    Done(Outcome),
    /// Training from the position, with this record.
    At(Box<RunRecord>, Position),
}

/// What trains a run, on every rank.
pub(crate) struct Equipment<'a> {
    run: &'a Run<'a>,
    network: Network,
    batches: Box<dyn Batches>,
    /// Where it resumes, unless it begins.
    checkpoint: Option<Checkpoint>,
    /// Whether it begins with weights from a file, which are evaluated first.
    given: bool,
    evaluator: RunEvaluator<'a>,
}

impl Equipment<'_> {
    /// Trains to the recipe's end, or until `stop` is set, and has `close` end the run with the
    /// outcome.
    pub(crate) fn train<R: Recorder>(
        self,
        options: &RunOptions,
        listener: Listener,
        stop: &AtomicBool,
        mut recorder: R,
        close: impl FnOnce(R, Result<Outcome>, &Trainer, &RunEvaluator) -> Result<Outcome>,
    ) -> Result<Outcome> {
        let Equipment { run, mut network, batches, checkpoint, given, mut evaluator } = self;
        let recipe = &run.config.recipe;
        let mut trainer =
            Trainer::new(&mut network, batches, recipe, checkpoint.as_ref()).among(run.group);
        let notes = [trainer.use_kernels()?, trainer.use_graph(options.graph, run.device)?];
        notes.into_iter().flatten().for_each(|note| listener(Event::Note(note)));
        if given {
            trainer.evaluate_first();
        }
        let outcome = trainer.run(&mut recorder, &mut evaluator, stop, options.checkpoint_every);
        close(recorder, outcome, &trainer, &evaluator)
    }
}

impl Run<'_> {
    /// Trains what is not trained yet, and returns how it ended. A finished run is left as it is.
    pub fn train(
        &self,
        options: &RunOptions,
        listener: Listener,
        stop: &AtomicBool,
    ) -> Result<Outcome> {
        if let Some(group) = self.group.filter(|group| !group.is_first()) {
            return self.follow(group, options, stop);
        }
        let told = |note| listener(Event::Note(note));
        match self.directory.lock(stop, &told)? {
            Some(_lock) => self.train_locked(options, listener, stop),
            None => {
                let record = self.directory.recorded()?;
                let iterations = record.map_or(0, |(record, _)| record.progress.iterations);
                self.begin(Begin::Over(Outcome::Interrupted(iterations)))?;
                Ok(Outcome::Interrupted(iterations))
            }
        }
    }

    /// [`train`](Self::train) for a caller that holds the directory's lock.
    pub fn train_locked(
        &self,
        options: &RunOptions,
        listener: Listener,
        stop: &AtomicBool,
    ) -> Result<Outcome> {
        match self.claim(options, listener)? {
            Start::Done(outcome) => {
                self.begin(Begin::Over(outcome))?;
                if let Some(folder) = &options.tensorboard {
                    EventFile::from_logs(folder, &self.directory)?;
                }
                Ok(outcome)
            }
            Start::At(mut record, Position { checkpoint, kept, .. }) => {
                let iterations = record.progress.iterations;
                self.begin(Begin::At(checkpoint.as_ref()))?;
                let equipment =
                    match self.equip(Some(&mut *record), checkpoint, options, listener, stop) {
                        // A signal came before the first iteration: there is nothing to save.
                        Err(error) if error.is::<Stopped>() => {
                            return Ok(Outcome::Interrupted(iterations));
                        }
                        equipment => equipment?,
                    };
                let recorder = RunRecorder::open(self, options, *record, kept, listener)?;
                equipment.train(
                    options,
                    listener,
                    stop,
                    recorder,
                    |recorder, outcome, trainer, evaluator| {
                        recorder.close(outcome, trainer, evaluator, stop)
                    },
                )
            }
        }
    }

    /// Finds out where the run begins, which the caller has locked.
    fn claim(&self, options: &RunOptions, listener: Listener) -> Result<Start> {
        match self.directory.claim(&self.config, self.extend_to.as_ref())? {
            Claim::New => Ok(Start::At(Box::new(self.new_record(Vec::new())), Position::default())),
            Claim::Resume(record, note) => {
                note.into_iter().for_each(|note| listener(Event::Note(note)));
                self.resume(*record, listener)
            }
            Claim::Extend(record) => {
                let record = self.begin_extension(*record, listener)?;
                self.resume(record, listener)
            }
            Claim::Done(record) => {
                let iterations = record.progress.iterations;
                check_finished(self.directory.path(), &record)?;
                // A kill right after the last record leaves them.
                self.directory.tidy(&record)?;
                listener(Event::AlreadyDone { iterations });
                if options.keep_state && record.kept_state_sha256.is_none() {
                    let note = "its state was not kept when it ended, and cannot be any more: --keep-state takes effect on a run in another --out";
                    listener(Event::Note(note.to_string()));
                }
                Ok(Start::Done(match record.state {
                    State::Diverged => Outcome::Diverged(iterations),
                    _ => Outcome::Finished,
                }))
            }
        }
    }

    /// Where a stopped run goes on; tells the listener what a person should know about it.
    fn resume(&self, record: RunRecord, listener: Listener) -> Result<Start> {
        let position = self.directory.position(&self.config.recipe, &self.architecture)?;
        let older = |problem| format!("{problem}; the older checkpoint is used");
        for note in position.problems.iter().map(older).chain(position.notes.iter().cloned()) {
            listener(Event::Note(note));
        }
        self.check_extended(&record, &position)?;
        if position.checkpoint.is_none() && record.progress.iterations > 0 {
            listener(Event::Note(format!(
                "no checkpoint yet: its {} logged iterations are trained again",
                record.progress.iterations
            )));
        }
        let machine = Provenance::now(self.device).machine;
        if let Some(change) = record.provenance.machine.change(&machine) {
            listener(Event::Note(format!(
                "{change}: the floating-point summation order differs from here on, so the bytes are \
                 not those of an uninterrupted run"
            )));
        }
        let record = self.resumed(record, position.checkpoint.as_ref(), &position.problems);
        Ok(Start::At(Box::new(record), position))
    }

    /// Makes what the training needs. The mean image goes into the `record`, on the rank that keeps
    /// one.
    pub(crate) fn equip<'a>(
        &'a self,
        record: Option<&mut RunRecord>,
        checkpoint: Option<Checkpoint>,
        options: &'a RunOptions,
        listener: Listener<'a>,
        stop: &AtomicBool,
    ) -> Result<Equipment<'a>> {
        let mut network = Network::new(self.architecture.clone(), self.config.seed, self.device)
            .with_compute(self.compute(listener));
        let given = self.initial_weights(&mut network, checkpoint.as_ref())?;
        let normalization = self.normalization(options, listener, record, stop)?;
        let batches = batches(
            self.data,
            self.config.seed,
            &self.config.recipe,
            self.share(),
            normalization.share(),
            self.device,
            options.loaders,
        );
        let evaluator = RunEvaluator::new(self, options, normalization, listener);
        Ok(Equipment { run: self, network, batches, checkpoint, given, evaluator })
    }

    /// Puts the initial weights into the network of a run that begins and has them from a file.
    /// Returns whether it does.
    fn initial_weights(
        &self,
        network: &mut Network,
        checkpoint: Option<&Checkpoint>,
    ) -> Result<bool> {
        match (&self.weights, &self.config.initial_weights, checkpoint) {
            (Some(source), Some(weights), None) => {
                source.load(network, weights)?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// How the network is computed here; tells the listener what memory its activations take.
    fn compute(&self, listener: Listener) -> Compute {
        let Recipe { precision, kernels, checkpoint_segments, .. } = self.config.recipe;
        let batch_size = self.config.recipe.micro_batch_size();
        let architecture = &self.architecture;
        let segments = memory::segments_on(
            self.device,
            architecture,
            batch_size,
            precision,
            checkpoint_segments,
        );
        let bytes = memory::activation_bytes(architecture, batch_size, precision, segments);
        let parts = if segments > 1 {
            let whole = memory::activation_bytes(architecture, batch_size, precision, 1);
            format!(
                " in {segments} segments, recomputed in the backward pass ({} without)",
                memory::gib(whole)
            )
        } else {
            String::new()
        };
        listener(Event::Note(format!(
            "activations: about {} ({precision}, batch {batch_size}){parts}",
            memory::gib(bytes)
        )));
        Compute { precision, kernels, segments: segments as usize, ..Compute::default() }
    }

    /// The normalisation, whose mean image is put on record, and must be the one that is there.
    /// Ranks that keep no record have the first one's.
    fn normalization(
        &self,
        options: &RunOptions,
        listener: Listener,
        record: Option<&mut RunRecord>,
        stop: &AtomicBool,
    ) -> Result<Normalization> {
        let recipe = &self.config.recipe;
        let mean = || {
            self.shared_mean(|| {
                let mean = self.mean_image(options, listener, stop)?;
                if let (Source::Streamed(_), Some(record)) = (&self.data.train, record) {
                    self.put_on_record(&mean, record)?;
                }
                Ok(mean)
            })
        };
        Normalization::new(recipe.normalize, recipe.image_side(), mean, self.device)
    }

    /// The mean of all training images.
    fn mean_image(
        &self,
        options: &RunOptions,
        listener: Listener,
        stop: &AtomicBool,
    ) -> Result<Vec<f32>> {
        let unreadable = |reason| {
            listener(Event::Note(format!("{reason}; the mean image is computed without it")))
        };
        if matches!(self.data.train, Source::Streamed(_)) {
            listener(Event::Note("computing the mean image of all training images, unless it is cached from an earlier run".to_string()));
        }
        self.data.train.mean_image(&self.config.recipe, options.loaders, stop, unreadable)
    }

    fn put_on_record(&self, mean: &[f32], record: &mut RunRecord) -> Result<()> {
        let bytes: Vec<u8> = mean.iter().flat_map(|value| value.to_le_bytes()).collect();
        let hash = hash::sha256(&bytes);
        if record.mean_image_sha256.as_ref().is_some_and(|before| *before != hash) {
            bail!(
                "{}: the mean image is not the one that this run began with: some images cannot be read now, or could not be then; make sure \
                 that all data is there, and remove the cached mean images (*.mean in the cache folder)",
                self.directory.path().display()
            );
        }
        record.mean_image_sha256 = Some(hash);
        Ok(())
    }

    fn new_record(&self, extensions: Vec<Extension>) -> RunRecord {
        let mut deviations = self.config.deviations_from_paper();
        deviations.extend(extensions.iter().map(Extension::deviation));
        RunRecord {
            state: State::Running,
            parameters: self.architecture.parameter_count(),
            differences_from_paper: deviations.iter().map(ToString::to_string).collect(),
            weights_sha256: None,
            kept_state_sha256: None,
            unreadable_images: Default::default(),
            mean_image_sha256: None,
            progress: Progress::default(),
            files: Default::default(),
            run: self.config.clone(),
            provenance: self.provenance(),
            earlier_attempts: Vec::new(),
            extensions,
            failures: Vec::new(),
        }
    }

    /// The record of a stopped run, at its checkpoint.
    fn resumed(
        &self,
        record: RunRecord,
        checkpoint: Option<&Checkpoint>,
        problems: &[String],
    ) -> RunRecord {
        let iterations = checkpoint.map_or(0, |checkpoint| checkpoint.iteration);
        let mut earlier_attempts = record.earlier_attempts;
        earlier_attempts
            .push(Attempt { until_iteration: iterations, provenance: record.provenance });
        let mut failures = record.failures;
        failures.extend(
            problems.iter().map(|problem| Failure { time: timestamp(), reason: problem.clone() }),
        );
        RunRecord {
            progress: Progress {
                iterations,
                seconds: record.progress.seconds,
                ..Progress::default()
            },
            earlier_attempts,
            failures,
            unreadable_images: record.unreadable_images,
            mean_image_sha256: record.mean_image_sha256,
            ..self.new_record(record.extensions)
        }
    }
}
