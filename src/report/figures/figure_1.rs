//! Figure 1: a shallow and a deep plain net.

use crate::config::network_name::NetworkName;
use crate::report::draw::chart::Chart;
use crate::report::figures::axis::{TEST, TRAINING, joined};
use crate::report::figures::curves::Curves;
use crate::report::format::counted;

impl Curves<'_> {
    /// Training error left, test error right, of plain-20 and plain-56 or else of the shallowest
    /// and the deepest plain net.
    pub(crate) fn figure_1(&self) -> Option<Chart> {
        let plain = self.networks(|name| name.is_plain());
        let paper = [NetworkName::plain(20), NetworkName::plain(56)];
        let pair = match paper.iter().all(|name| plain.contains(name)) {
            true => paper.to_vec(),
            false => {
                vec![*plain.first()?, *plain.last().filter(|last| plain.first() != Some(last))?]
            }
        };
        let mut panels =
            vec![self.panel(TRAINING, &pair, &[TRAINING]), self.panel(TEST, &pair, &[TEST])];
        // Each panel has one kind of curve, so neither needs dashes or weight to tell it.
        panels
            .iter_mut()
            .flat_map(|panel| &mut panel.series)
            .for_each(|series| (series.bold, series.dashed) = (true, false));
        let range = joined(&panels);
        panels.iter_mut().for_each(|panel| panel.y = range);
        for (panel, kind) in panels.iter_mut().zip([TRAINING, TEST]) {
            self.add_references(panel, &pair, &[kind]);
        }
        let note = format!(
            "training error is the mean of the last {}{}{}",
            counted(self.window(), "iteration"),
            self.bands(),
            self.reference_note(&pair)
        );
        Some(self.chart("figure-1", format!("Figure 1: {}", self.subject), note, panels))
    }
}
