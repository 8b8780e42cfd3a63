//! What a comparison shows, in sentences.

use serde::Serialize;

use crate::config::network_name::NetworkName;
use crate::logs::statistics::MeanStd;
use crate::logs::summary::RunSummary;
use crate::logs::windows::final_window;

/// Differences that are known to be smaller, in percentage points, are called none; where less is
/// known, nothing is said.
const EQUAL_WITHIN: f64 = 1.0;

/// How far a difference of training errors may be off, in percentage points: two standard errors of
/// two means over the final window of runs of so many iterations with batches of `batch_size`, for
/// an error of 50 %, where they are largest, over the seeds; or half the 95 % confidence interval
/// over seeds, if that is larger.
fn uncertainty(difference: MeanStd, iterations: usize, batch_size: u64) -> f64 {
    let of_batches = of_batches(iterations, batch_size, difference.count);
    difference.confidence().unwrap_or(0.0).max(of_batches)
}

/// The part of it that comes from the number of images in the final window of so many runs each.
pub fn of_batches(iterations: usize, batch_size: u64, runs: usize) -> f64 {
    let images = batch_size.max(1) as f64 * final_window(iterations).max(1) as f64;
    2.0 * 2f64.sqrt() * 50.0 / (images * runs.max(1) as f64).sqrt()
}

/// A difference between two networks' training errors, paired over seeds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// The network whose error is compared.
    pub network: NetworkName,
    /// The network that it is compared with.
    pub reference: NetworkName,
    /// Its training error minus the reference's, in percentage points, over the seeds that both
    /// have.
    pub difference: MeanStd,
    /// The same in words.
    pub sentence: String,
}

/// Deepest against shallowest plain net, residual against plain at the greatest depth that both
/// have, deepest against shallowest residual net. Where there is one depth only, residual against
/// plain. `batch_size` says how certain a training error is.
pub fn findings(runs: &[RunSummary], batch_size: u64) -> Vec<Finding> {
    let depths = |of: fn(u64) -> NetworkName| -> Vec<u64> {
        let mut depths: Vec<u64> = runs
            .iter()
            .filter(|run| run.network == of(run.network.depth()))
            .map(|run| run.network.depth())
            .collect();
        depths.sort_unstable();
        depths.dedup();
        depths
    };
    let (plain, residual) = (depths(NetworkName::plain), depths(NetworkName::residual));
    let mut pairs = Vec::new();
    if let [shallow, .., deep] = plain[..] {
        pairs.push((NetworkName::plain(deep), NetworkName::plain(shallow)));
    }
    if let Some(&depth) = plain.iter().rev().find(|depth| residual.contains(depth)) {
        pairs.push((NetworkName::residual(depth), NetworkName::plain(depth)));
    }
    if let [shallow, .., deep] = residual[..] {
        pairs.push((NetworkName::residual(deep), NetworkName::residual(shallow)));
    }
    pairs
        .into_iter()
        .filter_map(|(network, reference)| finding(network, reference, runs, batch_size))
        .collect()
}

/// The difference `of` two networks' values, paired over the seeds that both have.
pub fn paired(
    runs: &[RunSummary],
    network: NetworkName,
    reference: NetworkName,
    of: fn(&RunSummary) -> Option<f64>,
) -> Option<MeanStd> {
    let value =
        |name, seed| runs.iter().find(|run| run.network == name && run.seed == seed).and_then(of);
    let seeds = runs.iter().filter(|run| run.network == network).map(|run| run.seed);
    MeanStd::of(seeds.map(|seed| Some(value(network, seed)? - value(reference, seed)?)))
}

fn finding(
    network: NetworkName,
    reference: NetworkName,
    runs: &[RunSummary],
    batch_size: u64,
) -> Option<Finding> {
    let error = |name, seed| {
        runs.iter().find(|run| run.network == name && run.seed == seed)?.training_error
    };
    let seeds: Vec<u64> =
        runs.iter().filter(|run| run.network == network).map(|run| run.seed).collect();
    let of_pairs =
        |name: NetworkName| {
            MeanStd::of(seeds.iter().map(|&seed| {
                error(network, seed).and(error(reference, seed)).and(error(name, seed))
            }))
        };
    let iterations = runs
        .iter()
        .filter(|run| run.network == network)
        .map(|run| run.iterations)
        .max()
        .unwrap_or(0);
    let difference = paired(runs, network, reference, |run| run.training_error)?;
    let sentence = sentence(
        (network, of_pairs(network)?.mean),
        (reference, of_pairs(reference)?.mean),
        difference,
        uncertainty(difference, iterations, batch_size),
    );
    Some(Finding { network, reference, difference, sentence })
}

fn sentence(
    (network, error): (NetworkName, f64),
    (reference, reference_error): (NetworkName, f64),
    difference: MeanStd,
    uncertainty: f64,
) -> String {
    let side = if difference.mean >= 0.0 { "above" } else { "below" };
    let interval = difference.confidence().map_or(String::new(), |half| {
        format!(" (± {half:.1}, 95 % confidence, {} seeds)", difference.count)
    });
    format!(
        "{}: {network}'s training error of {error:.1} % is {:.1} points{interval} {side} \
         {reference}'s {reference_error:.1} %.",
        opening(network, reference, difference.mean, uncertainty),
        difference.mean.abs()
    )
}

