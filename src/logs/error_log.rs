//! The errors of one training over its iterations, as they are set against those of others: of a run
//! of ours, or of any other program.

use anyhow::Result;

use crate::records::directory::RunDirectory;
use crate::records::eval_csv::EvaluationRow;
use crate::records::log_rows::Rows;
use crate::training::evaluation::splits::Split;
use crate::training::metrics::TrainingRow;

/// An error after so many iterations, in percent.
pub type ErrorPoint = (u64, f64);

/// The errors of a training, by rising iterations.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ErrorLog {
    /// Training errors.
    pub training: Vec<ErrorPoint>,
    /// Whether a training error is the mean since the one before; else it is that of one batch.
    pub averaged: bool,
    /// Test errors.
    pub test: Vec<ErrorPoint>,
}

/// Iterations that a training error stands for: those above `after`, up to `until`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The last iteration before them.
    pub after: u64,
    /// The last of them.
    pub until: u64,
}

impl ErrorLog {
    /// That of a run in its directory.
    pub fn of_run(directory: &RunDirectory) -> Result<ErrorLog> {
        let mut log = ErrorLog::default();
        for row in Rows::<TrainingRow>::open(&directory.train_log())?.into_iter().flatten() {
            let (row, _) = row?;
            log.training.push((row.iteration, f64::from(row.error)));
        }
        for row in Rows::<EvaluationRow>::open(&directory.evaluation_log())?.into_iter().flatten() {
            let (row, _) = row?;
            if row.split == Split::Test {
                log.test.push((row.iteration, f64::from(row.error)));
            }
        }
        Ok(log)
    }

    /// The last iteration that it says anything of.
    pub fn last(&self) -> u64 {
        let last = |points: &[ErrorPoint]| points.last().map_or(0, |point| point.0);
        last(&self.training).max(last(&self.test))
    }

    /// What the training errors above `after`, up to `until`, stand for, each with its error.
    pub fn spans(&self, after: u64, until: u64) -> Vec<(Span, f64)> {
        let before = std::iter::once(0).chain(self.training.iter().map(|point| point.0));
        let spans = before.zip(&self.training).map(|(before, &(until, error))| {
            let after = if self.averaged { before } else { until.saturating_sub(1) };
            (Span { after, until }, error)
        });
        spans.filter(|(span, _)| (after + 1..=until).contains(&span.until)).collect()
    }

    /// The mean training error over `spans`, of a log that has every iteration; nothing if it is
    /// too short, or there is no span.
    pub fn mean_over(&self, spans: &[Span]) -> Option<f64> {
        let (mut sum, mut count) = (0.0, 0);
        for span in spans {
            let rows = self.training.get(span.after as usize..span.until as usize)?;
            sum += rows.iter().map(|point| point.1).sum::<f64>();
            count += rows.len();
        }
        (count > 0).then(|| sum / count as f64)
    }

    /// The test error whose iteration is nearest to `iteration`.
    pub fn test_near(&self, iteration: u64) -> Option<ErrorPoint> {
        self.test.iter().copied().min_by_key(|point| point.0.abs_diff(iteration))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_of_every_iteration_is_read_at_the_rows_of_another_log() {
        let every =
            ErrorLog { training: (1..=10).map(|i| (i, i as f64)).collect(), ..Default::default() };
        let spans = |log: &ErrorLog| {
            let spans = log.spans(4, 9).into_iter();
            spans.map(|(span, _)| span).collect::<Vec<_>>()
        };
        let mut sparse = ErrorLog { training: vec![(3, 0.0), (6, 0.0), (9, 0.0)], ..every.clone() };
        // Of single batches: iterations 6 and 9.
        assert_eq!(every.mean_over(&spans(&sparse)), Some(7.5));
        // Of means: 4 to 6, and 7 to 9.
        sparse.averaged = true;
        assert_eq!(spans(&sparse)[0], Span { after: 3, until: 6 });
        assert_eq!(every.mean_over(&spans(&sparse)), Some(6.5));
        assert_eq!(every.mean_over(&[Span { after: 9, until: 11 }]), None);
        assert_eq!(every.mean_over(&[]), None);
    }
}
