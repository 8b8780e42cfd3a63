//! The tables of a comparison.

use crate::report::difference::errors::ErrorRow;
use crate::report::difference::records::Difference;
use crate::report::difference::sides::Side;
use crate::report::format::NONE;
use crate::report::tables::cell::Cell;
use crate::report::tables::table::{Column, RowKind, Table};

/// Longest value that is shown: a hash is known by its beginning.
const LONGEST: usize = 44;

/// What is not the same on all sides, a column a side.
pub fn differing(differences: &[Difference], sides: &[Side]) -> Table {
    type Of<'a> = Column<'a, &'a Difference>;
    let mut columns = vec![
        Of::words("key", |row: &&Difference| row.key.clone()),
        Of::words("of", |row: &&Difference| row.group.to_string()),
    ];
    columns.extend(sides.iter().enumerate().map(|(side, Side { label, .. })| {
        Of::new(label.clone(), &[label], move |row| {
            let value = row.values.get(side).map_or(NONE, String::as_str);
            Cell::Written(shortened(value), vec![value.to_string()])
        })
    }));
    let rows: Vec<(RowKind, &Difference)> =
        differences.iter().map(|row| (RowKind::Whole, row)).collect();
    let caption = "Keys of run.toml in which the sides differ; where the runs of a side have \
                   several values, all of them. What is not listed is the same on all sides.";
    Table::new(("difference-records", "What differs"), caption, columns, &rows)
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_string(),
    }
}

/// Errors at the same iterations.
pub fn errors(rows: &[ErrorRow], window: usize) -> Table {
    type Of<'a> = Column<'a, &'a ErrorRow>;
    let columns = vec![
        Of::words("network", |row: &&ErrorRow| row.network.clone()),
        Of::words("error", |row: &&ErrorRow| row.error.to_string()),
        Of::new("iteration", &["iteration"], |row| Cell::Whole(row.iteration as i64)),
        Of::words("reference", |row: &&ErrorRow| row.reference.clone()),
        Of::new("its error (%)", &["reference_mean", "reference_std"], |row| {
            Cell::Spread(row.reference_error)
        }),
        Of::words("other", |row: &&ErrorRow| row.other.clone()),
        Of::new("its error (%)", &["other_mean", "other_std"], |row| Cell::Spread(row.other_error)),
        Of::new("difference", &["difference_mean", "difference_low", "difference_high"], |row| {
            Cell::Interval(row.difference)
        }),
        Of::new("seeds", &["seeds"], |row| Cell::Whole(row.seeds.len() as i64)),
    ];
    let rows: Vec<(RowKind, &ErrorRow)> = rows.iter().map(|row| (RowKind::Whole, row)).collect();
    let caption = format!(
        "Errors after the same iterations; training errors are means of the {window} iterations \
         before. Mean ± standard deviation over the seeds that both sides have. Difference: the \
         other's error minus the reference's in percentage points, paired over these seeds, with the \
         95 % confidence interval of its mean (Student's t) from two seeds on; with no seed in \
         common, of the means."
    );
    Table::new(("difference-errors", "Errors at the same iterations"), caption, columns, &rows)
}
