//! `manual`: the manual pages.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, roman};

use crate::console::output::{print, say};
use crate::error::{EXIT_DONE, bad_input};
use crate::system::atomic_file::write_atomically;

/// Print a manual page, or write all of them
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  resnet-repro manual sweep | man -l -
  resnet-repro manual --out ~/.local/share/man/man1    then: man resnet-repro-sweep")]
pub struct Arguments {
    /// A command, such as sweep or data fetch; without one, the program as a whole
    #[arg(num_args = 0..=2, conflicts_with = "out")]
    command: Vec<String>,
    /// Write the pages of the program and of all its commands to this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Runs the command.
pub fn run(arguments: &Arguments, program: Command) -> Result<u8> {
    let mut program = program.disable_help_subcommand(true);
    program.build();
    if let Some(folder) = &arguments.out {
        std::fs::create_dir_all(folder).with_context(|| format!("--out {}", folder.display()))?;
        let pages = all(&program);
        for command in &pages {
            let path = folder.join(format!("{}.1", name(command)));
            write_atomically(&path, page(command, &program)?.as_bytes())?;
        }
        say(&format!("{} manual pages in {}", pages.len(), folder.display()));
        return Ok(EXIT_DONE);
    }
    let mut command = &program;
    for name in &arguments.command {
        let found = command.find_subcommand(name).filter(|command| !command.is_hide_set());
        command = found.ok_or_else(|| {
            bad_input(format!("{name}: no such command; see \"resnet-repro --help\""))
        })?;
    }
    print(page(command, &program)?.trim_end())?;
    Ok(EXIT_DONE)
}

/// A command and all below it that a person is shown.
fn all(command: &Command) -> Vec<&Command> {
    let below = command.get_subcommands().filter(|command| !command.is_hide_set());
    std::iter::once(command).chain(below.flat_map(all)).collect()
}

/// The name of a command's page: "resnet-repro-data-fetch".
fn name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

/// The page of a command, as roff.
fn page(command: &Command, program: &Command) -> Result<String> {
    let man = Man::new(command.clone().version(env!("CARGO_PKG_VERSION")));
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    if command.get_arguments().any(|argument| !argument.is_hide_set()) {
        man.render_options_section(&mut page)?;
    }
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    if let Some(text) = command.get_after_long_help().or_else(|| command.get_after_help()) {
        closing(&text.to_string()).to_writer(&mut page)?;
    }
    see_also(command, program).to_writer(&mut page)?;
    man.render_version_section(&mut page)?;
    String::from_utf8(page).context("the manual page")
}

/// What stands below the options in the help text. Its indented lines are examples: each keeps its
/// line, in a section of its own under the heading that stands before them.
fn closing(text: &str) -> Roff {
    let mut roff = Roff::new();
    let lines: Vec<&str> = text.lines().collect();
    let is_example = |line: Option<&&str>| line.is_some_and(|line| line.starts_with("  "));
    let mut literal = false;
    for (index, line) in lines.iter().enumerate() {
        let example = is_example(Some(line));
        if literal && !example {
            roff.control("fi", []);
        }
        if example && !literal {
            roff.control("nf", []);
        }
        literal = example;
        match line.strip_suffix(':') {
            Some(heading) if is_example(lines.get(index + 1)) => {
                roff.control("SH", [heading.to_uppercase().as_str()]);
            }
            _ if line.is_empty() => {
                roff.control("PP", []);
            }
            _ if index == 0 => {
                roff.control("SH", ["NOTES"]);
                roff.text([roman(*line)]);
            }
            _ => {
                roff.text([roman(if example { &line[2..] } else { line })]);
            }
        }
    }
    if literal {
        roff.control("fi", []);
    }
    roff
}

/// The other pages: the program's, and those of the commands beside and below this one.
fn see_also(command: &Command, program: &Command) -> Roff {
    let others: Vec<&str> =
        all(program).into_iter().map(name).filter(|&other| other != name(command)).collect();
    let mut line: Vec<Inline> = Vec::new();
    for (index, other) in others.iter().enumerate() {
        let end = if index + 1 < others.len() { "(1), " } else { "(1)" };
        line.extend([bold(*other), roman(end)]);
    }
    let mut roff = Roff::new();
    roff.control("SH", ["SEE ALSO"]);
    roff.text(line);
    roff
}
