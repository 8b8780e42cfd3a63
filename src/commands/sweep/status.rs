//! `sweep --status`: how each run stands.

use std::io::{IsTerminal, Write};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use indicatif::HumanDuration;

use crate::commands::sweep::arguments::Arguments;
use crate::console::output::print_while_read;
use crate::error::EXIT_DONE;
use crate::records::provenance::timestamp;
use crate::report::format::{NONE, counted, thousands};
use crate::report::tables::table::{Style, render};
use crate::sweep::experiment::Experiment;
use crate::sweep::plan::Task;
use crate::sweep::squeue;
use crate::sweep::status::RunStatus;
use crate::system::{host, signals};

/// How often it is looked whether to stop watching.
const TICK: Duration = Duration::from_millis(100);

/// Clears a terminal.
const CLEAR: &[u8] = b"\x1b[H\x1b[2J";

/// Prints how the runs stand, once or again and again.
pub fn run(arguments: &Arguments, experiments: &[Experiment], tasks: &[Task]) -> Result<u8> {
    let look = || {
        let dataset = |task: &Task| experiments[task.experiment].dataset;
        let mut runs: Vec<RunStatus> =
            tasks.iter().map(|task| RunStatus::of(task, dataset(task))).collect();
        ask_slurm(&mut runs);
        text(arguments, &runs)
    };
    let Some(pause) = arguments.watch else {
        print_while_read(&look()?)?;
        return Ok(EXIT_DONE);
    };
    let stop = signals::quiet_stop_flag()?;
    while !stop.load(Ordering::Relaxed) {
        let text = look()?;
        if std::io::stdout().is_terminal() {
            let _ = std::io::stdout().write_all(CLEAR);
        }
        let shown = if arguments.json { text } else { format!("{}\n{text}", timestamp()) };
        if !print_while_read(&shown)? {
            break;
        }
        let start = Instant::now();
        while start.elapsed() < pause && !stop.load(Ordering::Relaxed) {
            std::thread::sleep(TICK.min(pause));
        }
    }
    Ok(EXIT_DONE)
}

/// Adds what Slurm's queue says of the jobs that hold the runs' locks.
fn ask_slurm(runs: &mut [RunStatus]) {
    let number = |run: &RunStatus| host::slurm_number(run.job.as_ref()?).map(str::to_string);
    let states = squeue::states(&runs.iter().filter_map(number).collect::<Vec<_>>());
    for run in runs {
        run.queue = number(run).and_then(|number| states.get(&number).cloned());
    }
}

fn text(arguments: &Arguments, runs: &[RunStatus]) -> Result<String> {
    if arguments.json {
        return serde_json::to_string_pretty(runs).context("JSON");
    }
    let rows: Vec<Vec<String>> = runs.iter().map(row).collect();
    let header = ["run", "element", "state", "iterations", "last row", "hours", "where, why"];
    let mut counts: Vec<(String, usize)> = Vec::new();
    for state in runs.iter().map(|run| run.state.to_string()) {
        match counts.iter_mut().find(|(other, _)| *other == state) {
            Some((_, count)) => *count += 1,
            None => counts.push((state, 1)),
        }
    }
    let counts: Vec<String> =
        counts.into_iter().map(|(state, count)| format!("{count} {state}")).collect();
    let table = render(&header, &rows, Style::Terminal);
    Ok(format!("{}\n{}: {}", table.trim_end(), counted(runs.len(), "run"), counts.join(", ")))
}

fn row(run: &RunStatus) -> Vec<String> {
    let age = run.last_row_seconds.map_or(NONE.to_string(), |seconds| {
        format!("{} ago", HumanDuration(Duration::from_secs_f64(seconds.floor())))
    });
    let host = run.host.as_ref().map(|host| format!("host {host}"));
    let place = [host, run.job.clone(), run.queue.clone(), run.note.clone()];
    vec![
        run.run.clone(),
        run.element.to_string(),
        run.state.to_string(),
        format!("{} of {}", thousands(run.iteration as i64), thousands(run.iterations as i64)),
        age,
        format!("{:.2}", run.hours),
        place.into_iter().flatten().collect::<Vec<_>>().join(", "),
    ]
}
