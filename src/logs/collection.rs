//! The runs in a results folder: found, read and reduced to what tables and figures need. All
//! numbers come from the CSV logs; `run.toml` says what they are numbers of.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};

use crate::config::network_name::NetworkName;
use crate::logs::plausible;
use crate::logs::plotted::PlottedRun;
use crate::logs::summary::{RunCurves, RunSummary};
use crate::records::directory::RunDirectory;
use crate::records::run_toml::{RunRecord, State};
use crate::records::tests_csv::{TestRow, read_tests};
use crate::records::verify::{check_logs, find_runs};
use crate::system::parallel;
use crate::training::evaluation::views::Views;

/// A run that was found.
#[derive(Debug, Clone)]
pub struct LoggedRun {
    /// Its directory, relative to the results folder.
    pub path: PathBuf,
    /// The network.
    pub network: NetworkName,
    /// The seed.
    pub seed: u64,
    /// Its record, if it has one.
    pub record: Option<RunRecord>,
    /// Its numbers.
    pub summary: RunSummary,
    /// Training error around a quarter, half, three quarters and the end of the planned iterations,
    /// as far as the run is.
    pub quarters: [Option<f64>; 4],
    /// Its curves.
    pub drawn: PlottedRun,
    /// The paper's tests of its final weights, where they were made.
    pub tests: Vec<TestRow>,
}

impl LoggedRun {
    /// The test of its final weights with these views.
    pub fn test(&self, views: Views) -> Option<&TestRow> {
        self.tests.iter().find(|test| test.views == views)
    }
}

/// What a results folder holds.
#[derive(Debug, Default)]
pub struct Collection {
    /// The runs, by path.
    pub runs: Vec<LoggedRun>,
    /// What could not be read: one line a run.
    pub problems: Vec<String>,
}

impl Collection {
    /// Reads all runs under `root`, on all cores.
    pub fn read(root: &Path) -> Result<Collection> {
        let (paths, problems) = find_runs(root)?;
        let next = AtomicUsize::new(0);
        let results = Mutex::new(Vec::new());
        let threads = parallel::available_threads().min(paths.len().max(1));
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let result = read_run(root, path);
                        results
                            .lock()
                            .unwrap_or_else(|poisoned| poisoned.into_inner())
                            .push(result);
                    }
                });
            }
        });
        let mut collection = Collection { problems, ..Collection::default() };
        for result in results.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()) {
            match result {
                Ok(run) => collection.runs.push(run),
                Err(error) => collection.problems.push(format!("{error:#}")),
            }
        }
        collection.runs.sort_by(|a, b| a.path.cmp(&b.path));
        collection.problems.sort();
        Ok(collection)
    }
}

fn read_run(root: &Path, path: &Path) -> Result<LoggedRun> {
    let directory = RunDirectory::at(path);
    let record = match directory.record().exists() {
        true => Some(RunRecord::read(&directory.record())?),
        false => None,
    };
    let (network, seed) = match &record {
        Some(record) => (record.run.network, record.run.seed),
        None => named(path).with_context(|| {
            format!("{}: no run.toml, and its path is not <network>/seed-<k>", path.display())
        })?,
    };
    if let Some(record) = &record {
        plausible::check_recipe(&record.run.recipe, &directory.record())?;
        check_logs(path, record)?;
    }
    let planned = record.as_ref().map(|record| record.run.recipe.iterations);
    let curves = RunCurves::read(&directory, network, seed, planned)?;
    plausible::check_logs(&curves, &directory)?;
    let done = curves.training.rows as u64;
    let planned = planned.unwrap_or(done);
    let mut summary = RunSummary::of(&curves);
    if record.as_ref().is_some_and(|record| record.state == State::Diverged)
        && summary.diverged_at.is_none()
    {
        // Its very last update overflowed, which no row shows.
        summary = summary.diverged();
    }
    Ok(LoggedRun {
        path: path.strip_prefix(root).unwrap_or(path).to_path_buf(),
        network,
        seed,
        summary,
        quarters: curves.training.quarters,
        drawn: PlottedRun::of(&curves, planned),
        tests: read_tests(&directory.tests())?,
        record,
    })
}

/// Network and seed from `<network>/seed-<k>`.
fn named(path: &Path) -> Option<(NetworkName, u64)> {
    let seed = path.file_name()?.to_str()?.strip_prefix("seed-")?.parse().ok()?;
    Some((path.parent()?.file_name()?.to_str()?.parse().ok()?, seed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_found_by_their_logs() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("some/where/plain-20/seed-3");
        std::fs::create_dir_all(&run).unwrap();
        let rows: String =
            (1..=40).map(|iteration| format!("{iteration},0.1,1,{iteration}\n")).collect();
        std::fs::write(
            run.join("train.csv"),
            format!("iteration,learning_rate,loss,error\n{rows}"),
        )
        .unwrap();
        std::fs::write(
            run.join("eval.csv"),
            "iteration,split,loss,error,top5_error\n40,test,1,50,5\n",
        )
        .unwrap();
        std::fs::create_dir_all(folder.path().join("notes")).unwrap();
        std::fs::write(folder.path().join("notes/train.csv"), "x\n").unwrap();
        // A link that leads in a circle.
        std::os::unix::fs::symlink(folder.path(), folder.path().join("notes/again")).unwrap();
        let collection = Collection::read(folder.path()).unwrap();
        let [found] = &collection.runs[..] else { panic!("{collection:?}") };
        assert_eq!((found.network, found.seed, found.drawn.done), (NetworkName::plain(20), 3, 40));
        assert_eq!(found.path, Path::new("some/where/plain-20/seed-3"));
        assert!(
            collection.problems[0].contains("notes") && collection.problems.len() == 1,
            "{:?}",
            collection.problems
        );
    }
}
