//! A run's `checkpoint` folder: the last two checkpoints, each with its checksum in its name.
//!
//! A file is `<iteration>-<first 16 digits of its SHA-256>.safetensors`. It is written beside,
//! flushed to the disk and renamed, and only then is the third oldest removed: whenever the machine
//! stops, a whole one is there.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::records::log::LogPrefix;
use crate::system::atomic_file::{create_folder, remove_leftovers, write_atomically};
use crate::system::hash::sha256;
use crate::system::regular_file;
use crate::training::checkpoint::Checkpoint;

/// Generations kept.
const KEPT: usize = 2;

/// Digits of the checksum in a name.
const DIGITS: usize = 16;

const ENDING: &str = ".safetensors";

/// A checkpoint folder.
#[derive(Debug, Clone)]
pub struct CheckpointFolder {
    path: PathBuf,
}

/// What a checkpoint holds of the run's other files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Beside {
    /// `run.toml` as it was: what is needed to restore it.
    pub record: String,
    /// `train.csv` as it was.
    pub train_log: LogPrefix,
    /// `eval.csv` as it was.
    pub evaluation_log: LogPrefix,
    /// `gradients.csv` as it was, if the run has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gradient_log: Option<LogPrefix>,
}

/// A checkpoint that was read.
pub struct Saved {
    /// The state.
    pub checkpoint: Checkpoint,
    /// Checkpoints of earlier versions have none.
    pub beside: Option<Beside>,
}

/// A file of the folder, as its name tells.
struct Generation {
    iteration: u64,
    checksum: String,
    path: PathBuf,
}

/// A checkpoint, with what it is to be used with.
type Found<Use> = Option<(Checkpoint, Use)>;

impl CheckpointFolder {
    /// The folder at `path`, which need not exist.
    pub fn at(path: PathBuf) -> CheckpointFolder {
        CheckpointFolder { path }
    }

    /// Writes a checkpoint with what is `beside` it, and removes the third oldest. Returns its
    /// SHA-256.
    pub fn write(&self, checkpoint: &Checkpoint, beside: Option<&Beside>) -> Result<String> {
        create_folder(&self.path)
            .with_context(|| format!("{}: cannot be created", self.path.display()))?;
        remove_leftovers(&self.path);
        let context = || self.path.display().to_string();
        let beside = beside.map(serde_json::to_string).transpose().with_context(context)?;
        let bytes = checkpoint.to_bytes(beside).with_context(context)?;
        let hash = sha256(&bytes);
        write_atomically(&self.file(checkpoint.iteration, &hash), &bytes)?;
        // What claims to be of a later iteration was damaged, or its logs were: the run has gone on
        // from before it.
        let (later, mut kept): (Vec<Generation>, Vec<Generation>) = self
            .generations()?
            .into_iter()
            .partition(|generation| generation.iteration > checkpoint.iteration);
        for old in later.into_iter().chain(kept.split_off(KEPT.min(kept.len()))) {
            // One file too many costs space and nothing else.
            let _ = std::fs::remove_file(old.path);
        }
        Ok(hash)
    }

    /// Where the checkpoint of an iteration with this SHA-256 is.
    pub fn file(&self, iteration: u64, sha256: &str) -> PathBuf {
        let beginning = sha256.get(..DIGITS).unwrap_or(sha256);
        self.path.join(format!("{iteration:09}-{beginning}{ENDING}"))
    }

    /// The newest checkpoint that is whole and that is `usable`, with what that returned, and what
    /// is wrong with those that were passed over. `None` if there is no checkpoint; an error if
    /// there is one and none can be used.
    pub fn newest<Use>(
        &self,
        mut usable: impl FnMut(&Saved) -> Result<Use>,
    ) -> Result<(Found<Use>, Vec<String>)> {
        let mut problems = Vec::new();
        for generation in self.generations()? {
            let file = generation.path.display();
            let saved = match generation.read() {
                Ok(saved) => saved,
                Err(error) => {
                    problems.push(format!("{file}: damaged ({error:#})"));
                    continue;
                }
            };
            match usable(&saved) {
                Ok(found) => return Ok((Some((saved.checkpoint, found)), problems)),
                Err(error) => problems.push(format!("{file}: {error:#}")),
            }
        }
        if !problems.is_empty() {
            bail!(
                "{}; no checkpoint of this run can be used: remove {} to train it from the start (its logs are kept until then)",
                problems.join("; "),
                self.path.display()
            );
        }
        Ok((None, problems))
    }

    /// `run.toml` as it was at the newest checkpoint that is whole and has it.
    pub fn record(&self) -> Option<String> {
        let generations = self.generations().ok()?;
        generations.iter().find_map(|generation| Some(generation.read().ok()?.beside?.record))
    }

    /// Removes all checkpoints but `kept`.
    pub fn remove_all_but(&self, kept: &Path) -> Result<()> {
        for generation in self.generations()?.iter().filter(|generation| generation.path != kept) {
            std::fs::remove_file(&generation.path)
                .with_context(|| format!("{}: cannot be removed", generation.path.display()))?;
        }
        Ok(())
    }

    /// Removes the folder of a finished run: its weights have their own file.
    pub fn remove(&self) -> Result<()> {
        match std::fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("{}: cannot be removed", self.path.display()))
            }
            _ => Ok(()),
        }
    }

    /// The files that have a checkpoint's name, newest first. A folder that is there and cannot be
    /// read is an error: taken for an empty one, it would send the run back to its start.
    fn generations(&self) -> Result<Vec<Generation>> {
        let read = || -> std::io::Result<Vec<Generation>> {
            match std::fs::symlink_metadata(&self.path) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
                found => found?,
            };
            let entries = std::fs::read_dir(&self.path)?.collect::<std::io::Result<Vec<_>>>()?;
            Ok(entries.iter().filter_map(|entry| Generation::of(&entry.path())).collect())
        };
        let mut generations = read()
            .with_context(|| format!("{}: the checkpoints cannot be read", self.path.display()))?;
        generations.sort_by_key(|generation| std::cmp::Reverse(generation.iteration));
        Ok(generations)
    }
}

