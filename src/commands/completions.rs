//! `completions`: scripts that complete the command line in a shell.

use anyhow::{Context, Result};
use clap::{Args, Command};
use clap_complete::Shell;

use crate::console::output::print;
use crate::error::EXIT_DONE;

/// Print a completion script for a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  resnet-repro completions bash > ~/.local/share/bash-completion/completions/resnet-repro
  resnet-repro completions zsh > ~/.zfunc/_resnet-repro")]
pub struct Arguments {
    /// The shell
    shell: Shell,
}

/// Prints a completion script.
pub fn run(arguments: &Arguments, mut program: Command) -> Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut program, "resnet-repro", &mut script);
    let mut script = String::from_utf8(script).context("the script")?;
    if arguments.shell == Shell::Bash {
        // clap_complete takes the hyphen of the program's name for that of a subcommand in half of
        // its labels, so that no option of a subcommand would be completed.
        script = script.replace("resnet__subcmd__repro", "resnet__repro");
    }
    print(script.trim_end())?;
    Ok(EXIT_DONE)
}
