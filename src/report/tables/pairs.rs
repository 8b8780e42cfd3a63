//! Pairs of networks: twins of one depth, and deeper nets against the shallowest of their family.

use crate::config::network_name::NetworkName;
use crate::logs::statistics::MeanStd;
use crate::logs::summary::RunSummary;
use crate::report::findings::paired;
use crate::report::pairing::Pairs;
use crate::report::protocol::Protocol;
use crate::report::tables::cell::Cell;
use crate::report::tables::table::{Column, RowKind, Table};

/// A column of this table.
type Of<'a> = Column<'a, Pair>;

struct Pair {
    network: NetworkName,
    reference: NetworkName,
    training: MeanStd,
    test: Option<MeanStd>,
}

/// The differences at the end of the runs, in percentage points. CSV: the mean of each and the ends
/// of its 95 % confidence interval.
pub fn table(protocol: &Protocol) -> Table {
    let summaries = protocol.summaries();
    let pairs = Pairs::of(protocol);
    let rows: Vec<(RowKind, Pair)> = pairs
        .twins
        .iter()
        .chain(&pairs.depths)
        .filter_map(|&pair| Some((RowKind::Whole, Pair::of(&summaries, pair)?)))
        .collect();
    let columns = vec![
        Of::words("pair", |pair: &Pair| format!("{} – {}", pair.network, pair.reference)),
        Of::new("seeds", &["seeds"], |pair| Cell::Whole(pair.training.count as i64)),
        Of::new("training error", &["training_mean", "training_low", "training_high"], |pair| {
            Cell::Interval(pair.training)
        }),
        Of::new("final test error", &["test_mean", "test_low", "test_high"], |pair| {
            pair.test.map_or(Cell::Missing, Cell::Interval)
        }),
    ];
    let caption = "Error of the first network minus that of the second, paired over the seeds that \
                   both have (same initial weights where the depths are equal, same batches), with \
                   the 95 % confidence interval of the mean (Student's t) from two seeds on. \
                   Negative: the first is better.";
    let title = "Pairs: differences in percentage points";
    Table::new(("pairs", title), caption, columns, &rows)
}

impl Pair {
    fn of(
        summaries: &[RunSummary],
        (network, reference): (NetworkName, NetworkName),
    ) -> Option<Pair> {
        let difference = |of| paired(summaries, network, reference, of);
        Some(Pair {
            network,
            reference,
            training: difference(|summary| summary.training_error)?,
            test: difference(|summary| summary.final_test_error),
        })
    }
}
