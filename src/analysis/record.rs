//! The files of an analysis: `<kind>.csv` with its rows, and `<kind>.toml`, which says of what they
//! are and how they were made.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::analysis::images::Split;
use crate::analysis::kind::Kind;
use crate::config::network_name::NetworkName;
use crate::config::recipe::Normalize;
use crate::error::bad_input;
use crate::records::checksum_line::{is_as_written, with_checksum};
use crate::records::dataset_record::DatasetRecord;
use crate::records::provenance::Provenance;
use crate::records::verify::FileProblem;
use crate::system::atomic_file;
use crate::system::hash::{hash_file, sha256};
use crate::system::regular_file;

/// What an analysis found.
#[derive(Debug, Clone)]
pub struct Outcome<Row> {
    /// Lines of its CSV file.
    pub rows: Vec<Row>,
    /// Images that were looked at.
    pub images: u64,
    /// Whether it came to its end; if not, a signal ended it.
    pub complete: bool,
    /// What it was asked for beyond that.
    pub settings: toml::Table,
    /// What follows from the rows, in numbers.
    pub summary: toml::Table,
}

impl<Row> Default for Outcome<Row> {
    fn default() -> Outcome<Row> {
        Outcome {
            rows: Vec::new(),
            images: 0,
            complete: false,
            settings: toml::Table::new(),
            summary: toml::Table::new(),
        }
    }
}

/// The contents of `<kind>.toml`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AnalysisRecord {
    /// What was analysed.
    pub kind: Kind,
    /// Whether it came to its end.
    pub complete: bool,
    /// The network.
    pub network: NetworkName,
    /// SHA-256 of its weights.
    pub weights_sha256: String,
    /// How pixels were normalised.
    pub normalize: Normalize,
    /// The split that was looked at.
    pub split: Split,
    /// How many of its images.
    pub images: u64,
    /// The seed of its draws.
    pub seed: u64,
    /// How long it took.
    pub seconds: f64,
    /// What it was asked for beyond that.
    #[serde(default, skip_serializing_if = "toml::Table::is_empty")]
    pub settings: toml::Table,
    /// What follows from the rows, in numbers.
    #[serde(default, skip_serializing_if = "toml::Table::is_empty")]
    pub summary: toml::Table,
    /// SHA-256 of the CSV file.
    pub files: BTreeMap<String, String>,
    /// The data.
    pub dataset: DatasetRecord,
    /// How it was made.
    pub provenance: Provenance,
}

/// An analysis in a folder.
#[derive(Debug, Clone)]
pub struct Analysis {
    /// Its folder.
    pub folder: PathBuf,
    /// Its record.
    pub record: AnalysisRecord,
}

impl AnalysisRecord {
    /// Writes `rows` and the record into `folder`.
    pub fn write<Row: Serialize>(&mut self, folder: &Path, rows: &[Row]) -> Result<()> {
        let csv = folder.join(csv_name(self.kind));
        let bytes = csv_bytes(rows).with_context(|| csv.display().to_string())?;
        atomic_file::write_atomically(&csv, &bytes)?;
        self.files = BTreeMap::from([(csv_name(self.kind), sha256(&bytes))]);
        let path = folder.join(toml_name(self.kind));
        let text = toml::to_string(self).with_context(|| path.display().to_string())?;
        atomic_file::write_atomically(&path, with_checksum(&text).as_bytes())?;
        // What a kill left here; this process alone writes to the folder.
        atomic_file::remove_leftovers(folder);
        Ok(())
    }

