//! Training errors along the run.

use crate::config::network_name::NetworkName;
use crate::logs::collection::LoggedRun;
use crate::logs::statistics::MeanStd;
use crate::logs::windows::final_window;
use crate::report::format::thousands;
use crate::report::protocol::Protocol;
use crate::report::tables::cell::Cell;
use crate::report::tables::table::{Column, RowKind, Table};

/// A column of this table.
type Of<'a> = Column<'a, NetworkName>;

/// Training errors along the run. CSV: mean and standard deviation over seeds at each quarter of the
/// iterations, in percent.
pub fn training_errors(protocol: &Protocol) -> Table {
    let of = |network: NetworkName| protocol.of_network(network).collect::<Vec<&LoggedRun>>();
    let rows: Vec<(RowKind, NetworkName)> = protocol
        .networks()
        .into_iter()
        .map(|network| {
            let complete = of(network).iter().any(|run| run.drawn.is_complete());
            (if complete { RowKind::Whole } else { RowKind::Partial }, network)
        })
        .collect();
    let quarter = |index: usize, title: &str, fields: [&str; 2]| {
        Of::new(title, &fields, move |&network: &NetworkName| {
            Cell::spread(MeanStd::of(of(network).iter().map(|run| run.quarters[index])))
        })
    };
    let columns = vec![
        Of::words("network", NetworkName::to_string),
        Of::new("seeds", &["seeds"], |&network| Cell::Whole(of(network).len() as i64)),
        quarter(0, "at a quarter", ["quarter_mean", "quarter_std"]),
        quarter(1, "at half", ["half_mean", "half_std"]),
        quarter(2, "at three quarters", ["three_quarters_mean", "three_quarters_std"]),
        quarter(3, "at the end", ["end_mean", "end_std"]),
    ];
    let caption = format!(
        "Mean over the {} iterations before a quarter, half, three quarters and all of the {} \
         iterations; ± standard deviation over seeds.",
        final_window(protocol.iterations as usize),
        thousands(protocol.iterations as i64)
    );
    Table::new(("training-errors", "Training error (%)"), caption, columns, &rows)
}
