//! Errors of matched runs at the same iterations, and how far they are apart.

use anyhow::Result;
use serde::Serialize;

use crate::logs::collection::LoggedRun;
use crate::logs::plotted::PlottedRun;
use crate::logs::statistics::MeanStd;
use crate::logs::summary::RunCurves;
use crate::logs::windows::final_window;
use crate::records::directory::RunDirectory;
use crate::report::difference::records::common_seeds;
use crate::report::difference::sides::{Matched, Side};
use crate::report::figures::axis::{TEST, TRAINING};
use crate::report::format::thousands;

/// Most evaluations that are listed of a pair, spread over the run, the last among them.
const MOST_EVALUATIONS: usize = 6;

/// Matched runs with their curves, all averaged over the same windows.
pub struct Curves<'a> {
    /// What is compared.
    pub network: String,
    /// The iterations that all of them have.
    pub iterations: u64,
    /// The runs of each side, with their curves.
    pub sides: Vec<Vec<(&'a LoggedRun, RunCurves)>>,
}

/// Errors of a side and of the reference after the same iterations. Errors in percent, differences
/// in percentage points.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ErrorRow {
    /// The network, or those of the sides.
    pub network: String,
    /// `training error` or `test error`.
    pub error: &'static str,
    /// After how many iterations.
    pub iteration: u64,
    /// The first side.
    pub reference: String,
    /// The side that is compared with it.
    pub other: String,
    /// Error of the reference over its seeds (those that both sides have, if there are any).
    pub reference_error: MeanStd,
    /// Error of the other side.
    pub other_error: MeanStd,
    /// The other's error minus the reference's; over `seeds`, if these are there.
    pub difference: MeanStd,
    /// The seeds that both sides have, over which the difference is paired; without one, it is that
    /// of the means.
    pub seeds: Vec<u64>,
}

impl<'a> Curves<'a> {
    /// Reads the logs of matched runs again, as logs of as many iterations as all of them have: so
    /// that errors are means over the same windows whatever length the runs were to have.
    pub fn read(matched: &Matched<'a>, sides: &[Side]) -> Result<Curves<'a>> {
        let iterations = matched.runs.iter().flatten().map(|run| run.drawn.done).min();
        let iterations = iterations.unwrap_or(0);
        let read = |side: &Side, run: &&'a LoggedRun| {
            let directory = RunDirectory::at(&side.root.join(&run.path));
            let curves = RunCurves::read(&directory, run.network, run.seed, Some(iterations))?;
            Ok((*run, curves))
        };
        let sides = sides
            .iter()
            .zip(&matched.runs)
            .map(|(side, runs)| runs.iter().map(|run| read(side, run)).collect())
            .collect::<Result<Vec<Vec<_>>>>()?;
        Ok(Curves { network: matched.network.clone(), iterations, sides })
    }

    /// The runs of a side as they are drawn.
    pub fn drawn(&self, side: usize) -> Vec<PlottedRun> {
        let drawn =
            |(run, curves): &(&LoggedRun, RunCurves)| PlottedRun::of(curves, run.drawn.planned);
        self.sides[side].iter().map(drawn).collect()
    }

    /// Every later side against the first.
    pub fn rows(&self, sides: &[Side]) -> Vec<ErrorRow> {
        let later = (1..self.sides.len()).filter(|&other| !self.sides[other].is_empty());
        later.flat_map(|other| self.pair(&sides[0].label, &sides[other].label, other)).collect()
    }

