//! Claims about errors: one network's against another's, paired over seeds.

use crate::config::claims::{ErrorKind, Expectation, Pair};
use crate::config::network_name::{Family, NetworkName};
use crate::config::recipe::Recipe;
use crate::logs::collection::LoggedRun;
use crate::logs::statistics::MeanStd;
use crate::report::claims::ruling::Ruling;
use crate::report::claims::scale::{Observation, Outcome, Scale, verdict};
use crate::report::findings::of_batches;
use crate::report::protocol::Protocol;

/// Standard deviation, over seeds, of a difference between two networks' errors in short runs, in
/// percentage points: that of ResNet-20 minus plain-20 after 2,000 iterations, five seeds
/// (results/2026-11-24-reference-bands).
const SPREAD_OF_SHORT_RUNS: f64 = 2.3;

/// The same at the paper's length: √(0.22² + 0.27²), of the networks in `paper.toml` that a public
/// reproduction trained five times.
const SPREAD_OF_LONG_RUNS: f64 = 0.35;

/// Differences that are surely smaller, in percentage points, are called none.
const EQUAL_WITHIN: f64 = 1.0;

/// A difference over seeds, and whose it is.
pub struct Paired {
    /// The first network's number minus the other's.
    pub difference: MeanStd,
    /// The runs.
    pub runs: Vec<String>,
}

/// The difference between two lists of runs' numbers, over the seeds that both have.
pub fn paired<'a>(
    network: &[&'a LoggedRun],
    reference: &[&'a LoggedRun],
    value: impl Fn(&LoggedRun) -> Option<f64>,
) -> Option<Paired> {
    let mut differences = Vec::new();
    let mut runs = Vec::new();
    for run in network {
        let Some(other) = reference.iter().find(|other| other.seed == run.seed) else { continue };
        if let (Some(one), Some(two)) = (value(run), value(other)) {
            differences.push(Some(one - two));
            runs.extend([run, other].map(|run| run.path.display().to_string()));
        }
    }
    Some(Paired { difference: MeanStd::of(differences)?, runs })
}

/// The complete runs of a network.
pub fn complete<'a>(protocol: &Protocol<'a>, network: NetworkName) -> Vec<&'a LoggedRun> {
    protocol.of_network(network).filter(|run| run.drawn.is_complete()).collect()
}

/// An error of a run, in percent.
pub fn error(run: &LoggedRun, of: ErrorKind) -> Option<f64> {
    match of {
        ErrorKind::Training => run.summary.training_error,
        ErrorKind::EarlyTraining => run.quarters[0],
        ErrorKind::Test => run.summary.final_test_error,
    }
}

/// How far a mean difference may be off, in percentage points: what the images leave open, or half
/// the 95 % interval over seeds; of one seed twice the spread that such differences have.
fn uncertainty(difference: MeanStd, of: ErrorKind, protocol: &Protocol) -> f64 {
    let of_images = match of {
        ErrorKind::Training | ErrorKind::EarlyTraining => {
            of_batches(protocol.iterations as usize, protocol.batch_size(), difference.count)
        }
        ErrorKind::Test => {
            let images = protocol.record().map_or(1, |record| record.run.dataset.test_images);
            2.0 * 2f64.sqrt() * 50.0 / ((images.max(1) * difference.count.max(1)) as f64).sqrt()
        }
    };
    let long = protocol.iterations >= Recipe::of_paper(protocol.family()).iterations;
    let spread = if long { SPREAD_OF_LONG_RUNS } else { SPREAD_OF_SHORT_RUNS };
    difference.confidence().unwrap_or(2.0 * spread).max(of_images)
}

/// Whether a difference is what is claimed.
pub fn outcome(difference: f64, uncertainty: f64, expect: Expectation) -> Outcome {
    let beyond = difference.abs() > uncertainty;
    match expect {
        Expectation::Above if beyond && difference > 0.0 => Outcome::Supports,
        Expectation::Below if beyond && difference < 0.0 => Outcome::Supports,
        Expectation::Above | Expectation::Below if beyond => Outcome::Opposes,
        Expectation::Equal if difference.abs() + uncertainty <= EQUAL_WITHIN => Outcome::Supports,
        Expectation::Equal if difference.abs() - uncertainty > EQUAL_WITHIN => Outcome::Opposes,
        _ => Outcome::Undecided,
    }
}

