//! The legend of a panel: its entries, and where it hides least.

use crate::report::draw::chart::{Chart, Panel};
use crate::report::draw::panel::{FEW_POINTS, PANEL_HEIGHT, PANEL_WIDTH};

/// A corner of a panel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Corner {
    /// Left or right.
    pub left: bool,
    /// Below or above.
    pub low: bool,
}

impl Chart {
    /// The corner of a panel that the fewest points of its curves lie in, for a legend that is so
    /// many times as large, in parts of the panel, as in the SVG.
    pub fn emptiest_corner(&self, panel: &Panel, size: f64) -> Corner {
        let range = (self.height(panel.y.0), self.height(panel.y.1));
        let entries = panel.networks();
        let longest = entries.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        let width = size * (longest as f64 * 7.5 + 40.0) / f64::from(PANEL_WIDTH - 80);
        let height = size * (entries.len() as f64 * 18.0 + 20.0) / f64::from(PANEL_HEIGHT - 80);
        let mut places = Vec::new();
        for series in &panel.series {
            let place = |point: &(f64, f64, f64)| {
                let x = (point.0 - panel.x.0) / (panel.x.1 - panel.x.0);
                (x, (self.height(point.1) - range.0) / (range.1 - range.0))
            };
            let points: Vec<(f64, f64)> = series.drawn().iter().map(place).collect();
            places.extend_from_slice(&points);
            // A long line without points crosses a corner too.
            for pair in points.windows(2).filter(|_| points.len() <= FEW_POINTS) {
                places.extend((1..20).map(|step| f64::from(step) / 20.0).map(|part| {
                    let between = |from: f64, to: f64| from + (to - from) * part;
                    (between(pair[0].0, pair[1].0), between(pair[0].1, pair[1].1))
                }));
            }
        }
        let inside = |Corner { left, low }: Corner| {
            let hit = |&&(x, y): &&(f64, f64)| {
                (0.0..=1.0).contains(&y)
                    && (if left { x <= width } else { x >= 1.0 - width })
                    && (if low { y <= height } else { y >= 1.0 - height })
            };
            places.iter().filter(hit).count()
        };
        let corners = [(true, true), (false, false), (false, true), (true, false)];
        let corners = corners.map(|(left, low)| Corner { left, low });
        corners.into_iter().min_by_key(|&corner| inside(corner)).unwrap_or(corners[0])
    }
}

impl Panel {
    /// Each network once, with its colour, and how many seeds its curves are the mean of.
    pub fn networks(&self) -> Vec<(String, usize)> {
        let mut networks: Vec<(String, usize)> = self
            .series
            .iter()
            .map(|series| match series.seeds {
                0 | 1 => (series.network.clone(), series.colour),
                seeds => (format!("{} (n = {seeds})", series.network), series.colour),
            })
            .collect();
        networks.dedup();
        networks
    }
}
