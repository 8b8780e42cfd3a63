//! `data`: get a dataset, and say what is there.

mod check;
mod fetch;
mod pack;
mod picture;

use anyhow::Result;
use clap::{Args, Subcommand};

/// Fetch, check, draw or pack a dataset
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Fetch(fetch::Arguments),
    Check(check::Arguments),
    Picture(picture::Arguments),
    Pack(pack::Arguments),
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<u8> {
    match &arguments.action {
        Action::Fetch(arguments) => fetch::run(arguments),
        Action::Check(arguments) => check::run(arguments),
        Action::Picture(arguments) => picture::run(arguments),
        Action::Pack(arguments) => pack::run(arguments),
    }
}