    fn pair(&self, reference: &str, label: &str, other: usize) -> Vec<ErrorRow> {
        let [ours, theirs] = [&self.sides[0], &self.sides[other]];
        let runs = |side: &[(&'a LoggedRun, RunCurves)]| {
            side.iter().map(|(run, _)| *run).collect::<Vec<_>>()
        };
        let seeds = common_seeds(&[&runs(ours), &runs(theirs)]);
        let row = |error, iteration, of: &dyn Fn(&RunCurves) -> Option<f64>| {
            let [reference_error, other_error] = [ours, theirs].map(|side| {
                let kept =
                    side.iter().filter(|(run, _)| seeds.is_empty() || seeds.contains(&run.seed));
                MeanStd::of(kept.map(|(_, curves)| of(curves)))
            });
            let (reference_error, other_error) = (reference_error?, other_error?);
            let value = |side: &[(&LoggedRun, RunCurves)], seed: u64| {
                side.iter().find(|(run, _)| run.seed == seed).and_then(|(_, curves)| of(curves))
            };
            let paired = seeds.iter().map(|&seed| Some(value(theirs, seed)? - value(ours, seed)?));
            let of_means = MeanStd::of([Some(other_error.mean - reference_error.mean)]);
            let difference = if seeds.is_empty() { of_means } else { MeanStd::of(paired) };
            Some(ErrorRow {
                network: self.network.clone(),
                error,
                iteration,
                reference: reference.to_string(),
                other: label.to_string(),
                reference_error,
                other_error,
                difference: difference?,
                seeds: seeds.clone(),
            })
        };
        let training = (1..=4u64).filter_map(|quarter| {
            let iteration = self.iterations * quarter / 4;
            row(TRAINING, iteration, &|curves| curves.training.quarters[quarter as usize - 1])
        });
        let test = self.evaluations(other).into_iter().filter_map(|iteration| {
            row(TEST, iteration, &|curves| {
                let position = curves.test.iterations.iter().position(|&at| at == iteration as f64);
                position.map(|position| curves.test.errors[position])
            })
        });
        training.chain(test).collect()
    }

    /// The iterations after which every run of the first side and of the `other` was evaluated: not
    /// too many, the last among them.
    fn evaluations(&self, other: usize) -> Vec<u64> {
        let runs = || self.sides[0].iter().chain(&self.sides[other]);
        let first =
            runs().next().map(|(_, curves)| &curves.test.iterations[..]).unwrap_or_default();
        let in_all = |at: &&f64| runs().all(|(_, curves)| curves.test.iterations.contains(at));
        let common: Vec<u64> = first.iter().filter(in_all).map(|&at| at as u64).collect();
        let step = common.len().div_ceil(MOST_EVALUATIONS).max(1);
        let mut kept: Vec<u64> = common.iter().rev().step_by(step).copied().collect();
        kept.reverse();
        kept
    }

    /// How many iterations a training error in the table is averaged over.
    pub fn window(&self) -> usize {
        final_window(self.iterations as usize)
    }
}

/// The last test errors of each pair.
pub fn last_tests(rows: &[ErrorRow]) -> Vec<&ErrorRow> {
    let tests: Vec<&ErrorRow> = rows.iter().filter(|row| row.error == TEST).collect();
    let same = |a: &ErrorRow, b: &ErrorRow| (&a.network, &a.other) == (&b.network, &b.other);
    let is_last = |(index, row): &(usize, &&ErrorRow)| {
        tests.get(index + 1).is_none_or(|next| !same(row, next))
    };
    tests.iter().enumerate().filter(is_last).map(|(_, row)| *row).collect()
}

impl ErrorRow {
    /// In words: how far apart, how sure.
    pub fn sentence(&self) -> String {
        let ErrorRow { network, other, reference, difference, .. } = self;
        let side = if difference.mean < 0.0 { "below" } else { "above" };
        let sure = match (difference.confidence(), &self.seeds[..]) {
            (_, []) => "no seed in common: nothing is said of chance".to_string(),
            (None, _) => "one seed in common: nothing is said of chance".to_string(),
            (Some(half), seeds) => {
                let low = difference.mean - half;
                let high = difference.mean + half;
                let verdict = match low > 0.0 || high < 0.0 {
                    true => "significant",
                    false => "not distinguishable from chance",
                };
                format!(
                    "{verdict}: paired t, n = {}, 95 % interval {low:+.2} to {high:+.2}",
                    seeds.len()
                )
            }
        };
        format!(
            "{network}: after {} iterations, {other}'s {} of {:.2} % is {:.2} points {side} {reference}'s {:.2} % ({sure}).",
            thousands(self.iteration as i64),
            self.error,
            self.other_error.mean,
            difference.mean.abs(),
            self.reference_error.mean
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(error: &'static str, other: &str, iteration: u64, values: &[(f64, f64)]) -> ErrorRow {
        let of = |value: fn(&(f64, f64)) -> f64| {
            MeanStd::of(values.iter().map(|pair| Some(value(pair))))
        };
        ErrorRow {
            network: "resnet-20".to_string(),
            error,
            iteration,
            reference: "a".to_string(),
            other: other.to_string(),
            reference_error: of(|pair| pair.0).unwrap(),
            other_error: of(|pair| pair.1).unwrap(),
            difference: of(|pair| pair.1 - pair.0).unwrap(),
            seeds: (0..values.len() as u64).collect(),
        }
    }

    #[test]
    fn a_difference_is_told_with_its_interval_and_whether_chance_explains_it() {
        // Differences -1, -2, -3: mean -2, standard deviation 1, half interval 4.303 / √3 = 2.484.
        let close = row(TEST, "b", 1000, &[(10.0, 9.0), (10.0, 8.0), (10.0, 7.0)]);
        assert_eq!(
            close.sentence(),
            "resnet-20: after 1,000 iterations, b's test error of 8.00 % is 2.00 points below a's 10.00 % (not distinguishable from chance: paired t, n = 3, 95 % interval -4.48 to +0.48)."
        );
        let far = row(TEST, "b", 1000, &[(10.0, 15.0), (10.0, 15.5), (10.0, 14.5)]);
        assert!(
            far.sentence().contains("5.00 points above")
                && far.sentence().contains("(significant: ")
        );
        let single = row(TEST, "b", 1000, &[(10.0, 15.0)]).sentence();
        assert!(single.contains("one seed in common"), "{single}");
    }

    #[test]
    fn the_last_test_of_each_pair_is_found() {
        let pair = [(1.0, 2.0)];
        let rows = [
            row(TRAINING, "b", 9, &pair),
            row(TEST, "b", 5, &pair),
            row(TEST, "b", 9, &pair),
            row(TRAINING, "c", 9, &pair),
            row(TEST, "c", 7, &pair),
        ];
        let found: Vec<(&str, u64)> =
            last_tests(&rows).iter().map(|row| (row.other.as_str(), row.iteration)).collect();
        assert_eq!(found, [("b", 9), ("c", 7)]);
    }
}
