//! Reading a run's logs back. Tables and figures are made from these files alone.

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use polars::prelude::{CsvReadOptions, DataFrame, DataType, Field, Schema, SerReader};

use crate::logs::training::{Reduction, TrainingDigest, TrainingPoint};
use crate::records::eval_csv::EvaluationRow;
use crate::records::log::damage_from;
use crate::records::log_rows::LogRow;
use crate::system::regular_file;
use crate::training::evaluation::splits::Split;
use crate::training::metrics::TrainingRow;

/// Bytes of a log that are in memory at a time.
const BLOCK: usize = 16 << 20;

/// Evaluations on one split.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EvaluationCurve {
    /// After how many iterations.
    pub iterations: Vec<f64>,
    /// Top-1 error in percent.
    pub errors: Vec<f64>,
}

/// Reads `train.csv` of a run of `planned` iterations; without that number, as many as it has rows.
pub fn read_training(path: &Path, planned: Option<u64>) -> Result<TrainingDigest> {
    let planned = planned.map_or_else(|| rows(path), Ok)?;
    let mut reduction = Reduction::new(planned);
    let mut rising = Rising::after(0.0, path);
    for_each_block::<TrainingRow>(path, |block| {
        let column = |name| numbers(block, name, path);
        let (rates, losses) = (column("learning_rate")?, column("loss")?);
        let values = rates.into_iter().zip(losses).zip(column("error")?);
        for (iteration, ((learning_rate, loss), error)) in
            column("iteration")?.into_iter().zip(values)
        {
            rising.check(iteration, true)?;
            reduction.push(TrainingPoint { iteration, learning_rate, loss, error });
        }
        Ok(())
    })?;
    Ok(reduction.finish())
}

/// How many whole rows a log has.
fn rows(path: &Path) -> Result<u64> {
    let mut rows = 0;
    for_each_block::<TrainingRow>(path, |block| {
        rows += block.height() as u64;
        Ok(())
    })?;
    Ok(rows)
}

/// Reads the rows of one split from `eval.csv`; none if a run has not come to make the file.
pub fn evaluation_curve(path: &Path, split: Split) -> Result<EvaluationCurve> {
    let mut curve = EvaluationCurve::default();
    if !path.exists() {
        return Ok(curve);
    }
    // Weights that a run was given are evaluated as of iteration 0.
    let mut rising = Rising::after(-1.0, path);
    for_each_block::<EvaluationRow>(path, |block| {
        let names = block.column("split").and_then(|names| names.str());
        let names = names.with_context(|| path.display().to_string())?;
        let values =
            numbers(block, "iteration", path)?.into_iter().zip(numbers(block, "error", path)?);
        for (name, (iteration, error)) in names.iter().zip(values) {
            let of_split = name == Some(split.name());
            rising.check(iteration, of_split)?;
            if of_split {
                curve.iterations.push(iteration);
                curve.errors.push(error);
            }
        }
        Ok(())
    })?;
    Ok(curve)
}

/// Refuses iterations that do not rise.
struct Rising<'a> {
    path: &'a Path,
    /// The number of the last line.
    line: u64,
    before: f64,
}

impl Rising<'_> {
    /// For the rows of a log, one after the other.
    fn after(before: f64, path: &Path) -> Rising<'_> {
        Rising { path, line: 1, before }
    }

    /// The next row, which counts if it `is_of_curve`.
    fn check(&mut self, iteration: f64, is_of_curve: bool) -> Result<()> {
        self.line += 1;
        if !is_of_curve {
            return Ok(());
        }
        let Rising { path, line, before } = self;
        if iteration.is_nan() || iteration <= *before {
            bail!(
                "{}: line {line}: iteration {iteration} after iteration {before}",
                path.display()
            );
        }
        self.before = iteration;
        Ok(())
    }
}

/// The next whole rows of a log, after the half row that is `left` from before, which then holds
/// the next half.
fn next_rows(file: &mut File, left: &mut Vec<u8>) -> std::io::Result<Vec<u8>> {
    loop {
        let read = file.by_ref().take(BLOCK as u64).read_to_end(left)?;
        let whole = left.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        if whole > 0 || read == 0 {
            let half = left.split_off(whole);
            return Ok(std::mem::replace(left, half));
        }
        if left.len() > BLOCK {
            return Err(std::io::Error::other("a line is too long for a row"));
        }
    }
}

/// Hands the whole rows of a log to `take`, some at a time; none if not even its header is whole. A
/// run in progress, or one that was killed, may have written half a row at the end.
fn for_each_block<Row: LogRow>(
    path: &Path,
    mut take: impl FnMut(&DataFrame) -> Result<()>,
) -> Result<()> {
    let unreadable = || format!("{}: cannot be read as a log", path.display());
    let mut file = regular_file::open(path).with_context(unreadable)?;
    let (mut left, mut is_first) = (Vec::new(), true);
    loop {
        let mut bytes = next_rows(&mut file, &mut left).with_context(unreadable)?;
        if bytes.is_empty() {
            return Ok(());
        }
        if std::mem::replace(&mut is_first, false) {
            let end = bytes.iter().position(|&byte| byte == b'\n').unwrap_or(bytes.len() - 1);
            let header = &bytes[..end];
            if header.strip_suffix(b"\r").unwrap_or(header) != Row::HEADER.as_bytes() {
                bail!("{}: its first line is not \"{}\"", path.display(), Row::HEADER);
            }
            bytes.drain(..=end);
        }
        if !bytes.is_empty() {
            let block = parse::<Row>(bytes).map_err(|error| match damage_from::<Row>(path, 0) {
                Some(damage) => anyhow!("{damage}"),
                None => anyhow!("{}: {}", unreadable(), first_line(&error.to_string())),
            })?;
            take(&block)?;
        }
    }
}

