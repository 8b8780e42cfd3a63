//! A sweep that trains finished runs on: all of its runs can be extended, or none is.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::console::output::say;
use crate::error::bad_input;
use crate::report::format::counted;
use crate::sweep::plan::Task;

/// Most runs that are named for one reason.
const MOST_NAMES: usize = 6;

/// Has `look` find out how each run stands. The first that is refused ends it; where runs are to be
/// extended, all of those are named, by reason; in a `dry_run` they are no error.
pub fn look_at_all(
    tasks: &mut [Task],
    dry_run: bool,
    mut look: impl FnMut(&mut Task) -> Result<()>,
) -> Result<()> {
    let count = tasks.len();
    let mut refused: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for task in tasks {
        match look(task) {
            Err(error) if task.extend_to.is_some() => {
                refused.entry(format!("{error:#}")).or_default().push(task.id.clone());
            }
            looked => looked?,
        }
    }
    if refused.is_empty() {
        return Ok(());
    }
    let number: usize = refused.values().map(Vec::len).sum();
    let reasons: Vec<String> =
        refused.iter().map(|(reason, names)| format!("{}: {reason}", listed(names))).collect();
    let message = format!(
        "{number} of {} cannot be extended, so none is (--only chooses some): {}",
        counted(count, "run"),
        reasons.join("; ")
    );
    if dry_run {
        say(&format!("note: {message}"));
        return Ok(());
    }
    Err(bad_input(message).into())
}

fn listed(names: &[String]) -> String {
    let shown = names[..names.len().min(MOST_NAMES)].join(", ");
    match names.len().checked_sub(MOST_NAMES).filter(|more| *more > 0) {
        Some(more) => format!("{shown} and {more} more"),
        None => shown,
    }
}
