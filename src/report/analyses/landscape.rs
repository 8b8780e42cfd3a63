//! Loss landscapes (Li et al. 2018): contour lines, slices, and how much of a surface is not convex.

use std::collections::BTreeMap;

use crate::analysis::landscape::Row;
use crate::report::analyses::analysed::{Analysed, Found, one_a_network, read, sources};
use crate::report::analyses::contours::{Surface, levels};
use crate::report::analyses::part::{Part, curve, row_kind};
use crate::report::draw::chart::{Chart, Panel, Series};
use crate::report::tables::cell::Cell;
use crate::report::tables::table::{Column, RowKind, Table};

/// The summary's number.
const NOT_CONVEX: &str = "not_convex_percent";

/// A column of the table.
type Of<'a> = Column<'a, &'a Found<'a, Row>>;

/// What there is about landscapes.
pub fn part<'a>(analysed: &[&'a Analysed<'a>], problems: &mut Vec<String>) -> Part {
    let found: Vec<Found<Row>> = read(analysed, problems);
    let chosen = one_a_network(&found);
    let mut of_depth: BTreeMap<u64, Vec<&Found<Row>>> = BTreeMap::new();
    for one in &chosen {
        of_depth.entry(one.of.network().depth()).or_default().push(one);
    }
    let charts = of_depth.iter().filter_map(|(&depth, nets)| contours(depth, nets));
    Part {
        title: "Loss landscape".to_string(),
        sentences: twins(&chosen),
        charts: charts.chain(slices(&chosen)).collect(),
        tables: vec![table(&found)],
    }
}

/// The losses of a whole grid, with its side and range.
type Grid = (Vec<Option<f64>>, usize, f64);

fn grid(found: &Found<Row>) -> Option<Grid> {
    let grid: Vec<&Row> = found.rows.iter().filter(|row| row.slice.is_none()).collect();
    let side = grid.len().isqrt();
    let range = grid.last()?.x;
    let is_whole = side >= 2 && side * side == grid.len() && grid.last()?.y == Some(range);
    (is_whole && range > 0.0).then(|| (grid.iter().map(|row| row.loss).collect(), side, range))
}

/// Contour lines of nets of one depth beside each other, at the same levels.
fn contours(depth: u64, nets: &[&Found<Row>]) -> Option<Chart> {
    let grids: Vec<_> = nets.iter().filter_map(|one| Some((*one, grid(one)?))).collect();
    let extents = grids.iter().filter_map(|(_, (values, side, range))| {
        Surface { values, side: *side, range: *range }.extent()
    });
    let extent = extents.reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)))?;
    let levels = levels(extent);
    let panel = |(one, (values, side, range)): &(&Found<Row>, Grid)| {
        let surface = Surface { values, side: *side, range: *range };
        // A curve of its own for each line: a long one is drawn with a part of its points, which
        // must not join two.
        let lines = |(colour, level): (usize, &f64)| {
            let points = surface.lines(*level);
            let pieces = points.split(|point| point.0.is_nan()).filter(|piece| piece.len() > 1);
            let line = |(number, piece): (usize, &[(f64, f64)])| Series {
                network: format!("loss {level}"),
                kind: format!("line {}", number + 1),
                label: format!("loss {level}"),
                colour,
                bold: false,
                dashed: false,
                seeds: 1,
                points: piece.iter().map(|&(x, y)| (x, y, 0.0)).collect(),
                note: None,
            };
            pieces.enumerate().map(line).collect::<Vec<_>>()
        };
        Panel {
            title: one.of.label(),
            x: (-range, *range),
            y: (-range, *range),
            series: levels.iter().enumerate().flat_map(lines).collect(),
        }
    };
    let drawn: Vec<&Found<Row>> = grids.iter().map(|(one, _)| *one).collect();
    let described = drawn.iter().filter_map(|one| {
        let share = one.of.summary(NOT_CONVEX)?;
        Some(format!("{}: {share:.1} % of the points are not convex", one.of.label()))
    });
    Some(Chart {
        name: format!("landscape-{depth}"),
        title: format!("Loss around nets of {depth} layers"),
        note: format!(
            "contour lines of the mean loss over two filter-normalised random directions; the net \
             is the centre; {}",
            sources(&drawn)
        ),
        description: format!(
            "Contour lines of the loss; {}.",
            described.collect::<Vec<_>>().join("; ")
        ),
        x_label: "first direction".to_string(),
        x_field: "x".to_string(),
        y_label: "second direction".to_string(),
        x_scale: 1.0,
        y_log: false,
        panels: grids.iter().map(panel).collect(),
    })
}

