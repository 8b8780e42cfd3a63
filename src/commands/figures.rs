//! `figures`: every figure, every table and the report, from logs.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::analysis::record;
use crate::console::output::{print, print_json, say};
use crate::error::{BadInput, EXIT_DONE, EXIT_RUN_FAILED, bad_input};
use crate::logs::collection::Collection;
use crate::report::band::drawn::{self, DrawnReference, fitting};
use crate::report::format::counted;
use crate::report::page::{ANALYSES, INSIDE, Inside};
use crate::report::protocol::Protocol;
use crate::report::{self, Report, readme};

/// Make all figures, tables and the report from logged runs
///
/// Reads every run under the results folder and trains nothing. Runs of the same data and recipe
/// share figures and tables: Figures 1 and 6 and Table 6, or Figure 4 and Tables 1 to 5 for
/// ImageNet's networks, with the paper's values; training errors, differences between pairs,
/// learning rates, throughput. What "analyze" found inside the nets has a section of its own:
/// Figure 7, lesions, generalisation. The best evidence comes first: official data before other,
/// longer runs before shorter, more seeds before fewer. Each figure comes as SVG and PNG, each table
/// as Markdown, both as LaTeX and with their data as CSV; report.html has all of it on one page.
/// What is missing or not complete is shown as such. Exit code 3 if a run or an analysis could not
/// be read; the others are shown.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  resnet-repro figures                                   from runs/ to runs/report/
  resnet-repro figures runs/quick --out /tmp/report
  resnet-repro figures runs/mine --reference results/2026-11-24-reference-bands
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
    /// Draw the band of a reference behind the curves of runs of the same network, data and length:
    /// mean and 95 % prediction interval over the finished seeds, three or more, in this folder
    #[arg(long, value_name = "DIR")]
    reference: Option<PathBuf>,
    /// Print what was made as JSON
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Output {
    report: PathBuf,
    protocols: Vec<ProtocolOutput>,
    analyses: Option<AnalysesOutput>,
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

#[derive(Serialize)]
struct AnalysesOutput {
    folder: PathBuf,
    count: String,
    partial: Vec<String>,
    figures: Vec<String>,
    tables: Vec<String>,
    findings: Vec<String>,
}

impl AnalysesOutput {
    /// Nothing where nothing was analysed.
    fn of(inside: &Inside, out: &Path) -> Option<AnalysesOutput> {
        let parts = &inside.parts;
        let tables = parts.iter().flat_map(|part| &part.tables);
        let charts = parts.iter().flat_map(|part| &part.charts);
        (!parts.is_empty()).then(|| AnalysesOutput {
            folder: out.join(ANALYSES),
            count: inside.count.clone(),
            partial: inside.partial.clone(),
            figures: charts.map(|(chart, _)| chart.name.clone()).collect(),
            tables: tables.map(|table| table.name.clone()).collect(),
            findings: parts.iter().flat_map(|part| part.sentences.clone()).collect(),
        })
    }
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<u8> {
    let mut collection = Collection::read(&arguments.results)?;
    let (analyses, unread) = record::find(&arguments.results);
    collection.problems.extend(unread);
    if collection.runs.is_empty() && collection.problems.is_empty() && analyses.is_empty() {
        return Err(bad_input(format!(
            "{}: no runs found: train one with \"resnet-repro sweep experiments/quick.toml\"",
            arguments.results.display()
        ))
        .into());
    }
    let out = arguments.out.clone().unwrap_or_else(|| arguments.results.join("report"));
    let (references, unread) = match &arguments.reference {
        Some(folder) => drawn::read(folder)?,
        None => (Vec::new(), Vec::new()),
    };
    collection.problems.extend(unread);
    let protocols = Protocol::of(&collection.runs);
    if let Some(folder) = &arguments.reference {
        check_fits(&references, &protocols, folder)?;
    }
    let folders = (arguments.results.as_path(), out.as_path());
    let report = report::make(&protocols, &references, analyses, folders, &collection.problems)?;
    if let Some(path) = &arguments.readme {
        readme::splice(path, &report.sections, &out)?;
    }
    for problem in &report.problems {
        say(problem);
    }
    tell(arguments, &report, &out)?;
    Ok(if report.problems.is_empty() { EXIT_DONE } else { EXIT_RUN_FAILED })
}

/// Refuses references of which none has a run to be drawn behind.
fn check_fits(
    references: &[DrawnReference],
    protocols: &[Protocol],
    folder: &Path,
) -> Result<(), BadInput> {
    let has_run = |protocol: &Protocol| {
        let networks = protocol.networks();
        fitting(references, protocol).iter().any(|one| networks.contains(&one.network))
    };
    if protocols.iter().any(has_run) {
        return Ok(());
    }
    let held: Vec<String> =
        references.iter().map(|one| format!("{} on {}", one.network, one.title)).collect();
    Err(bad_input(format!(
        "--reference {}: no run has the network, data and length of what it holds ({})",
        folder.display(),
        held.join("; ")
    )))
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
            analyses: AnalysesOutput::of(&report.inside, out),
            problems: report.problems.clone(),
        });
    }
    for section in sections {
        let protocol = section.protocol;
        tell_of((&protocol.title(), &protocol.count()), &protocol.partial(), &section.sentences)?;
        tell_made(section.charts.len(), section.tables.len(), &out.join(&protocol.slug))?;
    }
    if let Some(inside) = AnalysesOutput::of(&report.inside, out) {
        tell_of((INSIDE, &inside.count), &inside.partial, &inside.findings)?;
        tell_made(inside.figures.len(), inside.tables.len(), &inside.folder)?;
    }
    print(&format!("report: {}", report.page.display()))
}

/// What a section is about, whether all of it is complete, and its sentences.
fn tell_of((title, count): (&str, &str), partial: &[String], sentences: &[String]) -> Result<()> {
    let state = match partial.is_empty() {
        true => "all complete".to_string(),
        false => format!("not complete: {}", partial.join(", ")),
    };
    print(&format!("{title}: {count}, {state}"))?;
    for sentence in sentences {
        print(&format!("  {sentence}"))?;
    }
    Ok(())
}

/// How many figures and tables are in a folder.
fn tell_made(figures: usize, tables: usize, folder: &Path) -> Result<()> {
    print(&format!(
        "  {} and {} in {}",
        counted(figures, "figure"),
        counted(tables, "table"),
        folder.display()
    ))
}
