//! Tar shards of images, in WebDataset's layout: `train-000000.tar` holds
//! `<class>/<name>.jpg`, each followed by a `.cls` file with the class's number
//! (<https://github.com/webdataset/webdataset>).

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tar::EntryType;

use crate::console::escape::one_line;
use crate::dataset::imagenet::listing::entry::{Found, Listing, ShardOffset};
use crate::error::{BadInput, bad_input};
use crate::system::{atomic_file, regular_file};

/// Ending of the file with the class's number.
const CLASS_ENDING: &str = "cls";

/// File beside the shards that says how many there are of each split: `{"train": 257, "val": 10}`.
/// It is written last.
const CONTENTS: &str = "shards.json";

/// The shards of a split in `root`, sorted by name: as many as [`CONTENTS`] says, without a gap
/// from 000000.
pub fn find(root: &Path, split: &str) -> Result<Vec<PathBuf>, BadInput> {
    let shards = present(root, split)?;
    let file = root.join(CONTENTS);
    let contents = match regular_file::read_to_string(&file) {
        Ok(text) => text,
        Err(_) if shards.is_empty() => return Ok(Vec::new()),
        Err(error) => {
            return Err(bad_input(format!(
                "{}: {error}: packing was interrupted: remove the shards, and pack the data again",
                file.display()
            )));
        }
    };
    let counts: BTreeMap<String, usize> = serde_json::from_str(&contents)
        .map_err(|error| bad_input(format!("{}: {error}", file.display())))?;
    let count = counts.get(split).copied().unwrap_or(0);
    // Whatever number the file says, the first shard that is missing ends this.
    let expected = |number| {
        let shard = root.join(file_name(split, number));
        match shards.contains(&shard) {
            true => Ok(shard),
            false => Err(bad_input(format!(
                "{}: this shard is missing ({} says that there are {count}): pack the data again",
                shard.display(),
                file.display()
            ))),
        }
    };
    (0..count).map(expected).collect()
}

/// Whether there are shards of a split in `root`, be they all or not.
pub fn any(root: &Path, split: &str) -> Result<bool, BadInput> {
    Ok(!present(root, split)?.is_empty())
}

/// Says how many shards there are of each split.
pub fn write_contents(root: &Path, counts: &BTreeMap<String, usize>) -> Result<()> {
    let text = serde_json::to_string(counts).context("the shards' numbers")?;
    atomic_file::write_atomically(&root.join(CONTENTS), text.as_bytes())
}

fn present(root: &Path, split: &str) -> Result<BTreeSet<PathBuf>, BadInput> {
    let entries = std::fs::read_dir(root)
        .map_err(|error| bad_input(format!("{}: {error}", root.display())))?;
    let prefix = format!("{split}-");
    let is_shard = |path: &PathBuf| {
        path.file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.starts_with(&prefix) && name.ends_with(".tar"))
    };
    Ok(entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_shard).collect())
}

/// Name of a shard.
pub fn file_name(split: &str, number: usize) -> String {
    format!("{split}-{number:06}.tar")
}

/// The images in `shards`: their headers are read, and their bytes skipped.
///
/// # Errors
/// A file that is no whole tar file, and an entry whose name is none of `<class>/<name>`, which
/// would be counted under another class, or is there twice.
pub fn list(shards: &[PathBuf]) -> Result<Listing, BadInput> {
    let mut listing = Listing { shards: shards.to_vec(), ..Listing::default() };
    for (number, shard) in shards.iter().enumerate() {
        list_shard(shard, number as u32, &mut listing)?;
    }
    listing.images.sort_by(|one, other| one.name.cmp(&other.name));
    if let Some(pair) = listing.images.windows(2).find(|pair| pair[0].name == pair[1].name) {
        let shards: BTreeSet<String> = (pair.iter().filter_map(|found| found.place))
            .map(|place| shards[place.shard as usize].display().to_string())
            .collect();
        return Err(bad_input(format!(
            "{}: the entry \"{}\" is there twice: pack the data again",
            shards.into_iter().collect::<Vec<_>>().join(", "),
            pair[0].name
        )));
    }
    Ok(listing)
}

