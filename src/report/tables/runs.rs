//! Every run of a protocol.

use crate::logs::collection::LoggedRun;
use crate::report::format::{NONE, thousands};
use crate::report::protocol::Protocol;
use crate::report::tables::cell::Cell;
use crate::report::tables::table::{Column, RowKind, Table};

/// A column of this table.
type Of<'a> = Column<'a, &'a LoggedRun>;

/// One row a run: where it is and how it went; runs that are left out too. CSV: errors in percent,
/// hours of training.
pub fn runs(protocol: &Protocol) -> Table {
    let shown = protocol
        .runs
        .iter()
        .map(|run| (if run.drawn.is_complete() { RowKind::Whole } else { RowKind::Partial }, *run));
    let left_out = protocol.left_out.iter().map(|one| (RowKind::LeftOut, one.run));
    let rows: Vec<(RowKind, &LoggedRun)> = shown.chain(left_out).collect();
    let columns = vec![
        Of::words("run", |run: &&LoggedRun| run.path.display().to_string()),
        Of::words("state", |run| state(run)),
        Of::new("training error", &["training_error"], |run| {
            Cell::error(run.summary.training_error)
        }),
        Of::new("test error", &["test_error"], |run| Cell::error(run.summary.final_test_error)),
        Of::new("hours", &["hours"], |run| {
            Cell::error(run.record.as_ref().map(|record| record.progress.seconds / 3600.0))
        }),
        Of::new("attempts", &["attempts"], |run| {
            let attempts = run.record.as_ref().map(|record| record.earlier_attempts.len() + 1);
            attempts.map_or(Cell::Missing, |count| Cell::Whole(count as i64))
        }),
        Of::words("machine", |run| {
            let machine = run.record.as_ref().map(|record| &record.provenance.machine);
            machine.map_or(NONE.to_string(), |machine| {
                machine.gpu.clone().unwrap_or(machine.processor.clone())
            })
        }),
    ];
    let left_out = match protocol.left_out.is_empty() {
        true => "",
        false => " Left out: another run of the same network, seed and recipe is shown instead.",
    };
    let caption = format!(
        "Training error over the last iterations and final test error in percent; hours of \
         training, evaluations included; how many processes it took.{left_out}"
    );
    Table::new(("runs", "Runs"), caption, columns, &rows)
}

fn state(run: &LoggedRun) -> String {
    match (run.summary.diverged_at, run.drawn.is_complete()) {
        (Some(iteration), _) => format!("diverged at {}", thousands(iteration as i64)),
        (None, true) => "complete".to_string(),
        (None, false) => format!(
            "partial: {} of {}",
            thousands(run.drawn.done as i64),
            thousands(run.drawn.planned as i64)
        ),
    }
}
