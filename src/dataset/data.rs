//! A dataset in memory, or as a list of files: images, labels, and what identifies them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::config::dataset_name::DatasetName;
use crate::config::recipe::Recipe;
use crate::dataset::imagenet::listing::index::Index;
use crate::dataset::imagenet::mean;
use crate::error::{BadInput, bad_input};

/// Labelled images of one size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    /// Side of the square images, in pixels.
    pub side: usize,
    /// Image after image, row after row, red, green and blue of each pixel: [images, side, side,
    /// 3].
    pub pixels: Vec<u8>,
    /// The class of each image.
    pub labels: Vec<u8>,
}

impl Images {
    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Bytes of one image.
    pub fn image_bytes(&self) -> usize {
        self.side * self.side * 3
    }

    /// The mean image: [side, side, 3], in [0, 1].
    pub fn mean(&self) -> Vec<f32> {
        let mut sums = vec![0u64; self.image_bytes()];
        for image in self.pixels.chunks_exact(self.image_bytes()) {
            for (sum, &pixel) in sums.iter_mut().zip(image) {
                *sum += u64::from(pixel);
            }
        }
        sums.iter().map(|&sum| (sum as f64 / (self.len() as f64 * 255.0)) as f32).collect()
    }
}

/// The images of a split.
#[derive(Debug, Clone)]
pub enum Source {
    /// All in memory.
    Resident(Images),
    /// Files that are decoded when their turn comes.
    Streamed(Arc<Index>),
}

impl Source {
    /// A list of images.
    pub fn images(index: Index) -> Source {
        Source::Streamed(Arc::new(index))
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        match self {
            Source::Resident(images) => images.len(),
            Source::Streamed(index) => index.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The mean of all images as `recipe` has them tested: [side, side, 3], in [0, 1]. `threads`
    /// decode images, until `stop` is set; `unreadable` is told of each that cannot be read.
    pub fn mean_image(
        &self,
        recipe: &Recipe,
        threads: usize,
        stop: &AtomicBool,
        unreadable: impl FnMut(String),
    ) -> Result<Vec<f32>> {
        match self {
            Source::Resident(images) => Ok(images.mean()),
            Source::Streamed(index) => mean::mean_image(
                index,
                recipe.image_side() as u32,
                recipe.test_scale.unwrap_or_default() as u32,
                threads,
                stop,
                unreadable,
            ),
        }
    }

    /// Labels in the order of the images.
    pub fn labels(&self) -> Vec<i64> {
        match self {
            Source::Resident(images) => {
                images.labels.iter().map(|&label| i64::from(label)).collect()
            }
            Source::Streamed(index) => {
                (0..index.len()).map(|position| index.label(position)).collect()
            }
        }
    }
}

/// Training and test images, and what identifies them.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// Which dataset it is (or is a subset of).
    pub name: DatasetName,
    /// Names of the classes, in label order.
    pub classes: Vec<String>,
    /// Training images.
    pub train: Source,
    /// Test images.
    pub test: Source,
    /// SHA-256 that identifies every label and pixel and their order, in hexadecimal; of
    /// image files, the names, classes and lengths of all.
    pub fingerprint: String,
    /// Whether it is the official data, a subset, or something else.
    pub status: DataStatus,
    /// What own images have beside that.
    pub own: Option<OwnData>,
}

/// What own images are called, and how training and test images were told apart.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnData {
    /// What the data is called.
    pub title: String,
    /// How test images were told apart.
    pub split: Split,
}

/// How the test images of own data were told apart from its training images.
#[derive(Debug, Clone, PartialEq)]
pub enum Split {
    /// They are in a folder of their own.
    Folders {
        /// Its name.
        test: String,
    },
    /// By a column of the list of labels.
    Column,
    /// By the hash of each image's name.
    HeldOut {
        /// Share of the test images, in percent.
        percent: f64,
    },
}

impl Split {
    /// The share that was held out, in percent, where images were.
    pub fn held_out_percent(&self) -> Option<f64> {
        match self {
            Split::HeldOut { percent } => Some(*percent),
            _ => None,
        }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Split::Folders { test } => write!(formatter, "folders train/ and {test}/"),
            Split::Column => formatter.write_str("column split of labels.csv"),
            Split::HeldOut { percent } => {
                write!(formatter, "{percent} % held out by the hash of each image's name")
            }
        }
    }
}

/// What the files are, as far as their hashes tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DataStatus {
    /// Byte for byte the published data; of image files, as many classes and images as published,
    /// in files of their own.
    Official,
    /// Fewer images than the published data has.
    Subset,
    /// As many images or more, but not the published bytes.
    Other,
}

impl fmt::Display for DataStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            DataStatus::Official => "official",
            DataStatus::Subset => "subset",
            DataStatus::Other => "other",
        })
    }
}

/// Refuses a validation set that would leave too few training images for a batch.
pub fn check_split(dataset: &Dataset, validation: u64, batch_size: u64) -> Result<(), BadInput> {
    let images = dataset.train.len() as u64;
    if images == 0 {
        return Err(bad_input(format!(
            "{}: the folder has no train/<class>/ in it: there is nothing to train on",
            dataset.name
        )));
    }
    if dataset.test.is_empty() {
        return Err(bad_input(format!(
            "{}: the folder has no val/<class>/ in it: there is nothing to test on",
            dataset.name
        )));
    }
    if validation + batch_size > images {
        return Err(bad_input(format!(
            "validation = {validation} and batch_size = {batch_size} need {} training images, {} has {images}: set a smaller validation or batch_size",
            validation + batch_size,
            dataset.name
        )));
    }
    Ok(())
}
