//! `completions` and `manual`: what a shell and `man` want of a program.

use anyhow::{Context, Result};
use clap::{Args, Command};
use clap_complete::Shell;

use crate::console::output::print;
use crate::error;
use crate::error::EXIT_DONE;

/// Print a completion script for a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  resnet-repro completions bash > ~/.local/share/bash-completion/completions/resnet-repro
  resnet-repro completions zsh > ~/.zfunc/_resnet-repro")]
pub struct CompletionsArguments {
    /// The shell
    shell: Shell,
}

/// Print the manual page, of the program or of one of its commands
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  resnet-repro manual > ~/.local/share/man/man1/resnet-repro.1
  resnet-repro manual sweep | man -l -")]
pub struct ManualArguments {
    /// A command; without one, the program as a whole
    command: Option<String>,
}

/// Prints a completion script.
pub fn completions(arguments: &CompletionsArguments, mut program: Command) -> Result<u8> {
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

/// Prints a manual page.
pub fn manual(arguments: &ManualArguments, mut program: Command) -> Result<u8> {
    program.build();
    let command = match &arguments.command {
        None => program,
        Some(name) => {
            let found =
                program.find_subcommand(name).filter(|command| !command.is_hide_set()).cloned();
            found.ok_or_else(|| {
                error::bad_input(format!("{name}: no such command; see \"resnet-repro --help\""))
            })?
        }
    };
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page).context("the manual page")?;
    print(String::from_utf8(page).context("the manual page")?.trim_end())?;
    Ok(EXIT_DONE)
}
