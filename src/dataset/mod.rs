//! Data sets: small images that are kept in memory, and files that are decoded in their turn.

pub mod archive;
pub mod cifar10;
pub mod data;
pub mod download;
pub mod drawing;
pub mod folder;
pub mod imagenet;
pub mod shapes;

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::config::dataset_name::DatasetName;
use crate::dataset::data::Dataset;
use crate::error::bad_input;

/// Where a dataset is looked for when no folder is named.
pub fn default_folder(name: DatasetName) -> PathBuf {
    Path::new("data").join(name.to_string())
}

/// Loads a dataset; `folder` is where its files are, unless it is built in.
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
        (DatasetName::Folder, folder) => folder::load(folder.unwrap_or(&default_folder(name))),
    }
}

/// Test images of the published data; of own images, whose number is not known, none.
pub fn published_test_images(name: DatasetName) -> usize {
    match name {
        DatasetName::Shapes => shapes::TEST_IMAGES,
        DatasetName::Cifar10 => cifar10::OFFICIAL_IMAGES.1,
        DatasetName::Imagenet => imagenet::OFFICIAL.2,
        DatasetName::TinyImagenet => imagenet::OFFICIAL_TINY.2,
        DatasetName::Folder => 0,
    }
}

/// The dataset that a folder holds, as far as its files tell.
pub fn recognized(folder: &Path) -> Option<DatasetName> {
    let holds = |names: &[&str]| names.iter().any(|name| folder.join(name).exists());
    if holds(&["data_batch_1.bin", "test_batch.bin"]) {
        Some(DatasetName::Cifar10)
    } else if holds(&["wnids.txt"]) {
        Some(DatasetName::TinyImagenet)
    } else if holds(&["train", "val", "test"]) || imagenet::class_folder(folder).is_some() {
        Some(DatasetName::Imagenet)
    } else {
        None
    }
}

/// The same where only the datasets in `wanted` come into question.
pub fn recognized_among(folder: &Path, wanted: &[DatasetName]) -> Option<DatasetName> {
    let found = recognized(folder)?;
    if wanted.contains(&found) {
        return Some(found);
    }
    // Nothing but the size of its images tells a folder of images from another.
    let mut same = wanted.iter().filter(|name| name.family() == found.family());
    match (same.next(), same.next()) {
        (Some(&name), None) if name != DatasetName::Shapes => Some(name),
        _ => None,
    }
}