    /// Reads the record at `path`.
    pub fn read(path: &Path) -> Result<AnalysisRecord> {
        let text =
            regular_file::read_to_string(path).with_context(|| path.display().to_string())?;
        let record = toml::from_str(&text).map_err(|error| {
            let reason = error.message();
            bad_input(format!("{}: not the record of an analysis ({reason})", path.display()))
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
}

impl Analysis {
    /// Its rows.
    pub fn rows<Row: DeserializeOwned>(&self) -> Result<Vec<Row>> {
        let path = self.folder.join(csv_name(self.record.kind));
        let file = regular_file::open(&path).with_context(|| path.display().to_string())?;
        csv::Reader::from_reader(file)
            .deserialize()
            .collect::<Result<_, _>>()
            .with_context(|| format!("{}: not the rows of an analysis", path.display()))
    }
}

/// Name of the rows' file.
pub fn csv_name(kind: Kind) -> String {
    format!("{kind}.csv")
}

/// Name of the record's file.
pub fn toml_name(kind: Kind) -> String {
    format!("{kind}.toml")
}

fn csv_bytes<Row: Serialize>(rows: &[Row]) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.serialize(row)?;
    }
    Ok(writer.into_inner()?)
}

/// All analyses below `root`, by path, and why some could not be read. Links are followed, each
/// folder is visited once.
pub fn find(root: &Path) -> (Vec<Analysis>, Vec<String>) {
    let (mut found, mut problems, mut visited) = (Vec::new(), Vec::new(), HashSet::new());
    let mut waiting = vec![root.to_path_buf()];
    while let Some(folder) = waiting.pop() {
        if !folder.canonicalize().is_ok_and(|folder| visited.insert(folder)) {
            continue;
        }
        for kind in Kind::ALL {
            let path = folder.join(toml_name(kind));
            if path.symlink_metadata().is_err() {
                continue;
            }
            match AnalysisRecord::read(&path) {
                Ok(record) if record.kind == kind => {
                    found.push(Analysis { folder: folder.clone(), record })
                }
                Ok(record) => problems.push(format!("{}: is of {}", path.display(), record.kind)),
                Err(error) => problems.push(format!("{error:#}")),
            }
        }
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        waiting.extend(entries.map(|entry| entry.path()).filter(|path| path.is_dir()));
    }
    found.sort_by(|a, b| (&a.folder, a.record.kind).cmp(&(&b.folder, b.record.kind)));
    problems.sort();
    (found, problems)
}

/// What is wrong with the analyses below `root`, one line each.
pub fn problems(root: &Path) -> Vec<String> {
    let (analyses, strange) = find(root);
    let mut problems = Vec::new();
    analyses.iter().for_each(|analysis| verify(analysis, &mut problems));
    problems.iter().map(FileProblem::to_string).chain(strange).collect()
}

/// The bytes of the rows of the analysis called `name` in `folder`: where there is a record, those
/// that are on it.
pub fn rows_as_written(folder: &Path, name: &str) -> Result<Vec<u8>> {
    let (rows, toml) = (format!("{name}.csv"), folder.join(format!("{name}.toml")));
    let path = folder.join(&rows);
    let bytes = regular_file::read(&path).with_context(|| path.display().to_string())?;
    if toml.symlink_metadata().is_ok()
        && AnalysisRecord::read(&toml)?.files.get(&rows) != Some(&sha256(&bytes))
    {
        bail!("{}: is not as it was written (wrong SHA-256)", path.display());
    }
    Ok(bytes)
}

/// Compares an analysis' rows with the hash on record.
pub fn verify(analysis: &Analysis, problems: &mut Vec<FileProblem>) {
    let name = csv_name(analysis.record.kind);
    let path = analysis.folder.join(&name);
    let Some(expected) = analysis.record.files.get(&name) else {
        let record = analysis.folder.join(toml_name(analysis.record.kind));
        problems.push(FileProblem::Unreadable(record, format!("no hash of {name}")));
        return;
    };
    match hash_file(&path) {
        _ if !path.exists() => problems.push(FileProblem::Missing(path)),
        Ok(hash) if hash == *expected => {}
        Ok(_) => problems.push(FileProblem::Changed(path)),
        Err(error) => problems.push(FileProblem::Unreadable(path, error.root_cause().to_string())),
    }
}
