//! The command line: one file a subcommand.

pub mod analyze;
pub mod bench;
pub mod claims;
pub mod compare;
pub mod completions;
pub mod construct;
pub mod data;
pub mod describe;
pub mod diff;
pub mod doctor;
pub mod evaluate;
pub mod export;
pub mod extension;
pub mod figures;
pub mod judge;
pub mod manual;
pub mod options;
pub mod recipe;
pub mod sweep;
pub mod train;
pub mod verify;
pub mod worker;

use std::ffi::OsString;

use anyhow::Result;
use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory, Parser, Subcommand};

use crate::config::settings;
use crate::config::suggestion::nearest;
use crate::console::escape::one_line;
use crate::system::process::leave;

/// Plain against residual networks: reproduces "Deep Residual Learning for Image Recognition" (He
/// et al. 2015).
#[derive(Parser)]
#[command(name = "resnet-repro", bin_name = "resnet-repro", version, arg_required_else_help = true, after_help = AFTER_HELP, max_term_width = 110)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Start here:
  resnet-repro compare 44 --shallow 20            the degradation and its cure, in minutes
  resnet-repro data fetch cifar10                 get CIFAR-10, then
  resnet-repro compare 56 --shallow 20 --dataset cifar10
  resnet-repro sweep experiments/quick.toml       many runs, then
  resnet-repro figures                            all figures and tables from the logs

Progress goes to stderr, results to stdout; --json prints a result for scripts. Errors are in percent.
Exit codes: 0 done; 1 failed; 2 bad arguments or input; 3 finished, but a run diverged or failed;
75 stopped by a signal after saving (the same command resumes); 130 stopped immediately by a second signal.";

#[derive(Subcommand)]
enum Command {
    Compare(compare::Arguments),
    Sweep(sweep::Arguments),
    Figures(figures::Arguments),
    Diff(diff::Arguments),
    Judge(judge::Arguments),
    Claims(claims::Arguments),
    Verify(verify::Arguments),
    Train(train::Arguments),
    Evaluate(evaluate::Arguments),
    Export(export::Arguments),
    Construct(construct::Arguments),
    Analyze(analyze::Arguments),
    Describe(describe::Arguments),
    Recipe(recipe::Arguments),
    Data(data::Arguments),
    Bench(bench::Arguments),
    Doctor(doctor::Arguments),
    Completions(completions::Arguments),
    Manual(manual::Arguments),
    #[command(hide = true)]
    Worker(worker::Arguments),
}

/// Reads the command line; ends the program as clap does where it is wrong.
pub fn parse() -> Cli {
    Cli::try_parse().unwrap_or_else(|error| {
        let mut error = in_one_line(std::env::args_os()).unwrap_or(error);
        if let Some(tip) = tip(&error) {
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
        }
        // A closed pipe concerns nobody here either.
        let _ = error.print();
        leave(error.exit_code() as u8)
    })
}

/// What is wrong with a command line of which some value holds a line break or commands a terminal,
/// said of the value as it is shown; nothing if there is no such value.
fn in_one_line(arguments: impl Iterator<Item = OsString>) -> Option<clap::Error> {
    let mut is_odd = false;
    let shown = arguments.map(|argument| {
        let text = argument.to_string_lossy().into_owned();
        let shown = one_line(&text).into_owned();
        is_odd |= shown != text;
        shown
    });
    let shown: Vec<String> = shown.collect();
    if is_odd { Cli::try_parse_from(shown).err() } else { None }
}

/// What an unknown option may mean that is a key of the recipe.
fn tip(error: &clap::Error) -> Option<String> {
    let command = std::env::args().nth(1)?;
    let has_recipe = ["train", "compare", "sweep"].contains(&command.as_str());
    let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    if !has_recipe || error.kind() != clap::error::ErrorKind::UnknownArgument {
        return None;
    }
    let key = option.trim_start_matches('-').split('=').next()?.replace('-', "_");
    if ["epoch", "epochs"].contains(&key.as_str()) {
        return Some(
            "the length of training is given in iterations of one batch each: --iterations N (an epoch of CIFAR-10 is 391 iterations at batch 128)"
                .to_string(),
        );
    }
    let keys = settings::keys();
    let known = keys.iter().map(String::as_str).chain(settings::ALIASES.map(|(alias, _)| alias));
    let key = nearest(&key, known)?;
    Some(format!("recipe keys are set with '--set {key}=VALUE'"))
}

/// Runs the command and returns the exit code.
pub fn dispatch(cli: Cli) -> Result<u8> {
    match cli.command {
        Command::Compare(arguments) => compare::run(&arguments),
        Command::Sweep(arguments) => sweep::run(&arguments),
        Command::Figures(arguments) => figures::run(&arguments),
        Command::Diff(arguments) => diff::run(&arguments),
        Command::Judge(arguments) => judge::run(&arguments),
        Command::Claims(arguments) => claims::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Train(arguments) => train::run(&arguments),
        Command::Construct(arguments) => construct::run(&arguments),
        Command::Evaluate(arguments) => evaluate::run(&arguments),
        Command::Export(arguments) => export::run(&arguments),
        Command::Analyze(arguments) => analyze::run(&arguments),
        Command::Describe(arguments) => describe::run(&arguments),
        Command::Recipe(arguments) => recipe::run(&arguments),
        Command::Data(arguments) => data::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments, Cli::command()),
        Command::Manual(arguments) => manual::run(&arguments, Cli::command()),
        Command::Worker(arguments) => worker::run(&arguments),
    }
}
