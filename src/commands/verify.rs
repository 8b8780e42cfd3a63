//! `verify`: whether logged results are still what was logged.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::options::{print, print_json};
use crate::error::{EXIT_DONE, EXIT_FAILED, bad_input};
use crate::records::{FileProblem, verify_run};

/// Find every logged file that was changed, removed or added since its run
///
/// Compares the logs and weights of every run under the folder with the SHA-256 in its run.toml. Exit code 1 if anything differs.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  resnet-repro verify results")]
pub struct Arguments {
    /// Folder with runs, at any depth
    #[arg(value_name = "RESULTS", default_value = "results")]
    results: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Output {
    finished_runs: usize,
    unfinished_runs: usize,
    problems: Vec<String>,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<u8> {
    let root = &arguments.results;
    let mut folders = Vec::new();
    find(root, &mut folders).map_err(|error| bad_input(format!("{}: {error}", root.display())))?;
    if folders.is_empty() {
        return Err(bad_input(format!("{}: no run there", root.display())).into());
    }
    folders.sort();
    let (mut finished, mut unfinished, mut problems) = (0, 0, Vec::new());
    for folder in &folders {
        if !folder.join("run.toml").exists() {
            problems.push(FileProblem::Missing(folder.join("run.toml")));
            continue;
        }
        match verify_run(folder, &mut problems)? {
            true => finished += 1,
            false => unfinished += 1,
        }
    }
    let output = Output { finished_runs: finished, unfinished_runs: unfinished, problems: problems.iter().map(FileProblem::to_string).collect() };
    if arguments.json {
        print_json(&output)?;
    } else {
        for problem in &output.problems {
            print(problem)?;
        }
        let open = if unfinished > 0 { format!(", {unfinished} unfinished, whose logs still grow") } else { String::new() };
        let verdict = if problems.is_empty() { "every file is as it was logged".to_string() } else { format!("{} problems", problems.len()) };
        print(&format!("{}: {finished} finished runs{open}: {verdict}", root.display()))?;
    }
    Ok(if problems.is_empty() { EXIT_DONE } else { EXIT_FAILED })
}

/// Folders that hold a record or a training log.
fn find(folder: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    let mut is_run = false;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            find(&entry.path(), found)?;
        } else if entry.file_name() == "run.toml" || entry.file_name() == "train.csv" {
            is_run = true;
        }
    }
    if is_run {
        found.push(folder.to_path_buf());
    }
    Ok(())
}
