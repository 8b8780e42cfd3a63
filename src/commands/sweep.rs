//! `sweep`: all runs of some experiments.

mod arguments;
mod data;
mod dry_run;
mod finish;
mod slurm;
mod status;
mod watching;

use std::collections::HashMap;
use std::path::PathBuf;

use anyhow::Result;
use tch::Device;

pub use crate::commands::sweep::arguments::Arguments;

use crate::commands::options::{data_folders, parse_settings, recipe_file};
use crate::commands::sweep::dry_run::print_plan;
use crate::commands::sweep::finish::finish;
use crate::commands::sweep::watching::Watcher;
use crate::config::dataset_name::DatasetName;
use crate::error::{BadInput, EXIT_DONE, bad_input};
use crate::report::format::counted;
use crate::run::spec::RunOptions;
use crate::run::tensorboard::EventFile;
use crate::sweep::experiment;
use crate::sweep::experiment::Experiment;
use crate::sweep::extension::look_at_all;
use crate::sweep::overrides::Overrides;
use crate::sweep::plan::{Task, tasks};
use crate::sweep::scheduler::{Scheduler, SweepOptions};
use crate::system::atomic_file::check_writable;
use crate::system::device::DeviceChoice;
use crate::system::{device, parallel, signals};

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<u8> {
    check_utf8(arguments)?;
    if arguments.watch.is_some() && !arguments.status && arguments.report.is_none() {
        return Err(bad_input("--watch: is for --status or --report: add one of them").into());
    }
    let mut settings = parse_settings(arguments.iterations, &arguments.settings)?;
    let extend_to = arguments.extension.take(&mut settings)?;
    let file = arguments.recipe.as_deref().map(recipe_file).transpose()?;
    let overrides = Overrides { iterations: arguments.iterations, file, settings };
    let experiments = experiment::read_all(&arguments.experiments, &overrides)?;
    let mut tasks = tasks(&experiments, &arguments.out, arguments.only.as_ref())?;
    tasks.iter_mut().for_each(|task| task.extend_to = extend_to.clone());
    let folders = data_folders(&arguments.data, &data::needed(&experiments, &tasks))?;
    if let Some(element) = arguments.element {
        tasks = vec![take_element(tasks, element)?];
    }
    if arguments.status {
        return status::run(arguments, &experiments, &tasks);
    }
    if arguments.element.is_some() && !arguments.dry_run && arguments.options.tensorboard.is_none()
    {
        // Whether it is complete can be told without its data, whose list alone may take minutes.
        let dataset = experiments[tasks[0].experiment].dataset;
        look_at_all(&mut tasks, false, |task| task.look(dataset, None, true))?;
        if tasks[0].status.is_over() {
            return finish(arguments, &tasks, false);
        }
    }
    let (skip, dry_run) = (arguments.skip_missing_data, arguments.dry_run);
    data::leave_out_missing(skip, dry_run, &experiments, &folders, &mut tasks)?;
    if arguments.slurm {
        return slurm::run(arguments, &experiments, tasks);
    }
    let devices = arguments
        .device
        .iter()
        .map(|&choice| device::select(choice))
        .collect::<Result<Vec<_>, _>>()?;
    let records = data::load(arguments.dry_run, &experiments, &folders, &tasks)?;
    look_at_all(&mut tasks, arguments.dry_run, |task| {
        let dataset = experiments[task.experiment].dataset;
        task.look(dataset, records.get(&dataset), arguments.dry_run)
    })?;
    if arguments.dry_run {
        print_plan(arguments, &experiments, &records, &tasks, devices[0])?;
        return Ok(EXIT_DONE);
    }
    train(arguments, &experiments, &mut tasks, &devices, folders)
}

/// Trains what is not trained yet.
fn train(
    arguments: &Arguments,
    experiments: &[Experiment],
    tasks: &mut [Task],
    devices: &[Device],
    folders: HashMap<DatasetName, PathBuf>,
) -> Result<u8> {
    check_writable("--out", &arguments.out)?;
    if let Some(file) = &arguments.report {
        watching::check(file)?;
    }
    arguments.options.check()?;
    if let Some(folder) = &arguments.options.tensorboard {
        for task in tasks.iter().filter(|task| task.status.is_over()) {
            EventFile::from_logs(&folder.join(&task.id), &task.directory)?;
        }
    }
    let options = SweepOptions {
        slots: slots(arguments.jobs, devices),
        retries: arguments.retries,
        folders,
        datasets: experiments.iter().map(|experiment| experiment.dataset).collect(),
        run: RunOptions {
            // What was extended once can be extended again.
            keep_state: arguments.options.keep_state || arguments.extension.extend_to.is_some(),
            ..arguments.options.options(None)
        },
    };
    parallel::raise_open_files();
    let stop = signals::stop_flag()?;
    let watcher = arguments.report.is_some().then(|| Watcher::start(arguments)).transpose()?;
    let ended = Scheduler::new(tasks, &options).run(&stop);
    if let (Some(watcher), Some(file)) = (watcher, &arguments.report) {
        watcher.end();
        let runs = status::runs(experiments, tasks);
        watching::write_last(file, &arguments.out, &runs, status::pause(arguments));
    }
    let stopped = ended?;
    finish(arguments, tasks, stopped)
}

/// Paths travel to the workers, and into scripts, as text.
fn check_utf8(arguments: &Arguments) -> Result<(), BadInput> {
    for (flag, path) in
        [("--out", Some(&arguments.out)), ("--tensorboard", arguments.options.tensorboard.as_ref())]
    {
        if let Some(path) = path.filter(|path| path.to_str().is_none()) {
            return Err(bad_input(format!(
                "{flag} {path:?}: its name is not UTF-8: choose another"
            )));
        }
    }
    Ok(())
}

/// The run that `--element` numbers.
fn take_element(mut tasks: Vec<Task>, element: usize) -> Result<Task, BadInput> {
    match element < tasks.len() {
        true => Ok(tasks.swap_remove(element)),
        false => Err(bad_input(format!(
            "--element {element}: the plan has {}, numbered from 0",
            counted(tasks.len(), "run")
        ))),
    }
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
