//! The list of a split's images, and their bytes: class folders of files, or tar shards.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::Result;
use sha2::{Digest, Sha256};

use crate::dataset::imagenet::listing::entry::{Listing, ShardOffset};
use crate::dataset::imagenet::listing::{cache, folders, shards};
use crate::error::bad_input;
use crate::system::hash::hexadecimal;
use crate::system::regular_file;

/// The images of one split.
///
/// A list of 1.3 million takes some 60 MB: all names are one text, and an image is where its
/// name ends, its length, its class and, in shards, its place.
#[derive(Debug)]
pub struct Index {
    folder: PathBuf,
    classes: Vec<String>,
    names: String,
    /// Where each name ends in `names`.
    ends: Vec<u32>,
    lengths: Vec<u32>,
    labels: Vec<u16>,
    /// Each with its length.
    shards: Vec<(PathBuf, File, u64)>,
    places: Vec<ShardOffset>,
    /// Path of each image below the folder, where its name is none.
    files: Vec<String>,
    others: Vec<String>,
    fingerprint: String,
}

impl Index {
    /// The images of the split whose folder (`train` or `val`, or with shards `train-*.tar`)
    /// is in `root`; a label is a class's position among `classes`, or among the sorted folders if
    /// none are given. Nothing is there: an empty list.
    pub fn open(root: &Path, split: &str, classes: Option<&[String]>) -> Result<Index> {
        let listing = match shards::find(root, split)? {
            shards if !shards.is_empty() => {
                cache::listing(root, split, &shards, || Ok(shards::list(&shards)?))?
            }
            _ => {
                let folder = root.join(split);
                if !folder.exists() {
                    return Index::new(&folder, Listing::default(), classes.unwrap_or_default());
                }
                let class_folders = folders::classes(&folder)?;
                cache::listing(root, split, &class_folders, || {
                    folders::list(&folder, &class_folders)
                })?
            }
        };
        let own = folders::class_names(&listing.images);
        let names = classes.unwrap_or(&own);
        if let Some(unknown) = own.iter().find(|class| names.binary_search(class).is_err()) {
            return Err(bad_input(format!(
                "{}: class {unknown} is not among the {} classes of the dataset (the folders of {}, or a list of all classes there): remove one of them",
                root.join(split).display(),
                names.len(),
                root.join("train").display()
            ))
            .into());
        }
        Index::new(&root.join(split), listing, names)
    }

    /// The images of `listing`, which are in `folder`; a label is a class's position among the
    /// sorted `classes`.
    pub fn new(folder: &Path, listing: Listing, classes: &[String]) -> Result<Index> {
        let mut index = Index {
            folder: folder.to_path_buf(),
            classes: classes.to_vec(),
            names: String::new(),
            ends: Vec::with_capacity(listing.images.len()),
            lengths: Vec::with_capacity(listing.images.len()),
            labels: Vec::with_capacity(listing.images.len()),
            shards: Vec::new(),
            places: Vec::new(),
            files: Vec::new(),
            others: listing.others,
            fingerprint: String::new(),
        };
        let mut digest = Sha256::new();
        for found in listing.images {
            let label = index.classes.binary_search_by(|class| class.as_str().cmp(found.class()));
            let label = label.ok().and_then(|label| u16::try_from(label).ok());
            let refused = |reason: &str| {
                bad_input(format!("{}: {}: {reason}", index.folder.display(), found.name))
            };
            index.labels.push(label.ok_or_else(|| refused("its class is none of the dataset's"))?);
            index.names.push_str(&found.name);
            index.ends.push(
                u32::try_from(index.names.len())
                    .map_err(|_| refused("the names of all files are longer than 4 GB"))?,
            );
            index.lengths.push(
                u32::try_from(found.length)
                    .map_err(|_| refused("longer than 4 GB: no image is; remove it"))?,
            );
            index.places.extend(found.place);
            digest.update(format!("{} {}\n", found.name, found.length));
            index.files.extend(found.file);
        }
        for shard in listing.shards {
            let file = regular_file::open(&shard)
                .map_err(|error| bad_input(format!("{}: {error}", shard.display())))?;
            let length = file.metadata().map_or(0, |metadata| metadata.len());
            index.shards.push((shard, file, length));
        }
        index.fingerprint = hexadecimal(&digest.finalize());
        Ok(index)
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Whether the images are in shards.
    pub fn is_sharded(&self) -> bool {
        !self.shards.is_empty()
    }

    /// The classes that labels stand for, sorted.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Files in the folder that are no images by their name's ending.
    pub fn others(&self) -> &[String] {
        &self.others
    }

    /// SHA-256 of all names and lengths. The bytes are not read: that would take hours for
    /// ImageNet.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The class of an image.
    pub fn label(&self, position: usize) -> i64 {
        i64::from(self.labels[position])
    }

    /// Its name, with the class in front.
    pub fn name(&self, position: usize) -> &str {
        let start = if position == 0 { 0 } else { self.ends[position - 1] as usize };
        &self.names[start..self.ends[position] as usize]
    }

    /// Where it is, if it is a file of its own.
    fn file(&self, position: usize) -> PathBuf {
        self.folder.join(self.files.get(position).map_or(self.name(position), String::as_str))
    }

    /// Where it is, to tell a person.
    pub fn path(&self, position: usize) -> String {
        match self.places.get(position) {
            Some(place) => format!(
                "{} in {}",
                self.name(position),
                self.shards[place.shard as usize].0.display()
            ),
            None => self.file(position).display().to_string(),
        }
    }

    /// Reads its bytes into `bytes`, whose memory is used again.
    pub fn read(&self, position: usize, bytes: &mut Vec<u8>) -> std::io::Result<()> {
        bytes.clear();
        match self.places.get(position) {
            Some(place) => {
                let (_, file, length) = &self.shards[place.shard as usize];
                let wanted = self.lengths[position];
                if length.checked_sub(place.offset).is_none_or(|room| u64::from(wanted) > room) {
                    return Err(std::io::ErrorKind::UnexpectedEof.into());
                }
                bytes.resize(wanted as usize, 0);
                file.read_exact_at(bytes, place.offset)
            }
            None => {
                bytes.reserve(self.lengths[position] as usize + 1);
                regular_file::open(&self.file(position))?.read_to_end(bytes).map(|_| ())
            }
        }
    }

    /// Bytes of memory that the list takes.
    pub fn memory(&self) -> usize {
        self.names.len()
            + self.ends.len() * 4
            + self.lengths.len() * 4
            + self.labels.len() * 2
            + self.places.len() * size_of::<ShardOffset>()
            + self.files.iter().map(|file| file.len() + size_of::<String>()).sum::<usize>()
    }
}
