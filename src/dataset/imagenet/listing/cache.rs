//! Lists of images that are kept from one start to the next: to list 1.3 million files takes
//! seconds on a local disk, and minutes on a network's.

use std::fmt::Write;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::Result;

use crate::console::output::say;
use crate::dataset::imagenet::listing::entry::{Found, Listing, ShardOffset};
use crate::system::cache;
use crate::system::hash::sha256;
use crate::system::{atomic_file, regular_file};

/// First line of a kept list; the second is the SHA-256 of all that follows.
const VERSION: &str = "resnet-repro list of photographs 3";

/// First lines of lists of earlier versions, which are made again without a word.
const EARLIER: [&str; 2] =
    ["resnet-repro list of photographs 1\n", "resnet-repro list of photographs 2\n"];

/// The listing of `split` in `root`, from the cache if none of `sources` (class folders, or shards)
/// nor of the folders within them has changed since. A folder changes when a file is added or
/// removed; that a file was overwritten in place is not noticed.
pub fn listing(
    root: &Path,
    split: &str,
    sources: &[PathBuf],
    list: impl FnOnce() -> Result<Listing>,
) -> Result<Listing> {
    let root = root.canonicalize().unwrap_or_else(|_| root.to_path_buf());
    let Some(file) = cache::folder().map(|folder| {
        folder.join(format!("{}.list", sha256(format!("{}\n{split}", root.display()).as_bytes())))
    }) else {
        return list();
    };
    match read(&file) {
        Ok(Some((state_then, listing))) if state_then == state(sources, &listing.inner_folders) => {
            return Ok(listing);
        }
        Ok(_) => {}
        Err(reason) => {
            say(&format!("{}: {reason}: {} is listed again", file.display(), root.display()))
        }
    }
    // The times are read first: what changes while the folders are listed makes the list outdated.
    let before = state(sources, &[]);
    let listing = list()?;
    let state = state(sources, &listing.inner_folders);
    if listing.inner_folders.is_empty() && state != before {
        return Ok(listing);
    }
    // A cache that cannot be written costs time alone.
    if let Some(folder) = file.parent()
        && std::fs::create_dir_all(folder).is_ok()
    {
        let _ = atomic_file::write_atomically(&file, text(&listing, &state).as_bytes());
    }
    Ok(listing)
}

/// The state that a kept list is of, and the list; none if there is none of this version.
///
/// # Errors
/// Why it is not used, if it is damaged.
fn read(file: &Path) -> Result<Option<(String, Listing)>, String> {
    let bytes = match regular_file::read(file) {
        Ok(bytes) => bytes,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(error.to_string()),
    };
    if EARLIER.iter().any(|version| bytes.starts_with(version.as_bytes())) {
        return Ok(None);
    }
    let text = String::from_utf8(bytes).ok();
    text.and_then(|text| parse(&text))
        .map(Some)
        .ok_or_else(|| "the cached list is damaged".to_string())
}

/// What changes when a source does: names, times and lengths, hashed.
fn state(sources: &[PathBuf], inner_folders: &[PathBuf]) -> String {
    let mut text = String::new();
    for source in sources.iter().chain(inner_folders) {
        let (time, length) = std::fs::metadata(source).map_or((0, 0), |data| {
            let time = data.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            (time.map_or(0, |time| time.as_nanos()), data.len())
        });
        let _ = writeln!(text, "{} {time} {length}", source.display());
    }
    sha256(text.as_bytes())
}

fn text(listing: &Listing, state: &str) -> String {
    let Listing { images, shards, others, inner_folders } = listing;
    let mut text = format!(
        "{state}\n{} {} {} {}\n",
        shards.len(),
        inner_folders.len(),
        others.len(),
        images.len()
    );
    for path in shards.iter().chain(inner_folders) {
        let _ = writeln!(text, "{}", path.display());
    }
    for other in &listing.others {
        let _ = writeln!(text, "{other}");
    }
    for found in &listing.images {
        let (shard, offset) =
            found.place.map_or((-1, 0), |place| (i64::from(place.shard), place.offset));
        let _ = writeln!(text, "{} {shard} {offset} {}", found.length, found.name);
    }
    format!("{VERSION}\n{}\n{text}", sha256(text.as_bytes()))
}

