//! Data sets: small images that are kept in memory, and files that are decoded in their turn.

pub mod archive;
pub mod cifar10;
pub mod data;
pub mod download;
pub mod drawing;
pub mod imagenet;
pub mod shapes;

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::config::dataset_name::DatasetName;
use crate::dataset::data::Dataset;
use crate::error::bad_input;

/// Where a data set is looked for when no folder is named.
pub fn default_folder(name: DatasetName) -> PathBuf {
    Path::new("data").join(name.to_string())
}

/// Loads a data set; `folder` is where its files are, unless it is built in.
pub fn load(name: DatasetName, folder: Option<&Path>) -> Result<Dataset> {
    match (name, folder) {
        (DatasetName::Shapes, None) => Ok(shapes::generate(shapes::SEED)),
        (DatasetName::Shapes, Some(folder)) => Err(bad_input(format!(
            "--data {}: shapes is built in and reads no files; did you mean --dataset cifar10?",
            folder.display()
        ))
        .into()),
        (DatasetName::Cifar10, folder) => {
            Ok(cifar10::load(folder.unwrap_or(&default_folder(name)))?)
        }
        (DatasetName::Imagenet | DatasetName::TinyImagenet, folder) => {
            imagenet::load(name, folder.unwrap_or(&default_folder(name)))
        }
    }
}

/// The folder for one of several data sets, of which those that are built in read none.
pub fn folder_of(name: DatasetName, folder: Option<&Path>) -> Option<&Path> {
    folder.filter(|_| name != DatasetName::Shapes)
}

/// The data set that the flags mean: the one that is named, CIFAR-10 if only a folder is, else the
/// built-in one.
pub fn chosen(dataset: Option<DatasetName>, folder: Option<&Path>) -> DatasetName {
    dataset.unwrap_or(if folder.is_some() { DatasetName::Cifar10 } else { DatasetName::Shapes })
}
