//! Unpacking a downloaded archive without trusting it.

use std::io::BufReader;
use std::path::{Component, Path};

use anyhow::{Context, Result, bail};
use flate2::read::GzDecoder;
use tar::{Archive, EntryType};

use crate::system::atomic_file::{create_new, temporary_folder};
use crate::system::regular_file;

/// More than this is no dataset that this program knows (CIFAR-10 unpacks to 180 MB).
pub const MOST_BYTES: u64 = 1 << 30;

/// Unpacks the files of a `.tar.gz` into `target`: all of them, or none if anything about the
/// archive is wrong.
///
/// Only plain files and folders are accepted, with paths that stay inside; links, devices and
/// absolute or climbing paths are refused.
pub fn unpack(archive: &Path, target: &Path) -> Result<()> {
    let staging = temporary_folder(&target.join("unpacked"))
        .with_context(|| format!("{}: cannot be written", target.display()))?;
    let result = unpack_into(archive, &staging).and_then(|()| move_into(&staging, target));
    // Left empty after success, half full after failure; it is in the way in both cases.
    let _ = std::fs::remove_dir_all(&staging);
    result
}

fn unpack_into(archive: &Path, staging: &Path) -> Result<()> {
    let name = archive.display();
    let file = regular_file::open(archive).with_context(|| name.to_string())?;
    let mut entries = Archive::new(GzDecoder::new(BufReader::new(file)));
    let mut bytes = 0u64;
    for entry in entries.entries().with_context(|| format!("{name}: not a tar.gz archive"))? {
        let mut entry = entry.with_context(|| format!("{name}: damaged archive"))?;
        let path = entry.path().with_context(|| format!("{name}: damaged archive"))?.into_owned();
        let kind = entry.header().entry_type();
        if matches!(kind, EntryType::XGlobalHeader | EntryType::XHeader) {
            continue;
        }
        if !path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
            bail!("{name}: refused: the entry \"{}\" leaves the target folder", path.display());
        }
        if !matches!(kind, EntryType::Regular | EntryType::Directory) {
            bail!(
                "{name}: refused: the entry \"{}\" is neither a file nor a folder",
                path.display()
            );
        }
        bytes += entry.size();
        if bytes > MOST_BYTES {
            bail!("{name}: refused: it unpacks to more than {MOST_BYTES} bytes");
        }
        let destination = staging.join(&path);
        let context = || format!("{}: cannot be written", destination.display());
        if kind == EntryType::Directory {
            std::fs::create_dir_all(&destination).with_context(context)?;
        } else {
            std::fs::create_dir_all(destination.parent().unwrap_or(staging))
                .with_context(context)?;
            let mut file = create_new(&destination).with_context(context)?;
            std::io::copy(&mut entry, &mut file)
                .with_context(|| format!("{name}: cannot unpack \"{}\"", path.display()))?;
        }
    }
    if bytes == 0 {
        bail!("{name}: the archive holds no files");
    }
    Ok(())
}

/// Moves what was unpacked to where it belongs, over files of the same name.
fn move_into(staging: &Path, target: &Path) -> Result<()> {
    for entry in std::fs::read_dir(staging).with_context(|| staging.display().to_string())? {
        let entry = entry.with_context(|| staging.display().to_string())?;
        let destination = target.join(entry.file_name());
        if destination.is_dir() {
            move_into(&entry.path(), &destination)?;
        } else {
            std::fs::rename(entry.path(), &destination)
                .with_context(|| format!("{}: cannot be written", destination.display()))?;
        }
    }
    Ok(())
}
