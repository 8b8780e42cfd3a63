//! `tests.csv`: how finished weights did in the paper's tests on images (section 3.4).

use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::system::atomic_file;
use crate::system::regular_file;
use crate::training::evaluation::scores::Evaluation;
use crate::training::evaluation::views::Views;

/// One line of `tests.csv`: one test of a run's final weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TestRow {
    /// The views that were averaged.
    pub views: Views,
    /// Images.
    pub images: u64,
    /// Mean cross-entropy, in nats.
    pub loss: f64,
    /// Top-1 error in percent.
    pub error: f64,
    /// Top-5 error in percent.
    pub top5_error: f64,
}

impl TestRow {
    /// The line of a test's result.
    pub fn new(views: Views, result: &Evaluation) -> TestRow {
        TestRow {
            views,
            images: result.images,
            loss: result.loss,
            error: result.error(),
            top5_error: result.top5_error(),
        }
    }
}

/// Reads `tests.csv`; no file is no tests.
pub fn read_tests(path: &Path) -> Result<Vec<TestRow>> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let file = regular_file::open(path).with_context(|| path.display().to_string())?;
    csv::Reader::from_reader(file).deserialize().collect::<Result<_, csv::Error>>().map_err(
        |error| {
            // A value of a damaged file may be as long as the file.
            let reason: String = error.to_string().chars().take(200).collect();
            anyhow::anyhow!("{}: not the tests of a run: {reason}", path.display())
        },
    )
}

/// Writes `tests.csv` with `row` in it, in place of an earlier one of the same views.
pub fn record_test(path: &Path, row: TestRow) -> Result<()> {
    let mut rows = read_tests(path)?;
    rows.retain(|earlier| earlier.views != row.views);
    rows.push(row);
    rows.sort_by_key(|row| row.views);
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in &rows {
        writer.serialize(row).with_context(|| path.display().to_string())?;
    }
    let bytes =
        writer.into_inner().map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
    atomic_file::write_atomically(path, &bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_is_done_again_takes_the_place_of_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tests.csv");
        let row = |views, error| TestRow { views, images: 200, loss: 1.25, error, top5_error: 7.5 };
        for row in
            [row(Views::MultiScale, 20.0), row(Views::TenCrop, 30.0), row(Views::TenCrop, 25.5)]
        {
            record_test(&path, row).unwrap();
        }
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "views,images,loss,error,top5_error\n10-crop,200,1.25,25.5,7.5\nmulti-scale,200,1.25,20.0,7.5\n"
        );
        assert_eq!(
            read_tests(&path).unwrap(),
            [row(Views::TenCrop, 25.5), row(Views::MultiScale, 20.0)]
        );
    }
}
