//! The evaluations of one run: during its training, and the paper's test at its end.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use anyhow::Result;

use crate::console::event::{Event, Listener};
use crate::dataset::data::Source;
use crate::network::parameters::Network;
use crate::run::spec::{Run, RunOptions};
use crate::training::batches::{Normalization, sampler};
use crate::training::evaluation::EvaluationSet;
use crate::training::evaluation::crops::ViewTest;
use crate::training::evaluation::division::Division;
use crate::training::evaluation::scores::Evaluation;
use crate::training::evaluation::splits::{Evaluations, Evaluator, Split};
use crate::training::evaluation::views::Views;

/// Evaluates on a run's test set, and on its validation set if it has one.
pub struct RunEvaluator<'a> {
    run: &'a Run<'a>,
    loaders: usize,
    normalization: Normalization,
    sets: Vec<(Split, EvaluationSet)>,
    listener: Listener<'a>,
}

impl<'a> RunEvaluator<'a> {
    /// Puts the images where they are evaluated.
    pub fn new(
        run: &'a Run<'a>,
        options: &RunOptions,
        normalization: Normalization,
        listener: Listener<'a>,
    ) -> RunEvaluator<'a> {
        let recipe = &run.config.recipe;
        let set = |source, positions| {
            EvaluationSet::new(source, positions, recipe, run.device, options.loaders)
        };
        let mut sets = vec![(Split::Test, set(&run.data.test, None))];
        if recipe.validation > 0 {
            let held_out =
                sampler::split(run.config.seed, run.data.train.len(), recipe.validation as usize).1;
            sets.push((Split::Validation, set(&run.data.train, Some(held_out))));
        }
        RunEvaluator { run, loaders: options.loaders, normalization, sets, listener }
    }

    /// The paper's standard test of a net on ImageNet, ten crops: its result, and why some images
    /// could not be read. `None` for other data.
    ///
    /// # Errors
    /// [`Stopped`](crate::error::Stopped) if `stop` is set between two batches.
    pub fn ten_crops(
        &self,
        network: &Network,
        stop: &AtomicBool,
    ) -> Result<Option<(Evaluation, Vec<String>)>> {
        let Source::Streamed(index) = &self.run.data.test else { return Ok(None) };
        (self.listener)(Event::Evaluating);
        let recipe = &self.run.config.recipe;
        let test = ViewTest::new(index.clone(), None, recipe, Views::TenCrop, self.loaders);
        let mut reasons = Vec::new();
        let division = Division { group: self.run.group, stop };
        let result = test.evaluate(network, &self.normalization, &division, &mut |reason| {
            reasons.push(reason)
        })?;
        Ok(Some((result, reasons)))
    }
}

impl Evaluator for RunEvaluator<'_> {
    fn evaluate(&mut self, network: &Network, stop: &AtomicBool) -> Result<Evaluations> {
        let start = Instant::now();
        (self.listener)(Event::Evaluating);
        let (mut splits, mut unreadable) = (Vec::new(), Vec::new());
        let division = Division { group: self.run.group, stop };
        for (split, images) in &self.sets {
            let result =
                images.evaluate(network, &self.normalization, &division, &mut |reason| {
                    unreadable.push(reason)
                })?;
            splits.push((*split, result));
        }
        Ok(Evaluations { splits, unreadable, took: start.elapsed() })
    }
}
