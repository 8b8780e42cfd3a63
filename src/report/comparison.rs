//! Plain against residual, shallow against deep: the numbers of a comparison, and the paper's
//! beside them.

use serde::Serialize;

use crate::config::dataset_name::DatasetName;
use crate::config::network_name::NetworkName;
use crate::config::paper;
use crate::dataset::data::DataStatus;
use crate::logs::statistics::MeanStd;
use crate::logs::summary::RunSummary;
use crate::logs::windows::final_window;
use crate::report::findings::{Finding, findings};
use crate::report::protocol::Protocol;

/// The networks of a comparison, over seeds. Errors in percent.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// The data, if it is on record.
    pub dataset: Option<DatasetName>,
    /// Whether it is the published data.
    pub dataset_status: Option<DataStatus>,
    /// Its classes.
    pub classes: i64,
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
    /// Compares the runs of a protocol.
    pub fn of(protocol: &Protocol) -> Comparison {
        let summaries: Vec<RunSummary> =
            protocol.runs.iter().map(|run| run.summary.clone()).collect();
        Comparison {
            dataset: protocol.dataset,
            dataset_status: protocol.status,
            classes: protocol.image_side_and_classes().1,
            iterations: protocol.iterations,
            training_error_window: final_window(protocol.iterations as usize),
            networks: protocol
                .networks()
                .into_iter()
                .map(|name| NetworkSummary::of(name, protocol, &summaries))
                .collect(),
            findings: findings(&summaries, protocol.batch_size()),
            runs: summaries,
        }
    }
}

impl NetworkSummary {
    fn of(network: NetworkName, protocol: &Protocol, runs: &[RunSummary]) -> NetworkSummary {
        let spread = |value: fn(&RunSummary) -> Option<f64>| {
            MeanStd::of(runs.iter().filter(|run| run.network == network).map(value))
        };
        let paper = (protocol.dataset == Some(DatasetName::Cifar10))
            .then(|| paper::cifar10(network))
            .flatten();
        let paper_test_error = paper.and_then(|paper| paper.mean_test_error.or(paper.test_error));
        let final_test_error = spread(|run| run.final_test_error);
        NetworkSummary {
            network,
            parameters: protocol.parameters(network).unwrap_or(0),
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
