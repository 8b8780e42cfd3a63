//! The end of a log, read without the rest of it: how far a run is that another process trains.

use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::records::log_rows::LogRow;
use crate::system::regular_file;

/// Bytes that are read: more than the longest row has.
const TAIL: u64 = 2048;

/// The last whole row of a log.
#[derive(Debug, Clone, PartialEq)]
pub struct LastRow<Row> {
    /// The row.
    pub row: Row,
    /// The time since the log was last written.
    pub age: Duration,
}

/// The last whole row of the log at `path`; `None` if there is no file or no row yet. A torn last
/// line, which may be being written, is passed over.
pub fn last_row<Row: LogRow>(path: &Path) -> Result<Option<LastRow<Row>>> {
    let context = || format!("{}: cannot be read", path.display());
    let mut file = match regular_file::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file.with_context(context)?,
    };
    let metadata = file.metadata().with_context(context)?;
    let end = metadata.len();
    let start = end.saturating_sub(TAIL);
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(start)).with_context(context)?;
    file.take(end - start).read_to_end(&mut tail).with_context(context)?;
    let Some(end) = tail.iter().rposition(|&byte| byte == b'\n') else { return Ok(None) };
    let line = tail[..end].rsplit(|&byte| byte == b'\n').next().unwrap_or_default();
    if line == Row::HEADER.as_bytes() {
        return Ok(None);
    }
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(line);
    let Some(Ok(row)) = reader.deserialize().next() else {
        bail!("{}: its last line is not a row", path.display())
    };
    // A server's clock may be ahead of this machine's.
    let age = metadata.modified().ok().and_then(|time| time.elapsed().ok()).unwrap_or_default();
    Ok(Some(LastRow { row, age }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::metrics::TrainingRow;

    fn last_iteration(text: &str) -> Result<Option<u64>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("train.csv");
        std::fs::write(&path, text).unwrap();
        let last = last_row::<TrainingRow>(&path)?;
        Ok(last.map(|LastRow { row, age }| {
            assert!(age < Duration::from_secs(60));
            row.iteration
        }))
    }

    #[test]
    fn the_last_whole_row_is_found_in_a_log_of_any_length() {
        let header = TrainingRow::HEADER;
        assert_eq!(last_row::<TrainingRow>(Path::new("/nowhere/train.csv")).unwrap(), None);
        for none in [String::new(), header[..5].to_string(), format!("{header}\n")] {
            assert_eq!(last_iteration(&none).unwrap(), None, "{none:?}");
        }
        let rows = |count: u64| {
            let rows = (1..=count).map(|iteration| format!("{iteration},0.1,2.5,61.75\n"));
            format!("{header}\n{}", rows.collect::<String>())
        };
        assert_eq!(last_iteration(&rows(1)).unwrap(), Some(1));
        assert_eq!(last_iteration(&rows(100_000)).unwrap(), Some(100_000));
        assert_eq!(last_iteration(&format!("{}4,0.1", rows(3))).unwrap(), Some(3));
    }

    #[test]
    fn a_last_line_that_is_no_row_is_an_error_that_names_the_file() {
        for damaged in ["x\n", "iteration,learning_rate,loss,error\n1,0.1,2.5,6\u{7f}1.75\n"] {
            let message = format!("{:#}", last_iteration(damaged).unwrap_err());
            assert!(message.contains("train.csv: its last line"), "{message}");
        }
    }
}
