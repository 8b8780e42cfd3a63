//! `sweep`: all runs of some experiments.

mod data;

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use glob::Pattern;
use indicatif::{HumanBytes, HumanDuration};
use serde::Serialize;
use tch::Device;

use crate::commands::options::{DataArgument, RunFlags, data_folders, parse_settings, recipe_file};
use crate::config::network_name::NetworkName;
use crate::console::output::{print, print_json, say};
use crate::error::{EXIT_DONE, EXIT_INTERRUPTED, EXIT_RUN_FAILED, bad_input};
use crate::logs::summary::{RunCurves, RunSummary};
use crate::report::format::{NONE, counted, thousands};
use crate::report::tables::table::{Style, render};
use crate::run::spec::RunOptions;
use crate::run::tensorboard::EventFile;
use crate::sweep::estimate::{Speed, disk_bytes};
use crate::sweep::experiment;
use crate::sweep::experiment::{Experiment, PlannedRun};
use crate::sweep::overrides::Overrides;
use crate::sweep::plan::{Task, TaskStatus, tasks};
use crate::sweep::scheduler::{Scheduler, SweepOptions};
use crate::system::atomic_file::check_writable;
use crate::system::device::DeviceChoice;
use crate::system::{device, parallel, signals};

/// Train all runs of one or more experiments
///
/// Trains what is not trained yet, each run in a process of its own, shallow networks and first
/// seeds first. A run that fails is retried; one that fails for good or diverges does not stop the
/// others. On Ctrl-C, SIGTERM or SIGUSR1 (sent by cluster schedulers) every run saves, and the same
/// command resumes bit-for-bit.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  resnet-repro sweep experiments/quick.toml                   minutes, on the synthetic shapes dataset
  resnet-repro sweep --dry-run experiments/*.toml             the plan, its time and disk space
  resnet-repro sweep experiments/0[1-6]*.toml                 the paper's CIFAR-10 experiments
  resnet-repro sweep experiments/0*.toml --skip-missing-data  all experiments whose data is there
  resnet-repro sweep experiments/0[1-6]*.toml --only 'plain-*' --iterations 400 --out runs/400
Then: resnet-repro figures")]
pub struct Arguments {
    /// Experiment files; each run goes to <out>/<file name>/<network>/seed-<k>
    #[arg(required = true, value_name = "FILE")]
    experiments: Vec<PathBuf>,
    /// Folders of the datasets, as cifar10=DIR,imagenet=DIR; can be repeated. DIR alone is for the
    /// one dataset that is needed, or the one that it contains [default: data/<dataset>]
    #[arg(long, value_name = "[NAME=]DIR,…", value_parser = DataArgument::parser())]
    data: Vec<DataArgument>,
    /// Skip experiments whose dataset is missing, and train the others
    #[arg(long)]
    skip_missing_data: bool,
    /// Folder for the runs
    #[arg(long, value_name = "DIR", default_value = "runs")]
    out: PathBuf,
    /// Only runs whose name, network or experiment matches, such as 'plain-*', '*/seed-0' or
    /// '02-residual-nets'
    #[arg(long, value_name = "GLOB")]
    only: Option<Pattern>,
    /// Runs trained at the same time on each device. On a CPU they share the cores. The number of
    /// threads determines the floating-point summation order: do not change it while a run is
    /// unfinished
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    jobs: u32,
    /// Where to train; several devices with commas share the runs, for example cuda:0,cuda:1
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "auto")]
    device: Vec<DeviceChoice>,
    /// Iterations of every run instead of the files'; the learning rate's milestones scale along
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    iterations: Option<u64>,
    /// Change every recipe by the keys of this file (resnet-repro recipe --toml writes one); --set
    /// wins over it
    #[arg(long, value_name = "FILE")]
    recipe: Option<PathBuf>,
    /// Change every recipe, for example --set validation=5000; can be repeated. Keys as in "train
    /// --help"
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// How many times a failed run is retried
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(..=100))]
    retries: u32,
    #[command(flatten)]
    options: RunFlags,
    /// Also write TensorBoard event files to this folder
    #[arg(long, value_name = "DIR")]
    tensorboard: Option<PathBuf>,
    /// Print the plan and train nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the result (or the plan) as JSON
    #[arg(long)]
    json: bool,
}

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

