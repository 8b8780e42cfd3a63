//! The plan of a sweep: what `--dry-run` prints.

use anyhow::Result;
use indicatif::{HumanBytes, HumanDuration};
use serde::Serialize;
use tch::Device;

use crate::commands::sweep::arguments::Arguments;
use crate::console::output::{print, print_json};
use crate::report::format::{NONE, counted, thousands};
use crate::report::tables::table::{Style, render};
use crate::sweep::estimate::{Speed, disk_bytes};
use crate::sweep::experiment::Experiment;
use crate::sweep::plan::{Task, TaskStatus};
use crate::system::device;

/// A run in the plan.
#[derive(Serialize)]
struct PlannedResult {
    element: usize,
    run: String,
    parameters: i64,
    iterations: u64,
    done: String,
    seconds_left: f64,
    disk_bytes: f64,
}

/// Prints the plan: runs, time, disk space, and what is already complete.
pub fn print_plan(
    arguments: &Arguments,
    experiments: &[Experiment],
    tasks: &[Task],
    device: Device,
) -> Result<()> {
    let speed = Speed::of(tasks, device);
    let plan: Vec<PlannedResult> = tasks.iter().map(|task| planned(task, &speed)).collect();
    if arguments.json {
        return print_json(&plan);
    }
    for (position, experiment) in experiments.iter().enumerate() {
        if tasks.iter().any(|task| task.experiment == position) {
            print(&format!("{}: {} ({})", experiment.name, experiment.title, experiment.paper))?;
        }
    }
    print(&plan_table(&plan))?;
    let seconds: f64 = plan.iter().map(|run| run.seconds_left).sum();
    let bytes: f64 = plan.iter().map(|run| run.disk_bytes).sum();
    let open = tasks.iter().filter(|task| !task.status.is_over()).count();
    print(&format!(
        "{}, {open} to do: about {} of training on {}, one after the other ({}; evaluations not included), at most {} of disk space",
        counted(tasks.len(), "run"),
        duration(seconds),
        device::describe(device).name,
        speed.source,
        HumanBytes(bytes as u64)
    ))
}

fn planned(task: &Task, speed: &Speed) -> PlannedResult {
    PlannedResult {
        element: task.element,
        run: task.id.clone(),
        parameters: task.parameters,
        iterations: task.run.recipe.iterations,
        done: match &task.status {
            TaskStatus::New | TaskStatus::Failed(_) => NONE.to_string(),
            TaskStatus::Partial(iterations) => thousands(*iterations as i64),
            TaskStatus::Finished => "all".to_string(),
            TaskStatus::Diverged => "diverged".to_string(),
        },
        seconds_left: speed.seconds(task),
        disk_bytes: disk_bytes(task),
    }
}

fn plan_table(plan: &[PlannedResult]) -> String {
    let row = |run: &PlannedResult| {
        vec![
            run.run.clone(),
            run.element.to_string(),
            thousands(run.parameters),
            thousands(run.iterations as i64),
            run.done.clone(),
            duration(run.seconds_left),
            HumanBytes(run.disk_bytes as u64).to_string(),
        ]
    };
    render(
        &["run", "element", "parameters", "iterations", "done", "time left", "disk"],
        &plan.iter().map(row).collect::<Vec<_>>(),
        Style::Terminal,
    )
}

fn duration(seconds: f64) -> String {
    match seconds {
        0.0 => NONE.to_string(),
        seconds => HumanDuration(std::time::Duration::from_secs_f64(seconds)).to_string(),
    }
}
