//! The table of a comparison.

use crate::report::comparison::{Comparison, NetworkSummary};
use crate::report::format::number;
use crate::report::tables::cell::Cell;
use crate::report::tables::table::{Column, RowKind, Table};

/// A column of this table.
type Of<'a> = Column<'a, &'a NetworkSummary>;

/// The table of a comparison. Columns that would be empty throughout (validation, the paper's
/// values) are left out.
pub fn comparison(comparison: &Comparison) -> Table {
    let networks = &comparison.networks;
    let has = |value: fn(&NetworkSummary) -> bool| networks.iter().any(value);
    let window = format!("training error (last {})", comparison.training_error_window);
    let paper = has(|network| network.paper_test_error.is_some());
    let columns = vec![
        Of::words("network", |row: &&NetworkSummary| row.network.to_string()),
        Of::new("parameters", &["parameters"], |row| Cell::Whole(row.parameters)),
        Of::new(window, &["training_mean", "training_std"], |row| Cell::spread(row.training_error)),
        Of::new("final test error", &["mean", "std"], |row| Cell::spread(row.final_test_error)),
        Of::new("best test error", &["best_mean", "best_std"], |row| {
            Cell::spread(row.best_test_error)
        }),
        Of::new("selected on validation", &["selected_mean", "selected_std"], |row| {
            Cell::spread(row.selected_test_error)
        })
        .only_if(has(|network| network.selected_test_error.is_some())),
        Of::new("paper's test error", &["paper", "paper_approximate"], |row| {
            published(row, row.paper_test_error, |error| format!("{error:.2}"))
        })
        .only_if(paper),
        Of::new("deviation", &["deviation"], |row| {
            published(row, row.deviation, |deviation| format!("{deviation:+.2}"))
        })
        .only_if(paper),
    ];
    let rows: Vec<(RowKind, &NetworkSummary)> =
        networks.iter().map(|network| (RowKind::Whole, network)).collect();
    let caption = "Errors in percent, mean ± standard deviation over seeds.";
    Table::new(("comparison-table", "Comparison"), caption, columns, &rows)
}

/// A value that is the paper's or a deviation from it, marked where that was read off a figure.
fn published(row: &NetworkSummary, value: Option<f64>, shown: fn(f64) -> String) -> Cell {
    value.map_or(Cell::Missing, |value| {
        let mark = if row.paper_approximate { "≈ " } else { "" };
        let fields = vec![number(value), row.paper_approximate.to_string()];
        Cell::Written(format!("{mark}{}", shown(value)), fields)
    })
}
