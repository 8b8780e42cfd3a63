//! Training errors along the run.

use crate::logs::collection::LoggedRun;
use crate::logs::statistics::MeanStd;
use crate::logs::summary::final_window;
use crate::report::format::{bare, thousands};
use crate::report::protocol::Protocol;
use crate::report::tables::table::{Row, RowKind, Table};

/// Training errors along the run.
pub fn training_errors(protocol: &Protocol) -> Table {
    let window = final_window(protocol.iterations as usize);
    let titles =
        ["a quarter", "half", "three quarters", "the end"].map(|quarter| format!("at {quarter}"));
    let rows = protocol.networks().into_iter().map(|network| {
        let found: Vec<&LoggedRun> = protocol.of_network(network).collect();
        let complete = found.iter().filter(|run| run.drawn.is_complete()).count();
        let quarter = |index: usize| bare(MeanStd::of(found.iter().map(|run| run.quarters[index])));
        let mut cells = vec![network.to_string(), found.len().to_string()];
        cells.extend((0..4).map(quarter));
        Row { kind: if complete == 0 { RowKind::Partial } else { RowKind::Whole }, cells }
    });
    Table {
        name: "training-errors".to_string(),
        title: "Training error (%)".to_string(),
        caption: format!(
            "Mean over the {window} iterations before a quarter, half, three quarters and all of the {} iterations; ± standard deviation over seeds.",
            thousands(protocol.iterations as i64)
        ),
        header: ["network".to_string(), "seeds".to_string()].into_iter().chain(titles).collect(),
        rows: rows.collect(),
    }
}
