//! The training log, reduced in one pass to what tables and figures need: a log of any length takes
//! the memory of a window of its rows.

use std::collections::VecDeque;

use crate::logs::statistics::mean;
use crate::logs::windows::{EPOCH, MOST_POINTS, final_window, smoothing_window};

/// Learning rates that can be drawn on one axis. A log may also have 0, or none.
const RATES: std::ops::RangeInclusive<f64> = 1e-30..=100.0;

/// A row of `train.csv` as it stands there: an empty field is NaN.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainingPoint {
    /// Counted from 1.
    pub iteration: f64,
    /// Learning rate of the update.
    pub learning_rate: f64,
    /// Loss of the batch; NaN or infinite in the last row of a run that diverged.
    pub loss: f64,
    /// Training error of the batch, in percent.
    pub error: f64,
}

/// What is needed of a training log.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TrainingDigest {
    /// Its rows.
    pub rows: usize,
    /// The last one.
    pub last: Option<TrainingPoint>,
    /// Mean error of the last [`final_window`] rows.
    pub final_error: Option<f64>,
    /// Mean error around a quarter, half, three quarters and the end of the planned iterations, as
    /// far as the log goes.
    pub quarters: [Option<f64>; 4],
    /// (iteration, smoothed error): few enough points, the same ones for all runs of one length.
    pub curve: Vec<(f64, f64)>,
    /// (iteration, learning rate), where it changes and at the end.
    pub learning_rate: Vec<(f64, f64)>,
    /// What no run writes, of the first row that has it.
    pub strange: Option<String>,
}

/// The reduction of a log, row by row.
pub struct Reduction {
    planned: usize,
    digest: TrainingDigest,
    /// The last errors, as many as any mean needs.
    errors: VecDeque<f64>,
    /// Sums of all errors up to each of the last rows, as many as the smoothing needs.
    sums: VecDeque<f64>,
    /// The row before, if the curve of learning rates does not have it yet.
    unchanged: Option<TrainingPoint>,
}

impl Reduction {
    /// Of the log of a run of `planned` iterations.
    pub fn new(planned: u64) -> Reduction {
        Reduction {
            planned: planned as usize,
            digest: TrainingDigest::default(),
            errors: VecDeque::new(),
            sums: VecDeque::from([0.0]),
            unchanged: None,
        }
    }

    /// Takes the next row.
    pub fn push(&mut self, point: TrainingPoint) {
        if self.digest.strange.is_none() {
            self.digest.strange = strange_row(self.digest.rows, &point);
        }
        self.trace_rate(point);
        self.errors.push_back(point.error);
        if self.errors.len() > EPOCH {
            self.errors.pop_front();
        }
        self.smooth(point);
        self.digest.rows += 1;
        self.digest.last = Some(point);
        for quarter in 1..=4 {
            let end = self.planned * quarter / 4;
            if end == self.digest.rows {
                let window = final_window(self.planned).max(1);
                self.digest.quarters[quarter - 1] = self.mean_of_last(window);
            }
        }
    }

    /// What the rows come to.
    pub fn finish(mut self) -> TrainingDigest {
        if let Some(point) = self.unchanged {
            self.digest.learning_rate.push((point.iteration, point.learning_rate));
        }
        self.digest.final_error = self.mean_of_last(final_window(self.digest.rows));
        self.digest
    }

    fn mean_of_last(&mut self, count: usize) -> Option<f64> {
        let errors = self.errors.make_contiguous();
        mean(&errors[errors.len().saturating_sub(count)..])
    }

    /// Adds to the curve, every so many rows and at the end, the trailing mean over the window
    /// (fewer rows at the start).
    fn smooth(&mut self, point: TrainingPoint) {
        let window = smoothing_window(self.planned);
        let position = self.digest.rows;
        self.sums.push_back(self.sums.back().copied().unwrap_or(0.0) + point.error);
        if self.sums.len() > window + 1 {
            self.sums.pop_front();
        }
        let step = self.planned.div_ceil(MOST_POINTS).max(1);
        if position.is_multiple_of(step) || position + 1 == self.planned {
            let count = self.sums.len() - 1;
            let sum = self.sums[count] - self.sums[0];
            self.digest.curve.push((point.iteration, sum / count as f64));
        }
    }

    /// Keeps a learning rate that differs from the one before or from the one after.
    fn trace_rate(&mut self, point: TrainingPoint) {
        let curve = &mut self.digest.learning_rate;
        let is_change =
            self.digest.last.is_none_or(|last| last.learning_rate != point.learning_rate);
        if is_change {
            if let Some(last) = self.unchanged.take() {
                curve.push((last.iteration, last.learning_rate));
            }
            curve.push((point.iteration, point.learning_rate));
        } else {
            self.unchanged = Some(point);
        }
    }
}

/// Why no run has `point` as its row number `index` (from 0): an iteration that is not the next, an
/// error or a learning rate out of range.
fn strange_row(index: usize, point: &TrainingPoint) -> Option<String> {
    let TrainingPoint { iteration, learning_rate, error, .. } = *point;
    let expected = index as f64 + 1.0;
    if iteration != expected {
        return Some(format!(
            "row {expected} has iteration {iteration}, not {expected}: rows were lost, doubled or changed"
        ));
    }
    if !is_error(error) {
        return Some(format!("an error of {error:e} % is out of range, 0 to 100"));
    }
    (!(learning_rate.is_nan() || learning_rate == 0.0 || RATES.contains(&learning_rate)))
        .then(|| format!("row {expected}: a learning rate of {learning_rate:e} is out of range"))
}

/// Whether a value can be an error in percent; a run that diverged has NaN.
pub fn is_error(value: f64) -> bool {
    value.is_nan() || (0.0..=100.0).contains(&value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(planned: u64, rows: impl Iterator<Item = (f64, f64)>) -> TrainingDigest {
        let mut reduction = Reduction::new(planned);
        for (index, (learning_rate, error)) in rows.enumerate() {
            let iteration = index as f64 + 1.0;
            reduction.push(TrainingPoint { iteration, learning_rate, loss: 1.0, error });
        }
        reduction.finish()
    }

    #[test]
    fn learning_rates_are_kept_where_they_change_and_at_the_end() {
        let rates = [0.1, 0.1, 0.1, 0.01, 0.001, 0.001];
        let kept = digest(6, rates.iter().map(|&rate| (rate, 1.0))).learning_rate;
        assert_eq!(kept, [(1.0, 0.1), (3.0, 0.1), (4.0, 0.01), (5.0, 0.001), (6.0, 0.001)]);
        assert_eq!(digest(1, std::iter::once((0.1, 1.0))).learning_rate, [(1.0, 0.1)]);
    }

    #[test]
    fn means_equal_those_over_all_rows_at_once() {
        let error = |index: usize| 50.0 + ((index * 7919) % 997) as f64 / 20.0;
        let digest = digest(6000, (0..4000).map(|index| (0.1, error(index))));
        let over = |range: std::ops::Range<usize>| {
            range.clone().map(error).sum::<f64>() / range.len() as f64
        };
        // A sixth of 6,000 rows is more than an epoch.
        assert_eq!(digest.quarters[..3], [Some(over(1109..1500)), Some(over(2609..3000)), None]);
        assert_eq!(digest.final_error, Some(over(3609..4000)));
        // A thirtieth of 6,000 is 200 rows; every fifth is drawn.
        let (iteration, smoothed) = digest.curve[700];
        assert!(iteration == 3501.0 && (smoothed - over(3301..3501)).abs() < 1e-9);
        assert_eq!(digest.curve.len(), 800);
    }
}
