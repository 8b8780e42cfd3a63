//! `data`: get a data set, and say what is there.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::commands::options::threads;
use crate::config::dataset_name::DatasetName;
use crate::config::network_name::Family;
use crate::console::output::{print, print_json, say};
use crate::dataset;
use crate::dataset::data::{DataStatus, Dataset, Source};
use crate::dataset::imagenet::decoder::decode::{Decoder, Quality};
use crate::dataset::imagenet::listing::index::Index;
use crate::dataset::imagenet::loader::read_whole;
use crate::dataset::imagenet::pack::Packing;
use crate::dataset::imagenet::view::decoder;
use crate::dataset::{archive, cifar10, download};
use crate::error::{EXIT_DONE, EXIT_FAILED, bad_input};
use crate::report::draw::contact_sheet;
use crate::report::format::thousands;
use crate::system::atomic_file::check_writable;
use crate::system::parallel::{available_threads, in_order};

/// Shorter side that `--decode` scales whole photographs to.
const CHECK_SIDE: u32 = 64;

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
    Pack(PackArguments),
}

/// Download a data set and verify it
///
/// Downloads the official archive (cifar10: 170 MB), goes on where a broken download stopped,
/// verifies the checksum before anything is unpacked, and unpacks into --data.
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
///
/// Of photographs the fingerprint is that of names and lengths; --decode decodes every one and
/// names those that cannot be read (exit code 1 if there are any).
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
    /// Decode every photograph
    #[arg(long)]
    decode: bool,
    /// Threads that decode [default: as many as there are processors]
    #[arg(long, value_name = "N", value_parser = threads)]
    loaders: Option<usize>,
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

/// Pack photographs into tar shards, scaled down to what the training needs
///
/// For disks on a network, which are slow at opening files. Streamed whose shorter side is longer
/// than --shorter-side are scaled down to it and encoded anew; the others stay as they are. Train
/// and evaluate with --data set to the shards' folder. The shards are in WebDataset's layout.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  resnet-repro data pack imagenet --data data/imagenet --out /scratch/imagenet-480")]
struct PackArguments {
    /// Data set
    name: DatasetName,
    /// Folder with train/<class>/ and val/<class>/ [default: data/<dataset>]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Folder for the shards
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Longest shorter side that is kept, in pixels
    #[arg(long, value_name = "PIXELS", default_value_t = 480, value_parser = clap::value_parser!(u32).range(32..=4096))]
    shorter_side: u32,
    /// JPEG quality of photographs that are encoded anew
    #[arg(long, value_name = "1-100", default_value_t = 92, value_parser = clap::value_parser!(u8).range(1..=100))]
    quality: u8,
    /// Streamed a shard
    #[arg(long, value_name = "N", default_value_t = 5000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    per_shard: u64,
    /// Threads [default: as many as there are processors]
    #[arg(long, value_name = "N", value_parser = threads)]
    loaders: Option<usize>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<u8> {
    match &arguments.action {
        Action::Fetch(arguments) => fetch(arguments)?,
        Action::Check(arguments) => {
            let data = dataset::load(arguments.name, arguments.data.as_deref())?;
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
                print(&format!("{} images cannot be read{names}", unreadable.len()))?;
            }
            return Ok(code);
        }
        Action::Picture(arguments) => {
            let data = dataset::load(arguments.name, arguments.data.as_deref())?;
            contact_sheet::write(&data, &arguments.out)?;
            print(&format!("{}: rows are {}", arguments.out.display(), data.classes.join(", ")))?;
        }
        Action::Pack(arguments) => pack(arguments)?,
    }
    Ok(EXIT_DONE)
}

fn pack(arguments: &PackArguments) -> Result<()> {
    if arguments.name.family() != Family::Imagenet {
        return Err(bad_input(format!(
            "{}: only photographs are packed (imagenet, tiny-imagenet)",
            arguments.name
        ))
        .into());
    }
    let root = arguments.data.clone().unwrap_or_else(|| dataset::default_folder(arguments.name));
    check_writable("--out", &arguments.out)?;
    let packing = Packing {
        shorter_side: arguments.shorter_side,
        quality: arguments.quality,
        per_shard: arguments.per_shard as usize,
        threads: arguments.loaders.unwrap_or_else(available_threads),
    };
    let packed = packing.pack(&root, &arguments.out, say)?;
    if arguments.json {
        return print_json(&packed);
    }
    print(&format!(
        "{}: {} photographs in {} shards, {} of them scaled down; {:.1} MB, {:.1} MB before; {} could not be read",
        arguments.out.display(),
        thousands(packed.photographs as i64),
        packed.shards,
        thousands(packed.scaled as i64),
        packed.bytes as f64 / 1e6,
        packed.bytes_before as f64 / 1e6,
        packed.unreadable.len()
    ))
}

