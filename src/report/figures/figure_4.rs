//! The figures of ImageNet's networks: Figure 4, and the networks that it does not have.

use crate::config::depths;
use crate::config::network_name::NetworkName;
use crate::config::shortcut::Shortcut;
use crate::report::draw::chart::Chart;
use crate::report::figures::axis::{TEST, TRAINING};
use crate::report::figures::curves::Curves;

impl Curves<'_> {
    /// Plain nets of 18 and 34 layers left, their residual twins right; thin: training error, bold:
    /// centre-crop validation error.
    pub(crate) fn figure_4(&self) -> Option<Chart> {
        let of = |shortcut: Option<Shortcut>| {
            self.networks(|name| is_pair(name) && name.shortcut() == shortcut)
        };
        let (plain, residual) = (of(None), of(Some(Shortcut::OptionA)));
        if plain.is_empty() && residual.is_empty() {
            return None;
        }
        Some(self.errors(
            "figure-4",
            format!("Figure 4: {}", self.subject),
            &[("plain nets", plain), ("residual nets", residual)],
            &[TRAINING, TEST],
        ))
    }

    /// Nets of bottlenecks, and nets of other papers: Figure 4 has neither.
    pub(crate) fn other_nets(&self) -> Option<Chart> {
        let bottlenecks = self.networks(|name| depths::BOTTLENECK_DEPTHS.contains(&name.depth()));
        let others = self
            .networks(|name| !is_pair(name) && !depths::BOTTLENECK_DEPTHS.contains(&name.depth()));
        let panels: Vec<(&str, Vec<NetworkName>)> =
            [("bottleneck nets", bottlenecks), ("other nets", others)]
                .into_iter()
                .filter(|(_, networks)| !networks.is_empty())
                .collect();
        if panels.is_empty() {
            return None;
        }
        // Deep nets end below the axis of Figure 4.
        let curves = Curves {
            paper_axis: None,
            subject: self.subject.clone(),
            runs: self.runs.clone(),
            ..*self
        };
        Some(curves.errors(
            "other-nets",
            format!("Other nets: {}", self.subject),
            &panels,
            &[TRAINING, TEST],
        ))
    }
}

/// Whether it is one of the nets of 18 and 34 layers.
fn is_pair(name: NetworkName) -> bool {
    depths::PAIR_DEPTHS.contains(&name.depth()) && (name.is_plain() || name.is_residual())
}
