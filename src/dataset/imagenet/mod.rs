//! Streamed: lists of files or shards, and from the bytes of a JPEG or PNG file to the square that
//! a network sees.
//!
//! A [`Decoder`] decodes only what the square needs. With [`Quality::Exact`] its pixels are those
//! of Pillow and torchvision (`Image.open`, `convert("RGB")`, `Resize`, a crop); with
//! [`Quality::Fast`] large images are reduced while they are decoded, and differ slightly. Every
//! file is decoded or refused with a [`ImageError`]: what libjpeg would fill up with grey is
//! refused.
//!
//! The EXIF orientation is ignored, as torchvision's ImageFolder does: the errors of published
//! weights are of images as they are stored.

pub mod decoder;
pub mod listing;
pub mod loader;
pub mod mean;
pub mod pack;
pub mod view;

use std::path::Path;

use anyhow::Result;

use crate::config::dataset_name::DatasetName;
use crate::dataset::data::{DataStatus, Dataset, Source};
use crate::dataset::imagenet::listing::classes;
use crate::dataset::imagenet::listing::entry::SPLITS;
use crate::dataset::imagenet::listing::folders;
use crate::dataset::imagenet::listing::index::Index;
use crate::error::bad_input;
use crate::system::hash::sha256;

/// Classes, training and validation images of ImageNet 2012.
pub const OFFICIAL: (usize, usize, usize) = (1000, 1_281_167, 50_000);

/// Those of Tiny-ImageNet.
pub const OFFICIAL_TINY: (usize, usize, usize) = (200, 100_000, 10_000);

/// The first folder in `root` with an image in it: a class, where there is no `train` or `val`.
pub fn class_folder(root: &Path) -> Option<String> {
    let folders = std::fs::read_dir(root).ok()?.flatten().filter(|entry| entry.path().is_dir());
    let mut names: Vec<String> =
        folders.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names.into_iter().find(|name| {
        let files = std::fs::read_dir(root.join(name)).into_iter().flatten().flatten();
        files.take(100).any(|file| folders::is_image(&file.path()))
    })
}

/// Loads the lists of a dataset's images; without a `train` folder there is nothing to train
/// on, and the data can be tested on.
///
/// A class's number is its position among the sorted class folders, or in ImageNet's own list of
/// classes if that is there (see [`classes::listed`]).
pub fn load(name: DatasetName, root: &Path) -> Result<Dataset> {
    if !root.is_dir() {
        return Err(bad_input(format!(
            "{}: no such folder: give the one that contains train/ and val/ with --data",
            root.display()
        ))
        .into());
    }
    let listed = classes::listed(root)?;
    let known = listed.as_ref().map(|(_, names)| names.as_slice());
    let train = Index::open(root, SPLITS[0], known)?;
    let test =
        Index::open(root, SPLITS[1], known.or((!train.is_empty()).then_some(train.classes())))?;
    if test.is_empty() && root.join("test").is_dir() {
        return Err(bad_input(format!(
            "{root}: test images must be in val/, but there is a test/: rename it to val/ if it has a folder for each class, or \"ln -s test {root}/val\"",
            root = root.display()
        ))
        .into());
    }
    if train.is_empty() && test.is_empty() {
        let hint = class_folder(root).map_or(String::new(), |class| {
            format!("; {class}/ looks like a class: move such folders into train/ and, with other images, into val/")
        });
        return Err(bad_input(format!(
            "{}: contains neither train/<class>/ nor val/<class>/, nor shards of them{hint}",
            root.display()
        ))
        .into());
    }
    let names = if train.is_empty() { test.classes() } else { train.classes() }.to_vec();
    let counts = (names.len(), train.len(), test.len());
    let published = if name == DatasetName::TinyImagenet { OFFICIAL_TINY } else { OFFICIAL };
    let status = match (
        counts == published,
        counts.0 >= published.0 && counts.1 >= published.1 && counts.2 >= published.2,
    ) {
        (true, _) if !train.is_sharded() => DataStatus::Official,
        (_, true) => DataStatus::Other,
        _ => DataStatus::Subset,
    };
    Ok(Dataset {
        name,
        fingerprint: sha256(
            format!("{} {} {}", names.join(" "), train.fingerprint(), test.fingerprint())
                .as_bytes(),
        ),
        status,
        classes: names,
        train: Source::images(train),
        test: Source::images(test),
        own: None,
    })
}
