//! What the report has about one kind of analysis, and what its figures have in common.

use crate::report::analyses::analysed::Analysed;
use crate::report::draw::chart::{Chart, Panel, Series};
use crate::report::tables::table::{RowKind, Table};

/// About one kind of analysis.
#[derive(Default)]
pub struct Part {
    /// Its heading.
    pub title: String,
    /// What was seen, one sentence an entry.
    pub sentences: Vec<String>,
    /// Its charts.
    pub charts: Vec<Chart>,
    /// Its tables.
    pub tables: Vec<Table>,
}

/// A curve of what an analysis found: (x, mean, half the height of the band) each. Plain nets are
/// dashed. A net keeps its colour within a chart: give its place among the nets.
pub fn curve(
    of: &Analysed,
    colour: usize,
    kind: &str,
    points: impl IntoIterator<Item = (f64, f64, f64)>,
) -> Series {
    let note = || format!("not complete: stopped after {}", of.images());
    Series {
        network: of.label(),
        kind: kind.to_string(),
        label: of.label(),
        colour,
        bold: true,
        dashed: of.network().is_plain(),
        seeds: 1,
        points: points.into_iter().collect(),
        note: (!of.is_complete()).then(note),
    }
}

/// Panels of curves on one vertical axis, which begins at zero and ends at a round number above
/// all curves with their bands; the horizontal axis of each ends just behind its last point.
pub fn panels(panels: Vec<(&str, Vec<Series>)>) -> Vec<Panel> {
    let points = |series: &[Series]| -> Vec<(f64, f64, f64)> {
        series.iter().flat_map(|series| series.points.iter().copied()).collect()
    };
    let highest = panels
        .iter()
        .flat_map(|(_, series)| points(series))
        .map(|point| point.1 + point.2)
        .filter(|value| value.is_finite())
        .fold(0.0, f64::max);
    let panel = |(title, series): (&str, Vec<Series>)| {
        let last = points(&series).iter().map(|point| point.0).fold(0.0, f64::max);
        let x = (0.0, if last > 0.0 { last * 1.03 } else { 1.0 });
        Panel { title: title.to_string(), x, y: (0.0, round_above(highest)), series }
    };
    panels.into_iter().map(panel).collect()
}

/// The kind of a table's row about an analysis.
pub fn row_kind(of: &Analysed) -> RowKind {
    if of.is_complete() { RowKind::Whole } else { RowKind::Partial }
}

/// The next of 1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8 times a power of ten.
pub fn round_above(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let power = 10f64.powf(value.log10().floor());
    let factors = [1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0];
    let factor = factors.into_iter().find(|factor| factor * power >= value);
    factor.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_ends_at_the_next_round_number() {
        for (value, end) in [(0.0, 1.0), (0.97, 1.0), (1.0, 1.0), (1.62, 2.0), (73.0, 80.0)] {
            assert!((round_above(value) - end).abs() < 1e-9, "{value}: {}", round_above(value));
        }
    }
}
