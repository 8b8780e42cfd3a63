//! Columns of a CSV file of another program, read line by line.

use std::fs::File;
use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result as IoResult};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::error::{BadInput, bad_input};
use crate::logs::external::values::Point;
use crate::system::regular_file;

/// No line of a log is longer, in bytes: a file without line ends would fill the memory.
const LONGEST_LINE: usize = 1 << 20;

/// What may stand between two cells.
const DELIMITERS: [u8; 3] = [b',', b'\t', b';'];

/// A CSV file with a header.
pub struct CsvFile {
    path: PathBuf,
    delimiter: u8,
    /// The names of its columns.
    pub names: Vec<String>,
}

impl CsvFile {
    /// Reads the header of the file at `path`.
    pub fn open(path: &Path) -> Result<CsvFile> {
        let shown = path.display();
        let mut first = Vec::new();
        let file = opened(path)?;
        BufReader::new(file)
            .read_until(b'\n', &mut first)
            .map_err(|error| bad_input(format!("{shown}: cannot be read: {error}")))?;
        let count = |delimiter: &u8| first.iter().filter(|byte| *byte == delimiter).count();
        let delimiter = DELIMITERS.into_iter().rev().max_by_key(count).unwrap_or(b',');
        let mut file = CsvFile { path: path.to_path_buf(), delimiter, names: Vec::new() };
        let header = file.reader()?.headers().map_err(|error| file.unreadable(&error))?.clone();
        file.names = header.iter().map(str::to_string).collect();
        // As spreadsheets begin a file.
        if let Some(first) = file.names.first_mut() {
            *first = first.trim_start_matches('\u{feff}').to_string();
        }
        match file.names.iter().all(String::is_empty) {
            true => Err(bad_input(format!("{shown}: is no CSV file with a header")).into()),
            false => Ok(file),
        }
    }

    /// The cells of a column beside those of the one that counts iterations; rows where it is empty
    /// have none.
    pub fn points(&self, iteration: &str, column: &str) -> Result<Vec<Point>> {
        let [at, of] = [iteration, column].map(|name| self.position(name));
        let (at, of) = (at?, of?);
        let mut points = Vec::new();
        let mut reader = self.reader()?;
        let mut record = csv::StringRecord::new();
        while reader.read_record(&mut record).map_err(|error| self.unreadable(&error))? {
            let line = record.position().map_or(0, csv::Position::line);
            if record.get(of).is_none_or(str::is_empty) {
                continue;
            }
            let number = |position: usize, name: &str| {
                let cell = record.get(position).unwrap_or_default();
                cell.parse::<f64>().map_err(|_| {
                    let path = self.path.display();
                    bad_input(format!("{path}: line {line}: {name} is {cell:?}, no number"))
                })
            };
            let (step, value) = (number(at, iteration)?, number(of, column)?);
            points.push(Point { place: format!("line {line}"), step, value });
        }
        Ok(points)
    }

    fn position(&self, name: &str) -> Result<usize, BadInput> {
        let found = self.names.iter().position(|other| other == name);
        found
            .ok_or_else(|| bad_input(format!("{}: there is no column {name}", self.path.display())))
    }

    fn reader(&self) -> Result<csv::Reader<LineLimit>> {
        let input = LineLimit { file: opened(&self.path)?, since: 0 };
        let mut builder = csv::ReaderBuilder::new();
        builder.delimiter(self.delimiter).trim(csv::Trim::All);
        Ok(builder.from_reader(input))
    }

    fn unreadable(&self, error: &csv::Error) -> BadInput {
        let path = self.path.display();
        match error.kind() {
            csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
                let line = pos.as_ref().map_or(0, csv::Position::line);
                bad_input(format!(
                    "{path}: line {line}: has {len} cells, the header {expected_len}"
                ))
            }
            csv::ErrorKind::Utf8 { pos, .. } => {
                let line = pos.as_ref().map_or(0, csv::Position::line);
                bad_input(format!("{path}: line {line}: is not UTF-8 text"))
            }
            _ => bad_input(format!("{path}: cannot be read as CSV: {error}")),
        }
    }
}

fn opened(path: &Path) -> Result<File> {
    regular_file::open(path).with_context(|| format!("{}: cannot be read", path.display()))
}

/// Ends reading at a line that is too long.
struct LineLimit {
    file: File,
    /// Bytes since the last line end.
    since: usize,
}

impl Read for LineLimit {
    fn read(&mut self, buffer: &mut [u8]) -> IoResult<usize> {
        let count = self.file.read(buffer)?;
        self.since = match buffer[..count].iter().rposition(|&byte| byte == b'\n') {
            Some(end) => count - end - 1,
            None => self.since + count,
        };
        match self.since > LONGEST_LINE {
            true => Err(Error::new(ErrorKind::InvalidData, "a line is too long")),
            false => Ok(count),
        }
    }
}
