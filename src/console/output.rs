//! Messages on stderr, results on stdout.

use std::io::Write;

use anyhow::{Context, Result};

use crate::console::escape::plain;

/// Prints a result, in which names of others command no terminal ([`plain`]). A reader that has gone
/// away (such as `head`) is no error.
pub fn print(text: &str) -> Result<()> {
    match writeln!(std::io::stdout(), "{}", plain(text)) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).context("stdout")
        }
        _ => Ok(()),
    }
}

/// Prints a result as JSON.
pub fn print_json(value: &impl serde::Serialize) -> Result<()> {
    print(&serde_json::to_string_pretty(value).context("JSON")?)
}

/// Prints a line on stderr, in which names of others command no terminal ([`plain`]). A reader that has gone away must not end a training of days.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{}", plain(line));
}
