//! `diff`: runs, folders of seeds or experiments beside each other.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::console::output::{print, print_json, say};
use crate::error::{BadInput, EXIT_DONE, EXIT_FAILED, EXIT_RUN_FAILED, bad_input};
use crate::report::difference::errors::{Curves, ErrorRow, last_tests};
use crate::report::difference::records::differences;
use crate::report::difference::sides::{Side, matched};
use crate::report::difference::{Comparison, SideSummary, chart, regressions, table};
use crate::report::tables::table::Style;
use crate::system::atomic_file::check_writable;

/// Set runs beside each other: what differs, and by how much
///
/// Each folder holds one run, the seeds of one, or an experiment; the first is the reference. Prints
/// the keys of network, recipe, data, program and machine in which they differ, and their training
/// and test errors after the same iterations, paired over the seeds that both have. Experiments are
/// compared network by network; folders of one network each are compared whatever their networks.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  resnet-repro diff runs/quick/plain-20 runs/quick/resnet-20
  resnet-repro diff runs/before runs/after --out runs/difference       also the curves over one another
  resnet-repro diff runs/main runs/mine --fail-above 0.5               a gate against regressions
Exit code 1 with --fail-above if a later folder's mean test error is above the first's by more, or
cannot be judged; 3 if a run could not be read.")]
pub struct Arguments {
    /// Folders of runs, the reference first
    #[arg(value_name = "RUN", num_args = 2.., required = true)]
    folders: Vec<PathBuf>,
    /// Write tables and a figure of the curves (SVG, PNG, CSV) to this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Fail (exit code 1) if the last common test error of a later folder is above the first's by
    /// more than so many percentage points, or if a run is not complete
    #[arg(long, value_name = "POINTS", value_parser = points, allow_hyphen_values = true)]
    fail_above: Option<f64>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Output {
    #[serde(flatten)]
    comparison: Comparison,
    /// Why the gate of `--fail-above` fails; null without it.
    regressions: Option<Vec<String>>,
    figures: Vec<PathBuf>,
}

fn points(text: &str) -> Result<f64, BadInput> {
    let points = text.parse().ok().filter(|points: &f64| (0.0..=100.0).contains(points));
    points.ok_or_else(|| bad_input("write a number of percentage points from 0 to 100"))
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<u8> {
    let (sides, problems) = Side::read_all(&arguments.folders)?;
    let (matched, left_out) = matched(&sides)?;
    let curves = matched
        .iter()
        .map(|matched| Curves::read(matched, &sides))
        .collect::<Result<Vec<Curves>>>()?;
    let rows: Vec<ErrorRow> = curves.iter().flat_map(|curves| curves.rows(&sides)).collect();
    let mut sentences: Vec<String> =
        last_tests(&rows).into_iter().map(ErrorRow::sentence).collect();
    sentences.extend(left_out);
    let comparison = Comparison {
        sides: sides.iter().map(SideSummary::of).collect(),
        differences: differences(&sides),
        errors: rows,
        sentences,
    };
    let window = curves.iter().map(Curves::window).max().unwrap_or(0);
    let differing = table::differing(&comparison.differences, &sides);
    let errors = table::errors(&comparison.errors, window);
    let mut figures = Vec::new();
    if let Some(folder) = &arguments.out {
        check_writable("--out", folder)?;
        differing.write(folder, "")?;
        errors.write(folder, "")?;
        for chart in chart::charts(&curves, &sides) {
            chart.write(folder)?;
            figures.push(folder.join(&chart.name).with_extension("svg"));
        }
    }
    let limit = arguments.fail_above;
    let regressions = limit.map(|limit| regressions(&sides, &comparison.errors, limit));
    problems.iter().for_each(|problem| say(&format!("not read: {problem}")));
    let regressed = regressions.as_ref().is_some_and(|found| !found.is_empty());
    regressions.iter().flatten().for_each(|found| say(&format!("--fail-above: {found}")));
    if arguments.json {
        print_json(&Output { comparison, regressions, figures })?;
    } else {
        match comparison.differences.is_empty() {
            true => print("the records differ in nothing")?,
            false => print(&differing.render(Style::Terminal))?,
        }
        print(&format!("\n{}\n", errors.render(Style::Terminal)))?;
        print(&comparison.sentences.join("\n"))?;
        for figure in &figures {
            print(&format!("figure: {} (and .png, .csv)", figure.display()))?;
        }
    }
    Ok(match (regressed, problems.is_empty()) {
        (true, _) => EXIT_FAILED,
        (false, false) if limit.is_some() => EXIT_FAILED,
        (false, false) => EXIT_RUN_FAILED,
        (false, true) => EXIT_DONE,
    })
}
