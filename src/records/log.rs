//! Append-only CSV logs.
//!
//! Rows are handed over in groups and written in one piece. If the disk is full the file is cut
//! back to its last whole row, so a log never ends in half a row unless the machine itself stops;
//! then the half row is cut off when the run is resumed.

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::system::regular_file;

/// A row of a log: its fields are the columns, the first of which is the iteration.
pub trait LogRow: Serialize + DeserializeOwned {
    /// The first line of the file.
    const HEADER: &'static str;
}

/// A CSV file of such rows.
pub struct Log<Row> {
    path: PathBuf,
    file: File,
    /// Bytes of whole rows.
    length: u64,
    row: PhantomData<Row>,
}

impl<Row: LogRow> Log<Row> {
    /// Opens the log at `path` for appending after the rows of the first `iterations` iterations;
    /// later rows are cut off. A new file gets its header.
    pub fn open(path: &Path, iterations: u64) -> Result<Log<Row>> {
        let kept = match regular_file::read(path) {
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
        let mut log = Log { path: path.to_path_buf(), file, length: kept, row: PhantomData };
        log.file
            .set_len(kept)
            .and_then(|()| log.file.seek(SeekFrom::End(0)))
            .with_context(|| format!("{}: cannot be cut back", path.display()))?;
        if kept == 0 {
            log.append_bytes(format!("{}\n", Row::HEADER).as_bytes())?;
        }
        Ok(log)
    }

    /// Adds rows.
    pub fn append(&mut self, rows: &[Row]) -> Result<()> {
        let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
        for row in rows {
            writer.serialize(row).with_context(|| self.path.display().to_string())?;
        }
        let bytes = writer
            .into_inner()
            .map_err(|error| anyhow::anyhow!("{}: {error}", self.path.display()))?;
        self.append_bytes(&bytes)
    }

    fn append_bytes(&mut self, bytes: &[u8]) -> Result<()> {
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

/// The rows of the log at `path`, but for a torn last one; none if there is no file.
pub fn read<Row: LogRow>(path: &Path) -> Result<Vec<Row>> {
    let mut bytes = match regular_file::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| path.display().to_string()),
    };
    bytes.truncate(whole_rows(&bytes, u64::MAX).0 as usize);
    csv::Reader::from_reader(&bytes[..])
        .deserialize()
        .collect::<Result<_, _>>()
        .with_context(|| path.display().to_string())
}

/// The last iteration of which the log at `path` has all `rows_each` rows; 0 if there is none.
pub fn last_iteration(path: &Path, rows_each: usize) -> Result<u64> {
    let bytes = match regular_file::read(path) {
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

    use crate::training::metrics::TrainingRow;

    const HEADER: &str = TrainingRow::HEADER;

    #[test]
    fn a_reopened_log_loses_the_rows_past_the_checkpoint_and_half_rows_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("train.csv");
        std::fs::write(&path, format!("{HEADER}\n1,0.1,5,6\n2,0.1,6,7\n3,0.1,7,8\n4,")).unwrap();
        let reopened = |iterations| {
            drop(Log::<TrainingRow>::open(&path, iterations).unwrap());
            std::fs::read_to_string(&path).unwrap()
        };
        assert_eq!(reopened(3), format!("{HEADER}\n1,0.1,5,6\n2,0.1,6,7\n3,0.1,7,8\n"));
        assert_eq!(reopened(2), format!("{HEADER}\n1,0.1,5,6\n2,0.1,6,7\n"));
        assert_eq!(reopened(0), format!("{HEADER}\n"));
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
            row: PhantomData,
        };
        let row = TrainingRow { iteration: 1, learning_rate: 0.1, loss: 2.25, error: 61.71875 };
        let message = log.append(&[row]).unwrap_err().to_string();
        assert!(message.contains("/dev/full") && message.contains("No space left"), "{message}");
    }
}
