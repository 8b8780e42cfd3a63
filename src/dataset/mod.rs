//! Data sets: small colour images that fit in memory, and photographs that do not.

pub mod archive;
pub mod cifar10;
pub mod download;
mod drawing;
pub mod photographs;
pub mod shapes;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use photographs::Index;

use crate::error::{BadInput, bad_input};
use crate::network::Family;
use crate::recipe::Recipe;

/// Which data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum DatasetName {
    /// Built in: ten classes of drawings, nothing to download.
    Shapes,
    /// CIFAR-10 in its official binary layout.
    Cifar10,
    /// ImageNet, or any folder of photographs: train/<class>/*.JPEG and val/<class>/*.JPEG, or shards of them.
    Imagenet,
    /// Tiny-ImageNet, or any such folder of 64×64 images: the recipe is ImageNet's, scaled to the images.
    TinyImagenet,
}

impl DatasetName {
    /// As a title has it.
    pub fn title(self) -> &'static str {
        match self {
            DatasetName::Shapes => "built-in drawings",
            DatasetName::Cifar10 => "CIFAR-10",
            DatasetName::Imagenet => "ImageNet",
            DatasetName::TinyImagenet => "Tiny-ImageNet",
        }
    }

    /// Which of the paper's tables its networks are from.
    pub fn family(self) -> Family {
        match self {
            DatasetName::Shapes | DatasetName::Cifar10 => Family::Cifar,
            DatasetName::Imagenet | DatasetName::TinyImagenet => Family::Imagenet,
        }
    }

    /// Classes of the published data.
    pub fn classes(self) -> usize {
        match self {
            DatasetName::Shapes | DatasetName::Cifar10 => 10,
            DatasetName::Imagenet => 1000,
            DatasetName::TinyImagenet => 200,
        }
    }
}

impl fmt::Display for DatasetName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            DatasetName::Shapes => "shapes",
            DatasetName::Cifar10 => "cifar10",
            DatasetName::Imagenet => "imagenet",
            DatasetName::TinyImagenet => "tiny-imagenet",
        })
    }
}

/// Labelled images of one size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    /// Side of the square images, in pixels.
    pub side: usize,
    /// Image after image, row after row, red, green and blue of each pixel: [images, side, side, 3].
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
    Photographs(Arc<Index>),
}

impl Source {
    /// A list of photographs.
    pub fn photographs(index: Index) -> Source {
        Source::Photographs(Arc::new(index))
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        match self {
            Source::Resident(images) => images.len(),
            Source::Photographs(index) => index.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The mean of all images as `recipe` has them tested: [side, side, 3], in [0, 1]. `threads` decode photographs; `unreadable` is told of each
    /// that cannot be read.
    pub fn mean_image(&self, recipe: &Recipe, threads: usize, unreadable: impl FnMut(String)) -> Result<Vec<f32>> {
        match self {
            Source::Resident(images) => Ok(images.mean()),
            Source::Photographs(index) => {
                photographs::mean_image(index, recipe.image_side() as u32, recipe.test_scale.unwrap_or_default() as u32, threads, unreadable)
            }
        }
    }

    /// Labels in the order of the images.
    pub fn labels(&self) -> Vec<i64> {
        match self {
            Source::Resident(images) => images.labels.iter().map(|&label| i64::from(label)).collect(),
            Source::Photographs(index) => (0..index.len()).map(|position| index.label(position)).collect(),
        }
    }
}

/// Training and test images, and what identifies them.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// Which data set it is (or is a subset of).
    pub name: DatasetName,
    /// Names of the classes, in label order.
    pub classes: Vec<String>,
    /// Training images.
    pub train: Source,
    /// Test images.
    pub test: Source,
    /// SHA-256 that identifies every label and pixel and their order, in hexadecimal; of photographs, the names, classes and lengths of all files.
    pub fingerprint: String,
    /// Whether it is the official data, a subset, or something else.
    pub status: Status,
}

/// What the files are, as far as their hashes tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Byte for byte the published data; of photographs, as many classes and images as published, in files of their own.
    Official,
    /// Fewer images than the published data has.
    Subset,
    /// As many images or more, but not the published bytes.
    Other,
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Status::Official => "official",
            Status::Subset => "subset",
            Status::Other => "other",
        })
    }
}

/// Where a data set is looked for when no folder is named.
pub fn default_folder(name: DatasetName) -> PathBuf {
    Path::new("data").join(name.to_string())
}

/// Loads a data set; `folder` is where its files are, unless it is built in.
pub fn load(name: DatasetName, folder: Option<&Path>) -> Result<Dataset> {
    match (name, folder) {
        (DatasetName::Shapes, None) => Ok(shapes::generate(shapes::SEED)),
        (DatasetName::Shapes, Some(folder)) => {
            Err(bad_input(format!("--data {}: shapes is built in and reads no files; did you mean --dataset cifar10?", folder.display())).into())
        }
        (DatasetName::Cifar10, folder) => Ok(cifar10::load(folder.unwrap_or(&default_folder(name)))?),
        (DatasetName::Imagenet | DatasetName::TinyImagenet, folder) => photographs::load(name, folder.unwrap_or(&default_folder(name))),
    }
}

/// The folder for one of several data sets, of which those that are built in read none.
pub fn folder_of(name: DatasetName, folder: Option<&Path>) -> Option<&Path> {
    folder.filter(|_| name != DatasetName::Shapes)
}

/// The data set that the flags mean: the one that is named, CIFAR-10 if only a folder is, else the built-in one.
pub fn chosen(dataset: Option<DatasetName>, folder: Option<&Path>) -> DatasetName {
    dataset.unwrap_or(if folder.is_some() { DatasetName::Cifar10 } else { DatasetName::Shapes })
}

/// Refuses a validation set that would leave too few training images for a batch.
pub fn check_split(dataset: &Dataset, validation: u64, batch_size: u64) -> Result<(), BadInput> {
    let images = dataset.train.len() as u64;
    if images == 0 {
        return Err(bad_input(format!("{}: the folder has no train/<class>/ in it: there is nothing to train on", dataset.name)));
    }
    if dataset.test.is_empty() {
        return Err(bad_input(format!("{}: the folder has no val/<class>/ in it: there is nothing to test on", dataset.name)));
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

/// SHA-256 in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// Bytes as lower-case hexadecimal digits.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
