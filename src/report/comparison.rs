//! Plain against residual, shallow against deep: the numbers of a comparison, and the paper's
//! beside them.

use serde::Serialize;

use crate::config::dataset_name::DatasetName;
use crate::config::network_name::{Family, NetworkName};
use crate::config::paper;
use crate::config::recipe::Recipe;
use crate::dataset::data::DataStatus;
use crate::logs::statistics::MeanStd;
use crate::logs::summary::{RunCurves, RunSummary, final_window};
use crate::network::architecture;
use crate::report::findings::{Finding, findings};
use crate::report::format::thousands;
use crate::report::protocol::Protocol;

/// The networks of a comparison, over seeds. Errors in percent.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// The data.
    #[serde(flatten)]
    pub data: Data,
    /// Iterations that each run was to have.
    pub iterations: u64,
    /// How many of the last iterations a training error is the mean of.
    pub training_error_window: usize,
    /// One entry a network: plain before residual, shallow before deep.
    pub networks: Vec<NetworkSummary>,
    /// What was seen.
    pub findings: Vec<Finding>,
    /// One entry a run.
    pub runs: Vec<RunSummary>,
}

/// Which data was trained on.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Data {
    /// The data set.
    #[serde(rename = "dataset")]
    pub name: DatasetName,
    /// Whether it is the published data.
    #[serde(rename = "dataset_status")]
    pub status: DataStatus,
    /// Its classes.
    pub classes: usize,
    /// Images a batch: what a training error is the mean of.
    #[serde(skip)]
    pub batch_size: u64,
}

impl Data {
    /// Parameters of a network for this data; 0 for one that it does not have.
    fn parameters(&self, name: NetworkName) -> i64 {
        let side = Recipe::for_dataset(self.name).image_side();
        architecture::build(name, self.name.family(), side, self.classes as i64)
            .map_or(0, |architecture| architecture.parameter_count())
    }
}

/// A network over its seeds.
#[derive(Debug, Clone, Serialize)]
pub struct NetworkSummary {
    /// The network.
    pub network: NetworkName,
    /// Parameters.
    pub parameters: i64,
    /// Training error at the end.
    pub training_error: Option<MeanStd>,
    /// Test error after the last iteration.
    pub final_test_error: Option<MeanStd>,
    /// Lowest test error.
    pub best_test_error: Option<MeanStd>,
    /// Test error where the validation error was lowest.
    pub selected_test_error: Option<MeanStd>,
    /// The paper's test error, if it has one for this network and data: the mean where it gives
    /// one.
    pub paper_test_error: Option<f64>,
    /// Whether the paper's value was read off a figure.
    pub paper_approximate: bool,
    /// Final test error minus the paper's, in percentage points.
    pub deviation: Option<f64>,
}

impl Comparison {
    /// Compares runs of one data set and length.
    pub fn new(data: &Data, iterations: u64, runs: &[RunCurves]) -> Comparison {
        let summaries: Vec<RunSummary> = runs.iter().map(RunSummary::of).collect();
        let mut names: Vec<NetworkName> = summaries.iter().map(|run| run.network).collect();
        names.sort();
        names.dedup();
        Comparison {
            data: *data,
            iterations,
            training_error_window: final_window(iterations as usize),
            networks: names
                .into_iter()
                .map(|name| NetworkSummary::of(name, data, &summaries))
                .collect(),
            findings: findings(&summaries, data.batch_size),
            runs: summaries,
        }
    }

    /// What was seen, and what a reader must know before comparing the numbers with the paper's:
    /// one sentence an entry.
    pub fn sentences(&self) -> Vec<String> {
        let findings = self.findings.iter().map(|finding| finding.sentence.clone());
        findings
            .chain(diverged(&self.runs))
            .chain(cautions(self.iterations, Some(self.data.name), Some(self.data.status)))
            .collect()
    }
}

/// The same for all runs of a protocol, with what its recipe changes.
pub fn notes(protocol: &Protocol) -> Vec<String> {
    let summaries = protocol.summaries();
    let mut sentences: Vec<String> = findings(&summaries, protocol.batch_size())
        .into_iter()
        .map(|finding| finding.sentence)
        .collect();
    sentences.extend(diverged(&summaries));
    sentences.extend(cautions(protocol.iterations, protocol.dataset, protocol.status));
    if !protocol.differences.is_empty() {
        sentences.push(format!(
            "The recipe differs from the paper's: {}.",
            protocol.differences.join("; ")
        ));
    }
    if !protocol.duplicates.is_empty() {
        sentences.push(format!(
            "Left out, since another run of the same network, seed and recipe is as far or farther: {}.",
            protocol.duplicates.join(", ")
        ));
    }
    sentences
}

fn diverged(runs: &[RunSummary]) -> Vec<String> {
    let sentence = |run: &RunSummary| {
        let iteration = run.diverged_at?;
        Some(format!(
            "{} (seed {}) diverged: its loss was not a number at iteration {iteration}.",
            run.network, run.seed
        ))
    };
    runs.iter().filter_map(sentence).collect()
}

/// What keeps the numbers from being the paper's.
fn cautions(
    iterations: u64,
    dataset: Option<DatasetName>,
    status: Option<DataStatus>,
) -> Vec<String> {
    let mut sentences = Vec::new();
    let paper = Recipe::of_paper(dataset.map_or(Family::Cifar, DatasetName::family)).iterations;
    if iterations < paper {
        let [iterations, paper] =
            [iterations, paper].map(|iterations| thousands(iterations as i64));
        sentences
            .push(format!("These runs have {iterations} iterations, the paper's {paper}: the curves can be compared, the final errors can not."));
    }
    match (dataset, status) {
        (Some(name @ (DatasetName::Cifar10 | DatasetName::Imagenet)), Some(DataStatus::Subset)) => {
            sentences.push(format!("The data is a subset of {}: its errors are not the paper's.", name.title()))
        }
        (Some(DatasetName::Cifar10), Some(DataStatus::Other)) => sentences
            .push("The data is not byte for byte the official CIFAR-10 (another order or encoding): errors may differ for that reason.".to_string()),
        (Some(DatasetName::Imagenet), Some(DataStatus::Other)) => {
            sentences.push("The data is not the official ImageNet: its errors are not the paper's.".to_string())
        }
        (Some(DatasetName::TinyImagenet), _) => {
            sentences.push("The paper does not train on Tiny-ImageNet: its errors can be compared with each other, not with the paper's.".to_string())
        }
        _ => {}
    }
    sentences
}

impl NetworkSummary {
    fn of(network: NetworkName, data: &Data, runs: &[RunSummary]) -> NetworkSummary {
        let spread = |value: fn(&RunSummary) -> Option<f64>| {
            MeanStd::of(runs.iter().filter(|run| run.network == network).map(value))
        };
        let paper = (data.name == DatasetName::Cifar10).then(|| paper::cifar10(network)).flatten();
        let paper_test_error = paper.and_then(|paper| paper.mean_test_error.or(paper.test_error));
        let final_test_error = spread(|run| run.final_test_error);
        NetworkSummary {
            network,
            parameters: data.parameters(network),
            training_error: spread(|run| run.training_error),
            final_test_error,
            best_test_error: spread(|run| run.best_test_error),
            selected_test_error: spread(|run| run.selected_test_error),
            paper_test_error,
            paper_approximate: paper.is_some_and(|paper| paper.approximate),
            deviation: final_test_error
                .zip(paper_test_error)
                .map(|(ours, paper)| ours.mean - paper),
        }
    }
}
