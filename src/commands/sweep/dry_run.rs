//! The plan of a sweep: what `--dry-run` prints.

use std::collections::HashMap;

use anyhow::Result;
use indicatif::HumanBytes;
use serde::Serialize;
use tch::Device;

use crate::commands::sweep::arguments::Arguments;
use crate::config::dataset_name::DatasetName;
use crate::console::output::{print, print_json};
use crate::dataset::published_test_images;
use crate::records::dataset_record::DatasetRecord;
use crate::report::format::{NONE, counted, thousands};
use crate::report::tables::table::{Style, render};
use crate::sweep::estimate::{Span, Speeds, disk_bytes};
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
    #[serde(flatten)]
    time: Span,
    disk_bytes: f64,
}

/// Prints the plan: runs, time, disk space, and what is already complete.
pub fn print_plan(
    arguments: &Arguments,
    experiments: &[Experiment],
    records: &HashMap<DatasetName, DatasetRecord>,
    tasks: &[Task],
    device: Device,
) -> Result<()> {
    let speeds = Speeds::of(tasks, device);
    let span = |task: &Task| {
        let dataset = experiments[task.experiment].dataset;
        let test_images = records
            .get(&dataset)
            .map_or_else(|| published_test_images(dataset), |record| record.test_images);
        speeds.time_left(task, test_images)
    };
    let plan: Vec<PlannedResult> = tasks.iter().map(|task| planned(task, span(task))).collect();
    if arguments.json {
        return print_json(&plan);
    }
    for (position, experiment) in experiments.iter().enumerate() {
        if tasks.iter().any(|task| task.experiment == position) {
            print(&format!("{}: {} ({})", experiment.name, experiment.title, experiment.paper))?;
        }
    }
    print(&plan_table(&plan))?;
    let bytes = HumanBytes(plan.iter().map(|run| run.disk_bytes).sum::<f64>() as u64);
    let open = tasks.iter().filter(|task| !task.status.is_over()).count();
    let head = format!("{}, {open} to do", counted(tasks.len(), "run"));
    if open == 0 {
        return print(&format!("{head}; at most {bytes} of disk space"));
    }
    let time = plan.iter().map(|run| run.time).sum::<Span>();
    let order = match arguments.jobs as usize * arguments.device.len() {
        1 => "one after the other",
        _ => "if it were one after the other on the first device",
    };
    print(&format!(
        "{head}: {} of training and evaluation on {}, {order} ({}); at most {bytes} of disk space",
        between(time),
        device::describe(device).name,
        speeds.source,
    ))
}

fn planned(task: &Task, time: Span) -> PlannedResult {
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
        time,
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
            between(run.time),
            HumanBytes(run.disk_bytes as u64).to_string(),
        ]
    };
    render(
        &["run", "element", "parameters", "iterations", "done", "time", "disk"],
        &plan.iter().map(row).collect::<Vec<_>>(),
        Style::Terminal,
    )
}

/// "12 to 15 minutes", in the largest unit of which there are two.
fn between(time: Span) -> String {
    if time.most == 0.0 {
        return NONE.to_string();
    }
    let units =
        [(365.25 * 86_400.0, "years"), (86_400.0, "days"), (3600.0, "hours"), (60.0, "minutes")];
    let unit = units.into_iter().find(|(length, _)| time.most >= 2.0 * length);
    let (length, name) = unit.unwrap_or((1.0, "seconds"));
    let digits = if time.most < 10.0 * length && name != "seconds" { 1 } else { 0 };
    let shown = |seconds: f64| format!("{:.digits$}", seconds / length);
    match (shown(time.least), shown(time.most)) {
        (least, most) if least == most => format!("{most} {name}"),
        (least, most) => format!("{least} to {most} {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_in_the_largest_unit_of_which_there_are_two() {
        let told = |least, most| between(Span { least, likely: most, most });
        assert_eq!(told(0.0, 0.0), "–");
        assert_eq!(told(0.2, 0.4), "0 seconds");
        assert_eq!(told(70.0, 119.0), "70 to 119 seconds");
        assert_eq!(told(110.0, 130.0), "1.8 to 2.2 minutes");
        assert_eq!(told(3600.0, 7000.0), "60 to 117 minutes");
        assert_eq!(told(30.0 * 3600.0, 47.0 * 3600.0), "30 to 47 hours");
        assert_eq!(told(12.0 * 86_400.0, 15.0 * 86_400.0), "12 to 15 days");
    }
}