fn list_shard(shard: &Path, number: u32, listing: &mut Listing) -> Result<(), BadInput> {
    // Names in the archive may hold line breaks.
    let refused = |reason: &str| bad_input(format!("{}: {}", shard.display(), one_line(reason)));
    let damaged = |error: std::io::Error| {
        refused(&format!("not a whole tar file ({error}): pack the data again"))
    };
    let file = regular_file::open(shard).map_err(|error| refused(&error.to_string()))?;
    let length = file.metadata().map_err(|error| refused(&error.to_string()))?.len();
    let mut archive = tar::Archive::new(file);
    for entry in archive.entries_with_seek().map_err(damaged)? {
        let entry = entry.map_err(damaged)?;
        let (offset, size) = (entry.raw_file_position(), entry.size());
        if length.checked_sub(offset).is_none_or(|room| size > room) {
            return Err(refused(
                "not a whole tar file (it ends within an entry): pack the data again",
            ));
        }
        let path = entry.path_bytes();
        let shown = String::from_utf8_lossy(&path);
        match entry.header().entry_type() {
            EntryType::Directory | EntryType::XGlobalHeader => continue,
            EntryType::Regular | EntryType::Continuous => {}
            _ => {
                return Err(refused(&format!(
                    "the entry \"{shown}\" is no file: pack the data again"
                )));
            }
        }
        let name = name_in_class(&path).ok_or_else(|| {
            refused(&format!(
                "the entry \"{shown}\" has no name as <class>/<name>: pack the data again"
            ))
        })?;
        match Path::new(&name).extension().and_then(|ending| ending.to_str()) {
            Some(CLASS_ENDING) => {}
            Some("jpg" | "png") if name.contains('/') => {
                let place = Some(ShardOffset { shard: number, offset });
                listing.images.push(Found { name, length: size, place, file: None });
            }
            _ => listing.others.push(name),
        }
    }
    Ok(())
}

/// An entry's name without the `./` that some programs put before or into it; none if it is no
/// text, or leaves the folder that it is unpacked to.
fn name_in_class(path: &[u8]) -> Option<String> {
    let path = std::str::from_utf8(path).ok()?;
    let parts: Vec<&str> = path.split('/').filter(|&part| part != ".").collect();
    let whole = !parts.is_empty()
        && !parts.iter().any(|part| matches!(*part, "" | ".."))
        && !path.contains(char::is_control);
    whole.then(|| parts.join("/"))
}

/// A shard that is being written.
pub struct Writer {
    path: PathBuf,
    partial: PathBuf,
    archive: tar::Builder<BufWriter<File>>,
}

impl Writer {
    /// Begins a shard.
    pub fn create(path: &Path) -> Result<Writer> {
        let (file, partial) = atomic_file::temporary_file(path)
            .with_context(|| format!("{}: cannot be written", path.display()))?;
        Ok(Writer {
            path: path.to_path_buf(),
            partial,
            archive: tar::Builder::new(BufWriter::with_capacity(1 << 20, file)),
        })
    }

    /// Adds an image, whose `name` has its class in front and no ending, as a file with
    /// `ending`.
    pub fn add(&mut self, name: &str, ending: &str, class: usize, bytes: &[u8]) -> Result<()> {
        self.file(&format!("{name}.{ending}"), bytes)?;
        self.file(&format!("{name}.{CLASS_ENDING}"), class.to_string().as_bytes())
    }

    fn file(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        self.archive
            .append_data(&mut header, name, bytes)
            .with_context(|| format!("{}: cannot be written", self.partial.display()))
    }

    /// Ends the shard, which is there as a whole from now on.
    pub fn finish(self) -> Result<()> {
        let cannot = || format!("{}: cannot be written", self.partial.display());
        let writer = self.archive.into_inner().with_context(cannot)?;
        let file = writer.into_inner().map_err(|error| error.into_error()).with_context(cannot)?;
        file.sync_all().with_context(cannot)?;
        std::fs::rename(&self.partial, &self.path)
            .with_context(|| format!("{}: cannot be written", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_normalised_to_its_class_and_name_or_has_none() {
        let name = |path: &str| name_in_class(path.as_bytes());
        for path in ["n0/a.jpg", "./n0/a.jpg", "n0/./a.jpg"] {
            assert_eq!(name(path).as_deref(), Some("n0/a.jpg"), "{path}");
        }
        for path in
            ["", ".", "./", "../x.jpg", "n0/../n1/a.jpg", "/n0/a.jpg", "n0//a.jpg", "n0/\n.jpg"]
        {
            assert_eq!(name(path), None, "{path}");
        }
        assert_eq!(name_in_class(b"n0/\xff.jpg"), None);
    }

    #[test]
    fn a_shard_is_written_under_a_name_that_no_link_can_take_before() {
        let folder = tempfile::tempdir().unwrap();
        let (victim, path) = (folder.path().join("victim"), folder.path().join("val-000000.tar"));
        std::fs::write(&victim, "kept").unwrap();
        std::os::unix::fs::symlink(&victim, folder.path().join("val-000000.tar.partial")).unwrap();
        let mut writer = Writer::create(&path).unwrap();
        assert!(atomic_file::is_leftover(&writer.partial.file_name().unwrap().to_string_lossy()));
        writer.add("n0/a", "png", 3, b"image").unwrap();
        writer.finish().unwrap();
        assert_eq!(std::fs::read(&victim).unwrap(), b"kept");
        assert!(std::fs::metadata(&path).unwrap().len() > 1024);
    }
}
