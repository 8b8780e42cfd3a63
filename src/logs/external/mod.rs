//! Logs of other programs: errors over iterations from a CSV file, or from TensorBoard's event files.

pub mod columns;
pub mod events;
pub mod names;
pub mod values;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::error::{BadInput, bad_input};
use crate::logs::error_log::{ErrorLog, ErrorPoint};
use crate::logs::external::columns::CsvFile;
use crate::logs::external::names::{Images, Values};
use crate::logs::external::values::{Count, Point, Unit};

/// What a training error of a log is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Rows {
    /// Of the one batch of its iteration.
    Batch,
    /// The mean since the row before.
    Mean,
}

/// What is known of a log; the rest is guessed.
#[derive(Debug, Clone, Default)]
pub struct Mapping {
    /// The column that counts iterations.
    pub iteration: Option<String>,
    /// Whether it counts epochs.
    pub epochs: bool,
    /// The column, or tag, of training errors.
    pub training: Option<String>,
    /// That of test errors.
    pub test: Option<String>,
    /// What both hold.
    pub values: Option<Values>,
    /// In which unit.
    pub unit: Option<Unit>,
    /// What a training error is of.
    pub rows: Option<Rows>,
    /// Iterations of an epoch.
    pub epoch_length: u64,
}

/// A log that was read, and what was guessed of it, a sentence each.
#[derive(Debug)]
pub struct ExternalLog {
    /// Its errors.
    pub errors: ErrorLog,
    /// What was guessed.
    pub notes: Vec<String>,
}

/// A file or folder with columns.
enum Source {
    Csv(CsvFile),
    Events(BTreeMap<String, Vec<Point>>),
}

impl Source {
    fn open(path: &Path) -> Result<Source> {
        if path.is_dir() {
            let files = events::in_folder(path)?;
            if files.is_empty() {
                return Err(bad_input(format!(
                    "{}: there is no run in this folder (no run.toml), and no event file",
                    path.display()
                ))
                .into());
            }
            return Ok(Source::Events(events::read(&files)?));
        }
        match events::is_event_file(path) {
            true => Ok(Source::Events(events::read(&[path.to_path_buf()])?)),
            false => Ok(Source::Csv(CsvFile::open(path)?)),
        }
    }

    fn names(&self) -> Vec<String> {
        match self {
            Source::Csv(file) => file.names.clone(),
            Source::Events(tags) => tags.keys().cloned().collect(),
        }
    }

    fn what(&self) -> &'static str {
        match self {
            Source::Csv(_) => "column",
            Source::Events(_) => "tag",
        }
    }
}

/// One column of errors that is read.
struct Column {
    path: PathBuf,
    name: String,
    points: Vec<Point>,
    epochs: bool,
}

/// Reads training errors from `path`, and test errors from `test_path`, or else from there too.
pub fn read(path: &Path, test_path: Option<&Path>, mapping: &Mapping) -> Result<ExternalLog> {
    let mut notes = Vec::new();
    let source = Source::open(path)?;
    let own = test_path.is_some();
    let training = column((path, &source), Images::Training, own, mapping, &mut notes)?;
    let test = match test_path {
        None => column((path, &source), Images::Test, own, mapping, &mut notes)?,
        Some(path) => {
            let source = Source::open(path)?;
            column((path, &source), Images::Test, own, mapping, &mut notes)?
        }
    };
    if training.is_none() && test.is_none() {
        let names = source.names();
        let problem = match names::errors(&names, Images::Training, true) {
            Some(name) => format!("{name} may hold training or test errors"),
            None => {
                let what = source.what();
                format!("no {what} is known by its name to hold training or test errors")
            }
        };
        return Err(bad_input(format!(
            "{}: {problem}: name it with --training-column or --test-column (there are: {}); of a run of this program name the folder",
            path.display(),
            names.join(", ")
        ))
        .into());
    }
    let columns: Vec<&Column> = training.iter().chain(&test).collect();
    let epochs = mapping.epochs || columns.iter().any(|column| column.epochs);
    let count = count(training.as_ref(), test.as_ref(), epochs, mapping, &mut notes);
    let averaged = mapping.rows.map_or(epochs, |rows| rows == Rows::Mean);
    if training.is_some() && mapping.rows.is_none() {
        notes.push(match averaged {
            true => "a training error is taken for the mean since the row before (--rows batch if it is of one batch)".to_string(),
            false => "a training error is taken for that of one batch (--rows mean if it is the mean since the row before)".to_string(),
        });
    }
    let mut read = |column: Option<Column>, count| -> Result<Vec<ErrorPoint>> {
        column.map_or(Ok(Vec::new()), |column| Ok(errors(&column, count, mapping, &mut notes)?))
    };
    let (training_count, test_count) = count;
    let training = read(training, training_count)?;
    let test = read(test, test_count)?;
    Ok(ExternalLog { errors: ErrorLog { training, averaged, test }, notes })
}

