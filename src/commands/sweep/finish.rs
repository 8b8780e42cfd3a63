//! How a sweep ended: the table of its runs, and the exit code.

use anyhow::Result;
use serde::Serialize;

use crate::commands::sweep::arguments::Arguments;
use crate::config::network_name::NetworkName;
use crate::console::output::{print, print_json, say};
use crate::error::{EXIT_DONE, EXIT_INTERRUPTED, EXIT_RUN_FAILED};
use crate::logs::summary::{RunCurves, RunSummary};
use crate::report::format::thousands;
use crate::report::tables::table::{Style, render};
use crate::sweep::experiment::PlannedRun;
use crate::sweep::plan::{Task, TaskStatus};

/// A run in the result.
#[derive(Serialize)]
struct RunResult {
    run: String,
    network: NetworkName,
    seed: u64,
    state: String,
    iterations: u64,
    of_iterations: u64,
    training_error: Option<f64>,
    final_test_error: Option<f64>,
}

/// Prints how the runs stand; the exit code says whether one failed.
pub fn finish(arguments: &Arguments, tasks: &[Task], stopped: bool) -> Result<u8> {
    let results: Vec<RunResult> = tasks.iter().map(result).collect();
    if arguments.json {
        print_json(&results)?;
    } else {
        print(&table(&results))?;
    }
    let failed: Vec<&Task> =
        tasks.iter().filter(|task| matches!(task.status, TaskStatus::Failed(_))).collect();
    let diverged: Vec<&Task> = tasks
        .iter()
        .filter(|task| task.status == TaskStatus::Diverged && !task.may_diverge)
        .collect();
    for task in &failed {
        if let TaskStatus::Failed(reason) = &task.status {
            say(&format!("{} failed: {reason}; run the same command to retry", task.id));
        }
    }
    for task in &diverged {
        say(&format!("{} diverged: its loss was NaN or infinite", task.id));
    }
    if stopped {
        say(&format!(
            "stopped; the logs are in {}; the same command resumes",
            arguments.out.display()
        ));
        return Ok(EXIT_INTERRUPTED);
    }
    say(&format!("figures and tables: resnet-repro figures {}", arguments.out.display()));
    Ok(if failed.is_empty() && diverged.is_empty() { EXIT_DONE } else { EXIT_RUN_FAILED })
}

fn result(task: &Task) -> RunResult {
    let PlannedRun { network, seed, recipe, .. } = &task.run;
    let summary = RunCurves::read(&task.directory, *network, *seed, Some(recipe.iterations))
        .map(|curves| RunSummary::of(&curves))
        .ok();
    let state = match &task.status {
        TaskStatus::New => "not started",
        TaskStatus::Partial(_) => "interrupted",
        TaskStatus::Finished => "finished",
        TaskStatus::Diverged => "diverged",
        TaskStatus::Failed(_) => "failed",
    };
    RunResult {
        run: task.id.clone(),
        network: task.run.network,
        seed: task.run.seed,
        state: state.to_string(),
        iterations: summary.as_ref().map_or(0, |summary| summary.iterations as u64),
        of_iterations: task.run.recipe.iterations,
        training_error: summary.as_ref().and_then(|summary| summary.training_error),
        final_test_error: summary.as_ref().and_then(|summary| summary.final_test_error),
    }
}

fn table(results: &[RunResult]) -> String {
    let percent =
        |error: Option<f64>| error.map_or("–".to_string(), |error| format!("{error:.2} %"));
    let rows: Vec<Vec<String>> = results
        .iter()
        .map(|result| {
            let iterations = match result.iterations == result.of_iterations {
                true => thousands(result.iterations as i64),
                false => format!(
                    "{} of {}",
                    thousands(result.iterations as i64),
                    thousands(result.of_iterations as i64)
                ),
            };
            vec![
                result.run.clone(),
                result.state.clone(),
                iterations,
                percent(result.training_error),
                percent(result.final_test_error),
            ]
        })
        .collect();
    render(&["run", "state", "iterations", "training error", "test error"], &rows, Style::Terminal)
}
