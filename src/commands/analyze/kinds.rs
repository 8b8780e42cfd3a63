//! The kinds of analyses that are asked for.

use crate::analysis::kind::Kind;
use crate::error::{BadInput, bad_input};

/// The kinds that were asked for.
#[derive(Debug, Clone)]
pub struct Kinds {
    /// In the order in which they are done.
    pub kinds: Vec<Kind>,
    /// Whether a kind that the net does not allow is left out instead of an error.
    pub all: bool,
}

/// Reads them.
pub fn kinds(text: &str) -> Result<Kinds, BadInput> {
    if text == "all" {
        return Ok(Kinds { kinds: Kind::ALL.to_vec(), all: true });
    }
    let known: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
    let mut kinds = Vec::new();
    for name in text.split(',').map(str::trim) {
        let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            bad_input(format!(
                "there is no \"{name}\": write {} or all, several with commas",
                known.join(", ")
            ))
        })?;
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    Ok(Kinds { kinds, all: false })
}
