//! `--report FILE`: one page that shows how a sweep's runs stand and what their logs show so far,
//! kept fresh by a process of its own, so that training does not wait for it.

use std::collections::HashSet;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::commands::sweep::arguments::Arguments;
use crate::console::output::say;
use crate::error::{BadInput, bad_input};
use crate::logs::collection::Collection;
use crate::records::provenance::timestamp;
use crate::report::format::{counted, or_none, thousands};
use crate::report::page::Standing;
use crate::report::protocol::Protocol;
use crate::report::tables::cell::Cell;
use crate::report::tables::table::{Column, RowKind, Table};
use crate::report::watched;
use crate::sweep::status::{RunState, RunStatus, duration};
use crate::system::atomic_file::{check_writable, write_atomically};
use crate::system::process::is_bound_to;

/// How often the page is made, if the user did not say.
pub const PAUSE: Duration = Duration::from_secs(30);

/// How far the process that makes the page stands back behind training (nice(2)).
const NICENESS: libc::c_int = 10;

/// The process that keeps a sweep's page fresh. It ends with the sweep, however that ends.
pub struct Watcher {
    process: Child,
}

impl Watcher {
    /// Starts it: the same command, which with `--status --watch` trains nothing.
    pub fn start(arguments: &Arguments) -> Result<Watcher> {
        // The program that runs, even if its file was replaced by a newer build since.
        let mut command = Command::new("/proc/self/exe");
        command
            .arg0(std::env::args_os().next().unwrap_or_default())
            .args(std::env::args_os().skip(1))
            .arg("--status")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            // Ctrl-C in a terminal reaches the sweep alone.
            .process_group(0);
        if arguments.watch.is_none() {
            command.args(["--watch", &PAUSE.as_secs().to_string()]);
        }
        let sweep = std::process::id();
        // SAFETY: between fork and exec, calls that concern the new process alone.
        unsafe {
            command.pre_exec(move || {
                libc::nice(NICENESS);
                match is_bound_to(sweep) {
                    true => Ok(()),
                    false => Err(std::io::ErrorKind::NotFound.into()),
                }
            });
        }
        let process = command.spawn().context("the process that makes --report's page")?;
        Ok(Watcher { process })
    }

    /// Ends it.
    pub fn end(mut self) {
        // It writes its page in one step, and is a child that was not waited for yet.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Refuses a page that cannot be written, before anything starts.
pub fn check(file: &Path) -> Result<(), BadInput> {
    if file.is_dir() || file.file_name().is_none() {
        return Err(bad_input(format!(
            "--report {}: is a folder: name the page, such as {}",
            file.display(),
            file.join("sweep.html").display()
        )));
    }
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    check_writable("--report", folder.unwrap_or(Path::new(".")))
}

/// Writes the page of the `runs`, whose logs are below `results`. As long as one of them is not
/// over, a browser reads it again after `pause`.
pub fn write(file: &Path, results: &Path, runs: &[RunStatus], pause: Duration) -> Result<()> {
    let mut collection = match results.exists() {
        true => Collection::read(results)?,
        false => Collection::default(),
    };
    // Runs of other sweeps may lie beside them.
    let own: HashSet<&Path> = runs.iter().map(|run| Path::new(&run.run)).collect();
    collection.runs.retain(|logged| own.contains(&*logged.path));
    collection.problems.retain(|problem| runs.iter().any(|run| problem.contains(&run.run)));
    let is_over = runs.iter().all(RunStatus::is_over);
    let standing = Standing {
        headline: headline(runs),
        table: table(runs),
        reload: (!is_over).then(|| pause.as_secs().max(1)),
    };
    let page = watched(&Protocol::of(&collection.runs), &standing, &collection.problems)?;
    write_atomically(file, page.as_bytes())
}

/// The same at the sweep's end; a page that cannot be written does not change how that ends.
pub fn write_last(file: &Path, results: &Path, runs: &[RunStatus], pause: Duration) {
    if let Err(error) = write(file, results, runs, pause) {
        say(&format!("--report: {error:#}; the runs are not affected"));
    }
}

/// "1 of 6 runs done, 2 running, about 3 hours left (2026-11-28T12:00:00Z)".
fn headline(runs: &[RunStatus]) -> String {
    let count = |state: RunState| runs.iter().filter(|run| run.state == state).count();
    let over = runs.iter().filter(|run| run.is_over()).count();
    let mut parts = vec![format!("{over} of {} done", counted(runs.len(), "run"))];
    for state in [RunState::Running, RunState::Interrupted, RunState::Failed, RunState::Damaged] {
        if count(state) > 0 {
            parts.push(format!("{} {state}", count(state)));
        }
    }
    // As many go on at a time as now.
    let at_once = count(RunState::Running).max(1) as f64;
    let left: Option<f64> =
        runs.iter().filter(|run| !run.is_over()).map(|run| run.hours_left).sum();
    if let Some(hours) = left.filter(|hours| *hours > 0.0) {
        parts.push(format!("about {} left", duration(hours * 3600.0 / at_once)));
    }
    format!("{} ({})", parts.join(", "), timestamp())
}

/// A column of this table.
type Of<'a> = Column<'a, &'a RunStatus>;

fn table(runs: &[RunStatus]) -> Table {
    let rows: Vec<(RowKind, &RunStatus)> = runs.iter().map(|run| (kind(run.state), run)).collect();
    let columns = vec![
        Of::words("run", |run| run.run.clone()),
        Of::words("state", |run| run.state.to_string()),
        Of::new("iterations", &["iteration"], |run| {
            let [done, all] = [run.iteration, run.iterations].map(|count| thousands(count as i64));
            Cell::Text(if done == all { done } else { format!("{done} of {all}") })
        }),
        Of::new("%", &["percent"], |run| {
            Cell::Number(100.0 * run.iteration as f64 / run.iterations as f64, 0)
        }),
        Of::words("time left", |run| or_none(run.time_left())),
        Of::words("last row", |run| run.last_row()),
        Of::words("where, why", |run| run.place()),
    ];
    let caption = "Time left is that of training at the run's own pace, or, where it has none yet, \
                   at that of the others by the multiply-adds of their networks.";
    Table::new(("runs", "Runs"), caption, columns, &rows)
}

fn kind(state: RunState) -> RowKind {
    match state {
        RunState::Finished => RowKind::Whole,
        RunState::Waiting => RowKind::Missing,
        _ => RowKind::Partial,
    }
}
