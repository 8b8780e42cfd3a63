//! A chart's data: what is drawn as SVG and PNG, embedded in the page as JSON, and written as CSV.

use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::report::draw::canvas;
use crate::report::format::{csv_text, number};
use crate::system::atomic_file;

/// Panels side by side that share their kinds of axes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Chart {
    /// File name, such as `figure-6`.
    #[serde(skip)]
    pub name: String,
    /// Short title, such as `Figure 6`.
    #[serde(skip)]
    pub title: String,
    /// What is seen, for the caption and below the picture.
    #[serde(skip)]
    pub note: String,
    /// What a reader who cannot see the picture is told.
    #[serde(skip)]
    pub description: String,
    /// What the horizontal axis shows.
    pub x_label: String,
    /// What CSV calls it: the axis' quantity, in the unit of the points.
    #[serde(skip)]
    pub x_field: String,
    /// What the vertical axis shows.
    pub y_label: String,
    /// Horizontal ticks are divided by this.
    pub x_scale: f64,
    /// Whether the vertical axis is logarithmic.
    pub y_log: bool,
    /// The panels, from left to right.
    pub panels: Vec<Panel>,
}

/// One coordinate system.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Panel {
    /// Its title.
    pub title: String,
    /// Lowest and highest value of the horizontal axis.
    pub x: (f64, f64),
    /// Lowest and highest value of the vertical axis.
    pub y: (f64, f64),
    /// Its curves.
    pub series: Vec<Series>,
}

/// A curve.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Series {
    /// What it belongs to; series of one network are shown and hidden together.
    pub network: String,
    /// What it shows of it: `training error`, `test error`, …
    pub kind: String,
    /// Both, or what else identifies it.
    pub label: String,
    /// Index of its colour.
    pub colour: usize,
    /// Whether it is drawn bold.
    pub bold: bool,
    /// Whether it is dashed.
    pub dashed: bool,
    /// How many seeds it is the mean of.
    pub seeds: usize,
    /// (x, mean, half the height of the band around it).
    pub points: Vec<(f64, f64, f64)>,
    /// Something to know about it: that a run is not complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A curve is drawn, and embedded in the page, with at most so many points, and the last: more
/// cannot be told apart at a panel's width. CSV has all.
const MOST_DRAWN_POINTS: usize = 600;

impl Series {
    /// Of its points every so many-th is drawn.
    pub fn step(&self) -> usize {
        self.points.len().div_ceil(MOST_DRAWN_POINTS).max(1)
    }

    /// The points that are drawn.
    pub fn drawn(&self) -> Vec<(f64, f64, f64)> {
        let step = self.step();
        let mut points: Vec<(f64, f64, f64)> = self.points.iter().copied().step_by(step).collect();
        match self.points.last() {
            Some(last) if !self.points.len().saturating_sub(1).is_multiple_of(step) => {
                points.push(*last);
            }
            _ => {}
        }
        points
    }
}

impl Chart {
    /// Whether its axes have an extent that can be drawn.
    pub fn can_be_drawn(&self) -> bool {
        let extent = |(low, high): (f64, f64)| (high - low).is_finite() && low < high;
        let height = |panel: &Panel| !self.y_log || panel.y.0 > 0.0;
        self.panels.iter().all(|panel| extent(panel.x) && extent(panel.y) && height(panel))
    }

    /// The points of all curves as CSV: `panel`, `network` and `series` (what it shows) name the
    /// curve, then the place on the horizontal axis, the mean, the deviation that its band shows, and
    /// how many seeds it is the mean of.
    pub fn to_csv(&self) -> Result<String> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let (x, y) = (&self.x_field, &self.y_label);
        writer.write_record(["panel", "network", "series", x, y, "deviation", "seeds"])?;
        for panel in &self.panels {
            for series in &panel.series {
                let names =
                    [&panel.title, &series.network, &series.kind].map(|text| csv_text(text));
                for (x, mean, deviation) in &series.points {
                    let numbers = [x.to_string(), number(*mean), number(*deviation)];
                    let seeds = series.seeds.to_string();
                    writer.write_record(names.iter().chain(&numbers).chain([&seeds]))?;
                }
            }
        }
        String::from_utf8(writer.into_inner()?).context("text")
    }

    /// The text of its SVG.
    pub fn to_svg(&self) -> Result<String> {
        canvas::svg_text(self)
    }

    /// Writes `<folder>/<name>` as .svg, .png, .csv and .tex, and returns the text of the SVG.
    pub fn write(&self, folder: &Path) -> Result<String> {
        let path = folder.join(&self.name);
        let csv = self.to_csv()?;
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let latex = self.to_latex(&name, &csv);
        atomic_file::write_atomically(&path.with_extension("csv"), csv.as_bytes())?;
        atomic_file::write_atomically(&path.with_extension("tex"), latex.as_bytes())?;
        canvas::write(self, &path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_is_drawn_with_few_points_and_its_last() {
        let series = |count: usize| Series {
            network: String::new(),
            kind: String::new(),
            label: String::new(),
            colour: 0,
            bold: false,
            dashed: false,
            seeds: 1,
            points: (1..=count).map(|x| (x as f64, 0.0, 0.0)).collect(),
            note: None,
        };
        for count in [0, 1, 600, 601, 1200, 1201] {
            let drawn = series(count).drawn();
            assert!(drawn.len() <= MOST_DRAWN_POINTS + 1, "{count}: {}", drawn.len());
            assert_eq!(drawn.last(), series(count).points.last());
        }
    }
}
