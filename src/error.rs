//! Exit codes, and the error types that callers tell apart from all others.

use std::fmt;

/// Everything asked for was done.
pub const EXIT_DONE: u8 = 0;

/// The program failed: a file could not be read or written, libtorch refused, a checksum was wrong.
pub const EXIT_FAILED: u8 = 1;

/// An argument, a setting or a file that was named is not valid; nothing was started.
pub const EXIT_BAD_INPUT: u8 = 2;

/// All runs are finished, but some run failed or diverged.
pub const EXIT_RUN_FAILED: u8 = 3;

/// Stopped by a signal after saving; the same command resumes from there.
pub const EXIT_INTERRUPTED: u8 = 75;

/// Stopped at once by a second signal, without saving: what a shell reports for a program that
/// Ctrl-C ended.
pub const EXIT_AT_ONCE: u8 = 130;

/// Something the user gave (a flag, a key, a file) is not valid. Leads to exit code 2; every other
/// error leads to 1.
#[derive(Debug)]
pub struct BadInput(pub String);

impl fmt::Display for BadInput {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for BadInput {}

/// A signal ended what takes long before there was a result.
#[derive(Debug)]
pub struct Stopped;

impl fmt::Display for Stopped {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("stopped by a signal")
    }
}

impl std::error::Error for Stopped {}

/// Most characters of a message: what it quotes of a file may be of any length.
const LONGEST_MESSAGE: usize = 2000;

/// Makes a [`BadInput`] with this message, which names the flag, key or file and what to do. The
/// middle of a message that is too long is left out.
pub fn bad_input(message: impl Into<String>) -> BadInput {
    let message = message.into();
    let count = message.chars().count();
    if count <= LONGEST_MESSAGE {
        return BadInput(message);
    }
    let beginning: String = message.chars().take(LONGEST_MESSAGE / 2).collect();
    let end: String = message.chars().skip(count - LONGEST_MESSAGE / 2).collect();
    BadInput(format!("{beginning} … {end}"))
}

/// The exit code for an error that reached the top.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    if error.chain().any(|cause| cause.is::<BadInput>()) { EXIT_BAD_INPUT } else { EXIT_FAILED }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_quotes_a_long_value_keeps_its_beginning_and_its_end() {
        assert_eq!(bad_input("short").0, "short");
        let message = format!("run.toml: no dataset ×{}× (expected: shapes)", "[".repeat(20_000));
        let short = bad_input(message).0;
        assert!(
            short.starts_with("run.toml: no dataset ×[[") && short.ends_with("(expected: shapes)")
        );
        assert!(short.chars().count() < 2010, "{}", short.len());
    }
}
