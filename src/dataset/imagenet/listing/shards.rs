//! Tar shards of photographs, in WebDataset's layout: `train-000000.tar` holds
//! `<class>/<name>.jpg`, each followed by a `.cls` file with the class's number
//! (<https://github.com/webdataset/webdataset>).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::dataset::imagenet::listing::entry::{Found, Listing, ShardOffset};
use crate::error::{BadInput, bad_input};
use crate::system::atomic_file;

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
    let contents = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(_) if shards.is_empty() => return Ok(shards),
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
    let expected: Vec<PathBuf> =
        (0..count).map(|number| root.join(file_name(split, number))).collect();
    match expected.iter().find(|shard| !shards.contains(shard)) {
        Some(missing) => Err(bad_input(format!(
            "{}: this shard is missing: pack the data again",
            missing.display()
        ))),
        None => Ok(expected),
    }
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

fn present(root: &Path, split: &str) -> Result<Vec<PathBuf>, BadInput> {
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

/// The photographs in `shards`: their headers are read, and their bytes skipped.
pub fn list(shards: &[PathBuf]) -> Result<Listing> {
    let mut listing = Listing { shards: shards.to_vec(), ..Listing::default() };
    for (number, shard) in shards.iter().enumerate() {
        let damaged = || format!("{}: not a whole tar file: pack the data again", shard.display());
        let file = File::open(shard).with_context(|| shard.display().to_string())?;
        let length = file.metadata().with_context(|| shard.display().to_string())?.len();
        let mut archive = tar::Archive::new(file);
        for entry in archive.entries_with_seek().with_context(damaged)? {
            let entry = entry.with_context(damaged)?;
            let path = entry.path().with_context(damaged)?;
            let name = path.to_str().with_context(damaged)?.to_string();
            let place = ShardOffset { shard: number as u32, offset: entry.raw_file_position() };
            if place.offset + entry.size() > length {
                return Err(bad_input(damaged()).into());
            }
            match path.extension().and_then(|ending| ending.to_str()) {
                Some(CLASS_ENDING) => {}
                Some("jpg" | "png") if name.contains('/') => listing.photographs.push(Found {
                    name,
                    length: entry.size(),
                    place: Some(place),
                }),
                _ => listing.others.push(name),
            }
        }
    }
    listing.photographs.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(listing)
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
        let partial = path.with_extension(format!("tar{}", atomic_file::PARTIAL_ENDING));
        let file = File::create(&partial)
            .with_context(|| format!("{}: cannot be written", partial.display()))?;
        Ok(Writer {
            path: path.to_path_buf(),
            partial,
            archive: tar::Builder::new(BufWriter::with_capacity(1 << 20, file)),
        })
    }

    /// Adds a photograph, whose `name` has its class in front and no ending, as a file with
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
