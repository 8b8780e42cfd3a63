//! The rows of a log, one after the other, each checked: a file of any size takes the memory of one
//! row.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use csv::StringRecord;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::system::regular_file;

/// A row of a log: its fields are the columns, the first of which is the iteration.
pub trait LogRow: Serialize + DeserializeOwned + Clone {
    /// The first line of the file.
    const HEADER: &'static str;
    /// After how many iterations.
    fn iteration(&self) -> u64;
    /// Why the row cannot stand after `previous` (`None`: the header) in the log of a run that
    /// goes on.
    fn problem_after(&self, previous: Option<&Self>) -> Option<String>;
}

/// No row is longer.
const LONGEST_LINE: u64 = 1024;

/// The rows of a log, each with the number of bytes up to its end. The first line of another form
/// is an error that names it, and the last item; a torn last line is none.
pub struct Rows<Row> {
    path: PathBuf,
    reader: BufReader<File>,
    line: u64,
    end: u64,
    previous: Option<Row>,
    over: bool,
}

impl<Row: LogRow> Rows<Row> {
    /// The rows of the file at `path`, which must be a regular one; `None` if there is no file.
    pub fn open(path: &Path) -> Result<Option<Rows<Row>>> {
        let file = match regular_file::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            file => file.with_context(|| format!("{}: cannot be read", path.display()))?,
        };
        Ok(Some(Rows {
            path: path.to_path_buf(),
            reader: BufReader::new(file),
            line: 0,
            end: 0,
            previous: None,
            over: false,
        }))
    }

    /// Bytes of the lines before the one that comes next.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// The next line without its end; `None` if no whole one is left.
    fn line(&mut self) -> Result<Option<String>> {
        let mut bytes = Vec::new();
        let read = self.reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut bytes);
        read.map_err(|error| anyhow!("cannot be read: {error}"))?;
        match bytes.pop() {
            Some(b'\n') => {}
            Some(_) if bytes.len() as u64 + 1 == LONGEST_LINE => bail!("is too long for a row"),
            _ => return Ok(None),
        }
        Ok(Some(String::from_utf8(bytes).map_err(|_| anyhow!("is not UTF-8"))?))
    }

    fn row(&mut self) -> Result<Option<(Row, u64)>> {
        if self.line == 0 {
            self.line = 1;
            match self.line()? {
                None => return Ok(None),
                Some(header) if header == Row::HEADER => self.end = header.len() as u64 + 1,
                Some(_) => bail!("is not \"{}\"", Row::HEADER),
            }
        }
        self.line += 1;
        let Some(line) = self.line()? else { return Ok(None) };
        let row: Row = parse(&line)?;
        if let Some(problem) = row.problem_after(self.previous.as_ref()) {
            bail!("{problem}");
        }
        self.end += line.len() as u64 + 1;
        self.previous = Some(row.clone());
        Ok(Some((row, self.end)))
    }
}

/// A row from its line.
fn parse<Row: LogRow>(line: &str) -> Result<Row> {
    let record = StringRecord::from(line.split(',').collect::<Vec<_>>());
    let columns: Vec<&str> = Row::HEADER.split(',').collect();
    if record.len() != columns.len() {
        bail!("has {} values instead of {}", record.len(), columns.len());
    }
    record.deserialize(None).map_err(|error| {
        let field = match error.kind() {
            csv::ErrorKind::Deserialize { err, .. } => err.field(),
            _ => None,
        };
        let name = field.and_then(|field| columns.get(field as usize)).unwrap_or(&"a value");
        let value = field.and_then(|field| record.get(field as usize)).unwrap_or(line);
        anyhow!("{name} is {value:?}")
    })
}

impl<Row: LogRow> Iterator for Rows<Row> {
    type Item = Result<(Row, u64)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let row = self.row();
        self.over = !matches!(row, Ok(Some(_)));
        let (path, line) = (self.path.display(), self.line);
        row.map_err(|error| anyhow!("{path}: line {line}: {error}")).transpose()
    }
}
