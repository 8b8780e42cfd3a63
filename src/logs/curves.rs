//! Reading a run's logs back. Tables and figures are made from these files alone.

use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use polars::prelude::{CsvReadOptions, DataFrame, DataType, Field, Schema, SerReader};

use crate::records::eval_csv::EvaluationRow;
use crate::records::log::damage_from;
use crate::records::log_rows::LogRow;
use crate::system::regular_file;
use crate::training::evaluation::splits::Split;
use crate::training::metrics::TrainingRow;

/// The training log of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TrainingCurve {
    /// Counted from 1.
    pub iterations: Vec<f64>,
    /// Training error of each iteration's batch, in percent.
    pub errors: Vec<f64>,
    /// Loss of each iteration's batch; the last is NaN if the run diverged.
    pub losses: Vec<f64>,
    /// Learning rate of each iteration's update.
    pub learning_rates: Vec<f64>,
}

/// Evaluations on one split.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EvaluationCurve {
    /// After how many iterations.
    pub iterations: Vec<f64>,
    /// Top-1 error in percent.
    pub errors: Vec<f64>,
}

/// Reads `train.csv`.
pub fn training_curve(path: &Path) -> Result<TrainingCurve> {
    let Some(table) = read::<TrainingRow>(path)? else { return Ok(TrainingCurve::default()) };
    let column = |name| numbers(&table, name, path);
    let iterations = column("iteration")?;
    check_rising(path, 0.0, (2..).zip(iterations.iter().copied()))?;
    Ok(TrainingCurve {
        iterations,
        errors: column("error")?,
        losses: column("loss")?,
        learning_rates: column("learning_rate")?,
    })
}

/// Reads the rows of one split from `eval.csv`; none if a run has not come to make the file.
pub fn evaluation_curve(path: &Path, split: Split) -> Result<EvaluationCurve> {
    if !path.exists() {
        return Ok(EvaluationCurve::default());
    }
    let Some(table) = read::<EvaluationRow>(path)? else {
        return Ok(EvaluationCurve::default());
    };
    let is_of_split = || -> Result<Vec<bool>> {
        let names = table.column("split")?.str()?.iter();
        Ok(names.map(|name| name == Some(split.name())).collect())
    };
    let is_of_split = is_of_split().with_context(|| path.display().to_string())?;
    let iterations = numbers(&table, "iteration", path)?;
    let lines = (2..).zip(iterations).zip(&is_of_split);
    // Weights that a run was given are evaluated as of iteration 0.
    check_rising(path, -1.0, lines.filter(|(_, of_split)| **of_split).map(|(line, _)| line))?;
    let of_split = table
        .filter(&is_of_split.into_iter().collect())
        .with_context(|| path.display().to_string())?;
    Ok(EvaluationCurve {
        iterations: numbers(&of_split, "iteration", path)?,
        errors: numbers(&of_split, "error", path)?,
    })
}

/// Refuses iterations, each with the number of its line, that do not rise from above `before`.
fn check_rising(
    path: &Path,
    mut before: f64,
    iterations: impl Iterator<Item = (usize, f64)>,
) -> Result<()> {
    for (line, iteration) in iterations {
        if iteration.is_nan() || iteration <= before {
            bail!(
                "{}: line {line}: iteration {iteration} after iteration {before}",
                path.display()
            );
        }
        before = iteration;
    }
    Ok(())
}

/// The whole rows of a log; nothing if not even its header is whole.
fn read<Row: LogRow>(path: &Path) -> Result<Option<DataFrame>> {
    let expected = Row::HEADER;
    let unreadable = || format!("{}: cannot be read as a log", path.display());
    let mut bytes = regular_file::read(path).with_context(unreadable)?;
    // A run in progress, or one that was killed, may have written half a row.
    bytes.truncate(bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1));
    if bytes.is_empty() {
        return Ok(None);
    }
    let header = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    if header.strip_suffix(b"\r").unwrap_or(header) != expected.as_bytes() {
        bail!("{}: its first line is not \"{expected}\"", path.display());
    }
    // All columns are numbers but for the split's name.
    let schema = Schema::from_iter(expected.split(',').map(|name| {
        let kind = if name == "split" { DataType::String } else { DataType::Float64 };
        Field::new(name.into(), kind)
    }));
    CsvReadOptions::default()
        .with_has_header(true)
        .with_schema(Some(Arc::new(schema)))
        .into_reader_with_file_handle(Cursor::new(bytes))
        .finish()
        .map(Some)
        .map_err(|error| match damage_from::<Row>(path, 0) {
            Some(damage) => anyhow!("{damage}"),
            None => anyhow!("{}: {}", unreadable(), first_line(&error.to_string())),
        })
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
        let curve = training_curve(&train).unwrap();
        assert_eq!(
            (&curve.iterations[..], &curve.errors[..]),
            (&[1.0, 2.0][..], &[90.0, 61.71875][..])
        );
        assert!(curve.losses[0] == 2.5 && curve.losses[1].is_nan());
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
        assert!(format!("{:#}", training_curve(&path).unwrap_err()).contains("first line"));
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
            let message = format!("{:#}", training_curve(&path).unwrap_err());
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
            format!("{:#}", training_curve(Path::new("/nonexistent/train.csv")).unwrap_err());
        assert!(message.contains("/nonexistent/train.csv"), "{message}");
    }
}
