//! The paper's figures, from the runs of one protocol.

pub mod axis;
pub mod cost;
pub mod curves;
pub mod figure_1;
pub mod figure_4;
pub mod figure_6;
pub mod learning_rate;
pub mod pairs;
pub mod shortcuts;
pub mod throughput;

use crate::config::network_name::Family;
use crate::report::band::drawn::DrawnReference;
use crate::report::draw::chart::Chart;
use crate::report::figures::axis::{TEST, TRAINING};
use crate::report::figures::curves::Curves;
use crate::report::protocol::Protocol;

/// Every figure that the protocol's runs have something for, curves with the bands of their
/// networks' `references` behind them.
pub fn charts(protocol: &Protocol, references: &[&DrawnReference]) -> Vec<Chart> {
    let curves = Curves { references, ..Curves::of(protocol) };
    let papers = match protocol.family() {
        Family::Cifar => [curves.figure_1(), curves.figure_6()],
        Family::Imagenet => [curves.figure_4(), curves.other_nets()],
    };
    let alone = papers.iter().all(Option::is_none).then(|| curves.all_nets(protocol)).flatten();
    let others = [
        pairs::chart(protocol),
        curves.shortcut_options(),
        curves.highway(),
        curves.preactivation(),
        curves.learning_rate(),
        throughput::chart(protocol),
    ];
    papers.into_iter().chain([alone]).chain(others).flatten().collect()
}

impl Curves<'_> {
    /// The errors of whatever nets there are, where no figure of the paper shows them.
    fn all_nets(&self, protocol: &Protocol) -> Option<Chart> {
        let networks = self.networks(|_| true);
        if networks.is_empty() {
            return None;
        }
        let title = format!("Training and {} on {}", self.test(), protocol.data_title());
        Some(self.errors("errors", title, &[("all nets", networks)], &[TRAINING, TEST]))
    }
}

/// The figure of `compare`: plain nets on the left, residual nets on the right, on the same axes.
pub fn comparison(protocol: &Protocol) -> Chart {
    let curves = Curves { paper_axis: None, ..Curves::of(protocol) };
    let mut panels = vec![
        ("plain nets", curves.networks(|name| name.is_plain())),
        ("residual nets", curves.networks(|name| name.is_residual())),
    ];
    // Of one kind only, where no other was trained.
    if panels.iter().any(|(_, networks)| !networks.is_empty()) {
        panels.retain(|(_, networks)| !networks.is_empty());
    }
    let data = protocol.data_title();
    let title = format!("Training and {} on {data}", curves.test());
    curves.errors("comparison", title, &panels, &[TRAINING, TEST])
}
