//! Every run of a protocol.

use crate::report::format::{NONE, thousands};
use crate::report::protocol::Protocol;
use crate::report::tables::table::{Row, RowKind, Table};

/// One row a run: where it is and how it went.
pub fn runs(protocol: &Protocol) -> Table {
    let percent =
        |error: Option<f64>| error.map_or(NONE.to_string(), |error| format!("{error:.2}"));
    let rows = protocol.runs.iter().map(|run| {
        let complete = run.drawn.is_complete();
        let state = match (run.summary.diverged_at, complete) {
            (Some(iteration), _) => format!("diverged at {}", thousands(iteration as i64)),
            (None, true) => "complete".to_string(),
            (None, false) => format!(
                "partial: {} of {}",
                thousands(run.drawn.done as i64),
                thousands(run.drawn.planned as i64)
            ),
        };
        let record = run.record.as_ref();
        let hours = record
            .map_or(NONE.to_string(), |record| format!("{:.2}", record.progress.seconds / 3600.0));
        let machine = record.map_or(NONE.to_string(), |record| {
            record
                .provenance
                .machine
                .gpu
                .clone()
                .unwrap_or(record.provenance.machine.processor.clone())
        });
        let attempts = record
            .map_or(NONE.to_string(), |record| (record.earlier_attempts.len() + 1).to_string());
        let cells = vec![
            run.path.display().to_string(),
            state,
            percent(run.summary.training_error),
            percent(run.summary.final_test_error),
            hours,
            attempts,
            machine,
        ];
        Row { kind: if complete { RowKind::Whole } else { RowKind::Partial }, cells }
    });
    Table {
        name: "runs".to_string(),
        title: "Runs".to_string(),
        caption: "Training error over the last iterations and final test error in percent; hours of training, evaluations included; how many processes it took.".to_string(),
        header: ["run", "state", "training error", "test error", "hours", "attempts", "machine"].map(str::to_string).to_vec(),
        rows: rows.collect(),
    }
}
