//! `figures`: every figure, every table and the report, from logs.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::console::output::{print, print_json, say};
use crate::error::{EXIT_DONE, EXIT_RUN_FAILED, bad_input};
use crate::logs::collection::Collection;
use crate::report::format::counted;
use crate::report::protocol::Protocol;
use crate::report::{self, Report, readme};

/// Make all figures, tables and the report from logged runs
///
/// Reads every run under the results folder and trains nothing. Runs of the same data and recipe
/// share figures and tables: Figures 1 and 6 and Table 6, or Figure 4 and Tables 1 to 5 for
/// ImageNet's networks, with the paper's values; training errors, differences between pairs,
/// learning rates, throughput. The best evidence comes first: official data before other, longer
/// runs before shorter, more seeds before fewer. Each figure comes as SVG and PNG, each table as
/// Markdown, both with their data as CSV; report.html has all of it on one page. What is missing or
/// not complete is shown as such. Exit code 3 if a run could not be read; the others are shown.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  resnet-repro figures                                   from runs/ to runs/report/
  resnet-repro figures runs/quick --out /tmp/report
  resnet-repro figures results --readme README.md        also renews README's results section")]
pub struct Arguments {
    /// Folder with runs, at any depth
    #[arg(value_name = "RESULTS", default_value = "runs")]
    results: PathBuf,
    /// Folder for figures, tables and report.html [default: <RESULTS>/report]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Also write the best evidence, one table and one figure, between the markers of this Markdown
    /// file
    #[arg(long, value_name = "FILE")]
    readme: Option<PathBuf>,
    /// Print what was made as JSON
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Output {
    report: PathBuf,
    protocols: Vec<ProtocolOutput>,
    problems: Vec<String>,
}

#[derive(Serialize)]
struct ProtocolOutput {
    title: String,
    folder: PathBuf,
    runs: usize,
    partial: Vec<String>,
    figures: Vec<String>,
    tables: Vec<String>,
    findings: Vec<String>,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<u8> {
    let collection = Collection::read(&arguments.results)?;
    if collection.runs.is_empty() && collection.problems.is_empty() {
        return Err(bad_input(format!(
            "{}: no runs found: train one with \"resnet-repro sweep experiments/quick.toml\"",
            arguments.results.display()
        ))
        .into());
    }
    let out = arguments.out.clone().unwrap_or_else(|| arguments.results.join("report"));
    let protocols = Protocol::of(&collection.runs);
    let report = report::make(&protocols, &arguments.results, &out, &collection.problems)?;
    if let Some(path) = &arguments.readme {
        readme::splice(path, &report.sections, &out)?;
    }
    for problem in &report.problems {
        say(problem);
    }
    tell(arguments, &report, &out)?;
    Ok(if report.problems.is_empty() { EXIT_DONE } else { EXIT_RUN_FAILED })
}

fn tell(arguments: &Arguments, report: &Report, out: &Path) -> Result<()> {
    let sections = &report.sections;
    if arguments.json {
        let protocols = sections
            .iter()
            .map(|section| ProtocolOutput {
                title: section.protocol.title(),
                folder: out.join(&section.protocol.slug),
                runs: section.protocol.runs.len(),
                partial: section.protocol.partial(),
                figures: section.charts.iter().map(|(chart, _)| chart.name.clone()).collect(),
                tables: section.tables.iter().map(|table| table.name.clone()).collect(),
                findings: section.sentences.clone(),
            })
            .collect();
        return print_json(&Output {
            report: report.page.clone(),
            protocols,
            problems: report.problems.clone(),
        });
    }
    for section in sections {
        let partial = section.protocol.partial();
        let state = if partial.is_empty() {
            "all complete".to_string()
        } else {
            format!("not complete: {}", partial.join(", "))
        };
        print(&format!("{}: {}, {state}", section.protocol.title(), section.protocol.count()))?;
        for sentence in &section.sentences {
            print(&format!("  {sentence}"))?;
        }
        print(&format!(
            "  {} and {} in {}",
            counted(section.charts.len(), "figure"),
            counted(section.tables.len(), "table"),
            out.join(&section.protocol.slug).display()
        ))?;
    }
    print(&format!("report: {}", report.page.display()))
}