/// The loss along single directions, all of a net in its colour.
fn slices(chosen: &[&Found<Row>]) -> Option<Chart> {
    let mut series = Vec::new();
    for (colour, one) in chosen.iter().enumerate() {
        let last = one.rows.iter().filter_map(|row| row.slice).max();
        for slice in last.map_or(0..0, |last| 0..last + 1) {
            let rows = one.rows.iter().filter(|row| row.slice == Some(slice));
            let points = rows.map(|row| (row.x, row.loss.unwrap_or(f64::NAN), 0.0));
            let kind = format!("loss, direction {}", slice + 1);
            series.push(Series { bold: false, ..curve(one.of, colour, &kind, points) });
        }
    }
    let points = || series.iter().flat_map(|one: &Series| one.points.iter().copied());
    let range = points().map(|point| point.0.abs()).reduce(f64::max)?;
    let losses = || points().map(|point| point.1).filter(|loss| *loss > 0.0 && loss.is_finite());
    let (low, high) = (losses().reduce(f64::min)?, losses().reduce(f64::max)?);
    let panel = Panel {
        title: "along random directions".to_string(),
        x: (-range, range),
        y: (low / 1.2, high * 1.2),
        series,
    };
    Some(Chart {
        name: "landscape-slices".to_string(),
        title: "Loss along random directions".to_string(),
        note: format!(
            "mean loss along filter-normalised random directions, one line each; dashed: plain nets; \
             {}",
            sources(chosen)
        ),
        description: format!("Loss along random directions, from {low:.3} to {high:.3}."),
        x_label: "distance along the direction".to_string(),
        x_field: "x".to_string(),
        y_label: "loss (nats)".to_string(),
        x_scale: 1.0,
        y_log: true,
        panels: vec![panel],
    })
}

/// Residual nets against plain nets of the same depth, protocol and seed.
fn twins(chosen: &[&Found<Row>]) -> Vec<String> {
    let residual = chosen.iter().filter(|one| one.of.network().is_residual());
    let sentence = |residual: &&Found<Row>| {
        let plain = chosen.iter().find(|other| {
            other.of.network().is_plain()
                && other.of.network().depth() == residual.of.network().depth()
                && other.of.is_comparable_with(residual.of)
        })?;
        let (ours, theirs) = (residual.of.summary(NOT_CONVEX)?, plain.of.summary(NOT_CONVEX)?);
        let word = match ours < theirs {
            true => "more nearly convex",
            false => "not more nearly convex",
        };
        Some(format!(
            "Around {} the loss is {word} than around {}: the surface is bent downwards at {ours:.1} \
             and {theirs:.1} % of its points.",
            residual.of.label(),
            plain.of.label()
        ))
    };
    residual.filter_map(sentence).collect()
}

fn table(found: &[Found<Row>]) -> Table {
    let rows: Vec<(RowKind, &Found<Row>)> =
        found.iter().map(|one| (row_kind(one.of), one)).collect();
    let number = |one: &Found<Row>, key: &str, digits| {
        one.of.summary(key).map_or(Cell::Missing, |value| Cell::Number(value, digits))
    };
    let columns = vec![
        Of::words("network", |one| one.of.label()),
        Of::words("of", |one| one.of.source()),
        Of::words("images", |one| one.of.images()),
        Of::new("points", &["points"], |one| Cell::Whole(one.rows.len() as i64)),
        Of::new("not convex (%)", &["not_convex_percent"], move |one| number(one, NOT_CONVEX, 1)),
        Of::new("loss of the net", &["centre_loss"], move |one| number(one, "centre_loss", 3)),
        Of::new("lowest", &["lowest_loss"], move |one| number(one, "lowest_loss", 3)),
        Of::new("highest", &["highest_loss"], move |one| number(one, "highest_loss", 3)),
    ];
    let caption = "The loss over a plane of filter-normalised random directions: the share of its \
                   points at which the surface is bent downwards (docs/analyses.md), the net's own \
                   loss (nats), and the lowest and highest of the plane.";
    Table::new(("landscape", "Loss landscape"), caption, columns, &rows)
}
