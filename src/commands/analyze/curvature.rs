//! What `curvature` is asked for.

use clap::Args;

use crate::analysis::curvature::Settings;
use crate::error::{BadInput, bad_input};

/// Of everything that is counted here.
const MOST: usize = 10_000;

/// Its options.
#[derive(Debug, Args)]
pub struct CurvatureOptions {
    /// curvature: how many of the largest eigenvalues
    #[arg(long, value_name = "K", default_value_t = 5, value_parser = count)]
    eigenvalues: usize,
    /// curvature: steps of Lanczos' method at most; it ends before when all residuals are below a
    /// thousandth of the largest eigenvalue
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = count)]
    steps: usize,
    /// curvature: random vectors that the trace is estimated with
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = count)]
    probes: usize,
}

impl CurvatureOptions {
    /// The same for the analysis.
    pub fn settings(&self) -> Settings {
        let CurvatureOptions { eigenvalues, steps, probes } = *self;
        Settings { eigenvalues, steps, probes: probes as u64 }
    }
}

fn count(text: &str) -> Result<usize, BadInput> {
    let number = text.parse().ok().filter(|number| (1..=MOST).contains(number));
    number.ok_or_else(|| bad_input(format!("write a whole number from 1 to {MOST}")))
}
