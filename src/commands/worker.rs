//! `worker`: one run of a sweep, in a process of its own. Started by `sweep`, not by people.

use anyhow::Result;
use clap::Args;

use crate::sweep::worker::Job;

/// Train one run for a sweep
#[derive(Debug, Args)]
pub struct Arguments {
    /// The job, as TOML
    job: String,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<u8> {
    Job::parse(&arguments.job)?.carry_out()
}
