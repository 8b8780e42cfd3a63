//! Rows that are kept as they are found, so that an analysis goes on where it was stopped, by a
//! signal or by a kill.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::system::atomic_file::open_own;
use crate::system::hash::sha256;

/// Digits of a line's checksum.
const DIGITS: usize = 16;

/// Rows, and the file that they are kept in.
///
/// The file's first line says what the rows are of. Each further one is a checksum, a comma and a
/// row as CSV; the checksum is of the row and of the checksum before it, that of the first row of
/// the first line. A line that does not fit, half of one for instance, and all behind it are not
/// read.
pub struct KeptRows<Row> {
    /// What is there.
    pub rows: Vec<Row>,
    file: Option<(PathBuf, File)>,
    checksum: String,
}

impl<Row: Serialize + DeserializeOwned> KeptRows<Row> {
    /// Rows without a file.
    pub fn in_memory() -> KeptRows<Row> {
        KeptRows { rows: Vec::new(), file: None, checksum: String::new() }
    }

    /// The rows in the file at `path` that are of `identity`, a line of text, or none. `tell` is
    /// told, in a line, why what was there is not used.
    pub fn open(
        path: &Path,
        identity: &str,
        tell: &mut dyn FnMut(String),
    ) -> Result<KeptRows<Row>> {
        let mut file = open_own(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).with_context(|| path.display().to_string())?;
        let first = format!("{identity}\n");
        let mut kept = KeptRows { rows: Vec::new(), file: None, checksum: short_hash(&first) };
        let mut length = 0;
        if let Some(rest) = bytes.strip_prefix(first.as_bytes()) {
            length = first.len() + kept.take(rest);
            // Half of a line is what a kill leaves.
            if bytes[length..].contains(&b'\n') {
                let line = kept.rows.len() + 2;
                tell(format!(
                    "{}: line {line} is not as it was written: from there on it is computed again",
                    path.display()
                ));
            }
        } else if bytes.contains(&b'\n') {
            tell(format!(
                "{}: is of other weights, images or settings: it is begun again",
                path.display()
            ));
        }
        let mut begin = || -> std::io::Result<()> {
            file.set_len(length as u64)?;
            file.seek(SeekFrom::End(0))?;
            if length == 0 { file.write_all(first.as_bytes()) } else { Ok(()) }
        };
        begin().with_context(|| format!("{}: cannot be written", path.display()))?;
        kept.file = Some((path.to_path_buf(), file));
        Ok(kept)
    }

    /// Takes the rows of `bytes` up to the first line that does not fit; returns their length.
    fn take(&mut self, bytes: &[u8]) -> usize {
        let mut length = 0;
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            let Some((checksum, row)) = self.row(line) else { break };
            self.rows.push(row);
            self.checksum = checksum;
            length += line.len();
        }
        length
    }

    /// A line's checksum and row, if they fit.
    fn row(&self, line: &[u8]) -> Option<(String, Row)> {
        let line = std::str::from_utf8(line).ok()?;
        let (checksum, row) = line.split_at_checked(DIGITS)?;
        let row = row.strip_prefix(',')?;
        if !row.ends_with('\n') || checksum != short_hash(&format!("{}{row}", self.checksum)) {
            return None;
        }
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(row.as_bytes());
        Some((checksum.to_string(), reader.deserialize().next()?.ok()?))
    }

    /// Adds a row, in the file too.
    pub fn push(&mut self, row: Row) -> Result<()> {
        if let Some((path, file)) = &mut self.file {
            let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
            writer.serialize(&row)?;
            let text = String::from_utf8(writer.into_inner()?)?;
            let checksum = short_hash(&format!("{}{text}", self.checksum));
            file.write_all(format!("{checksum},{text}").as_bytes())
                .with_context(|| format!("{}: cannot be written", path.display()))?;
            self.checksum = checksum;
        }
        self.rows.push(row);
        Ok(())
    }
}

fn short_hash(text: &str) -> String {
    sha256(text.as_bytes())[..DIGITS].to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Row = (f64, Option<f64>, u64);

    fn open(path: &Path, identity: &str) -> (KeptRows<Row>, Vec<String>) {
        let mut told = Vec::new();
        let kept = KeptRows::open(path, identity, &mut |text| told.push(text)).unwrap();
        (kept, told)
    }

    #[test]
    fn rows_are_read_back_exactly_and_half_a_line_is_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("points");
        let rows: Vec<Row> =
            vec![(0.1 + 0.2, Some(1.0 / 3.0), 7), (-1e-17, None, 0), (3.0, Some(2.0), 1)];
        let (mut kept, told) = open(&path, "net a");
        rows[..2].iter().for_each(|&row| kept.push(row).unwrap());
        drop(kept);
        let whole = std::fs::read(&path).unwrap();
        for cut in 1..20 {
            std::fs::write(&path, &whole[..whole.len() - cut]).unwrap();
            let (mut kept, told) = open(&path, "net a");
            assert_eq!((&kept.rows[..], told.len()), (&rows[..1], 0));
            kept.push(rows[1]).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), whole);
        }
        let (mut kept, _) = open(&path, "net a");
        kept.push(rows[2]).unwrap();
        assert_eq!(open(&path, "net a").0.rows, rows);
        assert!(told.is_empty());
    }

    #[test]
    fn a_changed_line_and_what_follows_it_are_dropped_and_another_nets_file_is_begun_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("points");
        let (mut kept, _) = open(&path, "net a");
        (0..4).for_each(|number| kept.push((f64::from(number), None, 0)).unwrap());
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace(",2.0,", ",2.5,")).unwrap();
        let (kept, told) = open(&path, "net a");
        assert_eq!(kept.rows.len(), 2);
        assert!(told.len() == 1 && told[0].contains("points: line 4 is not as it was"), "{told:?}");
        let (kept, told) = open(&path, "net b");
        assert_eq!(kept.rows, []);
        assert!(told.len() == 1 && told[0].contains("other weights"), "{told:?}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "net b\n");
    }
}
