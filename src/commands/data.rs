//! `data`: get a data set, and say what is there.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::options::{check_writable, print, print_json};
use crate::dataset::{self, Dataset, DatasetName, Status, archive, cifar10, download};
use crate::error::{EXIT_DONE, bad_input};
use crate::report::{sheet, table::thousands};

/// Get a data set, or check the one that is there
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Fetch(FetchArguments),
    Check(CheckArguments),
    Picture(PictureArguments),
}

/// Download a data set and verify it
///
/// Downloads the official archive (cifar10: 170 MB), goes on where a broken download stopped, verifies the checksum before anything is
/// unpacked, and unpacks into --data.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  resnet-repro data fetch cifar10
  resnet-repro data fetch cifar10 --from ~/Downloads/cifar-10-binary.tar.gz --data /big/disk/cifar10")]
struct FetchArguments {
    /// Data set
    name: DatasetName,
    /// Folder to unpack into [default: data/<dataset>]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// A mirror's address, or an archive that is here already
    #[arg(long, value_name = "FILE|URL")]
    from: Option<String>,
    /// Checksum of the archive, if it is not the official one
    #[arg(long, value_name = "HEX")]
    sha256: Option<String>,
}

/// Count and fingerprint a data set, and say whether it is the official one
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  resnet-repro data check cifar10 --data data/cifar10")]
struct CheckArguments {
    /// Data set
    name: DatasetName,
    /// Folder with its files [default: data/<dataset>]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Draw some training images of every class, one row a class
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  resnet-repro data picture shapes --out shapes.png")]
struct PictureArguments {
    /// Data set
    name: DatasetName,
    /// Folder with its files [default: data/<dataset>]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// PNG file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<u8> {
    match &arguments.action {
        Action::Fetch(arguments) => fetch(arguments)?,
        Action::Check(arguments) => {
            let data = dataset::load(arguments.name, arguments.data.as_deref())?;
            if arguments.json { print_json(&Output::of(&data))? } else { print(&describe(&data))? }
        }
        Action::Picture(arguments) => {
            let data = dataset::load(arguments.name, arguments.data.as_deref())?;
            sheet::write(&data, &arguments.out)?;
            print(&format!("{}: rows are {}", arguments.out.display(), data.classes.join(", ")))?;
        }
    }
    Ok(EXIT_DONE)
}

fn fetch(arguments: &FetchArguments) -> Result<()> {
    if arguments.name == DatasetName::Shapes {
        return Err(bad_input("shapes is built in: there is nothing to fetch").into());
    }
    let folder = arguments.data.clone().unwrap_or_else(|| dataset::default_folder(arguments.name));
    if let Ok(data) = cifar10::load(&folder)
        && data.status == Status::Official
    {
        return print(&format!("{} is there already\n{}", folder.display(), describe(&data)));
    }
    let expected = arguments.sha256.as_deref().unwrap_or(cifar10::ARCHIVE_SHA256);
    check_writable("--data", &folder)?;
    let source = arguments.from.as_deref().unwrap_or(cifar10::ARCHIVE_URL);
    if source.starts_with("http://") || source.starts_with("https://") {
        fetch_address(source, expected, &folder)?;
    } else {
        let file = Path::new(source);
        if !file.is_file() {
            return Err(bad_input(format!("--from {source}: no such file (an address starts with http:// or https://)")).into());
        }
        download::verify(file, expected)?;
        archive::unpack(file, &folder)?;
    }
    let data = cifar10::load(&folder).context("the archive was unpacked, but")?;
    print(&format!("{}\n{}", folder.display(), describe(&data)))
}

fn fetch_address(address: &str, expected: &str, folder: &Path) -> Result<()> {
    let file = folder.join("cifar-10-binary.tar.gz");
    // What an earlier call got and could not unpack, for want of room, need not come again.
    if download::verify(&file, expected).is_err() {
        download::download(address, &file)?;
    }
    download::verify(&file, expected).inspect_err(|_| {
        // Kept, it would be taken for the start of the next download.
        let _ = std::fs::remove_file(&file);
    })?;
    archive::unpack(&file, folder)?;
    std::fs::remove_file(&file).with_context(|| format!("{}: cannot be removed", file.display()))
}

#[derive(Serialize)]
struct Output {
    name: DatasetName,
    status: Status,
    training_images: usize,
    test_images: usize,
    fingerprint: String,
    training_images_per_class: Vec<usize>,
    test_images_per_class: Vec<usize>,
}

impl Output {
    fn of(data: &Dataset) -> Output {
        let per_class =
            |labels: &[u8]| (0..data.classes.len()).map(|class| labels.iter().filter(|&&label| usize::from(label) == class).count()).collect();
        Output {
            name: data.name,
            status: data.status,
            training_images: data.train.len(),
            test_images: data.test.len(),
            fingerprint: data.fingerprint.clone(),
            training_images_per_class: per_class(&data.train.labels),
            test_images_per_class: per_class(&data.test.labels),
        }
    }
}

fn describe(data: &Dataset) -> String {
    let output = Output::of(data);
    let meaning = match data.status {
        Status::Official => "every byte as published",
        Status::Subset => "fewer images than the published data: errors cannot be compared with the paper's",
        Status::Other => "as many images as the published data, but other bytes (another order or encoding): errors may differ",
    };
    let range = |counts: &[usize]| {
        let (low, high) = (counts.iter().min().copied().unwrap_or(0), counts.iter().max().copied().unwrap_or(0));
        if low == high { format!("{low} a class") } else { format!("{low} to {high} a class") }
    };
    format!(
        "{}: {} ({meaning})\ntraining images: {} ({})\ntest images: {} ({})\nfingerprint: {}",
        data.name,
        data.status,
        thousands(data.train.len() as i64),
        range(&output.training_images_per_class),
        thousands(data.test.len() as i64),
        range(&output.test_images_per_class),
        data.fingerprint
    )
}
