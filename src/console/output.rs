//! Messages on stderr, results on stdout.

use std::borrow::Cow;
use std::io::{IsTerminal, Write};

use anyhow::{Context, Result};

use crate::console::escape::{one_line, plain};
use crate::console::locale;

/// Prints a result, in which names of others command no terminal ([`plain`]). A reader that has gone
/// away (such as `head`) is no error.
pub fn print(text: &str) -> Result<()> {
    print_while_read(text).map(|_| ())
}

/// The same; returns whether the reader is still there.
pub fn print_while_read(text: &str) -> Result<bool> {
    let mut stdout = std::io::stdout();
    let text = shown(plain(text), stdout.is_terminal());
    match writeln!(stdout, "{text}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        result => result.context("stdout").map(|()| true),
    }
}

/// Prints a result as JSON.
pub fn print_json(value: &impl serde::Serialize) -> Result<()> {
    print(&serde_json::to_string_pretty(value).context("JSON")?)
}

/// Prints a line on stderr, in which names of others command no terminal and make no further line
/// ([`one_line`]). A reader that has gone away must not end a training of days.
pub fn say(line: &str) {
    let mut stderr = std::io::stderr();
    let line = shown(one_line(line), stderr.is_terminal());
    let _ = writeln!(stderr, "{line}");
}

/// What is written for `text`. A file may be read elsewhere, so only terminals are spared signs that
/// their locale lacks.
fn shown(text: Cow<'_, str>, terminal: bool) -> Cow<'_, str> {
    match terminal && !locale::unicode() {
        true => Cow::Owned(locale::ascii(&text).into_owned()),
        false => text,
    }
}
