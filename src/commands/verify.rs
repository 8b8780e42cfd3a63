//! `verify`: whether logged results are still what was logged.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::analysis::record;
use crate::console::output::{print, print_json};
use crate::error::{EXIT_DONE, EXIT_FAILED, bad_input};
use crate::records::verify::{FileProblem, find_runs, verify_run};
use crate::report::format::counted;

/// Find every logged file that was changed, removed or added since its run
///
/// Compares the logs and weights of every run under the folder with the SHA-256 in its run.toml,
/// and the rows of every analysis with that in its own record. Changed, missing and extra files are
/// named, and the exit code is 1. A run whose whole folder was removed is not noticed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  resnet-repro verify            the runs in runs/
  resnet-repro verify results    those that the repository publishes")]
pub struct Arguments {
    /// Folder with runs, at any depth
    #[arg(value_name = "RESULTS", default_value = "runs")]
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
    analyses: usize,
    problems: Vec<String>,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<u8> {
    let root = &arguments.results;
    let (folders, unreadable) = find_runs(root)?;
    let (analyses, strange) = record::find(root);
    if folders.is_empty() && unreadable.is_empty() && analyses.is_empty() {
        return Err(bad_input(format!("{}: no runs found", root.display())).into());
    }
    let (mut finished, mut unfinished, mut problems) = (0, 0, Vec::new());
    for folder in &folders {
        match verify_run(folder, &mut problems)? {
            true => finished += 1,
            false => unfinished += 1,
        }
    }
    analyses.iter().for_each(|analysis| record::verify(analysis, &mut problems));
    let unreadable = unreadable.iter().chain(&strange);
    let problems: Vec<String> = problems
        .iter()
        .map(FileProblem::to_string)
        .chain(unreadable.map(|text| format!("not verified: {text}")))
        .collect();
    let output = Output {
        finished_runs: finished,
        unfinished_runs: unfinished,
        analyses: analyses.len(),
        problems,
    };
    if arguments.json {
        print_json(&output)?;
    } else {
        for problem in &output.problems {
            print(problem)?;
        }
        let open = if unfinished > 0 {
            format!(", {unfinished} unfinished, whose logs still grow")
        } else {
            String::new()
        };
        let verdict = if output.problems.is_empty() {
            "every file is as it was logged".to_string()
        } else {
            counted(output.problems.len(), "problem")
        };
        let analyses = match output.analyses {
            0 => String::new(),
            1 => ", 1 analysis".to_string(),
            several => format!(", {several} analyses"),
        };
        let finished = counted(finished, "finished run");
        print(&format!("{}: {finished}{analyses}{open}: {verdict}", root.display()))?;
    }
    Ok(if output.problems.is_empty() { EXIT_DONE } else { EXIT_FAILED })
}