/// The verdict on a claim about `pair`, for which in smaller protocols those of `small` may stand.
pub fn pairs(
    of: ErrorKind,
    family: Family,
    pair: Pair,
    small: &[Pair],
    expect: Expectation,
    protocols: &[Protocol],
) -> Ruling {
    let mut observations = Vec::new();
    for protocol in protocols {
        let Some(scale) = Scale::of(protocol, family) else { continue };
        let others = small.iter().filter(|_| scale == Scale::Small);
        let observed = std::iter::once(&pair)
            .chain(others)
            .find_map(|&pair| observe(of, pair, expect, protocol, scale));
        observations.extend(observed);
    }
    verdict(&observations)
}

fn observe(
    of: ErrorKind,
    (network, reference): Pair,
    expect: Expectation,
    protocol: &Protocol,
    scale: Scale,
) -> Option<Observation> {
    let found =
        paired(&complete(protocol, network), &complete(protocol, reference), |run| error(run, of))?;
    let what = format!("{network} − {reference}, {}", name(of));
    Some(observation(found, &what, of, expect, protocol, scale))
}

fn observation(
    found: Paired,
    what: &str,
    of: ErrorKind,
    expect: Expectation,
    protocol: &Protocol,
    scale: Scale,
) -> Observation {
    let Paired { difference, runs } = found;
    let uncertainty = uncertainty(difference, of, protocol);
    let seeds = if difference.count == 1 { "seed" } else { "seeds" };
    Observation {
        scale,
        outcome: outcome(difference.mean, uncertainty, expect),
        numbers: format!(
            "{}: {what} {:+.2} ± {uncertainty:.2} points ({} {seeds})",
            protocol.title(),
            difference.mean,
            difference.count
        ),
        runs,
    }
}

fn name(of: ErrorKind) -> &'static str {
    match of {
        ErrorKind::Training => "training error",
        ErrorKind::EarlyTraining => "training error after a quarter",
        ErrorKind::Test => "test error",
    }
}

/// The verdict on: from the paper's initialisation a network ends with a higher training error than
/// from given weights. Two protocols that differ in the initial weights alone are compared.
pub fn continued(network: NetworkName, protocols: &[Protocol]) -> Ruling {
    let mut observations = Vec::new();
    for given in protocols {
        let weights = given.record().and_then(|record| record.run.initial_weights.as_ref());
        if weights.is_none_or(|weights| weights.reset_classifier) {
            continue;
        }
        for fresh in protocols.iter().filter(|fresh| differ_in_weights_alone(given, fresh)) {
            let Some(scale) = Scale::of(fresh, Family::Cifar) else { continue };
            let found = paired(&complete(fresh, network), &complete(given, network), |run| {
                run.summary.training_error
            });
            let Some(found) = found else { continue };
            let what = format!("{network} from scratch − from given weights, training error");
            let (of, expect) = (ErrorKind::Training, Expectation::Above);
            observations.push(observation(found, &what, of, expect, fresh, scale));
        }
    }
    verdict(&observations)
}

fn differ_in_weights_alone(given: &Protocol, fresh: &Protocol) -> bool {
    let (Some(given), Some(fresh)) = (given.record(), fresh.record()) else { return false };
    fresh.run.initial_weights.is_none()
        && given.run.recipe == fresh.run.recipe
        && given.run.dataset.fingerprint == fresh.run.dataset.fingerprint
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_counts_beyond_its_uncertainty_only() {
        use Expectation::{Above, Below, Equal};
        for (difference, uncertainty, expect, expected) in [
            (3.0, 2.0, Above, Outcome::Supports),
            (-3.0, 2.0, Above, Outcome::Opposes),
            (1.0, 2.0, Above, Outcome::Undecided),
            (-3.0, 2.0, Below, Outcome::Supports),
            (0.2, 0.5, Equal, Outcome::Supports),
            (0.2, 2.0, Equal, Outcome::Undecided),
            (3.0, 0.5, Equal, Outcome::Opposes),
        ] {
            assert_eq!(outcome(difference, uncertainty, expect), expected, "{difference}");
        }
    }
}
