//! Eigenvalues of the loss's Hessian, and its trace.

use crate::analysis::curvature::{Quantity, Row};
use crate::report::analyses::analysed::{Analysed, Found, one_a_network, read, sources};
use crate::report::analyses::logarithmic::logarithmic;
use crate::report::analyses::part::{Part, curve, row_kind};
use crate::report::draw::chart::Chart;
use crate::report::tables::cell::Cell;
use crate::report::tables::table::{Column, RowKind, Table};

/// A column of the table.
type Of<'a> = Column<'a, &'a Found<'a, Row>>;

/// What there is about curvature.
pub fn part<'a>(analysed: &[&'a Analysed<'a>], problems: &mut Vec<String>) -> Part {
    let found: Vec<Found<Row>> = read(analysed, problems);
    Part {
        title: "Curvature of the loss".to_string(),
        sentences: Vec::new(),
        charts: chart(&one_a_network(&found)).into_iter().collect(),
        tables: vec![table(&found)],
    }
}

/// The largest eigenvalues by their number.
fn chart(chosen: &[&Found<Row>]) -> Option<Chart> {
    let curves = chosen.iter().enumerate().map(|(colour, one)| {
        let rows = one.rows.iter().filter(|row| row.quantity == Quantity::Eigenvalue);
        let points =
            rows.filter_map(|row| Some((row.index? as f64, row.value, row.error.unwrap_or(0.0))));
        curve(one.of, colour, "eigenvalue", points)
    });
    // From net to net they differ by factors of hundreds.
    let panels = logarithmic(vec![("in order of size", curves.collect())]);
    let described: Vec<String> = chosen
        .iter()
        .filter_map(|one| {
            let value = one.of.summary("largest_eigenvalue")?;
            Some(format!("{} {value:.2}", one.of.label()))
        })
        .collect();
    (!panels.is_empty()).then(|| Chart {
        name: "eigenvalues".to_string(),
        title: "Largest eigenvalues of the Hessian".to_string(),
        note: format!(
            "of the mean loss over fixed images, by all parameters; dashed: plain nets; {}",
            sources(chosen)
        ),
        description: format!("The largest eigenvalues: {}.", described.join(", ")),
        x_label: "number of the eigenvalue".to_string(),
        x_field: "index".to_string(),
        y_label: "eigenvalue (nats)".to_string(),
        x_scale: 1.0,
        y_log: true,
        panels,
    })
}

fn table(found: &[Found<Row>]) -> Table {
    let rows: Vec<(RowKind, &Found<Row>)> =
        found.iter().map(|one| (row_kind(one.of), one)).collect();
    let value = |one: &Found<Row>, quantity: Quantity| {
        let row = one.rows.iter().find(|row| row.quantity == quantity);
        row.map_or(Cell::Missing, |row| Cell::Number(row.value, 3))
    };
    let error = |one: &Found<Row>, quantity: Quantity| {
        let row = one.rows.iter().find(|row| row.quantity == quantity);
        row.and_then(|row| row.error).map_or(Cell::Missing, |error| Cell::Number(error, 3))
    };
    let ratio = |one: &&Found<Row>| {
        let ratio = one.of.summary("negative_to_positive");
        ratio.map_or(Cell::Missing, |ratio| Cell::Number(ratio, 4))
    };
    let columns = vec![
        Of::words("network", |one| one.of.label()),
        Of::words("of", |one| one.of.source()),
        Of::words("images", |one| one.of.images()),
        Of::new("loss", &["loss"], move |one| value(one, Quantity::Loss)),
        Of::new("largest", &["largest"], move |one| value(one, Quantity::Eigenvalue)),
        Of::new("residual", &["largest_residual"], move |one| error(one, Quantity::Eigenvalue)),
        Of::new("smallest", &["smallest"], move |one| value(one, Quantity::SmallestEigenvalue)),
        Of::new("residual", &["smallest_residual"], move |one| {
            error(one, Quantity::SmallestEigenvalue)
        }),
        Of::new("negative / positive", &["negative_to_positive"], ratio),
        Of::new("trace", &["trace"], move |one| value(one, Quantity::Trace)),
        Of::new("± standard error", &["trace_error"], move |one| error(one, Quantity::Trace)),
    ];
    let caption = "Eigenvalues of the Hessian of the mean loss, the norm of Hv − λv for each, the \
                   smallest one's magnitude, where it is negative, as a share of the largest, and the \
                   trace.";
    Table::new(("curvature", "Curvature of the loss"), caption, columns, &rows)
}
