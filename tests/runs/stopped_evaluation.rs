//! A stop during an evaluation: it does not wait for the last image, and nothing is lost by it.

use crate::common;
use crate::common::assert_same_run;
use crate::image_folder;
use resnet_repro::config::dataset_name::DatasetName;
use resnet_repro::config::network_name::NetworkName;
use resnet_repro::config::recipe::{LrSchedule, Recipe};
use resnet_repro::console::event::Event;
use resnet_repro::dataset;
use resnet_repro::dataset::data::Dataset;
use resnet_repro::records::directory::RunDirectory;
use resnet_repro::run::initial_weights::WeightSource;
use resnet_repro::run::spec::{Run, RunOptions};
use resnet_repro::training::trainer::Outcome;
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use tch::Device;

/// What is trained, and from which weights.
struct Training {
    network: NetworkName,
    recipe: Recipe,
    data: Dataset,
    weights: Option<PathBuf>,
}

impl Training {
    /// Trains in `folder` until the evaluation with this number in this attempt begins, counted from
    /// 0, or to its end.
    fn until_evaluation(&self, folder: &Path, number: usize) -> Outcome {
        let stop = AtomicBool::new(false);
        let begun = Cell::new(0);
        let listener = |event: Event| {
            if event == Event::Evaluating {
                stop.fetch_or(begun.get() == number, Ordering::Relaxed);
                begun.set(begun.get() + 1);
            }
        };
        let options = RunOptions { loaders: 1, ..RunOptions::default() };
        let weights =
            self.weights.clone().map(|file| WeightSource { file, reset_classifier: false });
        Run::new(
            RunDirectory::at(folder),
            self.network,
            0,
            self.recipe.clone(),
            &self.data,
            Device::Cpu,
        )
        .unwrap()
        .starting_from(weights, None)
        .unwrap()
        .train(&options, &listener, &stop)
        .unwrap()
    }

    /// Stops every evaluation once, and compares with a training that was never stopped.
    fn stopped_at_each(&self, evaluated: &[u64]) {
        let folder = tempfile::tempdir().unwrap();
        let [whole, stopped] = ["whole", "stopped"].map(|name| folder.path().join(name));
        assert_eq!(self.until_evaluation(&whole, usize::MAX), Outcome::Finished);
        for (attempt, &iteration) in evaluated.iter().enumerate() {
            // The evaluation that was stopped before is done first, the next one is stopped.
            let outcome = self.until_evaluation(&stopped, usize::from(attempt > 0));
            assert_eq!(outcome, Outcome::Interrupted(iteration));
            let (record, _) = RunDirectory::at(&stopped).recorded().unwrap().unwrap();
            assert!(record.failures.is_empty(), "{:?}", record.failures);
        }
        assert_eq!(self.until_evaluation(&stopped, usize::MAX), Outcome::Finished);
        assert_same_run(&whole, &stopped);
        let tests = [&whole, &stopped].map(|run| std::fs::read(run.join("tests.csv")).ok());
        assert_eq!(tests[0], tests[1]);
        let trained_twice = common::lines(&stopped.join("train.csv")) as u64;
        assert_eq!(trained_twice, self.recipe.iterations + 1);
    }
}

#[test]
fn every_evaluation_of_a_run_can_be_stopped_between_batches_and_is_begun_again() {
    let recipe = Recipe {
        iterations: 5,
        batch_size: 8,
        evaluate_every: 2,
        validation: 600,
        milestones: vec![],
        ..Recipe::for_dataset(DatasetName::Shapes)
    };
    let network = NetworkName::residual(8);
    let data = dataset::load(DatasetName::Shapes, None).unwrap();
    Training { network, recipe, data, weights: None }.stopped_at_each(&[2, 4, 5]);
}

#[test]
fn so_can_that_of_weights_that_were_given_and_the_learning_rate_still_follows_the_evaluations() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = Recipe {
        iterations: 4,
        batch_size: 8,
        evaluate_every: 1,
        milestones: vec![],
        // No evaluation is so much better: the rate falls after each.
        lower_rate: LrSchedule::Plateau,
        plateau_patience: 1,
        plateau_threshold: 99.0,
        plateau_reductions: 4,
        ..Recipe::for_dataset(DatasetName::Shapes)
    };
    let network = NetworkName::plain(8);
    let data = || dataset::load(DatasetName::Shapes, None).unwrap();
    let shallow = Recipe { iterations: 1, ..recipe.clone() };
    let given = Training { network, recipe: shallow, data: data(), weights: None };
    given.until_evaluation(&folder.path().join("given"), usize::MAX);
    let weights = Some(folder.path().join("given/weights.safetensors"));
    Training { network, recipe, data: data(), weights }.stopped_at_each(&[0, 1, 2, 3, 4]);
}

#[test]
fn so_can_the_ten_crops_at_the_end_whose_run_trains_nothing_again() {
    let folder = tempfile::tempdir().unwrap();
    let images = image_folder::write(folder.path(), 6, 9);
    let recipe = Recipe {
        iterations: 2,
        batch_size: 4,
        evaluate_every: 2,
        crop: Some(32),
        scale: Some([36, 48]),
        test_scale: Some(36),
        ..Recipe::for_dataset(DatasetName::TinyImagenet)
    };
    let data = dataset::load(DatasetName::TinyImagenet, Some(&images)).unwrap();
    let network = NetworkName::residual(18);
    Training { network, recipe, data, weights: None }.stopped_at_each(&[2, 2]);
}
