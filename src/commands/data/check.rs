//! `data check`: count and fingerprint a dataset.

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::commands::options::{DataArgument, data_folder, threads};
use crate::config::dataset_name::DatasetName;
use crate::console::output::{print, print_json};
use crate::dataset;
use crate::dataset::data::{DataStatus, Dataset, Source};
use crate::dataset::imagenet::decoder::decode::{Decoder, Quality};
use crate::dataset::imagenet::listing::index::Index;
use crate::dataset::imagenet::loader::read_whole;
use crate::error::{EXIT_DONE, EXIT_FAILED};
use crate::report::format::{counted, thousands};
use crate::system::parallel::{available_threads, in_order};

/// Shorter side that `--decode` scales whole images to.
const CHECK_SIDE: u32 = 64;

/// Names of classes that are printed.
const MOST_CLASS_NAMES: usize = 50;

/// Count and fingerprint a dataset, and say whether it is the official one
///
/// The fingerprint of an ImageFolder dataset covers names and lengths; --decode decodes every image
/// and names those that cannot be read (exit code 1 if there are any).
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  resnet-repro data check cifar10 --data data/cifar10")]
pub struct Arguments {
    /// Dataset
    name: DatasetName,
    /// Folder with its files [default: data/<dataset>]
    #[arg(long, value_name = "[NAME=]DIR", value_parser = DataArgument::parser())]
    data: Option<DataArgument>,
    /// Decode every image
    #[arg(long)]
    decode: bool,
    /// Threads that decode [default: one per CPU core]
    #[arg(long, value_name = "N", value_parser = threads)]
    loaders: Option<usize>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<u8> {
    let data = dataset::load(
        arguments.name,
        data_folder(arguments.data.as_slice(), arguments.name)?.as_deref(),
    )?;
    let unreadable = if arguments.decode {
        unreadable(&data, arguments.loaders.unwrap_or_else(available_threads))?
    } else {
        Vec::new()
    };
    let code = if unreadable.is_empty() { EXIT_DONE } else { EXIT_FAILED };
    if arguments.json {
        print_json(&Output { unreadable_images: unreadable, ..Output::of(&data) })?;
        return Ok(code);
    }
    print(&describe(&data))?;
    if arguments.decode && matches!(data.test, Source::Streamed(_)) {
        let names: String = unreadable.iter().map(|reason| format!("\n{reason}")).collect();
        print(&format!("{} cannot be read{names}", counted(unreadable.len(), "image")))?;
    }
    Ok(code)
}

/// What `--json` prints.
#[derive(Serialize)]
struct Output {
    name: DatasetName,
    #[serde(flatten)]
    own: Option<OwnOutput>,
    status: DataStatus,
    training_images: usize,
    test_images: usize,
    fingerprint: String,
    training_images_per_class: Vec<usize>,
    test_images_per_class: Vec<usize>,
    /// Files that are no images by their names.
    other_files: Vec<String>,
    unreadable_images: Vec<String>,
}

/// What it prints of own images in addition.
#[derive(Serialize)]
struct OwnOutput {
    title: String,
    /// How training and test images were told apart, in words.
    split: String,
    /// Share that was held out as test images, in percent.
    test_percent: Option<f64>,
    classes: Vec<String>,
}

impl Output {
    fn of(data: &Dataset) -> Output {
        let per_class = |source: &Source| {
            let mut counts = vec![0; data.classes.len()];
            source.labels().into_iter().for_each(|label| counts[label as usize] += 1);
            counts
        };
        Output {
            name: data.name,
            own: data.own.as_ref().map(|own| OwnOutput {
                title: own.title.clone(),
                split: own.split.to_string(),
                test_percent: own.split.held_out_percent(),
                classes: data.classes.clone(),
            }),
            status: data.status,
            training_images: data.train.len(),
            test_images: data.test.len(),
            fingerprint: data.fingerprint.clone(),
            training_images_per_class: per_class(&data.train),
            test_images_per_class: per_class(&data.test),
            other_files: indices(data).flat_map(|index| index.others().to_vec()).collect(),
            unreadable_images: Vec::new(),
        }
    }
}

fn indices(data: &Dataset) -> impl Iterator<Item = &Index> {
    [&data.train, &data.test].into_iter().filter_map(|source| match source {
        Source::Streamed(index) => Some(&**index),
        Source::Resident(_) => None,
    })
}

/// Decodes every image; what is wrong with those that cannot be read.
fn unreadable(data: &Dataset, threads: usize) -> Result<Vec<String>> {
    let mut reasons = Vec::new();
    for index in indices(data) {
        let decode = |(decoder, bytes): &mut (Decoder, Vec<u8>), position: usize| {
            read_whole(index, (decoder, Quality::Fast), bytes, position, CHECK_SIDE)
                .err()
                .map(|unreadable| unreadable.reason)
        };
        let state = || (Decoder::new(Quality::Fast), Vec::new());
        in_order(index.len(), threads, state, decode, |_, reason| {
            reasons.extend(reason);
            Ok(())
        })?;
    }
    Ok(reasons)
}

/// What a person is told of a dataset.
pub fn describe(data: &Dataset) -> String {
    let output = Output::of(data);
    let range = |counts: &[usize]| range(counts, data);
    let subject = match &data.own {
        Some(own) => format!(
            "{} (own images), {} classes: {}\nsplit: {}",
            own.title,
            data.classes.len(),
            class_names(&data.classes),
            own.split
        ),
        None => {
            format!(
                "{}: {} ({}), {} classes",
                data.name,
                data.status,
                meaning(data),
                data.classes.len()
            )
        }
    };
    let others = match output.other_files.split_first() {
        Some((first, rest)) => format!(
            "\nskipped: {} not named like an image, such as {first}",
            counted(rest.len() + 1, "file")
        ),
        None => String::new(),
    };
    format!(
        "{subject}\ntraining images: {} ({})\ntest images: {} ({})\nfingerprint: {}{others}",
        thousands(data.train.len() as i64),
        range(&output.training_images_per_class),
        thousands(data.test.len() as i64),
        range(&output.test_images_per_class),
        data.fingerprint
    )
}

/// The names of the classes, as many as a person reads.
fn class_names(classes: &[String]) -> String {
    let more = if classes.len() > MOST_CLASS_NAMES { ", …" } else { "" };
    format!("{}{more}", classes[..classes.len().min(MOST_CLASS_NAMES)].join(", "))
}

/// What the status means for errors.
fn meaning(data: &Dataset) -> &'static str {
    match data.status {
        DataStatus::Official if data.name == DatasetName::Imagenet => {
            "as many images and classes as published; their contents are not checked"
        }
        DataStatus::Official => "every byte as published",
        DataStatus::Subset => {
            "fewer images than the published data: errors are not comparable with the paper's"
        }
        DataStatus::Other => {
            "as many images as the published data, but checksum mismatch (reordered or re-encoded): errors may differ"
        }
    }
}

/// "40 to 60 per class"; of own images also which classes these are.
fn range(counts: &[usize], data: &Dataset) -> String {
    let place = |wanted: Option<&usize>| {
        wanted.and_then(|wanted| counts.iter().position(|count| count == wanted))
    };
    let (Some(low), Some(high)) = (place(counts.iter().min()), place(counts.iter().max())) else {
        return "none".to_string();
    };
    match (counts[low] == counts[high], &data.own) {
        (true, _) => format!("{} per class", counts[low]),
        (false, None) => format!("{} to {} per class", counts[low], counts[high]),
        (false, Some(_)) => format!(
            "{} ({}) to {} ({}) per class",
            counts[low], data.classes[low], counts[high], data.classes[high]
        ),
    }
}
