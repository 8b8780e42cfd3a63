//! Pairs of networks: twins of one depth, and deeper nets against the shallowest of their family.

use crate::logs::statistics::MeanStd;
use crate::report::findings::paired;
use crate::report::pairing::Pairs;
use crate::report::protocol::Protocol;
use crate::report::tables::table::{Row, RowKind, Table};

const NONE: &str = "–";

/// The differences at the end of the runs.
pub fn table(protocol: &Protocol) -> Table {
    let summaries = protocol.summaries();
    let pairs = Pairs::of(protocol);
    let rows = pairs.twins.iter().chain(&pairs.depths).filter_map(|&(network, reference)| {
        let training = paired(&summaries, network, reference, |summary| summary.training_error)?;
        let test = paired(&summaries, network, reference, |summary| summary.final_test_error);
        let cells = vec![
            format!("{network} – {reference}"),
            training.count.to_string(),
            difference(Some(training)),
            difference(test),
        ];
        Some(Row { kind: RowKind::Whole, cells })
    });
    Table {
        name: "pairs".to_string(),
        title: "Pairs: differences in percentage points".to_string(),
        caption: "Error of the first network minus that of the second, paired over the seeds that both have (same initial weights where the depths are equal, same \
                  batches), with the 95 % confidence interval of the mean (Student's t) from two seeds on. Negative: the first is better."
            .to_string(),
        header: ["pair", "seeds", "training error", "final test error"].map(str::to_string).to_vec(),
        rows: rows.collect(),
    }
}

/// "-1.42 [-1.90, -0.94]".
fn difference(spread: Option<MeanStd>) -> String {
    let Some(spread) = spread else { return NONE.to_string() };
    let interval = spread.confidence().map_or(String::new(), |half| {
        format!(" [{:+.2}, {:+.2}]", spread.mean - half, spread.mean + half)
    });
    format!("{:+.2}{interval}", spread.mean)
}
