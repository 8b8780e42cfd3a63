//! Evaluations of a network while it trains: on the test set, and on a validation set if there is
//! one.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::network::parameters::Network;
use crate::training::evaluation::scores::Evaluation;

/// A set of images that is evaluated during the training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// The test images.
    Test,
    /// Training images that were held out.
    Validation,
}

impl Split {
    /// Its name in logs.
    pub fn name(self) -> &'static str {
        match self {
            Split::Test => "test",
            Split::Validation => "validation",
        }
    }
}

/// What an evaluation found.
#[derive(Debug, Clone)]
pub struct Evaluations {
    /// Each split's result; the validation set, if there is one, comes last.
    pub splits: Vec<(Split, Evaluation)>,
    /// Images that could not be read, and why; they count as wrong.
    pub unreadable: Vec<String>,
    /// How long it took.
    pub took: Duration,
}

impl Evaluations {
    /// The error, in percent, that a schedule which waits for a plateau goes by: that of the
    /// validation set, or of the test set where there is none, as the paper's on ImageNet.
    pub fn watched_error(&self) -> f64 {
        self.splits.last().map_or(f64::NAN, |(_, result)| result.error())
    }
}

/// Evaluates the network now and then during the training.
pub trait Evaluator {
    /// Evaluates the network on each split.
    ///
    /// # Errors
    /// [`Stopped`](crate::error::Stopped) if `stop` is set between two batches.
    fn evaluate(&mut self, network: &Network, stop: &AtomicBool) -> Result<Evaluations>;
}
