//! `claims`: what the paper claims, judged by the runs that are there.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::analysis::record;
use crate::console::output::{print, print_json, say};
use crate::error::{EXIT_DONE, EXIT_RUN_FAILED};
use crate::logs::collection::Collection;
use crate::report::claims::ruling::Verdict;
use crate::report::claims::{Judged, ledger};
use crate::report::protocol::Protocol;

/// Judge the claims of the paper and of follow-up papers by logged runs
///
/// Reads every run under the results folder and trains nothing. Each claim is confirmed or
/// contradicted by the paper's own protocol or by the networks alone, confirmed at small scale by a
/// smaller protocol, inconclusive, or not tested yet. Each verdict comes with its runs, numbers and
/// rule; an open claim with the command that would test it. Exit code 3 if a run could not be read.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  resnet-repro claims                 by the runs in runs/
  resnet-repro claims results --json")]
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
    claims: Vec<Judged>,
    problems: Vec<String>,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<u8> {
    let mut collection = Collection::read(&arguments.results)?;
    collection.problems.extend(record::problems(&arguments.results));
    let protocols = Protocol::of(&collection.runs);
    let claims = ledger(&protocols, &arguments.results)?;
    let code = if collection.problems.is_empty() { EXIT_DONE } else { EXIT_RUN_FAILED };
    for problem in &collection.problems {
        say(&format!("not read: {problem}"));
    }
    if arguments.json {
        print_json(&Output { claims, problems: collection.problems })?;
        return Ok(code);
    }
    for claim in &claims {
        print(&text(claim))?;
    }
    print(&counts(&claims))?;
    Ok(code)
}

fn text(claim: &Judged) -> String {
    let mut lines = vec![
        format!("{}: {}", claim.claim, claim.verdict),
        format!("  {}, {}: {}", claim.source.title(), claim.section, claim.sentence),
    ];
    if !claim.numbers.is_empty() {
        lines.push(format!("  {} (paper: {})", claim.numbers, claim.paper));
    }
    lines.push(format!("  rule: {}", claim.rule));
    if let Some(command) = &claim.command {
        lines.push(format!("  to test it: {command}"));
    }
    lines.join("\n")
}

/// "48 claims: 9 confirmed, …".
fn counts(claims: &[Judged]) -> String {
    let verdicts = [
        Verdict::Confirmed,
        Verdict::Contradicted,
        Verdict::ConfirmedAtSmallScale,
        Verdict::Inconclusive,
        Verdict::NotTestedYet,
    ];
    let parts: Vec<String> = verdicts
        .iter()
        .map(|verdict| {
            let count = claims.iter().filter(|claim| claim.verdict == *verdict).count();
            format!("{count} {verdict}")
        })
        .collect();
    format!("{} claims: {}", claims.len(), parts.join(", "))
}
