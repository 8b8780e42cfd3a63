//! `evaluate`: the test error of weight files, alone or together.

mod classes;
mod images;
pub mod subject;

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use tch::Device;

use crate::commands::evaluate::classes::ClassError;
use crate::commands::evaluate::images::{Test, test};
use crate::commands::evaluate::subject::Subject;
use crate::commands::options::{DataOptions, threads};
use crate::config::network_name::NetworkName;
use crate::config::recipe::Normalize;
use crate::console::output::{print, print_json, say};
use crate::dataset;
use crate::dataset::data::{Dataset, Source};
use crate::error::{EXIT_DONE, bad_input};
use crate::network::architecture;
use crate::network::parameters::{Compute, Network};
use crate::records::directory::RunDirectory;
use crate::records::run_toml::RunRecord;
use crate::records::tests_csv::{TestRow, record_test};
use crate::records::verify::TESTS;
use crate::system::device;
use crate::system::device::DeviceChoice;
use crate::system::hash::hash_file;
use crate::system::parallel::available_threads;
use crate::training::evaluation::scores::Evaluation;
use crate::training::evaluation::views::Views;

/// Compute the test error of a weight file, or of an ensemble of several
///
/// Reads safetensors with torchvision's layer names; scripts/to_safetensors.py makes them from
/// PyTorch checkpoints. CIFAR test images are evaluated once, unchanged; ImageNet's as a centre crop,
/// as ten crops, or fully convolutionally at five scales, with averaged probabilities. Several pairs
/// of --network and --weights form an ensemble, whose probabilities are averaged too. Weight files
/// written by this program say how pixels are normalised; most public weights need --normalize
/// imagenet. The mean image is computed from the training images in --data: use the data that the
/// weights were trained on.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  resnet-repro evaluate --network resnet-20 --dataset cifar10 --weights r20.safetensors --normalize imagenet
  resnet-repro evaluate --run runs/train-cifar10-64000/resnet-20/seed-0 --classes --confusion confusion.csv
  resnet-repro evaluate --network resnet-50-v1.5 --dataset imagenet --weights r50.safetensors --views 10-crop")]