/// A run in the plan.
#[derive(Serialize)]
struct PlannedResult {
    run: String,
    parameters: i64,
    iterations: u64,
    done: String,
    seconds_left: f64,
    disk_bytes: f64,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<u8> {
    // Paths travel to the workers as text.
    for (flag, path) in
        [("--out", Some(&arguments.out)), ("--tensorboard", arguments.tensorboard.as_ref())]
    {
        if let Some(path) = path.filter(|path| path.to_str().is_none()) {
            return Err(bad_input(format!(
                "{flag} {path:?}: its name is not UTF-8: choose another"
            ))
            .into());
        }
    }
    let settings = parse_settings(arguments.iterations, &arguments.settings)?;
    let file = arguments.recipe.as_deref().map(recipe_file).transpose()?;
    let overrides = Overrides { iterations: arguments.iterations, file, settings };
    let experiments = experiment::read_all(&arguments.experiments, &overrides)?;
    let devices = arguments
        .device
        .iter()
        .map(|&choice| device::select(choice))
        .collect::<Result<Vec<_>, _>>()?;
    let mut tasks = tasks(&experiments, &arguments.out, arguments.only.as_ref())?;
    let folders = data_folders(&arguments.data, &data::needed(&experiments, &tasks))?;
    data::leave_out_missing(
        arguments.skip_missing_data,
        arguments.dry_run,
        &experiments,
        &folders,
        &mut tasks,
    )?;
    let records = data::load(arguments.dry_run, &experiments, &folders, &tasks)?;
    for task in &mut tasks {
        let dataset = experiments[task.experiment].dataset;
        task.look(dataset, records.get(&dataset), arguments.dry_run)?;
    }
    if arguments.dry_run {
        print_plan(arguments, &experiments, &tasks, devices[0])?;
        return Ok(EXIT_DONE);
    }
    check_writable("--out", &arguments.out)?;
    if let Some(folder) = &arguments.tensorboard {
        check_writable("--tensorboard", folder)?;
        for task in tasks.iter().filter(|task| task.status.is_over()) {
            EventFile::from_logs(&folder.join(&task.id), &task.directory)?;
        }
    }
    let options = SweepOptions {
        slots: slots(arguments.jobs, &devices),
        retries: arguments.retries,
        folders,
        datasets: experiments.iter().map(|experiment| experiment.dataset).collect(),
        run: RunOptions {
            tensorboard: arguments.tensorboard.clone(),
            ..arguments.options.options()
        },
    };
    parallel::raise_open_files();
    let stop = signals::stop_flag()?;
    let stopped = Scheduler::new(&mut tasks, &options).run(&stop)?;
    finish(arguments, &tasks, stopped)
}

/// One entry a run that may train at the same time.
fn slots(jobs: u32, devices: &[Device]) -> Vec<DeviceChoice> {
    let choice = |device: &Device| match device {
        Device::Cuda(index) => DeviceChoice::Cuda(*index),
        _ => DeviceChoice::Cpu,
    };
    // One job on each device first.
    (0..jobs).flat_map(|_| devices.iter().map(choice)).collect()
}

fn finish(arguments: &Arguments, tasks: &[Task], stopped: bool) -> Result<u8> {
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

fn print_plan(
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
            thousands(run.parameters),
            thousands(run.iterations as i64),
            run.done.clone(),
            duration(run.seconds_left),
            HumanBytes(run.disk_bytes as u64).to_string(),
        ]
    };
    render(
        &["run", "parameters", "iterations", "done", "time left", "disk"],
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
