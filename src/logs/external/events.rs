//! Scalars of TensorBoard's event files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::error::bad_input;
use crate::logs::external::values::Point;
use crate::records::event_file::Events;

/// TensorBoard takes every file for an event file whose name contains this.
const SIGN: &str = "tfevents";

/// Whether a file is an event file by its name.
pub fn is_event_file(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().contains(SIGN))
}

/// The event files in a folder, in the order of their names, which begin with the time.
pub fn in_folder(folder: &Path) -> Result<Vec<PathBuf>> {
    let context = || format!("{}: cannot be read", folder.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(context)? {
        found.push(entry.with_context(context)?.path());
    }
    found.retain(|path| is_event_file(path));
    found.sort();
    Ok(found)
}

/// The values of each tag, in the order in which they were written. A later file that begins again
/// at an earlier step takes the place of what comes after it: the training was resumed there.
pub fn read(files: &[PathBuf]) -> Result<BTreeMap<String, Vec<Point>>> {
    let mut tags: BTreeMap<String, Vec<Point>> = BTreeMap::new();
    for path in files {
        let mut of_file: BTreeMap<String, Vec<Point>> = BTreeMap::new();
        for (index, event) in Events::open(path)?.enumerate() {
            let event = event.map_err(|error| bad_input(format!("{error:#}")))?;
            for (tag, value) in event.numbers() {
                let (place, step) = (format!("record {}", index + 1), event.step as f64);
                match of_file.get_mut(tag) {
                    Some(points) => points.push(Point { place, step, value }),
                    None => drop(of_file.insert(tag.into(), vec![Point { place, step, value }])),
                }
            }
        }
        for (tag, points) in of_file {
            let known = tags.entry(tag).or_default();
            let first = points.first().map_or(f64::INFINITY, |point| point.step);
            known.retain(|point| point.step < first);
            known.extend(points);
        }
    }
    Ok(tags)
}
