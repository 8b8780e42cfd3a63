//! The ledger: what the paper and others claim, judged by what is there.
//!
//! A rule is code, one a kind of evidence. Nothing is judged that the evidence does not carry: only
//! the paper's own protocol confirms or contradicts what training shows; a smaller one can confirm
//! at small scale, and contradicts nothing.

pub mod analysis;
pub mod errors;
pub mod levels;
pub mod overfitting;
pub mod ruling;
pub mod scale;
pub mod smooth;
pub mod structure;

use std::path::Path;

use anyhow::Result;
use serde::Serialize;

use crate::config::claims::{Claim, Evidence, Source, claims};
use crate::config::network_name::Family;
use crate::report::claims::ruling::{Ruling, Verdict};
use crate::report::protocol::Protocol;

/// A claim, judged.
#[derive(Debug, Clone, Serialize)]
pub struct Judged {
    /// Its short name.
    pub claim: String,
    /// Whose it is.
    pub source: Source,
    /// Section, table or figure there.
    pub section: String,
    /// What is claimed.
    pub sentence: String,
    /// What the source gives for it.
    pub paper: String,
    /// The verdict.
    pub verdict: Verdict,
    /// The numbers that say so.
    pub numbers: String,
    /// What was asked of them.
    pub rule: String,
    /// The runs that they are of.
    pub runs: Vec<String>,
    /// The command that would decide what is open.
    pub command: Option<String>,
}

/// Judges every claim by the runs of `protocols`, best evidence first, and by the analyses that lie
/// in their folders below `results`.
pub fn ledger(protocols: &[Protocol], results: &Path) -> Result<Vec<Judged>> {
    claims().iter().map(|claim| judged(claim, protocols, results)).collect()
}

fn judged(claim: &Claim, protocols: &[Protocol], results: &Path) -> Result<Judged> {
    let Ruling { verdict, numbers, runs } = ruling(&claim.evidence, protocols, results)?;
    let is_settled = matches!(verdict, Verdict::Confirmed | Verdict::Contradicted);
    Ok(Judged {
        claim: claim.id.clone(),
        source: claim.source,
        section: claim.section.clone(),
        sentence: claim.sentence.clone(),
        paper: claim.paper.clone(),
        verdict,
        numbers,
        rule: rule(&claim.evidence),
        runs,
        command: claim.command.clone().filter(|_| !is_settled),
    })
}

fn ruling(evidence: &Evidence, protocols: &[Protocol], results: &Path) -> Result<Ruling> {
    Ok(match evidence {
        Evidence::Counts { quantity, family, values, within_percent } => {
            structure::counts(*quantity, (*family).into(), values, *within_percent)
        }
        Evidence::Smaller { quantity, family, pairs } => {
            structure::smaller(*quantity, (*family).into(), pairs)
        }
        Evidence::Same { quantity, family, pairs, within_percent } => {
            structure::same(*quantity, (*family).into(), pairs, *within_percent)
        }
        Evidence::Embedding { pairs } => structure::embedding(pairs)?,
        Evidence::Errors { of, family, pair, small, expect } => {
            errors::pairs(*of, (*family).into(), *pair, small, *expect, protocols)
        }
        Evidence::Continued { network } => errors::continued(*network, protocols),
        Evidence::Level { networks, within_points } => {
            levels::level(networks, *within_points, protocols)
        }
        Evidence::Bound { of, network, expect, bound } => {
            levels::bound(*of, *network, *expect, *bound, protocols)
        }
        Evidence::Analysis(measure) => analysis::measured(measure, protocols, results),
        Evidence::Smooth(rule) => smooth::rises(rule, protocols, results),
        Evidence::Overfits { pair, fitted_below } => {
            overfitting::overfits(*pair, Family::Cifar, *fitted_below, protocols, results)
        }
        Evidence::Open { .. } => Ruling::not_tested(),
    })
}

/// The rule in words.
fn rule(evidence: &Evidence) -> String {
    match evidence {
        Evidence::Counts { within_percent, .. } => {
            format!("counted from the networks: within {within_percent} % of the stated values")
        }
        Evidence::Smaller { .. } => "counted from the networks: the first is smaller".to_string(),
        Evidence::Same { within_percent, .. } => {
            format!("counted from the networks: at most {within_percent} % apart")
        }
        Evidence::Embedding { .. } => {
            "computed with random weights: no score differs by more than 1e-4 of the largest"
                .to_string()
        }
        Evidence::Errors { .. } | Evidence::Continued { .. } => {
            "mean difference, paired over seeds, is beyond its uncertainty (95 % interval; one seed: \
             twice the spread over seeds)"
                .to_string()
        }
        Evidence::Level { within_points, .. } => {
            format!("the paper's protocol: each mean within {within_points} points")
        }
        Evidence::Bound { .. } => "the paper's protocol: every run on that side".to_string(),
        Evidence::Analysis(measure) => analysis::rule(measure),
        Evidence::Smooth(rule) => smooth::rule(rule),
        Evidence::Overfits { fitted_below, .. } => overfitting::rule(*fitted_below),
        Evidence::Open { rule } => rule.clone(),
    }
}
