//! Claims about the size of an error, which only the paper's own protocol can decide.

use crate::config::claims::{ErrorKind, Expectation};
use crate::config::network_name::{Family, NetworkName};
use crate::config::paper;
use crate::logs::statistics::MeanStd;
use crate::report::claims::errors::{complete, error};
use crate::report::claims::ruling::{Ruling, Verdict};
use crate::report::claims::scale::Scale;
use crate::report::protocol::Protocol;

/// Final errors of a network over the seeds of a protocol that is the paper's.
fn of_paper(
    of: ErrorKind,
    network: NetworkName,
    protocols: &[Protocol],
) -> Option<(MeanStd, Vec<f64>, Vec<String>)> {
    protocols
        .iter()
        .filter(|protocol| Scale::of(protocol, Family::Cifar) == Some(Scale::Paper))
        .find_map(|protocol| {
            let runs = complete(protocol, network);
            let values: Vec<f64> = runs.iter().filter_map(|run| error(run, of)).collect();
            let mean = MeanStd::of(values.iter().copied().map(Some))?;
            Some((mean, values, runs.iter().map(|run| run.path.display().to_string()).collect()))
        })
}

/// Whether the mean test errors of `networks` are those of the paper. Some that are not there leave
/// it open.
pub fn level(networks: &[NetworkName], within_points: f64, protocols: &[Protocol]) -> Ruling {
    let (mut numbers, mut runs, mut inside) = (Vec::new(), Vec::new(), true);
    for &network in networks {
        let stated = paper::cifar10(network).and_then(|one| one.mean_test_error.or(one.test_error));
        let found = of_paper(ErrorKind::Test, network, protocols);
        if let (Some(stated), Some((mean, _, paths))) = (stated, found) {
            inside &= (mean.mean - stated).abs() <= within_points;
            numbers.push(format!("{network} {:.2} (paper {stated})", mean.mean));
            runs.extend(paths);
        }
    }
    let verdict = match (numbers.len(), inside) {
        (0, _) => return Ruling::not_tested(),
        (_, false) => Verdict::Contradicted,
        (count, true) if count == networks.len() => Verdict::Confirmed,
        _ => Verdict::Inconclusive,
    };
    Ruling { verdict, numbers: numbers.join("; "), runs }
}

/// Whether every run of `network` is on the claimed side of `bound`.
pub fn bound(
    of: ErrorKind,
    network: NetworkName,
    expect: Expectation,
    bound: f64,
    protocols: &[Protocol],
) -> Ruling {
    let Some((_, values, runs)) = of_paper(of, network, protocols) else {
        return Ruling::not_tested();
    };
    let holds = |value: &f64| match expect {
        Expectation::Above => *value > bound,
        Expectation::Below => *value < bound,
        Expectation::Equal => *value == bound,
    };
    let verdict = match values.iter().filter(|value| holds(value)).count() {
        0 => Verdict::Contradicted,
        count if count == values.len() => Verdict::Confirmed,
        _ => Verdict::Inconclusive,
    };
    let values: Vec<String> = values.iter().map(|value| format!("{value:.2}")).collect();
    Ruling { verdict, numbers: format!("{network} {} %", values.join(", ")), runs }
}
