//! The gradient through paths of each length (Veit et al. 2016, Figure 6).

use crate::analysis::paths::Row;
use crate::report::analyses::analysed::{Analysed, Found, one_a_network, read, sources};
use crate::report::analyses::logarithmic::logarithmic;
use crate::report::analyses::part::{Part, curve, panels};
use crate::report::draw::chart::{Chart, Series};
use crate::report::tables::cell::Cell;
use crate::report::tables::table::{Column, RowKind, Table};

/// A column of the table.
type Of<'a> = Column<'a, &'a Found<'a, Row>>;

/// What there is about paths.
pub fn part<'a>(analysed: &[&'a Analysed<'a>], problems: &mut Vec<String>) -> Part {
    let found: Vec<Found<Row>> = read(analysed, problems);
    let chosen = one_a_network(&found);
    Part {
        title: "Paths".to_string(),
        sentences: chosen.iter().filter_map(|one| sentence(one)).collect(),
        charts: [shares(&chosen), norms(&chosen)].into_iter().flatten().collect(),
        tables: vec![table(&found)],
    }
}

fn series(chosen: &[&Found<Row>], kind: &str, value: fn(&[Row], &Row) -> f64) -> Vec<Series> {
    let curves = chosen.iter().enumerate().map(|(colour, one)| {
        let points = one.rows.iter().map(|row| (row.length as f64, value(&one.rows, row), 0.0));
        curve(one.of, colour, kind, points)
    });
    curves.filter(|series| !series.points.is_empty()).collect()
}

fn shares(chosen: &[&Found<Row>]) -> Option<Chart> {
    let panels = panels(vec![
        ("paths of a length", series(chosen, "paths", |_, row| row.paths_percent)),
        ("gradient through them", series(chosen, "gradient", |_, row| row.gradient_percent)),
    ]);
    panels.iter().any(|panel| !panel.series.is_empty()).then(|| Chart {
        name: "path-lengths".to_string(),
        title: "Lengths of paths, and the gradient through them".to_string(),
        note: format!(
            "length: blocks passed through their branch; Veit et al. 2016, Figure 6; {}",
            sources(chosen)
        ),
        description:
            "Share of the paths that have each length, and share of the gradient that comes \
                      through them."
                .to_string(),
        x_label: "length of the path (blocks)".to_string(),
        x_field: "length".to_string(),
        y_label: "share (%)".to_string(),
        x_scale: 1.0,
        y_log: false,
        panels,
    })
}

fn norms(chosen: &[&Found<Row>]) -> Option<Chart> {
    let relative = |rows: &[Row], row: &Row| {
        row.norm / rows.first().map_or(f64::NAN, |shortest| shortest.norm)
    };
    let panels = logarithmic(vec![("one path", series(chosen, "norm", relative))]);
    (!panels.is_empty()).then(|| Chart {
        name: "path-gradients".to_string(),
        title: "Norm of the gradient through one path".to_string(),
        note: format!(
            "in parts of that through shortcuts alone, at the input of the first block; {}",
            sources(chosen)
        ),
        description: "Mean norm of the gradient through one path of each length, in parts of that \
                      through shortcuts alone."
            .to_string(),
        x_label: "length of the path (blocks)".to_string(),
        x_field: "length".to_string(),
        y_label: "norm".to_string(),
        x_scale: 1.0,
        y_log: true,
        panels,
    })
}

fn sentence(one: &Found<Row>) -> Option<String> {
    let number = |key| one.of.summary(key);
    Some(format!(
        "95 % of the gradient in {} comes through paths of {} to {} of its {} blocks, which are \
         {:.2} % of all paths; the mean length is {:.1}.",
        one.of.label(),
        number("range_from")?,
        number("range_to")?,
        number("blocks")?,
        number("range_paths_percent")?,
        number("mean_length")?
    ))
}

fn table(found: &[Found<Row>]) -> Table {
    let kind = |one: &Found<Row>| match one.of.is_complete() {
        true => RowKind::Whole,
        false => RowKind::Partial,
    };
    let rows: Vec<(RowKind, &Found<Row>)> = found.iter().map(|one| (kind(one), one)).collect();
    let whole = |key: &'static str| {
        move |one: &&Found<Row>| {
            one.of.summary(key).map_or(Cell::Missing, |value| Cell::Whole(value as i64))
        }
    };
    let number = |key: &'static str, decimals: usize| {
        move |one: &&Found<Row>| {
            one.of.summary(key).map_or(Cell::Missing, |value| Cell::Number(value, decimals))
        }
    };
    let columns = vec![
        Of::words("network", |one| one.of.label()),
        Of::words("of", |one| one.of.source()),
        Of::words("images", |one| one.of.images()),
        Of::new("blocks", &["blocks"], whole("blocks")),
        Of::new("mean length", &["mean_length"], number("mean_length", 2)),
        Of::new("from", &["range_from"], whole("range_from")),
        Of::new("to", &["range_to"], whole("range_to")),
        Of::new("of all paths (%)", &["range_paths"], number("range_paths_percent", 2)),
        Of::new("short paths (%)", &["short_paths"], number("short_paths_gradient_percent", 2)),
        Of::new("× a block", &["factor"], number("factor_per_block", 3)),
    ];
    let caption = "Mean length of the paths that the gradient comes through (blocks), the shortest \
                   range of lengths that carries 95 % of it and that range's share of all paths, the \
                   gradient through paths of at most 17/54 of the blocks, and by what the norm is \
                   multiplied for one more block.";
    Table::new(("paths", "Paths"), caption, columns, &rows)
}
