//! Hashes of what a run left behind, and whether they still hold.

use std::collections::HashSet;
use std::fmt;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::error::{BadInput, bad_input};
use crate::records::checkpoints::CheckpointFolder;
use crate::records::lock::LOCK;
use crate::records::run_toml::{RunRecord, State};
use crate::system::atomic_file::is_leftover;
use crate::system::hash::hash_file;

/// The training log.
pub const TRAIN_LOG: &str = "train.csv";

/// The log of evaluations.
pub const EVALUATION_LOG: &str = "eval.csv";

/// The final weights.
pub const WEIGHTS: &str = "weights.safetensors";

/// The paper's tests of the final weights, on images.
pub const TESTS: &str = "tests.csv";

/// The log of gradient norms, which a run has if its recipe says so.
pub const GRADIENT_LOG: &str = "gradients.csv";

/// What is wrong with a record that says so of the state that was kept.
const NO_HASH: &str = "kept_state_sha256 is no SHA-256";

/// The files that a finished run may have beside its record.
pub const RUN_FILES: [&str; 5] = [TRAIN_LOG, EVALUATION_LOG, WEIGHTS, TESTS, GRADIENT_LOG];

/// The record.
pub const RECORD: &str = "run.toml";

/// The folder that a run has in addition once it was analysed. Its files are on record there.
pub const ANALYSIS_FOLDER: &str = "analysis";

/// The folder that an unfinished run has in addition.
pub const CHECKPOINT_FOLDER: &str = "checkpoint";

/// Folders under `root`, at any depth, that hold a record or one of a run's files, and what could
/// not be looked into. Links are followed, each folder is visited once. A folder that vanishes
/// meanwhile (the checkpoints of a run that ends) is none.
pub fn find_runs(root: &Path) -> Result<(Vec<PathBuf>, Vec<String>), BadInput> {
    std::fs::read_dir(root).map_err(|error| match error.kind() {
        ErrorKind::NotFound => bad_input(format!(
            "{}: there is no such folder: name one with runs, or train some with \"resnet-repro sweep experiments/quick.toml\"",
            root.display()
        )),
        _ => bad_input(format!("{}: {error}", root.display())),
    })?;
    let (mut found, mut problems, mut visited) = (Vec::new(), Vec::new(), HashSet::new());
    let mut waiting = vec![root.to_path_buf()];
    while let Some(folder) = waiting.pop() {
        if !folder.canonicalize().is_ok_and(|folder| visited.insert(folder)) {
            continue;
        }
        let entries = std::fs::read_dir(&folder)
            .and_then(|entries| entries.collect::<std::io::Result<Vec<_>>>());
        let names: Vec<String> = match entries {
            Ok(entries) => entries
                .iter()
                .map(|entry| entry.file_name().to_string_lossy().into_owned())
                .collect(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => {
                problems.push(format!("{}: {error}", folder.display()));
                continue;
            }
        };
        // A folder of analyses has a file of that name too.
        let is_sign =
            |name: &str| name == RECORD || (RUN_FILES.contains(&name) && name != GRADIENT_LOG);
        if names.iter().any(|name| is_sign(name)) {
            found.push(folder.clone());
        }
        waiting.extend(
            names
                .iter()
                .filter(|name| *name != CHECKPOINT_FOLDER)
                .map(|name| folder.join(name))
                .filter(|path| path.is_dir()),
        );
    }
    found.sort();
    Ok((found, problems))
}

/// What is wrong with a file of a results folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileProblem {
    /// Its bytes do not have the hash on record.
    Changed(PathBuf),
    /// It is on record and not there.
    Missing(PathBuf),
    /// It is there and not on record.
    Extra(PathBuf),
    /// A record that cannot be read, or that has no hashes.
    Unreadable(PathBuf, String),
}

impl fmt::Display for FileProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileProblem::Changed(path) => write!(formatter, "changed: {}", path.display()),
            FileProblem::Missing(path) => write!(formatter, "missing: {}", path.display()),
            FileProblem::Extra(path) => write!(formatter, "extra: {}", path.display()),
            FileProblem::Unreadable(path, why) => {
                write!(formatter, "not verified: {}: {why}", path.display())
            }
        }
    }
}

/// Refuses the finished run in `folder` if a file is not as it was, or a log is gone: what is
/// called complete must be.
pub fn check_finished(folder: &Path, record: &RunRecord) -> Result<()> {
    check_files(folder, record, &RUN_FILES).with_context(|| {
        let folder = folder.display();
        format!("{folder}: the run is finished, but not intact: restore it from a backup, or remove it to train it again")
    })
}