pub struct Arguments {
    /// The network; once for each --weights
    #[arg(long = "network", value_name = "NAME", required_unless_present = "run")]
    networks: Vec<NetworkName>,
    #[command(flatten)]
    data: DataOptions,
    /// Weight file (safetensors); once for each --network
    #[arg(long = "weights", value_name = "FILE", required_unless_present = "run")]
    weights: Vec<PathBuf>,
    /// Folder of a finished run: its network, weights, recipe and dataset are used. A test on
    /// images of an ImageFolder dataset is added to its tests.csv, from which the report's Tables 2
    /// to 4 are made
    #[arg(long, value_name = "DIR", conflicts_with_all = ["networks", "weights", "normalize", "settings", "scales", "dataset"])]
    run: Option<PathBuf>,
    /// How pixels are normalised, the same as in training [default: what the weight file says, else
    /// pixel-mean]
    #[arg(long, value_enum)]
    normalize: Option<Normalize>,
    /// Views of each test image
    #[arg(long, value_enum, default_value_t = Views::Centre)]
    views: Views,
    /// Shorter sides of multi-scale views, comma-separated [default: the paper's
    /// 224,256,384,480,640, in proportion for smaller crops]
    #[arg(long, value_name = "PIXELS", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(32..=4096))]
    scales: Vec<u32>,
    /// Override the dataset's recipe for test images: crop=N, test_scale=N
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// Write the log of the averaged probabilities and the labels of all test images, in order, to
    /// this file (safetensors: scores, labels)
    #[arg(long, value_name = "FILE")]
    scores: Option<PathBuf>,
    /// Print the error of each class too, and what it is most often taken for
    #[arg(long)]
    classes: bool,
    /// Write how often each class is taken for each to this file (CSV: class, predicted, images)
    #[arg(long, value_name = "FILE")]
    confusion: Option<PathBuf>,
    /// Where to compute
    #[arg(long, value_name = "auto|cpu|cuda:N", default_value_t)]
    device: DeviceChoice,
    /// Threads that decode images [default: one per CPU core]
    #[arg(long, value_name = "N", value_parser = threads)]
    loaders: Option<usize>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// What `--json` prints. Of images, saved as ensemble….json under a results folder, it is a
/// row of the report's Table 5.
#[derive(Serialize)]
struct Output {
    dataset: String,
    /// What own images are called.
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    networks: Vec<NetworkName>,
    views: Option<Views>,
    #[serde(flatten)]
    evaluation: Evaluation,
    error: f64,
    top5_error: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    classes: Option<Vec<ClassError>>,
    unreadable_images: Vec<String>,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<u8> {
    let directory = arguments.run.as_deref().map(RunDirectory::at);
    let (subject, mut record) = subject(arguments, directory.as_ref())?;
    let device = device::select(arguments.device)?;
    let data = test_data(arguments, &subject, record.as_ref())?;
    let networks = networks(&subject, &data, device)?;
    let mut unreadable = Vec::new();
    let wanted = Test {
        views: arguments.views,
        scales: &arguments.scales,
        scores: arguments.scores.as_deref(),
        classes: arguments.classes,
        confusion: arguments.confusion.as_deref(),
        loaders: arguments.loaders.unwrap_or_else(available_threads),
    };
    let (evaluation, classes) = test(&wanted, &data, &subject.recipe, &networks, &mut |reason| {
        say(&format!("{reason}; it counts as wrong"));
        unreadable.push(reason);
    })?;
    // A run on images in memory has the same test in its eval.csv.
    if let (Some(directory), Some(record), Source::Streamed(_)) =
        (&directory, &mut record, &data.test)
    {
        keep(directory, record, TestRow::new(arguments.views, &evaluation), &unreadable)?;
    }
    if !subject.sure {
        doubt(&evaluation, data.classes.len(), subject.recipe.normalize);
    }
    let views = matches!(data.test, Source::Streamed(_)).then_some(arguments.views);
    show(
        arguments.json,
        data.classes.len(),
        Output {
            dataset: data.name.to_string(),
            title: data.own.as_ref().map(|own| own.title.clone()),
            networks: subject.networks,
            views,
            error: evaluation.error(),
            top5_error: evaluation.top5_error(),
            evaluation,
            classes,
            unreadable_images: unreadable,
        },
    )?;
    Ok(EXIT_DONE)
}

/// What is evaluated; with the record of the run, if it is one.
fn subject(
    arguments: &Arguments,
    directory: Option<&RunDirectory>,
) -> Result<(Subject, Option<RunRecord>)> {
    if let Some(directory) = directory {
        return Subject::of_run(directory).map(|(subject, record)| (subject, Some(record)));
    }
    let subject = Subject::of_weights(
        arguments.data.name()?,
        &arguments.networks,
        &arguments.weights,
        arguments.normalize,
        &arguments.settings,
    )?;
    Ok((subject, None))
}

/// The data to test on: that of the run, if there is one.
fn test_data(
    arguments: &Arguments,
    subject: &Subject,
    record: Option<&RunRecord>,
) -> Result<Dataset> {
    let data = dataset::load(subject.dataset, arguments.data.folder(subject.dataset)?.as_deref())?;
    if record.is_some_and(|record| record.run.dataset.fingerprint != data.fingerprint) {
        return Err(bad_input(
            "--data: not the data that the run was trained on: its fingerprint differs",
        )
        .into());
    }
    if data.test.is_empty() {
        return Err(bad_input(
            "--data: the folder has no val/<class>/ in it: there is nothing to test on",
        )
        .into());
    }
    Ok(data)
}

/// The networks with their weights, in the precision that a run was trained in.
fn networks(subject: &Subject, data: &Dataset, device: Device) -> Result<Vec<Network>> {
    let compute = Compute { precision: subject.recipe.precision, ..Compute::default() };
    let side = subject.recipe.image_side();
    let pairs = subject.networks.iter().zip(&subject.weights);
    pairs
        .map(|(&name, weights)| {
            let classes = data.classes.len() as i64;
            let architecture = architecture::build(name, data.name.family(), side, classes)?;
            let mut network = Network::new(architecture, 0, device).with_compute(compute);
            network.load_weights(weights)?;
            Ok(network)
        })
        .collect()
}

/// Says what may be wrong where an error is not that of a trained net: pixels that are normalised in
/// another way than in training cost tens of points, and no file says which way it was.
fn doubt(evaluation: &Evaluation, classes: usize, normalize: Normalize) {
    let chance = 100.0 * (1.0 - 1.0 / classes.max(1) as f64);
    if evaluation.error() < chance / 2.0 {
        return;
    }
    let (ours, other) = match normalize {
        Normalize::PixelMean => ("pixel-mean", "imagenet (most public weights)"),
        Normalize::Imagenet => ("imagenet", "pixel-mean (weights trained by this program)"),
    };
    say(&format!(
        "note: an error of {:.2} % is far from that of a trained network (chance: {chance:.2} %): these weights may need another normalisation than {ours}, try --normalize {other}",
        evaluation.error()
    ));
}

/// Puts a test of a run on record.
fn keep(
    directory: &RunDirectory,
    record: &mut RunRecord,
    row: TestRow,
    unreadable: &[String],
) -> Result<()> {
    let _lock = directory.lock(&AtomicBool::new(false), &|note| say(&format!("note: {note}")))?;
    record_test(&directory.tests(), row)?;
    record.files.insert(TESTS.to_string(), hash_file(&directory.tests())?);
    record.unreadable_images.extend(unreadable.iter().cloned());
    record.write(&directory.record())
}

fn show(json: bool, class_count: usize, output: Output) -> Result<()> {
    if json {
        return print_json(&output);
    }
    // Among five classes or fewer the right one always is.
    let top5 = match class_count > 5 {
        true => format!("top-5 error {:.2} %, ", output.top5_error),
        false => String::new(),
    };
    let names: Vec<String> = output.networks.iter().map(NetworkName::to_string).collect();
    print(&format!(
        "{}{}: {} of {} test images wrong, error {:.2} %, {top5}loss {:.4}{}",
        names.join(" + "),
        output.views.map_or(String::new(), |views| format!(", {views}")),
        output.evaluation.wrong,
        output.evaluation.images,
        output.error,
        output.evaluation.loss,
        output.classes.as_deref().map_or(String::new(), classes::lines)
    ))
}
