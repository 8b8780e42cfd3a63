//! `sweep --status`: how each run stands.

use std::io::{IsTerminal, Write};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::commands::sweep::arguments::Arguments;
use crate::commands::sweep::watching;
use crate::console::output::print_while_read;
use crate::error::EXIT_DONE;
use crate::records::provenance::timestamp;
use crate::report::format::{counted, or_none, thousands};
use crate::report::tables::table::{Style, render};
use crate::sweep::experiment::Experiment;
use crate::sweep::plan::Task;
use crate::sweep::squeue;
use crate::sweep::status::{RunStatus, estimate_left};
use crate::system::{host, signals};

/// How often it is looked whether to stop watching.
const TICK: Duration = Duration::from_millis(100);

/// Clears a terminal.
const CLEAR: &[u8] = b"\x1b[H\x1b[2J";

/// Prints how the runs stand, once, or again and again until all are over.
pub fn run(arguments: &Arguments, experiments: &[Experiment], tasks: &[Task]) -> Result<u8> {
    if let Some(file) = &arguments.report {
        watching::check(file)?;
    }
    let look = || -> Result<(String, bool)> {
        let runs = runs(experiments, tasks);
        if let Some(file) = &arguments.report {
            watching::write(file, &arguments.out, &runs, pause(arguments))?;
        }
        Ok((text(arguments, &runs)?, runs.iter().all(RunStatus::is_over)))
    };
    if arguments.watch.is_none() {
        print_while_read(&look()?.0)?;
        return Ok(EXIT_DONE);
    }
    let pause = pause(arguments);
    let stop = signals::quiet_stop_flag()?;
    while !stop.load(Ordering::Relaxed) {
        let (text, all_over) = look()?;
        if std::io::stdout().is_terminal() {
            let _ = std::io::stdout().write_all(CLEAR);
        }
        let shown = if arguments.json { text } else { format!("{}\n{text}", timestamp()) };
        if !print_while_read(&shown)? || all_over {
            break;
        }
        let start = Instant::now();
        while start.elapsed() < pause && !stop.load(Ordering::Relaxed) {
            std::thread::sleep(TICK.min(pause));
        }
    }
    Ok(EXIT_DONE)
}

/// How each run stands.
pub fn runs(experiments: &[Experiment], tasks: &[Task]) -> Vec<RunStatus> {
    let dataset = |task: &Task| experiments[task.experiment].dataset;
    let mut runs: Vec<RunStatus> =
        tasks.iter().map(|task| RunStatus::of(task, dataset(task))).collect();
    estimate_left(&mut runs, tasks);
    ask_slurm(&mut runs);
    runs
}

/// How long it is from one look to the next.
pub fn pause(arguments: &Arguments) -> Duration {
    arguments.watch.unwrap_or(watching::PAUSE)
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
    let header =
        ["run", "element", "state", "iterations", "last row", "hours", "left", "where, why"];
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
    vec![
        run.run.clone(),
        run.element.to_string(),
        run.state.to_string(),
        format!("{} of {}", thousands(run.iteration as i64), thousands(run.iterations as i64)),
        or_none(run.last_row()),
        format!("{:.2}", run.hours),
        or_none(run.time_left()),
        run.place(),
    ]
}
