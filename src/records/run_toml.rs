//! `run.toml`: what a run is, how it was made, and how far it is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::config::deviations;
use crate::config::deviations::Deviation;
use crate::config::network_name::NetworkName;
use crate::config::recipe::Recipe;
use crate::error::{BadInput, bad_input};
use crate::network::architecture;
use crate::network::architecture::table::Architecture;
use crate::records::checksum_line::{is_as_written, with_checksum};
use crate::records::dataset_record::DatasetRecord;
use crate::records::extension::Extension;
use crate::records::provenance::Provenance;
use crate::system::atomic_file;
use crate::system::regular_file;

/// Digits of a weight file's hash that stand for it in sentences and names; the record has all.
const HASH_DIGITS: usize = 12;

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Started. If no process is at it, the process was killed.
    Running,
    /// Stopped by a signal, or by an error such as a full disk; goes on from its checkpoint.
    Interrupted,
    /// All iterations are done and the weights are written.
    Finished,
    /// The loss was NaN or infinite at some iteration. A result, not a failure of the program.
    Diverged,
}

/// Everything that decides a run's numbers. Two runs of one config are one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunConfig {
    /// The network.
    pub network: NetworkName,
    /// The seed of weights, order and augmentation.
    pub seed: u64,
    /// The data.
    pub dataset: DatasetRecord,
    /// The recipe.
    pub recipe: Recipe,
    /// The weights that it starts from, where they are not the paper's initialisation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_weights: Option<InitialWeights>,
}

/// Weights that a run starts from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InitialWeights {
    /// SHA-256 of the weight file. Where it lay is no part of what a run is.
    pub sha256: String,
    /// Whether the last layer is initialised all the same, as for other classes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reset_classifier: bool,
}

impl InitialWeights {
    /// In what a run from these weights differs from the paper's.
    pub fn deviation(&self) -> Deviation {
        let beginning = self.sha256.get(..HASH_DIGITS).unwrap_or(&self.sha256);
        let rest = if self.reset_classifier { ", classifier reset" } else { "" };
        Deviation {
            key: "initial_weights".to_string(),
            ours: toml::Value::String(format!("{beginning}{rest}")),
            reference: Some(toml::Value::String("He initialisation".to_string())),
        }
    }
}

impl RunConfig {
    /// The network's architecture, for the images and classes that it is trained on.
    pub fn architecture(&self) -> Result<Architecture, BadInput> {
        let DatasetRecord { name, classes, .. } = self.dataset;
        architecture::build(self.network, name.family(), self.recipe.image_side(), classes as i64)
    }

    /// In what the recipe and the initial weights differ from the paper's for this network and
    /// data; nothing for the paper's own.
    pub fn deviations_from_paper(&self) -> Vec<Deviation> {
        let family = self.dataset.name.family();
        let mut found = deviations::from_paper(&self.recipe, family, self.network.depth());
        found.extend(self.initial_weights.as_ref().map(InitialWeights::deviation));
        found
    }
}

/// How far a run is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Iterations in the log.
    pub iterations: u64,
    /// Time spent in training, evaluations included, in seconds, over all attempts.
    pub seconds: f64,
    /// The last iteration of the warm-up, where there was one and it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warmup_ended_after: Option<u64>,
    /// Training images per second, evaluations and checkpoints not counted, of the last attempt.
    pub images_per_second: f64,
    /// Share of the time, in percent, that the last attempt spent on writing, hashing and flushing
    /// logs, record, checkpoints and weights.
    #[serde(default)]
    pub checkpoint_percent: f64,
}

/// The contents of `run.toml`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunRecord {
    /// How the run stands.
    pub state: State,
    /// Parameters of the network.
    pub parameters: i64,
    /// In what the recipe differs from the paper's.
    pub differences_from_paper: Vec<String>,
    /// SHA-256 of the final weights, whether they are kept or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights_sha256: Option<String>,
    /// SHA-256 of the checkpoint that was kept at its end, if it was: what an extension needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_state_sha256: Option<String>,
    /// Streamed that could not be read, and why; in training the next in the list stood in their
    /// place, in tests they count as wrong.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unreadable_images: BTreeSet<String>,
    /// SHA-256 of the mean image of an ImageFolder, float32: a resumed run must subtract the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_image_sha256: Option<String>,
    /// How far it is.
    pub progress: Progress,
    /// SHA-256 of each file beside the record, once the run is over.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
    /// What it is.
    pub run: RunConfig,
    /// How it was made: the last attempt.
    pub provenance: Provenance,
    /// The attempts before, which were stopped; empty for a run that went through.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier_attempts: Vec<Attempt>,
    /// How it was trained on after its end, if it was.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extensions: Vec<Extension>,
    /// What ended an attempt other than a signal that asked for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<Failure>,
}

/// An attempt that failed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Failure {
    /// When (UTC).
    pub time: String,
    /// Why, as it was said to the user.
    pub reason: String,
}

/// A part of a run that was stopped.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Attempt {
    /// The last iteration that the run went on from.
    pub until_iteration: u64,
    /// How that part was made.
    pub provenance: Provenance,
}

