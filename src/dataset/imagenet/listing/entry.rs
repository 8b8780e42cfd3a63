//! An image as it is found, before it is in the index.

use std::path::PathBuf;

/// Where an image's bytes lie in a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardOffset {
    /// Which shard.
    pub shard: u32,
    /// Bytes before it.
    pub offset: u64,
}

/// An image as it is found, before it is in an [`Index`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Path below the split's folder, or name in its shard, with the class in front:
    /// `n01440764/n01440764_10026.JPEG`.
    pub name: String,
    /// Length of the file in bytes.
    pub length: u64,
    /// Where it is, if it is in a shard.
    pub place: Option<ShardOffset>,
    /// Path below the folder, where the name does not say it.
    pub file: Option<String>,
}

impl Found {
    /// The folder it is in: its class.
    pub fn class(&self) -> &str {
        self.name.split('/').next().unwrap_or_default()
    }
}

/// What a split's folder holds, before it is in an [`Index`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// The images in the order of their names.
    pub images: Vec<Found>,
    /// Shards, in the order of their names; none if the images are files of their own.
    pub shards: Vec<PathBuf>,
    /// Files that are no images by their name's ending.
    pub others: Vec<String>,
    /// Folders within the class folders.
    pub inner_folders: Vec<PathBuf>,
}

/// The splits' folders, or the first part of their shards' names. The validation images are the
/// ones that the paper tests on.
pub const SPLITS: [&str; 2] = ["train", "val"];
