//! Names of datasets.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::config::network_name::Family;
use crate::error::{BadInput, bad_input};

/// Which dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum DatasetName {
    /// Synthetic shapes in ten classes: built in, nothing to download.
    Shapes,
    /// CIFAR-10 in its official binary layout.
    Cifar10,
    /// ImageNet, or any folder of images: train/<class>/*.JPEG and val/<class>/*.JPEG, or
    /// shards of them.
    Imagenet,
    /// Tiny-ImageNet, or any such folder of 64×64 images: the recipe is ImageNet's, scaled to the
    /// images.
    TinyImagenet,
    /// Any images in class folders or with a list of labels, under a name of their own.
    Folder,
}

impl DatasetName {
    /// Reads a name as the command line has it.
    pub fn from_text(text: &str) -> Result<DatasetName, BadInput> {
        <DatasetName as clap::ValueEnum>::from_str(text, false).map_err(|_| {
            let names = DatasetName::value_variants().iter().map(DatasetName::to_string);
            let names = names.collect::<Vec<_>>().join(", ");
            bad_input(format!("{text}: no such dataset; available: {names}"))
        })
    }

    /// As a title has it.
    pub fn title(self) -> &'static str {
        match self {
            DatasetName::Shapes => "synthetic shapes",
            DatasetName::Cifar10 => "CIFAR-10",
            DatasetName::Imagenet => "ImageNet",
            DatasetName::TinyImagenet => "Tiny-ImageNet",
            DatasetName::Folder => "own images",
        }
    }

    /// Which of the paper's tables its networks are from.
    pub fn family(self) -> Family {
        match self {
            DatasetName::Shapes | DatasetName::Cifar10 => Family::Cifar,
            DatasetName::Imagenet | DatasetName::TinyImagenet | DatasetName::Folder => {
                Family::Imagenet
            }
        }
    }

    /// Classes of the published data; of own images, as many as ImageNet has, until they are read.
    pub fn classes(self) -> usize {
        match self {
            DatasetName::Shapes | DatasetName::Cifar10 => 10,
            DatasetName::Imagenet | DatasetName::Folder => 1000,
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
            DatasetName::Folder => "folder",
        })
    }
}

/// Side of the images, in pixels.
pub const IMAGE_SIDE: i64 = 32;
