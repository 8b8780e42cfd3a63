//! The paper's figures, from the runs of one protocol.

pub mod cost;
pub mod curves;
pub mod figure_4;
pub mod figure_6;
pub mod pairs;
pub mod throughput;

use crate::config::dataset_name::DatasetName;
use crate::config::network_name::Family;
use crate::logs::plotted::PlottedRun;
use crate::report::draw::chart::Chart;
use crate::report::figures::curves::{Curves, TEST, TRAINING};
use crate::report::protocol::Protocol;

/// Every figure that the protocol's runs have something for.
pub fn charts(protocol: &Protocol) -> Vec<Chart> {
    let curves = Curves::of(protocol);
    let papers = match protocol.family() {
        Family::Cifar => [curves.figure_1(), curves.figure_6()],
        Family::Imagenet => [curves.figure_4(), curves.other_nets()],
    };
    let others = [
        pairs::chart(protocol),
        curves.shortcut_options(),
        curves.highway(),
        curves.preactivation(),
        curves.learning_rate(),
        throughput::chart(protocol),
    ];
    papers.into_iter().chain(others).flatten().collect()
}

/// The figure of `compare`: plain nets on the left, residual nets on the right, on the same axes.
pub fn comparison(dataset: DatasetName, iterations: u64, runs: &[PlottedRun]) -> Chart {
    let data = dataset.title();
    let curves = Curves {
        runs: runs.iter().collect(),
        iterations,
        paper_axis: None,
        family: dataset.family(),
        subject: String::new(),
    };
    let panels = [
        ("plain nets", curves.networks(|name| name.is_plain())),
        ("residual nets", curves.networks(|name| name.is_residual())),
    ];
    curves.errors(
        "comparison",
        format!("Training and {} on {data}", curves.test()),
        &panels,
        &[TRAINING, TEST],
    )
}
