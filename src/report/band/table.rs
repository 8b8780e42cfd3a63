//! A log beside the band, as a table.

use crate::report::band::rule::{Compared, Place};
use crate::report::tables::cell::Cell;
use crate::report::tables::table::{Column, RowKind, Table};

/// A row for each quantity that is compared.
pub fn table(compared: &[Compared]) -> Table {
    type Of<'a> = Column<'a, &'a Compared>;
    let columns = vec![
        Of::words("quantity", |row: &&Compared| row.quantity.to_string()),
        Of::new("iteration", &["iteration"], |row| Cell::Whole(row.iteration as i64)),
        Of::new("rows", &["rows"], |row| Cell::Whole(row.rows as i64)),
        Of::new("log", &["log"], |row| Cell::Number(row.value, 2)),
        Of::new("reference", &["reference_mean", "reference_std"], |row| {
            Cell::Spread(row.reference)
        }),
        Of::new("band", &["band_low", "band_high"], |row| {
            let ends = [row.low, row.high];
            let fields = ends.iter().map(f64::to_string).collect();
            Cell::Written(format!("{:.2} to {:.2}", ends[0], ends[1]), fields)
        }),
        Of::words("place", |row: &&Compared| place(row.place).to_string()),
    ];
    let rows: Vec<(RowKind, &Compared)> =
        compared.iter().map(|row| (RowKind::Whole, row)).collect();
    Table::new(("judgement", "Judgement"), "", columns, &rows)
}

fn place(place: Place) -> &'static str {
    match place {
        Place::Inside => "inside",
        Place::Below => "OUTSIDE, below",
        Place::Above => "OUTSIDE, above",
    }
}