impl RunRecord {
    /// Reads `run.toml`.
    pub fn read(path: &Path) -> Result<RunRecord> {
        let text =
            regular_file::read_to_string(path).with_context(|| path.display().to_string())?;
        let record = toml::from_str(&text).map_err(|error| {
            bad_input(format!(
                "{}: not a record of this version ({})",
                path.display(),
                error.message()
            ))
        })?;
        if !is_as_written(&text) {
            let path = path.display();
            return Err(bad_input(format!(
                "{path}: is not as it was written: its first line has another SHA-256"
            ))
            .into());
        }
        Ok(record)
    }

    /// In what it differs from the paper's, as far as its logs show it.
    pub fn deviations_from_paper(&self) -> Vec<Deviation> {
        let mut found = self.run.deviations_from_paper();
        found.extend(self.shown_extensions().map(Extension::deviation));
        found
    }

    /// The extensions that its logs show: without one they are those of a run that was trained at
    /// once.
    pub fn shown_extensions(&self) -> impl Iterator<Item = &Extension> {
        let every = self.run.recipe.evaluate_every;
        self.extensions.iter().filter(move |extension| extension.shows(every))
    }

    /// The contents of `run.toml`, but for its first line.
    pub fn to_text(&self) -> Result<String> {
        Ok(toml::to_string(self)?)
    }

    /// Writes `run.toml` as a whole.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = self.to_text().with_context(|| path.display().to_string())?;
        atomic_file::write_atomically(path, with_checksum(&text).as_bytes())
    }
}

impl RunConfig {
    /// The most important way in which `other` differs, for a message: "recipe.iterations is 400
    /// there, 300 here".
    pub fn difference(&self, other: &RunConfig) -> Option<String> {
        // Recomputation changes no number: a run that did not fit into memory goes on with more
        // segments.
        let same = |config: &RunConfig| {
            let mut config = config.clone();
            config.recipe.checkpoint_segments = 0;
            config
        };
        let table = |config: &RunConfig| {
            toml::Table::try_from(same(config)).expect("every field of a config has a form in TOML")
        };
        first_difference("", &table(self), &table(other))
    }
}

/// Keys that say what a run is, the most important first.
const TELLING: [&str; 6] = ["network", "name", "title", "dataset", "seed", "iterations"];

/// Keys whose values follow from the number of iterations where none is given.
const DERIVED: [&str; 2] = ["milestones", "evaluate_every"];

/// Where a key stands among those that are named: by meaning, derived ones last.
fn rank(key: &str) -> usize {
    let derived = if DERIVED.contains(&key) { 1 } else { 0 };
    TELLING.iter().position(|&telling| telling == key).unwrap_or(TELLING.len() + derived)
}

fn first_difference(prefix: &str, wanted: &toml::Table, found: &toml::Table) -> Option<String> {
    let mut keys: Vec<&String> = wanted.keys().chain(found.keys()).collect();
    keys.sort_by_key(|key| (rank(key), *key));
    keys.into_iter().find_map(|key| match (wanted.get(key), found.get(key)) {
        (Some(toml::Value::Table(wanted)), Some(toml::Value::Table(found))) => {
            first_difference(&format!("{prefix}{key}."), wanted, found)
        }
        (wanted, found) if wanted != found => {
            let show = |value: Option<&toml::Value>| {
                value.map_or("not set".to_string(), toml::Value::to_string)
            };
            Some(format!("{prefix}{key} is {} there, {} here", show(found), show(wanted)))
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::checksum_line::CHECKSUM;

    const EARLIER: &str = include_str!("../../results/2026-11-24-demo/plain-20/seed-0/run.toml");

    #[test]
    fn no_flipped_bit_of_a_record_changes_what_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.toml");
        // One of an earlier version has no checksum, and is read.
        std::fs::write(&path, EARLIER).unwrap();
        let record = RunRecord::read(&path).unwrap();
        record.write(&path).unwrap();
        let (whole, expected) = (std::fs::read(&path).unwrap(), record.to_text().unwrap());
        assert_eq!(RunRecord::read(&path).unwrap().to_text().unwrap(), expected);
        let (mut refused, mut harmless) = (0, 0);
        for (byte, bit) in (0..whole.len()).flat_map(|byte| (0..8).map(move |bit| (byte, bit))) {
            let mut damaged = whole.clone();
            damaged[byte] ^= 1 << bit;
            std::fs::write(&path, &damaged).unwrap();
            match RunRecord::read(&path) {
                Ok(read) => {
                    assert_eq!(read.to_text().unwrap(), expected, "byte {byte}, bit {bit}");
                    harmless += 1;
                }
                Err(error) => {
                    let message = format!("{error:#}");
                    assert!(message.contains("run.toml: "), "{message}");
                    assert!(!message.contains('\n'), "{message}");
                    refused += 1;
                }
            }
        }
        // In the words before the checksum.
        assert!(harmless < 8 * CHECKSUM.len() && refused > 10_000, "{harmless} {refused}");
    }

    #[test]
    fn a_record_of_which_a_part_is_lost_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.toml");
        std::fs::write(&path, EARLIER).unwrap();
        RunRecord::read(&path).unwrap().write(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        // Without its last table it would be another run's.
        for end in (CHECKSUM.len() + 65..text.len()).filter(|&end| text.is_char_boundary(end)) {
            std::fs::write(&path, &text[..end]).unwrap();
            assert!(RunRecord::read(&path).is_err(), "{end}");
        }
    }
}