/// The column of `images` that is named or that the names tell; `only` if the log has no others.
fn column(
    (path, source): (&Path, &Source),
    images: Images,
    only: bool,
    mapping: &Mapping,
    notes: &mut Vec<String>,
) -> Result<Option<Column>> {
    let (given, flag, of) = match images {
        Images::Training => (&mapping.training, "--training-column", "training"),
        Images::Test => (&mapping.test, "--test-column", "test"),
    };
    let names = source.names();
    let name = match given {
        Some(name) => named(name, flag, (path, source.what(), &names))?.to_string(),
        None => match names::errors(&names, images, only) {
            Some(name) => {
                notes.push(format!("{of} errors are taken from {} {name}", source.what()));
                name.to_string()
            }
            None => return Ok(None),
        },
    };
    let (points, epochs) = match source {
        Source::Events(tags) => (tags.get(&name).cloned().unwrap_or_default(), false),
        Source::Csv(file) => {
            let (iteration, epochs) = counting((path, file), mapping, notes)?;
            (file.points(&iteration, &name)?, epochs)
        }
    };
    if points.is_empty() {
        let empty = format!("{}: {name} has no value", path.display());
        // A log that is not at its end may have no test yet.
        if given.is_none() {
            notes.push(empty);
            return Ok(None);
        }
        return Err(bad_input(empty).into());
    }
    Ok(Some(Column { path: path.to_path_buf(), name, points, epochs }))
}

/// The column of a CSV file that counts iterations, and whether it counts epochs by its name.
fn counting(
    (path, file): (&Path, &CsvFile),
    mapping: &Mapping,
    notes: &mut Vec<String>,
) -> Result<(String, bool), BadInput> {
    let names = &file.names;
    if let Some(name) = &mapping.iteration {
        let name = named(name, "--iteration-column", (path, "column", names))?;
        return Ok((name.to_string(), names::is_epoch(name)));
    }
    let Some((name, epochs)) = names::iterations(names) else {
        return Err(bad_input(format!(
            "{}: no column is known by its name to count iterations or epochs: name it with --iteration-column (there are: {})",
            path.display(),
            names.join(", ")
        )));
    };
    let what = if epochs { "epochs" } else { "iterations" };
    let note = format!("{what} are taken from column {name}");
    if !notes.contains(&note) {
        notes.push(note);
    }
    Ok((name.to_string(), epochs))
}

fn named<'a>(
    name: &'a str,
    flag: &str,
    (path, what, names): (&Path, &str, &[String]),
) -> Result<&'a str, BadInput> {
    match names.iter().any(|other| other == name) {
        true => Ok(name),
        false => Err(bad_input(format!(
            "{flag} {name}: {} has no such {what} (there are: {})",
            path.display(),
            names.join(", ")
        ))),
    }
}

/// What the steps of both columns count. The first row of a training is after an iteration, or an
/// epoch: where it is called 0, counting begins there.
fn count(
    training: Option<&Column>,
    test: Option<&Column>,
    epochs: bool,
    mapping: &Mapping,
    notes: &mut Vec<String>,
) -> (Count, Count) {
    let first = |column: Option<&Column>| column?.points.first().map(|point| point.step);
    let from_zero = |column| first(column) == Some(0.0);
    let length = mapping.epoch_length;
    if epochs {
        // An evaluation as of epoch 0 may be one before the training.
        let is_from_zero = if training.is_some() { from_zero(training) } else { from_zero(test) };
        let offset = u64::from(is_from_zero);
        let first = if is_from_zero { "0" } else { "1" };
        notes.push(format!(
            "an epoch has {length} iterations, as in the reference; the first is called {first}"
        ));
        let count = Count::Epochs { length, offset };
        return (count, count);
    }
    let offset = u64::from(from_zero(training));
    if offset == 1 {
        notes.push(
            "the first iteration is called 0: training errors are taken for one more".to_string(),
        );
    }
    (Count::Iterations { offset }, Count::Iterations { offset: 0 })
}

/// The errors of a column in percent.
fn errors(
    column: &Column,
    count: Count,
    mapping: &Mapping,
    notes: &mut Vec<String>,
) -> Result<Vec<ErrorPoint>, BadInput> {
    let Column { path, name, points, .. } = column;
    let values = mapping.values.unwrap_or_else(|| names::values(name));
    let unit = mapping.unit.unwrap_or_else(|| Unit::guess(points));
    if mapping.values.is_none() || mapping.unit.is_none() {
        let what = if values == Values::Accuracy { "accuracies" } else { "errors" };
        notes.push(format!("{name} is taken for {what} in {}", unit.name()));
    }
    values::errors(points, name, (values, unit, count), path)
}
