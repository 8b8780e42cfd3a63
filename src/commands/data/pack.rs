//! `data pack`: images into tar shards.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::commands::options::{DataArgument, data_folder, threads};
use crate::config::dataset_name::DatasetName;
use crate::config::network_name::Family;
use crate::console::output::{print, print_json, say};
use crate::dataset;
use crate::dataset::imagenet::pack::Packing;
use crate::error::{EXIT_DONE, bad_input};
use crate::report::format::thousands;
use crate::system::atomic_file::check_writable;
use crate::system::parallel::available_threads;

/// Pack an ImageFolder dataset into tar shards, scaled down to what training needs
///
/// For network file systems, which are slow at opening many files. Images whose shorter side is
/// longer than --shorter-side are scaled down to it and re-encoded; others are copied unchanged.
/// Train and evaluate with --data pointing to the shards. They have WebDataset's layout.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  resnet-repro data pack imagenet --data data/imagenet --out /scratch/imagenet-480")]
pub struct Arguments {
    /// Dataset
    name: DatasetName,
    /// Folder with train/<class>/ and val/<class>/ [default: data/<dataset>]
    #[arg(long, value_name = "[NAME=]DIR", value_parser = DataArgument::parser())]
    data: Option<DataArgument>,
    /// Folder for the shards
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Shorter side in pixels that larger images are scaled down to
    #[arg(long, value_name = "PIXELS", default_value_t = 480, value_parser = clap::value_parser!(u32).range(32..=4096))]
    shorter_side: u32,
    /// JPEG quality of re-encoded images
    #[arg(long, value_name = "1-100", default_value_t = 92, value_parser = clap::value_parser!(u8).range(1..=100))]
    quality: u8,
    /// Images per shard
    #[arg(long, value_name = "N", default_value_t = 5000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    per_shard: u64,
    /// Threads [default: one per CPU core]
    #[arg(long, value_name = "N", value_parser = threads)]
    loaders: Option<usize>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<u8> {
    if arguments.name == DatasetName::Folder {
        return Err(bad_input(
            "folder: not packed under its own name: \"data pack imagenet\" packs a folder with train/<class>/ and val/<class>/",
        )
        .into());
    }
    if arguments.name.family() != Family::Imagenet {
        return Err(bad_input(format!(
            "{}: only ImageFolder datasets can be packed (imagenet, tiny-imagenet)",
            arguments.name
        ))
        .into());
    }
    let root = data_folder(arguments.data.as_slice(), arguments.name)?
        .unwrap_or_else(|| dataset::default_folder(arguments.name));
    check_writable("--out", &arguments.out)?;
    let packing = Packing {
        shorter_side: arguments.shorter_side,
        quality: arguments.quality,
        per_shard: arguments.per_shard as usize,
        threads: arguments.loaders.unwrap_or_else(available_threads),
    };
    let packed = packing.pack(&root, &arguments.out, say)?;
    if arguments.json {
        print_json(&packed)?;
        return Ok(EXIT_DONE);
    }
    print(&format!(
        "{}: {} images in {} shards, {} of them scaled down; {:.1} MB, {:.1} MB before; {} could not be read",
        arguments.out.display(),
        thousands(packed.images as i64),
        packed.shards,
        thousands(packed.scaled as i64),
        packed.bytes as f64 / 1e6,
        packed.bytes_before as f64 / 1e6,
        packed.unreadable.len()
    ))?;
    Ok(EXIT_DONE)
}