/// A table of whole rows.
fn parse<Row: LogRow>(bytes: Vec<u8>) -> polars::prelude::PolarsResult<DataFrame> {
    // All columns are numbers but for the split's name.
    let schema = Schema::from_iter(Row::HEADER.split(',').map(|name| {
        let kind = if name == "split" { DataType::String } else { DataType::Float64 };
        Field::new(name.into(), kind)
    }));
    CsvReadOptions::default()
        .with_has_header(false)
        .with_schema(Some(Arc::new(schema)))
        .into_reader_with_file_handle(Cursor::new(bytes))
        .finish()
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

fn numbers(table: &DataFrame, column: &str, path: &Path) -> Result<Vec<f64>> {
    let values = || {
        table
            .column(column)?
            .f64()
            .map(|values| values.iter().map(|value| value.unwrap_or(f64::NAN)).collect())
    };
    values().with_context(|| format!("{}: column {column}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_read_back_without_a_half_row_and_splits_are_kept_apart() {
        let folder = tempfile::tempdir().unwrap();
        let (train, evaluation) = (folder.path().join("train.csv"), folder.path().join("eval.csv"));
        std::fs::write(
            &train,
            "iteration,learning_rate,loss,error\n1,0.1,2.5,90\n2,0.1,NaN,61.71875\n3,0.1,2.",
        )
        .unwrap();
        std::fs::write(&evaluation, "iteration,split,loss,error,top5_error\n2,test,1.5,50.5,5\n2,validation,1.5,49,4\n4,test,1.25,40,3\n").unwrap();
        let digest = read_training(&train, None).unwrap();
        assert_eq!(digest.curve, [(1.0, 90.0), (2.0, 61.71875)]);
        let last = digest.last.unwrap();
        assert!(digest.rows == 2 && last.learning_rate == 0.1 && last.loss.is_nan());
        assert_eq!(
            evaluation_curve(&evaluation, Split::Test).unwrap(),
            EvaluationCurve { iterations: vec![2.0, 4.0], errors: vec![50.5, 40.0] }
        );
        assert_eq!(evaluation_curve(&evaluation, Split::Validation).unwrap().errors, [49.0]);
    }

    #[test]
    fn a_file_with_other_columns_is_no_log() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("train.csv");
        std::fs::write(&path, "epoch,error\n1,5\n").unwrap();
        assert!(format!("{:#}", read_training(&path, None).unwrap_err()).contains("first line"));
    }

    #[test]
    fn doubled_and_falling_iterations_and_bad_values_are_one_line_with_file_and_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("train.csv");
        let header = TrainingRow::HEADER;
        for (rows, expected) in [
            ("1,0.1,2.5,90\n1,0.1,2.5,90\n", "train.csv: line 3: iteration 1 after iteration 1"),
            ("1,0.1,2.5,90\n9,0.1,2.5,90\n3,0.1,2.5,90\n", "train.csv: line 4: iteration 3 after"),
            ("1,0.1,2.5,90\n2,0.1,two,90\n", "train.csv: line 3: loss is \"two\""),
        ] {
            std::fs::write(&path, format!("{header}\n{rows}")).unwrap();
            let message = format!("{:#}", read_training(&path, None).unwrap_err());
            assert!(message.contains(expected) && !message.contains('\n'), "{message}");
        }
        let path = folder.path().join("eval.csv");
        let header = EvaluationRow::HEADER;
        let row = "5,test,1.5,50,5\n";
        std::fs::write(&path, format!("{header}\n{row}5,validation,1,1,1\n{row}")).unwrap();
        assert_eq!(evaluation_curve(&path, Split::Validation).unwrap().iterations, [5.0]);
        let message = format!("{:#}", evaluation_curve(&path, Split::Test).unwrap_err());
        assert!(message.contains("eval.csv: line 4: iteration 5 after iteration 5"), "{message}");
    }

    #[test]
    fn a_missing_log_is_named() {
        let message =
            format!("{:#}", read_training(Path::new("/nonexistent/train.csv"), None).unwrap_err());
        assert!(message.contains("/nonexistent/train.csv"), "{message}");
    }

    #[test]
    fn a_log_of_several_blocks_is_read_as_a_whole_and_one_long_line_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("train.csv");
        let count = BLOCK / 10;
        let mut text = format!("{}\n", TrainingRow::HEADER);
        for row in 1..=count {
            text.push_str(&format!("{row},0.1,2.5,{}\n", row % 90));
        }
        assert!(text.len() > BLOCK);
        std::fs::write(&path, text).unwrap();
        let digest = read_training(&path, Some(count as u64)).unwrap();
        assert_eq!((digest.rows, digest.strange.clone()), (count, None));
        assert_eq!(digest.last.unwrap().iteration, count as f64);
        assert!(digest.quarters.iter().all(Option::is_some));
        std::fs::write(&path, vec![b'1'; 3 * BLOCK]).unwrap();
        let message = format!("{:#}", read_training(&path, None).unwrap_err());
        assert!(message.contains("too long"), "{message}");
    }
}
