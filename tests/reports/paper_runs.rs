//! Logs of the paper's length, written without training.

use crate::common::edit_record;
use resnet_repro::config::dataset_name::DatasetName;
use resnet_repro::config::network_name::NetworkName;
use resnet_repro::config::recipe::Recipe;
use resnet_repro::dataset::data::DataStatus;
use resnet_repro::network::architecture::cifar;
use resnet_repro::records::dataset_record::DatasetRecord;
use resnet_repro::records::directory::RunDirectory;
use resnet_repro::records::provenance::Provenance;
use resnet_repro::records::run_toml::{Progress, RunConfig, RunRecord, State};
use std::path::Path;

/// Writes a run of the paper's recipe on CIFAR-10 that is `done` iterations far: its training error
/// falls evenly from 50 to 10 % (a plain net's from 60 to 20 %), its test error is `last` + 1 % but
/// at the end of the 64,000 iterations, where it is `last`.
pub fn write_run(results: &Path, network: &str, seed: u64, done: u64, last: f64) {
    let network: NetworkName = network.parse().unwrap();
    let directory = RunDirectory::of(&results.join("some-experiment"), network, seed);
    std::fs::create_dir_all(directory.path()).unwrap();
    let first = if network.is_plain() { 60.0 } else { 50.0 };
    let mut train = String::from("iteration,learning_rate,loss,error\n");
    for iteration in 1..=done {
        let rate = if iteration <= 32_000 {
            0.1
        } else if iteration <= 48_000 {
            0.01
        } else {
            0.001
        };
        train.push_str(&format!(
            "{iteration},{rate},1.5,{}\n",
            first - 40.0 * iteration as f64 / 64_000.0
        ));
    }
    let mut evaluations = String::from("iteration,split,loss,error,top5_error\n");
    for iteration in (1000..=done).step_by(1000) {
        evaluations.push_str(&format!(
            "{iteration},test,1.5,{},1\n",
            if iteration == 64_000 { last } else { last + 1.0 }
        ));
    }
    std::fs::write(directory.train_log(), train).unwrap();
    std::fs::write(directory.evaluation_log(), evaluations).unwrap();
    let recipe = Recipe { warmup: network.depth() >= 110, ..Recipe::default() };
    let state = if done == 64_000 { State::Finished } else { State::Running };
    let run =
        RunConfig { network, seed, dataset: official_cifar10(), recipe, initial_weights: None };
    let parameters = cifar::architecture(network, 10).unwrap().parameter_count();
    record(state, parameters, done, run).write(&directory.record()).unwrap();
}

/// The record of a run that took an hour at 500 images a second.
pub fn record(state: State, parameters: i64, iterations: u64, run: RunConfig) -> RunRecord {
    RunRecord {
        state,
        parameters,
        differences_from_paper: Vec::new(),
        weights_sha256: None,
        kept_state_sha256: None,
        unreadable_images: Default::default(),
        mean_image_sha256: None,
        progress: Progress {
            iterations,
            seconds: 3600.0,
            images_per_second: 500.0,
            ..Progress::default()
        },
        files: Default::default(),
        run,
        provenance: Provenance::now(tch::Device::Cpu),
        earlier_attempts: Vec::new(),
        extensions: Vec::new(),
        failures: Vec::new(),
    }
}

/// The official CIFAR-10 on a record.
pub fn official_cifar10() -> DatasetRecord {
    DatasetRecord {
        name: DatasetName::Cifar10,
        status: DataStatus::Official,
        fingerprint: "0".repeat(64),
        training_images: 50_000,
        test_images: 10_000,
        classes: 10,
        title: None,
        class_names: Vec::new(),
        test_percent: None,
    }
}

pub fn paper_size(folder: &Path) {
    let results = folder.join("runs");
    write_run(&results, "plain-20", 0, 64_000, 11.0);
    write_run(&results, "resnet-20", 0, 64_000, 8.6);
    write_run(&results, "resnet-20", 1, 64_000, 8.8);
    write_run(&results, "resnet-32", 0, 12_000, 7.5);
}

/// Replaces what is written in a run's record.
pub fn change(results: &Path, network: &str, seed: u64, from: &str, to: &str) {
    let path = results.join("some-experiment").join(network).join(format!("seed-{seed}/run.toml"));
    edit_record(&path, &[(from, to)]);
}

pub fn read(results: &Path, file: &str) -> String {
    let path = results.join("report").join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