fn fetch(arguments: &FetchArguments) -> Result<()> {
    match arguments.name {
        DatasetName::Shapes => {
            return Err(bad_input("shapes is built in: there is nothing to fetch").into());
        }
        DatasetName::Cifar10 => {}
        DatasetName::Imagenet => {
            return Err(bad_input(
                "imagenet: its owners give it to who signs their terms (https://image-net.org/download); unpack it as train/<class>/*.JPEG and \
                 val/<class>/*.JPEG, and name the folder by --data",
            )
            .into());
        }
        DatasetName::TinyImagenet => {
            return Err(bad_input(
                "tiny-imagenet: it is not fetched by this program; unpack it as train/<class>/ and val/<class>/, and name the folder by --data",
            )
            .into());
        }
    }
    let folder = arguments.data.clone().unwrap_or_else(|| dataset::default_folder(arguments.name));
    if let Ok(data) = cifar10::load(&folder)
        && data.status == DataStatus::Official
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
            return Err(bad_input(format!(
                "--from {source}: no such file (an address starts with http:// or https://)"
            ))
            .into());
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

impl Output {
    fn of(data: &Dataset) -> Output {
        let per_class = |source: &Source| {
            let mut counts = vec![0; data.classes.len()];
            source.labels().into_iter().for_each(|label| counts[label as usize] += 1);
            counts
        };
        Output {
            name: data.name,
            status: data.status,
            training_images: data.train.len(),
            test_images: data.test.len(),
            fingerprint: data.fingerprint.clone(),
            training_images_per_class: per_class(&data.train),
            test_images_per_class: per_class(&data.test),
            other_files: photographs(data).flat_map(|index| index.others().to_vec()).collect(),
            unreadable_images: Vec::new(),
        }
    }
}

fn photographs(data: &Dataset) -> impl Iterator<Item = &Index> {
    [&data.train, &data.test].into_iter().filter_map(|source| match source {
        Source::Streamed(index) => Some(&**index),
        Source::Resident(_) => None,
    })
}

/// Decodes every photograph; what is wrong with those that cannot be read.
fn unreadable(data: &Dataset, threads: usize) -> Result<Vec<String>> {
    let mut reasons = Vec::new();
    for index in photographs(data) {
        let decode = |(decoder, bytes): &mut (Decoder, Vec<u8>), position: usize| {
            read_whole(index, (decoder, Quality::Fast), bytes, position, CHECK_SIDE)
                .err()
                .map(|unreadable| unreadable.reason)
        };
        let state = || (decoder(Quality::Fast), Vec::new());
        in_order(index.len(), threads, state, decode, |_, reason| {
            reasons.extend(reason);
            Ok(())
        })?;
    }
    Ok(reasons)
}

fn describe(data: &Dataset) -> String {
    let output = Output::of(data);
    let meaning = match data.status {
        DataStatus::Official if data.name == DatasetName::Imagenet => {
            "as many images and classes as published; their bytes are not looked at"
        }
        DataStatus::Official => "every byte as published",
        DataStatus::Subset => {
            "fewer images than the published data: errors cannot be compared with the paper's"
        }
        DataStatus::Other => {
            "as many images as the published data, but other bytes (another order or encoding): errors may differ"
        }
    };
    let range = |counts: &[usize]| {
        let (low, high) =
            (counts.iter().min().copied().unwrap_or(0), counts.iter().max().copied().unwrap_or(0));
        if low == high { format!("{low} a class") } else { format!("{low} to {high} a class") }
    };
    let others = match output.other_files.split_first() {
        Some((first, rest)) => format!(
            "\nleft out: {} files that are no images by their names, such as {first}",
            rest.len() + 1
        ),
        None => String::new(),
    };
    format!(
        "{}: {} ({meaning}), {} classes\ntraining images: {} ({})\ntest images: {} ({})\nfingerprint: {}{others}",
        data.name,
        data.status,
        data.classes.len(),
        thousands(data.train.len() as i64),
        range(&output.training_images_per_class),
        thousands(data.test.len() as i64),
        range(&output.test_images_per_class),
        data.fingerprint
    )
}
