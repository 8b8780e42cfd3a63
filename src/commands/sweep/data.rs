//! The data of a sweep: which datasets its runs need, where they are, and what is missing.

use std::collections::HashMap;
use std::path::PathBuf;

use anyhow::Result;

use crate::config::dataset_name::DatasetName;
use crate::console::output::say;
use crate::dataset;
use crate::dataset::data;
use crate::error::{BadInput, bad_input};
use crate::records::dataset_record::DatasetRecord;
use crate::sweep::experiment::Experiment;
use crate::sweep::plan::Task;

/// The datasets that the runs need, each once.
pub fn needed(experiments: &[Experiment], tasks: &[Task]) -> Vec<DatasetName> {
    let mut names = Vec::new();
    for task in tasks {
        let name = experiments[task.experiment].dataset;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Takes away the runs whose data is nowhere, if that was asked for; else refuses, or in a dry run
/// says so.
pub fn leave_out_missing(
    skip_missing_data: bool,
    dry_run: bool,
    experiments: &[Experiment],
    folders: &HashMap<DatasetName, PathBuf>,
    tasks: &mut Vec<Task>,
) -> Result<(), BadInput> {
    let mut names = needed(experiments, tasks);
    names.retain(|name| is_missing(*name, folders));
    if names.is_empty() {
        return Ok(());
    }
    let described: Vec<String> =
        names.iter().map(|name| describe_missing(*name, experiments, tasks)).collect();
    let described = described.join("; ");
    let assignments: Vec<String> = names.iter().map(|name| format!("{name}=DIR")).collect();
    let advice = format!(
        "give --data {}, or --skip-missing-data to train the others",
        assignments.join(",")
    );
    if skip_missing_data {
        tasks.retain(|task| !names.contains(&experiments[task.experiment].dataset));
        if tasks.is_empty() {
            return Err(bad_input(format!("no data for {described}: nothing is left to train")));
        }
        say(&format!("skipped, no data: {described}"));
    } else if dry_run {
        say(&format!("note: no data for {described}: to train, {advice}"));
    } else {
        return Err(bad_input(format!("no data for {described}: {advice}")));
    }
    Ok(())
}

/// Whether a dataset is neither named nor in the usual place.
fn is_missing(name: DatasetName, folders: &HashMap<DatasetName, PathBuf>) -> bool {
    name != DatasetName::Shapes
        && !folders.contains_key(&name)
        && !dataset::default_folder(name).exists()
}

/// "01-a, 02-b (cifar10: no data/cifar10; …)".
fn describe_missing(name: DatasetName, experiments: &[Experiment], tasks: &[Task]) -> String {
    let concerned = experiments.iter().enumerate().filter(|(position, experiment)| {
        experiment.dataset == name && tasks.iter().any(|task| task.experiment == *position)
    });
    let concerned: Vec<&str> = concerned.map(|(_, experiment)| experiment.name.as_str()).collect();
    let fetch = match name {
        DatasetName::Cifar10 => ", fetch it with \"resnet-repro data fetch cifar10\"",
        _ => "",
    };
    let folder = dataset::default_folder(name);
    format!("{} ({name}: no {}{fetch})", concerned.join(", "), folder.display())
}

/// The identity of each dataset that is needed. The images are loaded again by each worker. A plan
/// can be made without them.
pub fn load(
    dry_run: bool,
    experiments: &[Experiment],
    folders: &HashMap<DatasetName, PathBuf>,
    tasks: &[Task],
) -> Result<HashMap<DatasetName, DatasetRecord>> {
    let mut records = HashMap::new();
    for name in needed(experiments, tasks) {
        let folder = folders.get(&name).map(PathBuf::as_path);
        // What leave_out_missing has told. A plan without a run on record needs no data either:
        // reading it can take longer, and more memory, than all the rest.
        if dry_run && (is_missing(name, folders) || !is_begun(name, experiments, tasks)) {
            continue;
        }
        match dataset::load(name, folder)
            .and_then(|data| check_splits(tasks, experiments, &data).map(|()| data))
        {
            Ok(data) => {
                records.insert(name, DatasetRecord::from(&data));
            }
            Err(error) if dry_run => say(&format!("note: {error:#}")),
            Err(error) => return Err(error),
        }
    }
    Ok(records)
}

/// Whether there is a run on the dataset, whose data has to be compared.
fn is_begun(name: DatasetName, experiments: &[Experiment], tasks: &[Task]) -> bool {
    let mut runs = tasks.iter().filter(|task| experiments[task.experiment].dataset == name);
    runs.any(|task| task.directory.record().exists())
}

fn check_splits(tasks: &[Task], experiments: &[Experiment], data: &data::Dataset) -> Result<()> {
    for task in tasks.iter().filter(|task| experiments[task.experiment].dataset == data.name) {
        data::check_split(data, task.run.recipe.validation, task.run.recipe.batch_size)
            .map_err(|BadInput(reason)| bad_input(format!("{}: {reason}", task.id)))?;
    }
    Ok(())
}
