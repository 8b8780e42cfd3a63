//! The training loop.

use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use anyhow::Result;
use tch::{Kind, Tensor};

use crate::config::recipe::Recipe;
use crate::distributed::group::Group;
use crate::error::Stopped;
use crate::network::parameters::Network;
use crate::network::stepwise::Stepwise;
use crate::training::batch::BatchGradient;
use crate::training::batches::Batches;
use crate::training::checkpoint::Checkpoint;
use crate::training::evaluation::splits::{Evaluations, Evaluator};
use crate::training::gradient_norms::{GradientNorms, GradientRow};
use crate::training::graphed::GraphedStep;
use crate::training::metrics::{MetricsWindow, TrainingRow};
use crate::training::optimizer::Optimizer;
use crate::training::pace::{Due, Pace};
use crate::training::schedule::Schedule;

mod acceleration;

/// Takes what the loop reports. An error ends the training.
pub trait Recorder {
    /// An iteration was handed to the device; its results are not known yet.
    fn started(&mut self, iteration: u64);
    /// The results of some iterations, in order, each once.
    fn trained(&mut self, rows: &[TrainingRow]) -> Result<()>;
    /// Norms of gradients, in order, each once; all rows up to their iteration have been reported.
    fn gradients(&mut self, rows: &[GradientRow]) -> Result<()>;
    /// The network was evaluated; all rows up to `iteration` have been reported.
    fn evaluated(&mut self, iteration: u64, evaluations: Evaluations) -> Result<()>;
    /// Images could not be read, for these reasons; others stood in their place.
    fn replaced(&mut self, reasons: Vec<String>);
    /// The state now and then and at a stop, to keep; all rows up to its iteration have been
    /// reported.
    fn checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<()>;
}

/// How a training ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All iterations are done.
    Finished,
    /// Asked to stop after this iteration; the state was handed to the recorder.
    Interrupted(u64),
    /// The loss was NaN or infinite at this iteration.
    Diverged(u64),
}

/// One run in progress.
pub struct Trainer<'a> {
    network: &'a mut Network,
    batches: Box<dyn Batches>,
    optimizer: Optimizer,
    schedule: Schedule,
    recipe: &'a Recipe,
    metrics: MetricsWindow,
    norms: GradientNorms,
    /// Of the current iteration: a float32 scalar on the device.
    learning_rate: Tensor,
    graphed: Option<GraphedStep>,
    /// The project's own kernels for the gradient, if they are to do it and can.
    own: Option<Stepwise>,
    /// Learning rates of the iterations whose metrics are still on the device.
    pending_rates: Vec<f64>,
    /// The last iteration that was done.
    iteration: u64,
    /// Whether it is to be evaluated before the next one.
    evaluation_due: bool,
    /// The other ranks, if there are some.
    group: Option<&'a Group>,
    /// Why images could not be read, not told yet.
    replacements: Vec<String>,
}

