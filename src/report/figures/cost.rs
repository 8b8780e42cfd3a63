//! What a training step costs, drawn.

use crate::config::shortcut::Shortcut;
use crate::records::measurements::{Measurements, Row};
use crate::report::draw::chart::{Chart, Panel, Series};
use crate::report::tables::cost::machine;

/// Nets up to this depth have a panel of their own: beside 1202 layers they would be one point.
const SHALLOW: u64 = 110;

/// What every other figure keeps fixed.
const BATCH: u64 = 128;

/// Milliseconds of an iteration against depth, width and batch.
pub fn charts(measurements: &[Measurements]) -> Vec<Chart> {
    let depth = |row: &Row| {
        Some(row.network.depth() as f64).filter(|_| row.batch == BATCH && row.width == 1)
    };
    let panels = vec![
        panel(measurements, format!("up to {SHALLOW} layers"), &|row| {
            depth(row).filter(|_| row.network.depth() <= SHALLOW)
        }),
        panel(measurements, "up to 1202 layers".to_string(), &depth),
    ];
    let width = |row: &Row| {
        Some(row.width as f64).filter(|_| row.batch == BATCH && row.network.depth() == 20)
    };
    let batch =
        |row: &Row| Some(row.batch as f64).filter(|_| row.width == 1 && row.network.depth() == 20);
    [
        chart("cost-depth", "against depth", "weighted layers", panels),
        chart(
            "cost-width",
            "against width, 20 layers",
            "filters, as a multiple of the paper's",
            vec![panel(measurements, String::new(), &width)],
        ),
        chart(
            "cost-batch",
            "against the batch, 20 layers",
            "images a batch",
            vec![panel(measurements, String::new(), &batch)],
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn chart(name: &str, against: &str, x_label: &str, mut panels: Vec<Panel>) -> Option<Chart> {
    // One point is no curve.
    panels.iter_mut().for_each(|panel| panel.series.retain(|series| series.points.len() > 1));
    panels.retain(|panel| !panel.series.is_empty());
    (!panels.is_empty()).then(|| Chart {
        name: name.to_string(),
        title: format!("Cost of a step {against}: residual nets"),
        note: "median milliseconds of a whole training iteration; batch 128 and the paper's width where nothing else is said (bench --json)"
            .to_string(),
        description: format!("Milliseconds of a training iteration {against}."),
        x_label: x_label.to_string(),
        x_field: x_label.to_string(),
        y_label: "milliseconds an iteration".to_string(),
        x_scale: 1.0,
        y_log: true,
        panels,
    })
}

/// One curve a machine and precision. `x` is None for rows that do not belong here.
fn panel(measurements: &[Measurements], title: String, x: &dyn Fn(&Row) -> Option<f64>) -> Panel {
    let mut series: Vec<Series> = Vec::new();
    for measured in measurements {
        for row in measured.rows.iter().filter(|row| {
            row.network.shortcut() == Some(Shortcut::OptionA) && is_usual(measured, row)
        }) {
            let Some(x) = x(row) else { continue };
            let label = format!(
                "{}{} on {}",
                row.precision,
                if row.graph { ", graph" } else { "" },
                machine(measured)
            );
            if !series.iter().any(|series| series.label == label) {
                series.push(Series {
                    network: label.clone(),
                    kind: "milliseconds an iteration".to_string(),
                    label: label.clone(),
                    colour: series.len(),
                    bold: true,
                    dashed: false,
                    seeds: 1,
                    points: Vec::new(),
                    note: None,
                });
            }
            if let Some(curve) = series.iter_mut().find(|series| series.label == label) {
                curve.points.push((
                    x,
                    row.milliseconds,
                    (row.quartiles[1] - row.quartiles[0]) / 2.0,
                ));
            }
        }
    }
    for curve in &mut series {
        curve.points.sort_by(|a, b| a.0.total_cmp(&b.0));
        curve.points.dedup_by(|later, earlier| later.0 == earlier.0);
    }
    let points = || series.iter().flat_map(|series| &series.points);
    let widest = points().map(|point| point.0).fold(0.0, f64::max);
    let (low, high) = points().fold((f64::INFINITY, 0.0f64), |(low, high), point| {
        (low.min(point.1 - point.2), high.max(point.1 + point.2))
    });
    Panel { title, x: (0.0, widest * 1.05), y: (low / 1.5, high * 1.5), series }
}

/// Whether a row was measured with the kernels that training uses there: a CPU's fused ones,
/// a GPU's own.
fn is_usual(measured: &Measurements, row: &Row) -> bool {
    row.path == "fused" || !measured.rows.iter().any(|other| other.path == "fused")
}
