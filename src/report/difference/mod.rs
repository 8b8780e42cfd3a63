//! Runs, folders of seeds or experiments beside each other: in what they differ, and how far their
//! errors are apart at the same iterations.

pub mod chart;
pub mod errors;
pub mod records;
pub mod sides;
pub mod table;

use serde::Serialize;

use crate::report::difference::errors::ErrorRow;
use crate::report::difference::records::Difference;
use crate::report::difference::sides::Side;
use crate::report::format::thousands;

/// What `diff --json` prints of the sides that are compared, the first of which is the reference.
#[derive(Debug, Serialize)]
pub struct Comparison {
    /// The sides.
    pub sides: Vec<SideSummary>,
    /// What is not the same on all sides: nothing if they are alike.
    pub differences: Vec<Difference>,
    /// Errors at the same iterations.
    pub errors: Vec<ErrorRow>,
    /// The last errors in words, and what to know before comparing.
    pub sentences: Vec<String>,
}

/// A side in short.
#[derive(Debug, Serialize)]
pub struct SideSummary {
    /// What it is called.
    pub label: String,
    /// Its folder.
    pub path: String,
    /// How many runs it has.
    pub runs: usize,
    /// How many of them have all their iterations.
    pub complete: usize,
}

impl SideSummary {
    /// Of a side.
    pub fn of(side: &Side) -> SideSummary {
        SideSummary {
            label: side.label.clone(),
            path: side.root.display().to_string(),
            runs: side.runs.len(),
            complete: side.runs.iter().filter(|run| run.drawn.is_complete()).count(),
        }
    }
}

/// Why a later side fails as a regression against the first by more than `limit` percentage points
/// of test error, a sentence each; nothing if it does not. What cannot be judged fails.
pub fn regressions(sides: &[Side], rows: &[ErrorRow], limit: f64) -> Vec<String> {
    let mut found = Vec::new();
    for side in sides {
        for run in side.runs.iter().filter(|run| !run.drawn.is_complete()) {
            let state = match run.summary.diverged_at {
                Some(iteration) => {
                    format!("diverged at iteration {}", thousands(iteration as i64))
                }
                None => format!(
                    "is at iteration {} of {}",
                    thousands(run.drawn.done as i64),
                    thousands(run.drawn.planned as i64)
                ),
            };
            found.push(format!("{}: {} seed {} {state}", side.label, run.network, run.seed));
        }
    }
    let last = errors::last_tests(rows);
    if last.is_empty() {
        found.push("no evaluation on the test set at the same iteration".to_string());
    }
    for row in last.into_iter().filter(|row| row.difference.mean > limit) {
        found.push(format!(
            "{}: {}'s test error of {:.2} % at iteration {} is {:.2} points above {}'s {:.2} %, more than {limit}",
            row.network,
            row.other,
            row.other_error.mean,
            thousands(row.iteration as i64),
            row.difference.mean,
            row.reference,
            row.reference_error.mean
        ));
    }
    found
}
