//! A chart's data: what is drawn as SVG and PNG, embedded in the page as JSON, and written as CSV.

use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::report::draw::canvas;
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
    /// (x, mean, half the height of the band around it).
    pub points: Vec<(f64, f64, f64)>,
    /// Something to know about it: that a run is not complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Panel {
    /// Whether every curve ends at its highest value, which leaves the upper left corner free.
    pub(crate) fn rises(&self) -> bool {
        let rises = |series: &Series| {
            series.points.len() > 1
                && series
                    .points
                    .last()
                    .is_some_and(|last| series.points.iter().all(|point| point.1 <= last.1))
        };
        self.series.iter().all(rises)
    }
}

impl Chart {
    /// The points of all curves as CSV.
    pub fn to_csv(&self) -> Result<String> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record([
            "panel",
            "network",
            "series",
            &self.x_label,
            &self.y_label,
            "deviation",
        ])?;
        for panel in &self.panels {
            for series in &panel.series {
                for (x, mean, deviation) in &series.points {
                    let numbers = [x.to_string(), rounded(*mean), rounded(*deviation)];
                    writer.write_record([
                        &panel.title,
                        &series.network,
                        &series.kind,
                        &numbers[0],
                        &numbers[1],
                        &numbers[2],
                    ])?;
                }
            }
        }
        String::from_utf8(writer.into_inner()?).context("text")
    }

    /// Writes `<folder>/<name>` as .svg, .png and .csv, and returns the text of the SVG.
    pub fn write(&self, folder: &Path) -> Result<String> {
        let path = folder.join(&self.name);
        atomic_file::write_atomically(&path.with_extension("csv"), self.to_csv()?.as_bytes())?;
        canvas::write(self, &path)
    }
}

/// At most five decimals: shorter files, and no digit that means nothing.
fn rounded(value: f64) -> String {
    ((value * 1e5).round() / 1e5).to_string()
}
