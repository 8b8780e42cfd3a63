//! Lists of photographs that are kept from one start to the next: to list 1.3 million files takes
//! seconds on a local disk, and minutes on a network's.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::Result;

use crate::dataset::imagenet::listing::entry::{Found, Listing, ShardOffset};
use crate::system::atomic_file;
use crate::system::hash::sha256;

/// First line of a kept list; another version's is made again.
const VERSION: &str = "resnet-repro list of photographs 2";

/// Folder of what can be made again: `RESNET_REPRO_CACHE`, else `resnet-repro` in the user's cache
/// folder. None where there is no such folder.
pub fn folder() -> Option<PathBuf> {
    let of =
        |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let user = || of("XDG_CACHE_HOME").or_else(|| of("HOME").map(|home| home.join(".cache")));
    of("RESNET_REPRO_CACHE").or_else(|| user().map(|user| user.join("resnet-repro")))
}

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
    let Some(file) = folder().map(|folder| {
        folder.join(format!("{}.list", sha256(format!("{}\n{split}", root.display()).as_bytes())))
    }) else {
        return list();
    };
    let kept = std::fs::read_to_string(&file).ok().and_then(|text| parse(&text));
    if let Some((state_then, listing)) = kept
        && state_then == state(sources, &listing.inner_folders)
    {
        return Ok(listing);
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
    let Listing { photographs, shards, others, inner_folders } = listing;
    let mut text = format!(
        "{VERSION}\n{state}\n{} {} {} {}\n",
        shards.len(),
        inner_folders.len(),
        others.len(),
        photographs.len()
    );
    for path in shards.iter().chain(inner_folders) {
        let _ = writeln!(text, "{}", path.display());
    }
    for other in &listing.others {
        let _ = writeln!(text, "{other}");
    }
    for found in &listing.photographs {
        let (shard, offset) =
            found.place.map_or((-1, 0), |place| (i64::from(place.shard), place.offset));
        let _ = writeln!(text, "{} {shard} {offset} {}", found.length, found.name);
    }
    text
}

/// The state that a listing is of, and the listing, if the text is whole.
fn parse(text: &str) -> Option<(String, Listing)> {
    let mut lines = text.lines();
    if lines.next()? != VERSION {
        return None;
    }
    let state = lines.next()?.to_string();
    let mut counts = lines.next()?.split(' ').map(str::parse::<usize>);
    let mut count = || counts.next()?.ok();
    let (shards, inner_folders, others, photographs) = (count()?, count()?, count()?, count()?);
    let listing = Listing {
        shards: lines.by_ref().take(shards).map(PathBuf::from).collect(),
        inner_folders: lines.by_ref().take(inner_folders).map(PathBuf::from).collect(),
        others: lines.by_ref().take(others).map(str::to_string).collect(),
        photographs: lines.map(parse_line).collect::<Option<_>>()?,
    };
    let found = (
        listing.shards.len(),
        listing.inner_folders.len(),
        listing.others.len(),
        listing.photographs.len(),
    );
    (found == (shards, inner_folders, others, photographs)).then_some((state, listing))
}

fn parse_line(line: &str) -> Option<Found> {
    let mut parts = line.splitn(4, ' ');
    let length = parts.next()?.parse().ok()?;
    let shard: i64 = parts.next()?.parse().ok()?;
    let offset = parts.next()?.parse().ok()?;
    let place = u32::try_from(shard).ok().map(|shard| ShardOffset { shard, offset });
    Some(Found { name: parts.next()?.to_string(), length, place })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_list_reads_back_as_it_was_and_a_cut_or_outdated_one_is_not_used() {
        let found = |name: &str, place| Found { name: name.to_string(), length: 17, place };
        let listing = Listing {
            photographs: vec![
                found("n01/a b.JPEG", None),
                found("n02/c.jpg", Some(ShardOffset { shard: 3, offset: 1 << 40 })),
            ],
            shards: vec!["/data/train-000000.tar".into()],
            others: vec!["n01/notes.txt".into()],
            inner_folders: vec!["/data/train/n01/images".into()],
        };
        let written = text(&listing, "state");
        assert_eq!(parse(&written), Some(("state".to_string(), listing)));
        // The last name may be cut to a shorter one: files are written as a whole or not at all.
        for end in 0..written.rfind('\n').unwrap() - "n02/c.jpg".len() {
            assert_eq!(parse(&written[..end]), None, "{end}");
        }
    }
}
