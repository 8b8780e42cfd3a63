//! `data picture`: a contact sheet of training images.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::commands::options::{DataArgument, data_folder};
use crate::config::dataset_name::DatasetName;
use crate::console::output::print;
use crate::dataset;
use crate::error::{EXIT_DONE, bad_input};
use crate::report::draw::contact_sheet;

/// Draw some training images of every class, one row per class
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  resnet-repro data picture shapes --out shapes.png")]
pub struct Arguments {
    /// Dataset
    name: DatasetName,
    /// Folder with its files [default: data/<dataset>]
    #[arg(long, value_name = "[NAME=]DIR", value_parser = DataArgument::parser())]
    data: Option<DataArgument>,
    /// PNG file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<u8> {
    let out = arguments.out.display();
    if !arguments.out.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("png")) {
        return Err(bad_input(format!(
            "--out {out}: only PNG is written: give a name that ends in .png"
        ))
        .into());
    }
    let data = dataset::load(
        arguments.name,
        data_folder(arguments.data.as_slice(), arguments.name)?.as_deref(),
    )?;
    contact_sheet::write(&data, &arguments.out)?;
    print(&format!("{out}: rows are {}", data.classes.join(", ")))?;
    Ok(EXIT_DONE)
}
