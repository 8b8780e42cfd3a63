//! Claims that the error rises smoothly with the damage (Veit et al. 2016, Figure 5): with the
//! number of blocks that are deleted, or with how far they are out of order.

use std::collections::BTreeMap;
use std::path::Path;

use crate::analysis::kind::Kind;
use crate::analysis::lesion::{Row, Test};
use crate::config::claims::{Damage, Smooth};
use crate::config::network_name::NetworkName;
use crate::report::claims::analysis::finished;
use crate::report::claims::errors::complete;
use crate::report::claims::ruling::Ruling;
use crate::report::claims::scale::{Observation, Outcome, Scale, verdict};
use crate::report::protocol::Protocol;

/// Bins of Kendall's tau in a unit of it.
const TAU_BINS: f64 = 20.0;

/// The verdict: every seed must agree.
pub fn rises(rule: &Smooth, protocols: &[Protocol], results: &Path) -> Ruling {
    let mut observations = Vec::new();
    for protocol in protocols {
        let Some(scale) = Scale::of(protocol, rule.family.into()) else { continue };
        let stand_ins = rule.small.iter().filter(|_| scale == Scale::Small);
        let mut networks = std::iter::once(&rule.network).chain(stand_ins);
        observations
            .extend(networks.find_map(|&network| observe(rule, network, protocol, scale, results)));
    }
    verdict(&observations)
}

fn observe(
    rule: &Smooth,
    network: NetworkName,
    protocol: &Protocol,
    scale: Scale,
    results: &Path,
) -> Option<Observation> {
    let (mut outcomes, mut numbers, mut runs) = (Vec::new(), Vec::new(), Vec::new());
    for run in complete(protocol, network) {
        let Some(analysis) = finished(Kind::Lesion, &results.join(&run.path)) else { continue };
        let Ok(rows) = analysis.rows() else { continue };
        let Some(rise) = Rise::of(&levels(&rows, rule.by)) else { continue };
        outcomes.push(rise.outcome(rule.largest_step_percent));
        numbers.push(format!("{network} {rise} (seed {})", run.seed));
        runs.push(run.path.display().to_string());
    }
    let first = *outcomes.first()?;
    let outcome = match outcomes.iter().all(|outcome| *outcome == first) {
        true => first,
        false => Outcome::Undecided,
    };
    let numbers = format!("{}: {}", protocol.title(), numbers.join("; "));
    Some(Observation { scale, outcome, numbers, runs })
}

/// Errors at each level of damage, the whole net first.
fn levels(rows: &[Row], by: Damage) -> Vec<Vec<f64>> {
    let mut levels: BTreeMap<i64, Vec<f64>> = BTreeMap::new();
    for row in rows {
        let level = match (by, row.test, row.tau) {
            (_, Test::Whole, _) => i64::MIN,
            (Damage::Deleted, Test::Random, _) => row.count as i64,
            // Exchanges that undo each other leave the order as it was.
            (Damage::Exchanged, Test::Exchange, Some(tau)) if tau < 1.0 => {
                -(tau * TAU_BINS + 1e-9).floor() as i64
            }
            _ => continue,
        };
        levels.entry(level).or_default().push(row.error);
    }
    levels.into_values().collect()
}

/// How the error rises over the levels.
struct Rise {
    /// The mean error of the whole net and at the last level.
    ends: (f64, f64),
    /// Two standard errors of their difference.
    uncertainty: f64,
    /// The largest step up from a level to the next, in percent of the whole rise.
    largest_step: f64,
    /// Whether the mean falls anywhere by more than two standard errors of the step.
    falls: bool,
}

impl Rise {
    /// Nothing where no level has several draws: their spread is then not known.
    fn of(levels: &[Vec<f64>]) -> Option<Rise> {
        let mean = |errors: &[f64]| errors.iter().sum::<f64>() / errors.len() as f64;
        let squares: f64 = levels
            .iter()
            .map(|errors| errors.iter().map(|error| (error - mean(errors)).powi(2)).sum::<f64>())
            .sum();
        let freedom: usize = levels.iter().map(|errors| errors.len() - 1).sum();
        let variance = squares / (freedom > 0).then_some(freedom)? as f64;
        // The whole net is not drawn: its error has no spread.
        let of_mean = |place: usize| match place {
            0 => 0.0,
            place => variance / levels[place].len() as f64,
        };
        let two = |from: usize, to: usize| 2.0 * (of_mean(from) + of_mean(to)).sqrt();
        let (first, last) = (mean(levels.first()?), mean(levels.last()?));
        let steps: Vec<f64> =
            levels.windows(2).map(|pair| mean(&pair[1]) - mean(&pair[0])).collect();
        let falls = steps.iter().enumerate().any(|(place, step)| *step < -two(place, place + 1));
        let largest = steps.into_iter().fold(0.0, f64::max);
        Some(Rise {
            ends: (first, last),
            uncertainty: two(0, levels.len() - 1),
            largest_step: 100.0 * largest / (last - first),
            falls,
        })
    }

