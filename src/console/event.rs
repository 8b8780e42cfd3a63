//! What a run tells while it trains.

use serde::{Deserialize, Serialize};

/// What a run tells of itself while it trains. A run in another process sends the same as lines of
/// JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// The run was finished by an earlier call.
    AlreadyDone {
        /// Iterations in its log.
        iterations: u64,
    },
    /// Training starts after `done` of `iterations` iterations.
    Started {
        /// Iterations that are done.
        done: u64,
        /// Iterations that the run will have.
        iterations: u64,
    },
    /// An iteration was started.
    Iteration(u64),
    /// The errors of some more iterations are known.
    Trained {
        /// Their mean training error, in percent.
        error: f64,
        /// Training images per second since the last such event.
        images_per_second: f64,
    },
    /// An evaluation starts.
    Evaluating,
    /// An evaluation ended with this test error, in percent.
    Tested(f64),
    /// Something that a person should know.
    Note(String),
    /// The run ended, and how.
    Ended(String),
}

/// Where a run's events go.
pub type Listener<'a> = &'a dyn Fn(Event);
