//! Nets with other blocks or shortcuts than the paper's option A: options B and C, highway nets,
//! pre-activation nets.

use crate::config::network_name::NetworkName;
use crate::config::shortcut::Shortcut;
use crate::report::draw::chart::Chart;
use crate::report::figures::axis::{TEST, TRAINING};
use crate::report::figures::curves::Curves;

/// Depths of the residual nets that highway nets are shown beside.
const BESIDE_HIGHWAY: [u64; 2] = [20, 32];

impl Curves<'_> {
    /// Options B and C beside A, one panel a depth.
    pub(crate) fn shortcut_options(&self) -> Option<Chart> {
        let projecting = self.networks(|name| {
            matches!(name.shortcut(), Some(Shortcut::OptionB | Shortcut::OptionC))
        });
        let mut depths: Vec<u64> = projecting.iter().map(|name| name.depth()).collect();
        depths.sort_unstable();
        depths.dedup();
        let titles: Vec<String> =
            depths.iter().map(|depth| format!("{depth} layers, options A, B, C")).collect();
        let panels: Vec<(&str, Vec<NetworkName>)> = depths
            .iter()
            .zip(&titles)
            .take(3)
            .map(|(&depth, title)| {
                (title.as_str(), self.networks(|name| name.is_residual() && name.depth() == depth))
            })
            .collect();
        if panels.is_empty() {
            return None;
        }
        // Within a panel the option decides the colour, not the depth.
        let option = |network: NetworkName| match network.shortcut() {
            Some(Shortcut::OptionB) => 1,
            Some(Shortcut::OptionC) => 2,
            Some(Shortcut::OptionA) | None => 0,
        };
        let title = format!("Shortcut options: {}", self.subject);
        let curves = self.coloured(&option);
        Some(curves.errors("shortcut-options", title, &panels, &[TRAINING, TEST]))
    }

    /// Highway nets beside the residual nets of about their depth.
    pub(crate) fn highway(&self) -> Option<Chart> {
        let networks = self.networks(|name| {
            matches!(name, NetworkName::Highway { .. })
                || name.shortcut() == Some(Shortcut::OptionA)
                    && BESIDE_HIGHWAY.contains(&name.depth())
        });
        if !networks.iter().any(|name| matches!(name, NetworkName::Highway { .. })) {
            return None;
        }
        let place = |network| networks.iter().position(|&name| name == network).unwrap_or_default();
        let title = format!("Highway and residual nets: {}", self.subject);
        let panels = [("highway and residual nets", networks.clone())];
        Some(self.coloured(&place).errors("highway", title, &panels, &[TRAINING, TEST]))
    }

    /// Pre-activation nets, and the residual nets of their depths.
    pub(crate) fn preactivation(&self) -> Option<Chart> {
        let nets = self.networks(|name| matches!(name, NetworkName::PreActivation { .. }));
        if nets.is_empty() {
            return None;
        }
        let originals = self.networks(|name| {
            name.shortcut() == Some(Shortcut::OptionA)
                && nets.iter().any(|net| net.depth() == name.depth())
        });
        let panels = [("residual nets of these depths", originals), ("pre-activation nets", nets)];
        Some(self.errors(
            "pre-activation",
            format!("Pre-activation: {}", self.subject),
            &panels.into_iter().filter(|(_, nets)| !nets.is_empty()).collect::<Vec<_>>(),
            &[TRAINING, TEST],
        ))
    }
}