    fn outcome(&self, largest_step_percent: f64) -> Outcome {
        let rise = self.ends.1 - self.ends.0;
        match rise > self.uncertainty {
            false => Outcome::Undecided,
            true if self.falls || self.largest_step > largest_step_percent => Outcome::Opposes,
            true => Outcome::Supports,
        }
    }
}

impl std::fmt::Display for Rise {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (first, last) = self.ends;
        write!(formatter, "{first:.2} to {last:.2} %, ")?;
        if last > first {
            write!(formatter, "largest step {:.0} % of the rise, ", self.largest_step)?;
        }
        let monotone = if self.falls { "falls on the way" } else { "never falls" };
        formatter.write_str(monotone)
    }
}

/// The rule in words.
pub fn rule(rule: &Smooth) -> String {
    let by = match rule.by {
        Damage::Deleted => "number of blocks deleted at random",
        Damage::Exchanged => "Kendall's tau in bins of 0.05",
    };
    format!(
        "mean error in lesion.csv by {by}: rises, falls nowhere by more than two standard errors, \
         largest step at most {} % of the rise, for every seed",
        rule.largest_step_percent
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(levels: &[&[f64]]) -> Option<Outcome> {
        let levels: Vec<Vec<f64>> = levels.iter().map(|errors| errors.to_vec()).collect();
        Rise::of(&levels).map(|rise| rise.outcome(40.0))
    }

    #[test]
    fn a_rise_is_smooth_without_falls_beyond_the_spread_and_without_a_jump() {
        let even: [&[f64]; 4] = [&[10.0], &[29.0, 31.0], &[49.0, 51.0], &[69.0, 71.0]];
        assert_eq!(outcome(&even), Some(Outcome::Supports));
        // From 20 to 70 is 71 % of the rise.
        let jump: [&[f64]; 4] = [&[10.0], &[19.0, 21.0], &[69.0, 71.0], &[79.0, 81.0]];
        assert_eq!(outcome(&jump), Some(Outcome::Opposes));
        // From 30 to 25; two standard errors are 2.8 points.
        let fall: [&[f64]; 5] =
            [&[10.0], &[29.0, 31.0], &[24.0, 26.0], &[44.0, 46.0], &[64.0, 66.0]];
        assert_eq!(outcome(&fall), Some(Outcome::Opposes));
        // The same fall, where two standard errors are 14 points.
        let noise: [&[f64]; 5] =
            [&[10.0], &[25.0, 35.0], &[20.0, 30.0], &[40.0, 50.0], &[60.0, 70.0]];
        assert_eq!(outcome(&noise), Some(Outcome::Supports));
        assert_eq!(outcome(&[&[10.0], &[9.0, 12.0]]), Some(Outcome::Undecided));
        assert_eq!(outcome(&[&[10.0], &[90.0]]), None);
    }

    #[test]
    fn levels_are_counts_of_deleted_blocks_or_bins_of_tau_from_the_whole_net_on() {
        let row = |test, count, tau, error| Row {
            test,
            block: String::new(),
            count,
            sample: Some(0),
            tau,
            wrong: 0,
            error,
            loss: 0.0,
        };
        let rows = [
            row(Test::Whole, 0, None, 10.0),
            row(Test::Random, 1, None, 20.0),
            row(Test::Random, 1, None, 22.0),
            row(Test::Random, 2, None, 30.0),
            row(Test::Exchange, 1, Some(0.96), 12.0),
            row(Test::Exchange, 2, Some(0.91), 18.0),
            row(Test::Exchange, 2, Some(0.93), 17.0),
            row(Test::Exchange, 2, Some(1.0), 10.0),
            row(Test::Ranked, 1, None, 15.0),
        ];
        assert_eq!(levels(&rows, Damage::Deleted), [vec![10.0], vec![20.0, 22.0], vec![30.0]]);
        assert_eq!(levels(&rows, Damage::Exchanged), [vec![10.0], vec![12.0], vec![18.0, 17.0]]);
    }
}