impl<'a> Trainer<'a> {
    /// A run at its start, or where `checkpoint` was taken.
    pub fn new(
        network: &'a mut Network,
        batches: Box<dyn Batches>,
        recipe: &'a Recipe,
        checkpoint: Option<&Checkpoint>,
    ) -> Trainer<'a> {
        let mut optimizer =
            Optimizer::new(network.parameters(), recipe.momentum, recipe.weight_decay);
        if let Some(checkpoint) = checkpoint {
            network.restore(&checkpoint.parameters, &checkpoint.running_stats);
            optimizer.restore(&checkpoint.momentum_buffer);
        }
        let metrics = MetricsWindow::new(recipe.batch_size, network.device());
        let norms = GradientNorms::new(network, recipe.gradient_norms_every);
        let schedule = Schedule::new(
            recipe,
            checkpoint.map(|checkpoint| checkpoint.schedule.clone()).unwrap_or_default(),
        );
        let iteration = checkpoint.map_or(0, |checkpoint| checkpoint.iteration);
        let evaluation_due = checkpoint.is_some_and(|checkpoint| checkpoint.evaluation_due);
        let learning_rate = Tensor::zeros([], (Kind::Float, network.device()));
        Trainer {
            network,
            batches,
            optimizer,
            schedule,
            recipe,
            metrics,
            norms,
            learning_rate,
            graphed: None,
            own: None,
            pending_rates: Vec::new(),
            iteration,
            evaluation_due,
            group: None,
            replacements: Vec::new(),
        }
    }

    /// The same together with other ranks, if there are some, which train the same.
    pub fn among(self, group: Option<&'a Group>) -> Trainer<'a> {
        Trainer { group, ..self }
    }

    /// Has the run begin with an evaluation, on record as of iteration 0, and a checkpoint: weights
    /// that were given are told from those that were trained, and their file is not needed again.
    pub fn evaluate_first(&mut self) {
        self.evaluation_due = true;
    }

    /// Trains until the recipe's last iteration, or until `stop` is set: then the current iteration
    /// is finished first, and an evaluation is left between two batches, to be begun again. A
    /// checkpoint is handed over about every `checkpoint_every`, at zero after each iteration; when
    /// that is does not affect results.
    pub fn run(
        &mut self,
        recorder: &mut dyn Recorder,
        evaluator: &mut dyn Evaluator,
        stop: &AtomicBool,
        checkpoint_every: Duration,
    ) -> Result<Outcome> {
        let mut pace = Pace::new(checkpoint_every);
        if self.evaluation_due {
            if !self.evaluate(recorder, evaluator, stop)? {
                return Ok(Outcome::Interrupted(self.iteration));
            }
            recorder.checkpoint(&self.state())?;
        }
        while self.iteration < self.recipe.iterations {
            let agreed = self.agree(pace.due(stop), recorder)?;
            if agreed.stop {
                if let Some(iteration) = self.report(recorder)? {
                    return Ok(Outcome::Diverged(iteration));
                }
                recorder.checkpoint(&self.state())?;
                return Ok(Outcome::Interrupted(self.iteration));
            }
            self.iteration += 1;
            recorder.started(self.iteration);
            self.step()?;
            self.replacements.extend(self.batches.replacements());
            let due = match self.group {
                // Clocks differ: what the ranks have agreed on before the step.
                Some(_) => agreed,
                None => {
                    self.tell_replacements(recorder)?;
                    pace.due(stop)
                }
            };
            let last = self.iteration == self.recipe.iterations;
            let evaluate = self.iteration.is_multiple_of(self.recipe.evaluate_every) || last;
            let checkpoint = due.checkpoint && !last;
            let read = self.metrics.is_full()
                || self.schedule.decides_after(self.iteration)
                || due.reading;
            if evaluate || checkpoint || read {
                if let Some(iteration) = self.report(recorder)? {
                    return Ok(Outcome::Diverged(iteration));
                }
                pace.read();
            }
            if evaluate {
                // Nothing is left to tell where this is the last iteration.
                self.tell_replacements(recorder)?;
                if !self.evaluate(recorder, evaluator, stop)? {
                    return Ok(Outcome::Interrupted(self.iteration));
                }
            }
            if checkpoint {
                let start = Instant::now();
                recorder.checkpoint(&self.state())?;
                pace.saved(start.elapsed());
            }
        }
        // The last update has no loss of its own to show that it overflowed.
        Ok(if self.network.is_finite() {
            Outcome::Finished
        } else {
            Outcome::Diverged(self.iteration)
        })
    }

    /// What is due on some rank; whether images could not be read is told on the way.
    fn agree(&mut self, own: Due, recorder: &mut dyn Recorder) -> Result<Due> {
        let Some(group) = self.group else { return Ok(own) };
        group.control().at(self.iteration + 1);
        let own = Due { telling: !self.replacements.is_empty(), ..own };
        let agreed = Due::from_bits(group.agree(own.bits())?);
        if agreed.telling {
            self.tell_replacements(recorder)?;
        }
        Ok(agreed)
    }

    /// Tells the recorder why images could not be read, on all ranks.
    fn tell_replacements(&mut self, recorder: &mut dyn Recorder) -> Result<()> {
        let own = std::mem::take(&mut self.replacements);
        let reasons = match self.group {
            None => own,
            Some(group) => group.lines(&own)?,
        };
        if !reasons.is_empty() {
            recorder.replaced(reasons);
        }
        Ok(())
    }

    /// Evaluates the network. `false` if `stop` was set before the end: then the state is handed
    /// over as it was before the evaluation.
    fn evaluate(
        &mut self,
        recorder: &mut dyn Recorder,
        evaluator: &mut dyn Evaluator,
        stop: &AtomicBool,
    ) -> Result<bool> {
        self.evaluation_due = true;
        let evaluations = match evaluator.evaluate(self.network, stop) {
            Err(error) if error.is::<Stopped>() => {
                recorder.checkpoint(&self.state())?;
                return Ok(false);
            }
            evaluations => evaluations?,
        };
        self.evaluation_due = false;
        // A schedule goes by what it has trained.
        if self.iteration > 0 {
            self.schedule.observe_evaluation(evaluations.watched_error());
        }
        recorder.evaluated(self.iteration, evaluations)?;
        Ok(true)
    }

    /// Time of the next `count` iterations, at most
    /// [`CAPACITY`](crate::training::metrics::CAPACITY) of them, until their results are there. For
    /// measurements.
    pub fn time(&mut self, count: usize) -> Result<Duration> {
        let start = Instant::now();
        for _ in 0..count {
            self.iteration += 1;
            self.step()?;
        }
        self.metrics.take();
        self.pending_rates.clear();
        Ok(start.elapsed())
    }

    /// The network in its present state.
    pub fn network(&self) -> &Network {
        self.network
    }

    /// The last iteration of the warm-up, if there was one and it is over.
    pub fn warmup_ended_after(&self) -> Option<u64> {
        self.schedule.warmup_ended_after()
    }

    /// One iteration. Does not wait for the device.
    fn step(&mut self) -> Result<()> {
        let learning_rate = self.schedule.learning_rate(self.iteration);
        self.batches.load(self.iteration)?;
        self.metrics.advance();
        let _ = self.learning_rate.fill_(learning_rate);
        self.pending_rates.push(learning_rate);
        match self.graphed.take() {
            None => self.compute()?,
            Some(mut graphed) => {
                graphed.step(|| self.compute())?;
                self.graphed = Some(graphed);
            }
        }
        self.norms.take(self.iteration);
        Ok(())
    }

    /// What an iteration computes: batch, forward, backward, metrics, update. All that differs
    /// between two iterations is in tensors on the device, which are changed beforehand.
    fn compute(&mut self) -> Result<()> {
        let BatchGradient { parameters, loss, wrong } = BatchGradient::of(
            self.network,
            &*self.batches,
            self.recipe,
            self.group,
            self.own.as_ref(),
        )?;
        self.metrics.write(&loss, &wrong);
        self.norms.keep(&parameters);
        self.optimizer.step(self.network.parameters(), &parameters, &self.learning_rate)
    }

    /// Reads the metrics and hands them on. Returns the first iteration whose loss is not a finite
    /// number, if there is one.
    fn report(&mut self, recorder: &mut dyn Recorder) -> Result<Option<u64>> {
        let first = self.iteration + 1 - self.pending_rates.len() as u64;
        // Waits for the device, which may wait for the other ranks.
        let metrics = match self.group {
            None => self.metrics.take(),
            Some(group) => group.control().watched(|| self.metrics.take()),
        };
        let mut rows: Vec<TrainingRow> = (first..)
            .zip(metrics)
            .zip(self.pending_rates.drain(..))
            .map(|((iteration, (loss, error)), learning_rate)| TrainingRow {
                iteration,
                learning_rate: learning_rate as f32,
                loss,
                error,
            })
            .collect();
        let diverged = rows.iter().position(|row| !row.loss.is_finite());
        // What follows a loss of NaN means nothing; the row itself is the evidence.
        rows.truncate(diverged.map_or(rows.len(), |position| position + 1));
        for row in &rows {
            self.schedule.observe(row.iteration, f64::from(row.error));
        }
        recorder.trained(&rows)?;
        // The gradient of a loss of NaN means nothing either.
        let last = rows.iter().rfind(|row| row.loss.is_finite()).map_or(0, |row| row.iteration);
        let norms = self.norms.up_to(last);
        if !norms.is_empty() {
            recorder.gradients(&norms)?;
        }
        Ok(diverged.map(|position| rows[position].iteration))
    }

    /// All that the rest of the training depends on.
    pub fn state(&self) -> Checkpoint {
        Checkpoint {
            iteration: self.iteration,
            schedule: self.schedule.state(),
            evaluation_due: self.evaluation_due,
            parameters: self.network.parameters().detach().copy(),
            momentum_buffer: self.optimizer.momentum_buffer().copy(),
            running_stats: self.network.running_stats().copy(),
        }
    }
}
