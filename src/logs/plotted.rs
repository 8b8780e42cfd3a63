//! Runs as they are drawn: few enough points, smoothed.

use crate::config::network_name::NetworkName;
use crate::logs::summary::RunCurves;

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
    /// A run of `planned` iterations from its curves, which were read as such.
    pub fn of(curves: &RunCurves, planned: u64) -> PlottedRun {
        PlottedRun {
            network: curves.network,
            seed: curves.seed,
            training: curves.training.curve.clone(),
            test: curves
                .test
                .iterations
                .iter()
                .copied()
                .zip(curves.test.errors.iter().copied())
                .collect(),
            learning_rate: curves.training.learning_rate.clone(),
            done: curves.training.rows as u64,
            planned,
        }
    }

    /// Whether all iterations are there.
    pub fn is_complete(&self) -> bool {
        self.done > 0 && self.done >= self.planned
    }
}