/// What a difference of two training errors says, if it says anything.
fn opening(
    network: NetworkName,
    reference: NetworkName,
    difference: f64,
    uncertainty: f64,
) -> String {
    let twins = network.is_residual() != reference.is_residual();
    if difference.abs() <= uncertainty && uncertainty > EQUAL_WITHIN {
        let question = match (network.is_residual(), twins) {
            (_, true) => "Whether shortcuts help is",
            (false, _) => "What depth does without shortcuts is",
            (true, _) => "What depth does with shortcuts is",
        };
        return format!("{question} inconclusive (± {uncertainty:.1} points)");
    }
    let text = match (network.is_residual(), twins) {
        (false, _) if difference > uncertainty => "Without shortcuts the deeper net trains worse",
        (false, _) if difference < -uncertainty => {
            "Without shortcuts the deeper net trains better here"
        }
        (false, _) => "Without shortcuts the deeper net trains as well as the shallower one here",
        (true, true) if difference < -uncertainty => "Shortcuts help",
        (true, true) if difference > uncertainty => "Shortcuts do not help here",
        (true, true) => "Shortcuts make no difference here",
        (true, false) if difference < -uncertainty => "With shortcuts the deeper net trains better",
        (true, false) if difference > uncertainty => {
            "With shortcuts the deeper net still trains worse here"
        }
        (true, false) => "With shortcuts the deeper net trains as well as the shallower one",
    };
    text.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(network: NetworkName, seed: u64, error: f64) -> RunSummary {
        RunSummary {
            network,
            seed,
            iterations: 300,
            diverged_at: None,
            training_error: Some(error),
            final_test_error: None,
            best_test_error: None,
            selected_test_error: None,
        }
    }

    #[test]
    fn degradation_and_its_cure_are_told_with_their_sizes() {
        let runs = [
            run(NetworkName::plain(20), 0, 61.8),
            run(NetworkName::residual(20), 0, 55.7),
            run(NetworkName::plain(56), 0, 78.0),
            run(NetworkName::residual(56), 0, 72.6),
        ];
        let sentences: Vec<String> =
            findings(&runs, 128).into_iter().map(|finding| finding.sentence).collect();
        assert_eq!(
            sentences,
            [
                "Without shortcuts the deeper net trains worse: plain-56's training error of 78.0 % is 16.2 points above plain-20's 61.8 %.",
                "Shortcuts help: resnet-56's training error of 72.6 % is 5.4 points below plain-56's 78.0 %.",
                "With shortcuts the deeper net still trains worse here: resnet-56's training error of 72.6 % is 16.9 points above resnet-20's 55.7 %.",
            ]
        );
    }

    #[test]
    fn the_opposite_is_told_as_plainly() {
        let sentences = |plain, residual| {
            findings(
                &[
                    run(NetworkName::plain(56), 0, plain),
                    run(NetworkName::residual(56), 0, residual),
                ],
                128,
            )
        };
        assert!(sentences(50.0, 60.0)[0].sentence.starts_with("Shortcuts do not help here"));
        let close = &sentences(50.0, 50.2)[0].sentence;
        assert!(
            close.starts_with("Whether shortcuts help is inconclusive (± 1.8 points): "),
            "{close}"
        );
    }

    #[test]
    fn a_difference_is_none_only_where_a_small_one_would_be_seen() {
        let pair = |iterations: usize, residual: f64| {
            [(NetworkName::plain(56), 50.0), (NetworkName::residual(56), residual)]
                .map(|(network, error)| RunSummary { iterations, ..run(network, 0, error) })
        };
        let opening = |runs: &[RunSummary]| findings(runs, 128)[0].sentence.clone();
        let long = opening(&pair(64_000, 50.3));
        assert!(long.starts_with("Shortcuts make no difference here: "), "{long}");
        let six = opening(&pair(6, 59.4));
        assert!(six.contains("inconclusive (± 12.5 points)") && six.contains("9.4 points above"));
    }

    #[test]
    fn the_nets_of_figure_4_are_compared_as_it_shows_them_and_small_batches_are_less_certain() {
        let runs = [
            run(NetworkName::plain(18), 0, 60.0),
            run(NetworkName::plain(34), 0, 63.0),
            run("vgg-16".parse().unwrap(), 0, 10.0),
            run(NetworkName::residual(34), 0, 55.0),
        ];
        let found = findings(&runs, 256);
        assert_eq!(found.len(), 2);
        assert_eq!(
            found[0].sentence,
            "Without shortcuts the deeper net trains worse: plain-34's training error of 63.0 % is 3.0 points above plain-18's 60.0 %."
        );
        assert!(
            findings(&runs, 32)[0]
                .sentence
                .starts_with("What depth does without shortcuts is inconclusive (± 3.5 points)")
        );
    }

    #[test]
    fn differences_are_paired_over_the_seeds_that_both_networks_have() {
        let runs = [
            run(NetworkName::plain(56), 0, 70.0),
            run(NetworkName::plain(56), 1, 80.0),
            run(NetworkName::residual(56), 0, 60.0),
            run(NetworkName::residual(56), 1, 72.0),
            run(NetworkName::residual(56), 2, 10.0),
        ];
        let finding = &findings(&runs, 128)[0];
        assert_eq!((finding.difference.mean, finding.difference.count), (-9.0, 2));
        assert!(
            finding
                .sentence
                .contains("training error of 66.0 % is 9.0 points (± 12.7, 95 % confidence, 2 seeds) below plain-56's 75.0 %")
                && finding.sentence.starts_with("Whether shortcuts help is inconclusive (± 12.7"),
            "{}",
            finding.sentence
        );
    }
}
