//! Claims that a net is worse than another by overfitting: both are fitted, and its test error is
//! higher (He et al. 2015, section 4.2, on 1202 layers).

use std::path::Path;

use crate::analysis::generalisation::Row;
use crate::analysis::images::Split;
use crate::analysis::kind::Kind;
use crate::config::claims::Pair;
use crate::config::network_name::Family;
use crate::logs::collection::LoggedRun;
use crate::report::claims::analysis::finished;
use crate::report::claims::errors::complete;
use crate::report::claims::ruling::Ruling;
use crate::report::claims::scale::{Observation, Outcome, Scale, verdict};
use crate::report::protocol::Protocol;

/// Training and test images of a net.
type Splits = (Row, Row);

/// The verdict on the first of `pair` against the second, runs of one seed each: every seed must
/// agree. `fitted_below` is the training error, without augmentation, that both must be below.
pub fn overfits(
    pair: Pair,
    family: Family,
    fitted_below: f64,
    protocols: &[Protocol],
    results: &Path,
) -> Ruling {
    let observe = |protocol| observe(pair, (family, fitted_below), protocol, results);
    verdict(&protocols.iter().filter_map(observe).collect::<Vec<_>>())
}

fn observe(
    (network, reference): Pair,
    (family, fitted_below): (Family, f64),
    protocol: &Protocol,
    results: &Path,
) -> Option<Observation> {
    let scale = Scale::of(protocol, family)?;
    let (mut outcomes, mut numbers, mut runs) = (Vec::new(), Vec::new(), Vec::new());
    for run in complete(protocol, network) {
        let twin = complete(protocol, reference).into_iter().find(|other| other.seed == run.seed);
        let Some(twin) = twin else { continue };
        let (Some(ours), Some(theirs)) = (splits(run, results), splits(twin, results)) else {
            continue;
        };
        outcomes.push(judged(&ours, &theirs, fitted_below));
        numbers.push(format!(
            "{network} training {:.3}, test {:.2}, {reference} training {:.3}, test {:.2} \
             (seed {})",
            ours.0.error, ours.1.error, theirs.0.error, theirs.1.error, run.seed
        ));
        runs.extend([run, twin].map(|run| run.path.display().to_string()));
    }
    let first = *outcomes.first()?;
    let outcome = match outcomes.iter().all(|outcome| *outcome == first) {
        true => first,
        false => Outcome::Undecided,
    };
    let numbers = format!("{}: {}", protocol.title(), numbers.join("; "));
    Some(Observation { scale, outcome, numbers, runs })
}

fn splits(run: &LoggedRun, results: &Path) -> Option<Splits> {
    let rows: Vec<Row> = finished(Kind::Generalisation, &results.join(&run.path))?.rows().ok()?;
    let of = |split: Split| rows.iter().find(|row| row.split == split).cloned();
    Some((of(Split::Train)?, of(Split::Test)?))
}

/// Only of two nets that are both fitted it can be told; their test errors must differ by more than
/// two standard errors of the images.
fn judged(ours: &Splits, theirs: &Splits, fitted_below: f64) -> Outcome {
    let variance = |row: &Row| row.error * (100.0 - row.error) / row.images.max(1) as f64;
    let uncertainty = 2.0 * (variance(&ours.1) + variance(&theirs.1)).sqrt();
    let difference = ours.1.error - theirs.1.error;
    match ours.0.error < fitted_below && theirs.0.error < fitted_below {
        true if difference > uncertainty => Outcome::Supports,
        true if difference < -uncertainty => Outcome::Opposes,
        _ => Outcome::Undecided,
    }
}

/// The rule in words.
pub fn rule(fitted_below: f64) -> String {
    format!(
        "generalisation.csv: both training errors are below {fitted_below} %, and the first test \
         error is higher by more than two standard errors, for every seed"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overfitting_is_told_only_of_two_nets_that_are_both_fitted() {
        let row = |split, images: u64, error: f64| Row {
            split,
            images,
            wrong: (error * images as f64 / 100.0) as u64,
            error,
            loss: 0.0,
        };
        let net =
            |training, test| (row(Split::Train, 50_000, training), row(Split::Test, 10_000, test));
        let outcome = |ours: (f64, f64), theirs: (f64, f64)| {
            judged(&net(ours.0, ours.1), &net(theirs.0, theirs.1), 0.1)
        };
        // The paper's numbers; two standard errors are 0.73 points.
        assert_eq!(outcome((0.05, 7.93), (0.05, 6.43)), Outcome::Supports);
        assert_eq!(outcome((0.05, 6.43), (0.05, 7.93)), Outcome::Opposes);
        assert_eq!(outcome((0.05, 7.0), (0.05, 6.43)), Outcome::Undecided);
        assert_eq!(outcome((0.05, 7.93), (0.2, 6.43)), Outcome::Undecided);
    }
}
