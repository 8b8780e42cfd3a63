//! What the numbers of a log of another program mean: errors or accuracies, of 1 or of 100, after so
//! many iterations or epochs.

use std::path::Path;

use crate::error::{BadInput, bad_input};
use crate::logs::error_log::ErrorPoint;
use crate::logs::external::names::Values;

/// By how much a share may be above all of it: sums of single precision are.
const ROUNDING: f64 = 1e-5;

/// The last iteration that a double counts exactly.
const LAST: f64 = 9e15;

/// A number of a log.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Where it stands: `line 17`.
    pub place: String,
    /// What stands in the column of iterations.
    pub step: f64,
    /// What stands in its column.
    pub value: f64,
}

/// What a column's numbers are shares of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Unit {
    /// Of 100.
    Percent,
    /// Of 1.
    Fraction,
}

impl Unit {
    /// What the numbers are, as far as they tell: one above 1 is a percentage.
    pub fn guess(points: &[Point]) -> Unit {
        match points.iter().all(|point| point.value <= 1.0 + ROUNDING) {
            true => Unit::Fraction,
            false => Unit::Percent,
        }
    }

    fn whole(self) -> f64 {
        match self {
            Unit::Percent => 100.0,
            Unit::Fraction => 1.0,
        }
    }

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Unit::Percent => "percent",
            Unit::Fraction => "fractions of 1",
        }
    }
}

/// What a step of a log counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Count {
    /// Iterations; `offset` is added to each.
    Iterations { offset: u64 },
    /// Epochs of so many iterations; `offset` is added to each.
    Epochs { length: u64, offset: u64 },
}

impl Count {
    /// After how many iterations a step is.
    fn iteration(self, step: f64) -> f64 {
        match self {
            Count::Iterations { offset } => step + offset as f64,
            Count::Epochs { length, offset } => ((step + offset as f64) * length as f64).round(),
        }
    }
}

/// The errors in percent, by rising iterations, that the numbers of `column` come to.
pub fn errors(
    points: &[Point],
    column: &str,
    (values, unit, count): (Values, Unit, Count),
    path: &Path,
) -> Result<Vec<ErrorPoint>, BadInput> {
    let mut errors: Vec<ErrorPoint> = Vec::new();
    let mut before = None;
    for Point { place, step, value } in points {
        let refused =
            |reason: String| Err(bad_input(format!("{}: {place}: {reason}", path.display())));
        let share = value / unit.whole();
        if !(-ROUNDING..=1.0 + ROUNDING).contains(&share) {
            let whole = unit.whole();
            return refused(format!("{column} is {value}, which is not from 0 to {whole}"));
        }
        let iteration = count.iteration(*step);
        if !(0.0..LAST).contains(&iteration) || iteration.fract() != 0.0 {
            return refused(format!("{step} is no number of iterations"));
        }
        if let Some(before) = before.filter(|before| step <= before) {
            return refused(format!("{column}: {step} comes after {before}: iterations must rise"));
        }
        before = Some(*step);
        let share = share.clamp(0.0, 1.0);
        let wrong = if values == Values::Accuracy { 1.0 - share } else { share };
        errors.push((iteration as u64, wrong * 100.0));
    }
    Ok(errors)
}
