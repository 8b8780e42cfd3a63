//! From curves to the numbers of a table: final and best errors of a run, means over seeds,
//! smoothing.

use anyhow::Result;
use serde::Serialize;

use crate::config::network_name::NetworkName;
use crate::logs::curves::{EvaluationCurve, evaluation_curve, read_training};
use crate::logs::training::TrainingDigest;
use crate::records::directory::RunDirectory;
use crate::training::evaluation::splits::Split;

/// The curves of one run.
#[derive(Debug, Clone)]
pub struct RunCurves {
    /// The network.
    pub network: NetworkName,
    /// The seed.
    pub seed: u64,
    /// What is needed of the training log.
    pub training: TrainingDigest,
    /// Evaluations on the test set.
    pub test: EvaluationCurve,
    /// Evaluations on the validation set; empty if there is none.
    pub validation: EvaluationCurve,
}

impl RunCurves {
    /// Reads the logs of a run of `planned` iterations; without that number, as many as there are.
    pub fn read(
        directory: &RunDirectory,
        network: NetworkName,
        seed: u64,
        planned: Option<u64>,
    ) -> Result<RunCurves> {
        Ok(RunCurves {
            network,
            seed,
            training: read_training(&directory.train_log(), planned)?,
            test: evaluation_curve(&directory.evaluation_log(), Split::Test)?,
            validation: evaluation_curve(&directory.evaluation_log(), Split::Validation)?,
        })
    }
}

/// The numbers of one run. Errors in percent; `None` where there is nothing to say (no evaluation,
/// no validation set, or it diverged).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunSummary {
    /// The network.
    pub network: NetworkName,
    /// The seed.
    pub seed: u64,
    /// Iterations in the log.
    pub iterations: usize,
    /// The iteration at which the loss was NaN, which ended the run.
    pub diverged_at: Option<u64>,
    /// Mean training error of the last [`final_window`] iterations.
    pub training_error: Option<f64>,
    /// Test error after the last iteration.
    pub final_test_error: Option<f64>,
    /// Lowest test error of all evaluations. It is chosen on the test set: a bound, not an
    /// estimate.
    pub best_test_error: Option<f64>,
    /// Test error at the evaluation with the lowest validation error.
    pub selected_test_error: Option<f64>,
}

impl RunSummary {
    /// Summarises a run.
    pub fn of(curves: &RunCurves) -> RunSummary {
        if let Some(last) = curves.training.last.filter(|last| !last.loss.is_finite()) {
            let diverged_at = Some(last.iteration as u64);
            return RunSummary { diverged_at, ..RunSummary::empty(curves) };
        }
        let best = lowest(&curves.validation.errors).and_then(|position| {
            let iteration = curves.validation.iterations[position];
            curves.test.iterations.iter().position(|&other| other == iteration)
        });
        RunSummary {
            training_error: curves.training.final_error,
            final_test_error: curves.test.errors.last().copied(),
            best_test_error: lowest(&curves.test.errors)
                .map(|position| curves.test.errors[position]),
            selected_test_error: best.map(|position| curves.test.errors[position]),
            ..RunSummary::empty(curves)
        }
    }

    /// The same run, known to have diverged although its last logged loss is a number.
    pub fn diverged(self) -> RunSummary {
        let diverged_at = Some(self.iterations as u64);
        RunSummary {
            diverged_at,
            training_error: None,
            final_test_error: None,
            best_test_error: None,
            selected_test_error: None,
            ..self
        }
    }

    fn empty(curves: &RunCurves) -> RunSummary {
        RunSummary {
            network: curves.network,
            seed: curves.seed,
            iterations: curves.training.rows,
            diverged_at: None,
            training_error: None,
            final_test_error: None,
            best_test_error: None,
            selected_test_error: None,
        }
    }
}

