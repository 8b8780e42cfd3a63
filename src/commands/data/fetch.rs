//! `data fetch`: download a dataset and verify it.

use std::path::Path;

use anyhow::{Context, Result};
use clap::Args;

use crate::commands::data::check::describe;
use crate::commands::options::{DataArgument, data_folder};
use crate::config::dataset_name::DatasetName;
use crate::console::output::print;
use crate::dataset;
use crate::dataset::data::DataStatus;
use crate::dataset::download::Limits;
use crate::dataset::{archive, cifar10, download};
use crate::error::{EXIT_DONE, bad_input};
use crate::system::atomic_file::check_writable;

/// Download a dataset and verify it
///
/// Downloads the official archive (cifar10: 170 MB), resumes a broken download, verifies the
/// checksum before unpacking anything, and unpacks into --data.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  resnet-repro data fetch cifar10
  resnet-repro data fetch cifar10 --from ~/Downloads/cifar-10-binary.tar.gz --data /big/disk/cifar10")]
pub struct Arguments {
    /// Dataset
    name: DatasetName,
    /// Folder to unpack into [default: data/<dataset>]
    #[arg(long, value_name = "[NAME=]DIR", value_parser = DataArgument::parser())]
    data: Option<DataArgument>,
    /// URL of a mirror, or an archive that is already on this machine
    #[arg(long, value_name = "FILE|URL")]
    from: Option<String>,
    /// Checksum of the archive, if it is not the official one
    #[arg(long, value_name = "HEX")]
    sha256: Option<String>,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<u8> {
    match arguments.name {
        DatasetName::Shapes => {
            return Err(bad_input("shapes is built in: there is nothing to fetch").into());
        }
        DatasetName::Cifar10 => {}
        DatasetName::Imagenet => {
            return Err(bad_input(
                "imagenet: downloading it requires accepting its terms (https://image-net.org/download); unpack it as train/<class>/*.JPEG and \
                 val/<class>/*.JPEG, and give the folder with --data",
            )
            .into());
        }
        DatasetName::Folder => {
            return Err(bad_input(
                "folder: these are your own images: there is nothing to fetch; give their folder with --data",
            )
            .into());
        }
        DatasetName::TinyImagenet => {
            return Err(bad_input(
                "tiny-imagenet: this program does not fetch it; unpack it as train/<class>/ and val/<class>/, and give the folder with --data",
            )
            .into());
        }
    }
    let folder = data_folder(arguments.data.as_slice(), arguments.name)?
        .unwrap_or_else(|| dataset::default_folder(arguments.name));
    if let Ok(data) = cifar10::load(&folder)
        && data.status == DataStatus::Official
    {
        print(&format!("{} is already complete\n{}", folder.display(), describe(&data)))?;
        return Ok(EXIT_DONE);
    }
    let (expected, most_bytes) = match arguments.sha256.as_deref() {
        None => (cifar10::ARCHIVE_SHA256, cifar10::ARCHIVE_BYTES),
        Some(given) => (given, archive::MOST_BYTES),
    };
    if expected.len() != 64 || !expected.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(
            bad_input(format!("--sha256 {expected}: a SHA-256 has 64 hexadecimal digits")).into()
        );
    }
    check_writable("--data", &folder)?;
    let source = arguments.from.as_deref().unwrap_or(cifar10::ARCHIVE_URL);
    if source.starts_with("http://") || source.starts_with("https://") {
        fetch_address(source, expected, Limits::new(most_bytes), &folder)?;
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
    print(&format!("{}\n{}", folder.display(), describe(&data)))?;
    Ok(EXIT_DONE)
}

fn fetch_address(address: &str, expected: &str, limits: Limits, folder: &Path) -> Result<()> {
    let file = folder.join("cifar-10-binary.tar.gz");
    // What an earlier call got and could not unpack, for want of room, need not come again.
    if download::verify(&file, expected).is_err() {
        download::download(address, &file, limits)?;
    }
    download::verify(&file, expected).inspect_err(|_| {
        // Kept, it would be taken for the start of the next download.
        let _ = std::fs::remove_file(&file);
    })?;
    archive::unpack(&file, folder)?;
    std::fs::remove_file(&file).with_context(|| format!("{}: cannot be removed", file.display()))
}
