//! Runs as they are drawn: few enough points, smoothed.

use crate::config::network_name::NetworkName;
use crate::logs::summary::{EPOCH, RunCurves};

/// A curve is drawn with at most so many points; more cannot be seen.
pub const MOST_POINTS: usize = 1200;

/// How many iterations a drawn training curve is averaged over: a thirtieth of the run, at most an
/// epoch.
pub fn smoothing_window(iterations: usize) -> usize {
    (iterations / 30).clamp(1, EPOCH)
}

/// Trailing mean over `window` values (fewer at the start) at each of the `positions`.
pub fn smoothed(values: &[f64], window: usize, positions: impl Iterator<Item = usize>) -> Vec<f64> {
    let mut sums = Vec::with_capacity(values.len() + 1);
    sums.push(0.0);
    for value in values {
        sums.push(sums[sums.len() - 1] + value);
    }
    positions
        .map(|end| {
            let start = (end + 1).saturating_sub(window);
            (sums[end + 1] - sums[start]) / (end + 1 - start) as f64
        })
        .collect()
}

/// A run as it is drawn: few enough points, the same ones for all runs of one length.
#[derive(Debug, Clone)]
pub struct PlottedRun {
    /// The network.
    pub network: NetworkName,
    /// The seed.
    pub seed: u64,
    /// (iteration, smoothed training error).
    pub training: Vec<(f64, f64)>,
    /// (iteration, test error).
    pub test: Vec<(f64, f64)>,
    /// (iteration, learning rate), where it changes and at the end.
    pub learning_rate: Vec<(f64, f64)>,
    /// Iterations in the log.
    pub done: u64,
    /// Iterations that the run was to have.
    pub planned: u64,
}

impl PlottedRun {
    /// A run of `planned` iterations from its curves.
    pub fn of(curves: &RunCurves, planned: u64) -> PlottedRun {
        let training = &curves.training;
        let length = training.errors.len();
        let step = (planned as usize).div_ceil(MOST_POINTS).max(1);
        // Every so many points, and the last.
        let positions: Vec<usize> = (0..length)
            .filter(|&position| position % step == 0 || position + 1 == planned as usize)
            .collect();
        let errors = smoothed(
            &training.errors,
            smoothing_window(planned as usize),
            positions.iter().copied(),
        );
        let rates = &training.learning_rates;
        let changes = (0..rates.len()).filter(|&at| {
            at == 0
                || at + 1 == rates.len()
                || rates[at] != rates[at - 1]
                || rates[at + 1] != rates[at]
        });
        PlottedRun {
            network: curves.network,
            seed: curves.seed,
            training: positions
                .iter()
                .map(|&position| training.iterations[position])
                .zip(errors)
                .collect(),
            test: curves
                .test
                .iterations
                .iter()
                .copied()
                .zip(curves.test.errors.iter().copied())
                .collect(),
            learning_rate: changes.map(|at| (training.iterations[at], rates[at])).collect(),
            done: length as u64,
            planned,
        }
    }

    /// Whether all iterations are there.
    pub fn is_complete(&self) -> bool {
        self.done > 0 && self.done >= self.planned
    }
}
