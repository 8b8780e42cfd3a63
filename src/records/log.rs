//! Append-only CSV logs.
//!
//! Rows are handed over in groups and written in one piece. If the disk is full the file is cut
//! back to its last whole row, so a log never ends in half a row unless the machine itself stops;
//! then the half row is cut off when the run is resumed.

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Serialize;

use crate::training::metrics::TrainingRow;

/// One line of `eval.csv`.
#[derive(Debug, Clone, Serialize)]
pub struct EvaluationRow {
    /// After how many iterations.
    pub iteration: u64,
    /// `test` or `validation`.
    pub split: &'static str,
    /// Mean cross-entropy, in nats.
    pub loss: f32,
    /// Top-1 error in percent.
    pub error: f32,
    /// Top-5 error in percent.
    pub top5_error: f32,
}

/// One line of `train.csv`. The rate is single precision so that 0.1 × 0.1 reads 0.01.
#[derive(Serialize)]
struct TrainingLine {
    iteration: u64,
    learning_rate: f32,
    loss: f32,
    error: f32,
}

/// A CSV file whose first column is the iteration.
pub struct Log {
    path: PathBuf,
    file: File,
    /// Bytes of whole rows.
    length: u64,
}

impl Log {
    /// Opens the log at `path` for appending after the rows of the first `iterations` iterations;
    /// later rows are cut off. A new file gets `header`.
    pub fn open(path: &Path, header: &str, iterations: u64) -> Result<Log> {
        let kept = match std::fs::read(path) {
            Ok(bytes) => whole_rows(&bytes, iterations).0,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        };
        let file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .open(path)
            .with_context(|| format!("{}: cannot be opened for writing", path.display()))?;
        let mut log = Log { path: path.to_path_buf(), file, length: kept };
        log.file
            .set_len(kept)
            .and_then(|()| log.file.seek(SeekFrom::End(0)))
            .with_context(|| format!("{}: cannot be cut back", path.display()))?;
        if kept == 0 {
            log.append(format!("{header}\n").as_bytes())?;
        }
        Ok(log)
    }

    /// Adds rows of `train.csv`.
    pub fn training(&mut self, rows: &[TrainingRow]) -> Result<()> {
        let lines = rows.iter().map(|row| TrainingLine {
            iteration: row.iteration,
            learning_rate: row.learning_rate as f32,
            loss: row.loss,
            error: row.error,
        });
        self.rows(lines)
    }

    /// Adds rows of `eval.csv`.
    pub fn evaluations(&mut self, rows: &[EvaluationRow]) -> Result<()> {
        self.rows(rows.iter())
    }

    fn rows<T: Serialize>(&mut self, rows: impl Iterator<Item = T>) -> Result<()> {
        let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
        for row in rows {
            writer.serialize(row).with_context(|| self.path.display().to_string())?;
        }
        let bytes = writer
            .into_inner()
            .map_err(|error| anyhow::anyhow!("{}: {error}", self.path.display()))?;
        self.append(&bytes)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        if let Err(error) = self.file.write_all(bytes) {
            // Whole rows only: what was written before this call stays.
            let _ = self.file.set_len(self.length);
            let _ = self.file.seek(SeekFrom::End(0));
            bail!(
                "{}: {error}; all earlier rows are kept: make room, then run the same command again",
                self.path.display()
            );
        }
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Makes sure that all rows are on the disk.
    pub fn sync(&self) -> Result<()> {
        self.file
            .sync_data()
            .with_context(|| format!("{}: cannot be written to the disk", self.path.display()))
    }
}

/// The last iteration of which the log at `path` has all `rows_each` rows; 0 if there is none.
pub fn last_iteration(path: &Path, rows_each: usize) -> Result<u64> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error).with_context(|| path.display().to_string()),
    };
    let (length, last) = whole_rows(&bytes, u64::MAX);
    let prefix = format!("{last},");
    let rows = bytes[..length as usize]
        .split_inclusive(|&byte| byte == b'\n')
        .rev()
        .take_while(|line| line.starts_with(prefix.as_bytes()))
        .count();
    // Every row of an earlier iteration comes before.
    Ok(if rows < rows_each { last.saturating_sub(1) } else { last })
}

/// Bytes of the header and of the whole rows whose iteration is at most `iterations`, and the
/// iteration of the last of them.
fn whole_rows(bytes: &[u8], iterations: u64) -> (u64, u64) {
    let (mut length, mut last) = (0, 0);
    for (index, line) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
        let iteration = || std::str::from_utf8(line).ok()?.split(',').next()?.parse::<u64>().ok();
        // The header counts as iteration 0.
        match if index == 0 { Some(0) } else { iteration() } {
            Some(iteration) if iteration <= iterations && line.ends_with(b"\n") => last = iteration,
            _ => break,
        }
        length += line.len() as u64;
    }
    (length, last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(iteration: u64) -> TrainingRow {
        TrainingRow { iteration, learning_rate: 0.1 * 0.1, loss: 2.25, error: 61.71875 }
    }

    #[test]
    fn rows_are_written_as_short_numbers_under_the_header() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("train.csv");
        let mut log = Log::open(&path, "iteration,learning_rate,loss,error", 0).unwrap();
        log.training(&[row(1), row(2)]).unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "iteration,learning_rate,loss,error\n1,0.01,2.25,61.71875\n2,0.01,2.25,61.71875\n"
        );
    }

    #[test]
    fn a_reopened_log_loses_the_rows_past_the_checkpoint_and_half_rows_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("train.csv");
        std::fs::write(&path, "iteration,error\n1,5\n2,6\n3,7\n4,").unwrap();
        let reopened = |iterations| {
            drop(Log::open(&path, "iteration,error", iterations).unwrap());
            std::fs::read_to_string(&path).unwrap()
        };
        assert_eq!(reopened(3), "iteration,error\n1,5\n2,6\n3,7\n");
        assert_eq!(reopened(2), "iteration,error\n1,5\n2,6\n");
        assert_eq!(reopened(0), "iteration,error\n");
    }

    #[test]
    fn an_iteration_counts_as_logged_once_all_its_rows_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("eval.csv");
        let last = |text: &str, rows_each| {
            std::fs::write(&path, text).unwrap();
            last_iteration(&path, rows_each).unwrap()
        };
        assert_eq!(last("iteration,split\n7,test\n7,validation\n14,test\n14,validation\n", 2), 14);
        assert_eq!(last("iteration,split\n7,test\n7,validation\n14,test\n14,valid", 2), 13);
        assert_eq!(last("iteration,split\n7,test\n14,te", 1), 7);
        assert_eq!(last("iteration,spl", 1), 0);
        assert_eq!(last_iteration(&folder.path().join("none.csv"), 1).unwrap(), 0);
    }

    #[test]
    fn a_full_disk_is_an_error_that_names_the_file() {
        let mut log = Log {
            path: "/dev/full".into(),
            file: OpenOptions::new().write(true).open("/dev/full").unwrap(),
            length: 0,
        };
        let message = log.training(&[row(1)]).unwrap_err().to_string();
        assert!(message.contains("/dev/full") && message.contains("No space left"), "{message}");
    }
}