fn lowest(values: &[f64]) -> Option<usize> {
    (0..values.len()).min_by(|&a, &b| values[a].total_cmp(&values[b]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::plotted::PlottedRun;
    use crate::logs::statistics::MeanStd;
    use crate::logs::training::{Reduction, TrainingPoint};
    use crate::logs::windows::{final_window, smoothing_window};

    fn curves(training: &[f64], test: &[f64], validation: &[f64]) -> RunCurves {
        planned(training.len() as u64, training, test, validation)
    }

    fn planned(planned: u64, training: &[f64], test: &[f64], validation: &[f64]) -> RunCurves {
        let curve = |errors: &[f64]| EvaluationCurve {
            iterations: (1..=errors.len()).map(|i| i as f64 * 10.0).collect(),
            errors: errors.to_vec(),
        };
        RunCurves {
            network: NetworkName::plain(8),
            seed: 0,
            training: digest(planned, training, 1.0),
            test: curve(test),
            validation: curve(validation),
        }
    }

    fn digest(planned: u64, errors: &[f64], last_loss: f64) -> TrainingDigest {
        let mut reduction = Reduction::new(planned);
        for (index, &error) in errors.iter().enumerate() {
            let loss = if index + 1 == errors.len() { last_loss } else { 1.0 };
            let iteration = index as f64 + 1.0;
            reduction.push(TrainingPoint { iteration, learning_rate: 0.1, loss, error });
        }
        reduction.finish()
    }

    #[test]
    fn a_summary_takes_the_last_sixth_the_last_the_best_and_the_selected_evaluation() {
        let training: Vec<f64> = (1..=12).map(f64::from).collect();
        let summary = RunSummary::of(&curves(&training, &[30.0, 10.0, 20.0], &[35.0, 25.0, 15.0]));
        assert_eq!(summary.training_error, Some(11.5));
        assert_eq!(summary.final_test_error, Some(20.0));
        assert_eq!(summary.best_test_error, Some(10.0));
        assert_eq!(
            summary.selected_test_error,
            Some(20.0),
            "the lowest validation error is the third"
        );
        assert_eq!(RunSummary::of(&curves(&training, &[30.0], &[])).selected_test_error, None);
    }

    #[test]
    fn a_run_that_diverged_has_no_errors_to_compare() {
        let mut run = curves(&[90.0, 80.0, 70.0], &[85.0], &[]);
        run.training = digest(3, &[90.0, 80.0, 70.0], f64::INFINITY);
        let summary = RunSummary::of(&run);
        assert_eq!(
            (summary.diverged_at, summary.training_error, summary.final_test_error),
            (Some(3), None, None)
        );
    }

    #[test]
    fn windows_are_50_of_300_iterations_and_an_epoch_of_64000() {
        assert_eq!((final_window(300), final_window(64_000), final_window(3)), (50, 391, 1));
        assert_eq!(
            (smoothing_window(300), smoothing_window(64_000), smoothing_window(3)),
            (10, 391, 1)
        );
    }

    #[test]
    fn a_curve_is_smoothed_over_the_window_before_each_point() {
        // Two of 60 rows.
        let curve = digest(60, &[1.0, 3.0, 5.0, 7.0], 1.0).curve;
        assert_eq!(curve, [(1.0, 1.0), (2.0, 2.0), (3.0, 4.0), (4.0, 6.0)]);
    }

    #[test]
    fn a_drawn_run_has_the_same_iterations_however_far_it_is_and_ends_at_its_last() {
        let errors: Vec<f64> = (0..6000).map(f64::from).collect();
        let whole = PlottedRun::of(&planned(6000, &errors, &[], &[]), 6000);
        let half = PlottedRun::of(&planned(6000, &errors[..3000], &[], &[]), 6000);
        let iterations =
            |run: &PlottedRun| run.training.iter().map(|point| point.0).collect::<Vec<_>>();
        assert!(
            iterations(&whole).starts_with(&iterations(&half)) && iterations(&whole).len() <= 1201
        );
        assert_eq!(whole.training.last().unwrap().0, 6000.0);
        assert!(whole.is_complete() && !half.is_complete());
        // Of the iterations 2,801 to 3,000 (a thirtieth of 6,000), whose errors are 2,800 to 2,999,
        // up to the position 2,995.
        assert_eq!(half.training.last().unwrap(), &(2996.0, 2895.5));
    }

    #[test]
    fn a_spread_has_the_sample_standard_deviation() {
        let spread = MeanStd::of([Some(1.0), Some(2.0), None, Some(3.0)]).unwrap();
        assert_eq!((spread.mean, spread.standard_deviation, spread.count), (2.0, Some(1.0), 3));
        assert_eq!(MeanStd::of([Some(4.0)]).unwrap().standard_deviation, None);
        assert_eq!(MeanStd::of([]), None);
        // By hand: 4.303 · 1 / √3.
        assert!((spread.confidence().unwrap() - 2.4843).abs() < 1e-3);
    }
}
