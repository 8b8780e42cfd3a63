//! The first line of a record, which holds the SHA-256 of the others: a flipped bit in a record is
//! noticed.

use crate::system::hash::sha256;

/// What the checksum stands behind: a comment in TOML.
pub const CHECKSUM: &str = "# SHA-256 of the lines below: ";

/// `text` below the line with its checksum.
pub fn with_checksum(text: &str) -> String {
    format!("{CHECKSUM}{}\n{text}", sha256(text.as_bytes()))
}

/// Whether the first line of `text` does not contradict the others. Records of earlier versions have
/// no such line.
pub fn is_as_written(text: &str) -> bool {
    let stated = text.strip_prefix(CHECKSUM).and_then(|rest| rest.split_once('\n'));
    stated.is_none_or(|(checksum, below)| checksum == sha256(below.as_bytes()))
}