impl Generation {
    fn of(path: &Path) -> Option<Generation> {
        let (iteration, checksum) =
            path.file_name()?.to_str()?.strip_suffix(ENDING)?.split_once('-')?;
        Some(Generation {
            iteration: iteration.parse().ok()?,
            checksum: checksum.to_string(),
            path: path.to_path_buf(),
        })
    }

    fn read(&self) -> Result<Saved> {
        let bytes = regular_file::read(&self.path)?;
        if sha256(&bytes)[..DIGITS] != self.checksum {
            bail!("its bytes do not have the checksum of its name");
        }
        let (checkpoint, beside) = Checkpoint::from_bytes(&bytes)?;
        let (named, found) = (self.iteration, checkpoint.iteration);
        ensure!(named == found, "its name says iteration {named}, its position {found}");
        let beside = beside
            .map(|text| serde_json::from_str(&text))
            .transpose()
            .context("what stands beside the state cannot be read")?;
        Ok(Saved { checkpoint, beside })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, CheckpointFolder, Vec<PathBuf>) {
        let temporary = tempfile::tempdir().unwrap();
        let folder = CheckpointFolder::at(temporary.path().join("checkpoint"));
        for iteration in [10, 20, 30] {
            folder.write(&Checkpoint::example(iteration), None).unwrap();
        }
        let paths =
            folder.generations().unwrap().into_iter().map(|generation| generation.path).collect();
        (temporary, folder, paths)
    }

    #[test]
    fn two_generations_are_kept_and_the_newest_is_read() {
        let (_temporary, folder, paths) = folder();
        assert_eq!(paths.len(), 2);
        std::fs::write(folder.path.join("000000040-0123456789abcdef.safetensors.partial"), "half")
            .unwrap();
        folder.write(&Checkpoint::example(30), None).unwrap();
        assert_eq!(
            std::fs::read_dir(&folder.path).unwrap().count(),
            2,
            "half-written ones are removed"
        );
        let (found, problems) = folder.newest(|_| Ok(())).unwrap();
        let found = found.unwrap().0;
        assert_eq!(
            (found.iteration, &found.parameters, problems.len()),
            (30, &Checkpoint::example(30).parameters, 0)
        );
    }

    #[test]
    fn a_damaged_or_truncated_checkpoint_is_named_and_the_older_one_is_read() {
        for damage in [
            |bytes: &mut Vec<u8>| bytes[100] ^= 1,
            |bytes: &mut Vec<u8>| bytes.truncate(80),
            |bytes: &mut Vec<u8>| bytes.clear(),
        ] {
            let (_temporary, folder, paths) = folder();
            let mut bytes = std::fs::read(&paths[0]).unwrap();
            damage(&mut bytes);
            std::fs::write(&paths[0], &bytes).unwrap();
            let (found, problems) = folder.newest(|_| Ok(())).unwrap();
            assert_eq!(found.unwrap().0.iteration, 20);
            assert!(
                problems[0].contains("000000030-") && problems[0].contains("damaged"),
                "{problems:?}"
            );
            std::fs::write(&paths[1], &bytes).unwrap();
            let message = folder.newest(|_| Ok(())).map(|_| ()).unwrap_err().to_string();
            assert!(
                message.contains("000000020-")
                    && message.contains("remove")
                    && message.contains("logs are kept"),
                "{message}"
            );
        }
    }

    #[test]
    fn a_damaged_checkpoint_is_gone_once_a_newer_one_is_written() {
        let (_temporary, folder, paths) = folder();
        std::fs::write(&paths[0], "damaged").unwrap();
        folder.write(&Checkpoint::example(25), None).unwrap();
        let iterations: Vec<u64> =
            folder.generations().unwrap().iter().map(|generation| generation.iteration).collect();
        assert_eq!(iterations, [25, 20]);
    }

    #[test]
    fn a_folder_that_cannot_be_read_is_no_empty_one() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("checkpoint");
        std::os::unix::fs::symlink("/nonexistent/mount", &path).unwrap();
        let message =
            format!("{:#}", CheckpointFolder::at(path).newest(|_| Ok(())).map(|_| ()).unwrap_err());
        assert!(message.contains("checkpoint: the checkpoints cannot be read"), "{message}");
    }

    #[test]
    fn a_checkpoint_that_is_refused_is_passed_over_and_what_is_beside_it_comes_back() {
        let (_temporary, folder, _) = folder();
        let usable = |saved: &Saved| match saved.checkpoint.iteration {
            20 => Ok("older"),
            _ => bail!("rows were lost"),
        };
        let (found, problems) = folder.newest(usable).unwrap();
        assert_eq!(found.unwrap().1, "older");
        assert!(problems[0].contains("rows were lost"), "{problems:?}");
        assert!(folder.record().is_none());
        let log = LogPrefix { bytes: 3, sha256: "ab".to_string() };
        let record = "state = \"running\"\n".to_string();
        let beside =
            Beside { record, train_log: log.clone(), evaluation_log: log, gradient_log: None };
        folder.write(&Checkpoint::example(40), Some(&beside)).unwrap();
        let found = folder.newest(|saved| Ok(saved.beside.clone())).unwrap().0.unwrap();
        assert_eq!(found.1.as_ref(), Some(&beside));
        assert_eq!(folder.record(), Some(beside.record));
    }
}