/// The state that a listing is of, and the listing, if the text is whole.
fn parse(text: &str) -> Option<(String, Listing)> {
    let (checksum, text) = text.strip_prefix(VERSION)?.strip_prefix('\n')?.split_once('\n')?;
    if checksum != sha256(text.as_bytes()) {
        return None;
    }
    let mut lines = text.lines();
    let state = lines.next()?.to_string();
    let mut counts = lines.next()?.split(' ').map(str::parse::<usize>);
    let mut count = || counts.next()?.ok();
    let (shards, inner_folders, others, images) = (count()?, count()?, count()?, count()?);
    let listing = Listing {
        shards: lines.by_ref().take(shards).map(PathBuf::from).collect(),
        inner_folders: lines.by_ref().take(inner_folders).map(PathBuf::from).collect(),
        others: lines.by_ref().take(others).map(str::to_string).collect(),
        images: lines.map(parse_line).collect::<Option<_>>()?,
    };
    let found = (
        listing.shards.len(),
        listing.inner_folders.len(),
        listing.others.len(),
        listing.images.len(),
    );
    // Every image is in a shard that is there, or none is in a shard.
    let placed = |found: &Found| match found.place {
        Some(place) => (place.shard as usize) < shards,
        None => shards == 0,
    };
    (found == (shards, inner_folders, others, images) && listing.images.iter().all(placed))
        .then_some((state, listing))
}

fn parse_line(line: &str) -> Option<Found> {
    let mut parts = line.splitn(4, ' ');
    let length = parts.next()?.parse().ok()?;
    let shard: i64 = parts.next()?.parse().ok()?;
    let offset = parts.next()?.parse().ok()?;
    let place = u32::try_from(shard).ok().map(|shard| ShardOffset { shard, offset });
    Some(Found { name: parts.next()?.to_string(), length, place, file: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_list_reads_back_as_it_was_and_a_cut_or_outdated_one_is_not_used() {
        let found =
            |name: &str, place| Found { name: name.to_string(), length: 17, place, file: None };
        let files = Listing {
            images: vec![found("n01/a b.JPEG", None), found("n02/c.jpg", None)],
            shards: Vec::new(),
            others: vec!["n01/notes.txt".into()],
            inner_folders: vec!["/data/train/n01/images".into()],
        };
        let place = |shard| Some(ShardOffset { shard, offset: 1 << 40 });
        let shards = Listing {
            images: vec![found("n01/a b.jpg", place(0)), found("n02/c.jpg", place(1))],
            shards: vec!["/data/train-000000.tar".into(), "/data/train-000001.tar".into()],
            ..Listing::default()
        };
        for listing in [files, shards.clone()] {
            let written = text(&listing, "state");
            assert_eq!(parse(&written), Some(("state".to_string(), listing)));
            for end in 0..written.len() {
                assert_eq!(parse(&written[..end]), None, "{end}");
                let mut flipped = written.clone().into_bytes();
                flipped[end] ^= 1;
                let flipped = String::from_utf8(flipped).unwrap();
                assert_eq!(parse(&flipped), None, "byte {end}");
            }
        }
        // A list that names a shard that is not there, with a checksum that fits.
        let beyond = Listing { images: vec![found("n01/a.jpg", place(2))], ..shards.clone() };
        assert_eq!(parse(&text(&beyond, "state")), None);
        let nowhere = Listing { images: vec![found("n01/a.jpg", None)], ..shards };
        assert_eq!(parse(&text(&nowhere, "state")), None);
    }
}