/// Where the checkpoint is that was kept at the end of the run in `folder`, and its SHA-256.
pub fn kept_state<'a>(
    folder: &Path,
    record: &'a RunRecord,
) -> Result<Option<(PathBuf, &'a str)>, BadInput> {
    let Some(hash) = &record.kept_state_sha256 else { return Ok(None) };
    // A record may come from anywhere: no file but the run's own is looked at.
    if hash.len() != 64 || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let path = folder.join(RECORD);
        return Err(bad_input(format!("{}: {NO_HASH}", path.display())));
    }
    let checkpoints = CheckpointFolder::at(folder.join(CHECKPOINT_FOLDER));
    Ok(Some((checkpoints.file(record.progress.iterations, hash), hash)))
}

/// Refuses to extend the run in `folder` if the state that it ended with is not there as it was.
pub fn check_kept_state(folder: &Path, record: &RunRecord) -> Result<()> {
    let found = kept_state(folder, record)?.and_then(|(path, hash)| problem(path, hash));
    match found {
        None => Ok(()),
        Some(problem) => Err(bad_input(format!(
            "{problem}: from there the run would be extended: restore it from a backup, or train another from its weights with --weights"
        ))
        .into()),
    }
}

/// Refuses logs of the run in `folder` that are not as they were when it ended.
pub fn check_logs(folder: &Path, record: &RunRecord) -> Result<()> {
    check_files(folder, record, &[TRAIN_LOG, EVALUATION_LOG, TESTS, GRADIENT_LOG])
}

fn check_files(folder: &Path, record: &RunRecord, names: &[&str]) -> Result<()> {
    for &name in names {
        let Some(hash) = record.files.get(name) else { continue };
        let path = folder.join(name);
        // Weights take room, and may be wanted no more.
        if name == WEIGHTS && !path.exists() {
            continue;
        }
        if hash_file(&path)? != *hash {
            bail!("{}: is not as it was when the run ended (wrong SHA-256)", path.display());
        }
    }
    Ok(())
}

/// Compares the run in `folder` with its record. An unfinished run's logs still grow: only files
/// that no run has are a problem there. Returns whether the run is finished.
pub fn verify_run(folder: &Path, problems: &mut Vec<FileProblem>) -> Result<bool> {
    let record_path = folder.join(RECORD);
    if !record_path.exists() {
        problems.push(FileProblem::Missing(record_path));
        return Ok(true);
    }
    let record = match RunRecord::read(&record_path) {
        Ok(record) => record,
        Err(error) => {
            problems.push(FileProblem::Unreadable(record_path, format!("{error:#}")));
            return Ok(true);
        }
    };
    let finished = matches!(record.state, State::Finished | State::Diverged);
    if finished && record.files.is_empty() {
        problems.push(FileProblem::Unreadable(record_path, "it holds no hashes".to_string()));
        return Ok(true);
    }
    for (name, hash) in &record.files {
        let path = folder.join(name);
        // A record may come from anywhere: no file but the run's own is looked at.
        if !matches!(Path::new(name).components().collect::<Vec<_>>()[..], [Component::Normal(_)]) {
            let reason = format!("[files] names \"{name}\", which is no file of this folder");
            problems.push(FileProblem::Unreadable(record_path.clone(), reason));
            continue;
        }
        problems.extend(problem(path, hash));
    }
    if finished {
        compare_kept_state(folder, &record, problems);
    }
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    for name in names {
        let expected = match finished {
            true => {
                record.files.contains_key(&name)
                    || record.kept_state_sha256.is_some() && name == CHECKPOINT_FOLDER
            }
            false => RUN_FILES.contains(&name.as_str()) || name == CHECKPOINT_FOLDER,
        };
        let known = [RECORD, LOCK, ANALYSIS_FOLDER].contains(&name.as_str());
        if !known && !expected && !is_leftover(&name) {
            problems.push(FileProblem::Extra(folder.join(name)));
        }
    }
    Ok(finished)
}

/// What is wrong with a file that is on record with this hash.
fn problem(path: PathBuf, hash: &str) -> Option<FileProblem> {
    if !path.exists() {
        return Some(FileProblem::Missing(path));
    }
    match hash_file(&path) {
        Ok(found) if found == hash => None,
        Ok(_) => Some(FileProblem::Changed(path)),
        Err(error) => Some(FileProblem::Unreadable(path, error.root_cause().to_string())),
    }
}

/// Compares the checkpoint that a finished run kept with its record; others may not be beside it.
fn compare_kept_state(folder: &Path, record: &RunRecord, problems: &mut Vec<FileProblem>) {
    let (kept, hash) = match kept_state(folder, record) {
        Ok(Some(found)) => found,
        Ok(None) => return,
        Err(_) => {
            problems.push(FileProblem::Unreadable(folder.join(RECORD), NO_HASH.to_string()));
            return;
        }
    };
    problems.extend(problem(kept.clone(), hash));
    let entries = std::fs::read_dir(folder.join(CHECKPOINT_FOLDER)).into_iter().flatten().flatten();
    let is_other = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        *path != kept && !is_leftover(&name)
    };
    let mut others: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_other).collect();
    others.sort();
    problems.extend(others.into_iter().map(FileProblem::Extra));
}
