//! Append-only CSV logs.
//!
//! Rows are handed over in groups and written in one piece. If the disk is full the file is cut
//! back to its last whole row, so a log never ends in half a row unless the machine itself stops;
//! then the half row is cut off when the run is resumed. The hash of all that was written is kept
//! along, so that each checkpoint can hold it ([`position`](crate::records::position)).

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::records::log_rows::{LogRow, Rows};
use crate::system::atomic_file::open_own;
use crate::system::hash::{hash_file, hexadecimal};
use crate::system::regular_file;

/// The beginning of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogPrefix {
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256 in hexadecimal.
    pub sha256: String,
}

/// A CSV file of such rows, open for appending.
pub struct Log<Row> {
    path: PathBuf,
    file: File,
    /// Bytes of whole rows.
    length: u64,
    /// Of these bytes.
    hash: Sha256,
    row: PhantomData<Row>,
}

impl<Row: LogRow> Log<Row> {
    /// Opens the log at `path` for appending after its first `kept` bytes, whole rows; later ones
    /// are cut off. At 0 it gets its header.
    pub fn open(path: &Path, kept: u64) -> Result<Log<Row>> {
        let file = open_own(path)?;
        let hash = hash_of(&file, kept)
            .with_context(|| format!("{}: cannot be read", path.display()))?
            .with_context(|| format!("{}: rows were lost", path.display()))?;
        let mut log = Log { path: path.to_path_buf(), file, length: kept, hash, row: PhantomData };
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
        self.hash.update(bytes);
        Ok(())
    }

    /// Makes sure that all rows are on the disk.
    pub fn sync(&self) -> Result<()> {
        self.file
            .sync_data()
            .with_context(|| format!("{}: cannot be written to the disk", self.path.display()))
    }

    /// All that was written.
    pub fn prefix(&self) -> LogPrefix {
        LogPrefix { bytes: self.length, sha256: hexadecimal(&self.hash.clone().finalize()) }
    }

    /// Refuses if the file does not hold what was written.
    pub fn check(&self) -> Result<()> {
        if hash_file(&self.path)? != self.prefix().sha256 {
            bail!("{}: was changed by another program during training", self.path.display());
        }
        Ok(())
    }
}

/// The hash of the first `bytes` of a file; `None` if there are fewer.
fn hash_of(file: &File, bytes: u64) -> std::io::Result<Option<Sha256>> {
    let mut hash = Sha256::new();
    let copied = std::io::copy(&mut file.take(bytes), &mut HashWriter(&mut hash))?;
    Ok((copied == bytes).then_some(hash))
}

struct HashWriter<'a>(&'a mut Sha256);

impl Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The rows of the log at `path`, but for a torn last one; none if there is no file.
pub fn read<Row: LogRow>(path: &Path) -> Result<Vec<Row>> {
    Rows::open(path)?.map_or(Ok(Vec::new()), |rows| rows.map(|row| Ok(row?.0)).collect())
}

/// Refuses unless the log at `path` begins with `prefix`; names the file, and the line if its form
/// shows which it is.
pub fn check_prefix<Row: LogRow>(path: &Path, prefix: &LogPrefix) -> Result<()> {
    let unreadable = || format!("{}: cannot be read", path.display());
    let hash = regular_file::open(path).and_then(|file| hash_of(&file, prefix.bytes));
    let hash = match hash {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        hash => hash.with_context(unreadable)?,
    };
    match hash {
        Some(hash) if hexadecimal(&hash.clone().finalize()) == prefix.sha256 => return Ok(()),
        Some(_) => {}
        None => {
            let (_, last) = rows_up_to::<Row>(path, u64::MAX)?;
            bail!(
                "{}: ends at iteration {}: rows were lost",
                path.display(),
                last.map_or(0, |row| row.iteration())
            );
        }
    }
    let mut lines = 1;
    for row in Rows::<Row>::open(path)?.into_iter().flatten() {
        if row?.1 > prefix.bytes {
            break;
        }
        lines += 1;
    }
    bail!(
        "{}: some of its first {lines} lines are not as they were written (wrong SHA-256)",
        path.display()
    )
}

/// The length of the log at `path` up to and with its rows of `iteration`, and the last of these
/// rows; an error names the first line of another form.
pub fn rows_up_to<Row: LogRow>(path: &Path, iteration: u64) -> Result<(u64, Option<Row>)> {
    let Some(mut rows) = Rows::<Row>::open(path)? else { return Ok((0, None)) };
    let (mut bytes, mut last) = (None, None);
    for row in rows.by_ref() {
        let (row, end) = row?;
        if row.iteration() > iteration {
            break;
        }
        (bytes, last) = (Some(end), Some(row));
    }
    let header = if rows.end() > 0 { Row::HEADER.len() as u64 + 1 } else { 0 };
    Ok((bytes.unwrap_or(header), last))
}

/// Refuses a file in the place of a log that does not begin like one.
pub fn check_header<Row: LogRow>(path: &Path) -> Result<()> {
    let Some(mut rows) = Rows::<Row>::open(path)? else { return Ok(()) };
    match rows.next() {
        Some(Err(error)) if rows.end() == 0 => {
            bail!("{error}; move it away to train from the start")
        }
        _ => Ok(()),
    }
}

/// The first line past `start` bytes of a log that is not of its form, if there is one.
pub fn damage_from<Row: LogRow>(path: &Path, start: u64) -> Option<String> {
    let mut rows = Rows::<Row>::open(path).ok()??;
    let error = rows.find_map(Result::err)?;
    (rows.end() >= start).then(|| format!("{error:#}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::metrics::TrainingRow;

    const HEADER: &str = TrainingRow::HEADER;

    #[test]
    fn a_reopened_log_loses_what_is_past_the_kept_bytes_and_hashes_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("train.csv");
        let text = format!("{HEADER}\n1,0.1,5.0,6.0\n2,0.1,6.0,7.0\n3,0.1,");
        std::fs::write(&path, &text).unwrap();
        let kept = rows_up_to::<TrainingRow>(&path, 1).unwrap().0;
        let mut log = Log::<TrainingRow>::open(&path, kept).unwrap();
        let row = TrainingRow { iteration: 2, learning_rate: 0.1, loss: 6.0, error: 7.0 };
        log.append(&[row]).unwrap();
        let expected = format!("{HEADER}\n1,0.1,5.0,6.0\n2,0.1,6.0,7.0\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
        let sha256 = crate::system::hash::sha256(expected.as_bytes());
        assert_eq!(log.prefix(), LogPrefix { bytes: expected.len() as u64, sha256 });
        log.check().unwrap();
        std::fs::write(&path, expected.replace("5.0", "5.5")).unwrap();
        assert!(log.check().unwrap_err().to_string().contains("train.csv: was changed"));
    }

    #[test]
    fn a_full_disk_is_an_error_that_names_the_file() {
        let mut log = Log {
            path: "/dev/full".into(),
            file: std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap(),
            length: 0,
            hash: Sha256::new(),
            row: PhantomData,
        };
        let row = TrainingRow { iteration: 1, learning_rate: 0.1, loss: 2.25, error: 61.71875 };
        let message = log.append(&[row]).unwrap_err().to_string();
        assert!(message.contains("/dev/full") && message.contains("No space left"), "{message}");
    }
}
