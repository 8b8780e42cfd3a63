//! The sides of a comparison, and which of their runs are set against each other.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::config::network_name::NetworkName;
use crate::error::{BadInput, bad_input};
use crate::logs::collection::{Collection, LoggedRun};

/// A folder with one run, the seeds of one, or those of several networks.
#[derive(Debug)]
pub struct Side {
    /// What it is called: its path without what all sides share.
    pub label: String,
    /// The folder.
    pub root: PathBuf,
    /// Its runs, by network and seed.
    pub runs: Vec<LoggedRun>,
}

/// Runs of all sides that are set against each other.
pub struct Matched<'a> {
    /// The network, or those of the sides where each has one.
    pub network: String,
    /// The runs of each side, in the sides' order; none of a side that has not this network.
    pub runs: Vec<Vec<&'a LoggedRun>>,
}

impl Side {
    /// Reads the sides; and what could not be read, one line each.
    pub fn read_all(paths: &[PathBuf]) -> Result<(Vec<Side>, Vec<String>)> {
        let (mut sides, mut problems) = (Vec::new(), Vec::new());
        for (path, label) in paths.iter().zip(labels(paths)) {
            let collection = Collection::read(path)?;
            if collection.runs.is_empty() {
                let why = collection.problems.first().map(|problem| format!(": {problem}"));
                let path = path.display();
                let why = why.unwrap_or_default();
                return Err(bad_input(format!("{path}: no run there{why}")).into());
            }
            problems.extend(collection.problems);
            sides.push(Side::new(label, path, collection.runs)?);
        }
        Ok((sides, problems))
    }

    fn new(label: String, root: &Path, mut runs: Vec<LoggedRun>) -> Result<Side, BadInput> {
        let path = root.display();
        runs.sort_by_key(|run| (run.network, run.seed));
        let twice = |pair: &&[LoggedRun]| {
            (pair[0].network, pair[0].seed) == (pair[1].network, pair[1].seed)
        };
        if let Some(pair) = runs.windows(2).find(twice) {
            let [one, other] = [&pair[0], &pair[1]].map(|run| run.path.display());
            return Err(bad_input(format!(
                "{path}: holds {} seed {} twice ({one} and {other}): name one experiment's folder",
                pair[0].network, pair[0].seed
            )));
        }
        Ok(Side { label, root: root.to_path_buf(), runs })
    }

    /// Its networks.
    pub fn networks(&self) -> BTreeSet<NetworkName> {
        self.runs.iter().map(|run| run.network).collect()
    }

    fn of(&self, network: NetworkName) -> Vec<&LoggedRun> {
        self.runs.iter().filter(|run| run.network == network).collect()
    }
}

/// Which runs are set against each other: those of one network, or of each side's only network. And
/// a sentence for each network that is left out.
pub fn matched(sides: &[Side]) -> Result<(Vec<Matched<'_>>, Vec<String>), BadInput> {
    let networks: Vec<BTreeSet<NetworkName>> = sides.iter().map(Side::networks).collect();
    let all: BTreeSet<NetworkName> = networks.iter().flatten().copied().collect();
    if networks.iter().all(|networks| networks.len() == 1) {
        let names: Vec<String> = all.iter().map(NetworkName::to_string).collect();
        let runs = sides.iter().map(|side| side.runs.iter().collect()).collect();
        return Ok((vec![Matched { network: names.join(" / "), runs }], Vec::new()));
    }
    let (mut found, mut left_out) = (Vec::new(), Vec::new());
    for network in all {
        let runs: Vec<Vec<&LoggedRun>> = sides.iter().map(|side| side.of(network)).collect();
        match !runs[0].is_empty() && runs[1..].iter().any(|runs| !runs.is_empty()) {
            true => found.push(Matched { network: network.to_string(), runs }),
            false => {
                let here = sides.iter().zip(&runs).filter(|(_, runs)| !runs.is_empty());
                let here: Vec<&str> = here.map(|(side, _)| side.label.as_str()).collect();
                left_out.push(format!("{network} is not compared: only in {}.", here.join(", ")));
            }
        }
    }
    match found.is_empty() {
        true => Err(bad_input(format!(
            "{}: no network of it is in another of the folders: name a folder of one network each",
            sides[0].root.display()
        ))),
        false => Ok((found, left_out)),
    }
}

/// What the folders are called: their paths without the parts that all begin or end with.
fn labels(paths: &[PathBuf]) -> Vec<String> {
    let parts: Vec<Vec<String>> = paths
        .iter()
        .map(|path| {
            path.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect()
        })
        .collect();
    let shared = |position: &dyn Fn(&[String], usize) -> Option<String>| {
        let alike = |index: &usize| {
            let first = position(&parts[0], *index);
            first.is_some() && parts.iter().all(|parts| position(parts, *index) == first)
        };
        (0..).take_while(alike).count()
    };
    let start = shared(&|parts, index| parts.get(index).cloned());
    let end = shared(&|parts, index| {
        parts.len().checked_sub(index + 1).and_then(|index| parts.get(index)).cloned()
    });
    let short: Option<Vec<String>> = parts
        .iter()
        .map(|parts| {
            let kept = parts.get(start..parts.len().checked_sub(end)?)?;
            (!kept.is_empty()).then(|| kept.join("/"))
        })
        .collect();
    let whole = || paths.iter().map(|path| path.display().to_string()).collect();
    short.unwrap_or_else(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_are_called_by_what_sets_their_paths_apart() {
        for (paths, expected) in [
            (vec!["runs/a/resnet-20", "runs/b/resnet-20"], vec!["a", "b"]),
            (vec!["runs/a/plain-20", "runs/a/resnet-20"], vec!["plain-20", "resnet-20"]),
            (vec!["runs/a/x", "runs/a/y/z", "runs/b/x"], vec!["a/x", "a/y/z", "b/x"]),
            // One is within the other, or the same.
            (vec!["runs/a", "runs/a/b"], vec!["runs/a", "runs/a/b"]),
            (vec!["runs/a/a", "runs/a/a/a"], vec!["runs/a/a", "runs/a/a/a"]),
            (vec!["runs/a", "runs/a"], vec!["runs/a", "runs/a"]),
        ] {
            let paths: Vec<PathBuf> = paths.into_iter().map(PathBuf::from).collect();
            assert_eq!(labels(&paths), expected);
        }
    }
}
