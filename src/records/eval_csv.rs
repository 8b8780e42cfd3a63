//! `eval.csv`: every evaluation on the test set, and on the validation set if there is one.

use std::path::Path;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::records::log::{self, Log};
use crate::records::log_rows::LogRow;
use crate::training::evaluation::scores::Evaluation;
use crate::training::evaluation::splits::Split;

/// One line of `eval.csv`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EvaluationRow {
    /// After how many iterations.
    pub iteration: u64,
    /// Which images.
    pub split: Split,
    /// Mean cross-entropy, in nats.
    pub loss: f32,
    /// Top-1 error in percent.
    pub error: f32,
    /// Top-5 error in percent.
    pub top5_error: f32,
}

impl EvaluationRow {
    /// The line of an evaluation after `iteration`.
    pub fn new(iteration: u64, split: Split, result: &Evaluation) -> EvaluationRow {
        EvaluationRow {
            iteration,
            split,
            loss: result.loss as f32,
            error: result.error() as f32,
            top5_error: result.top5_error() as f32,
        }
    }
}

impl LogRow for EvaluationRow {
    const HEADER: &'static str = "iteration,split,loss,error,top5_error";

    fn iteration(&self) -> u64 {
        self.iteration
    }

    fn problem_after(&self, previous: Option<&EvaluationRow>) -> Option<String> {
        let before = previous.map_or(0, |row| row.iteration);
        // The validation set's row follows that of the test set. Only weights that a run was given
        // are evaluated before its first iteration.
        let rises = match self.split {
            Split::Test => previous.is_none_or(|row| self.iteration > row.iteration),
            Split::Validation => {
                self.iteration == before && previous.is_some_and(|row| row.split == Split::Test)
            }
        };
        if !rises {
            let split = self.split.name();
            return Some(format!(
                "{split} of iteration {} after iteration {before}",
                self.iteration
            ));
        }
        let values = [("loss", self.loss), ("error", self.error), ("top5_error", self.top5_error)];
        let (name, value) = values.into_iter().find(|(_, value)| !value.is_finite())?;
        Some(format!("the {name} is {value}"))
    }
}

/// The file, open for appending.
pub type EvaluationLog = Log<EvaluationRow>;

/// Reads `eval.csv`, but for a torn last row; no file is no rows.
pub fn read(path: &Path) -> Result<Vec<EvaluationRow>> {
    log::read(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evaluations_are_written_with_the_name_of_their_split_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("eval.csv");
        let result = Evaluation { images: 8, loss: 1.5, wrong: 4, top5_wrong: 1 };
        let rows =
            [Split::Test, Split::Validation].map(|split| EvaluationRow::new(7, split, &result));
        EvaluationLog::open(&path, 0).unwrap().append(&rows).unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "iteration,split,loss,error,top5_error\n7,test,1.5,50.0,12.5\n7,validation,1.5,50.0,12.5\n"
        );
        assert_eq!(read(&path).unwrap(), rows);
    }
}
