//! An extension on record: a finished run that was trained on to more iterations.

use serde::{Deserialize, Serialize};

use crate::config::deviations::Deviation;

/// What `run.toml` says of an extension. The recipe beside it is that of the extended run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Extension {
    /// Iterations that the run had finished.
    pub from: u64,
    /// Iterations that it is to have.
    pub to: u64,
    /// The milestones until then, where others follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub milestones_before: Option<Vec<u64>>,
    /// When it was begun (UTC).
    pub started: String,
    /// Revision of the program that began it.
    pub git_revision: String,
}

impl Extension {
    /// In what the run differs from one that was trained at once.
    pub fn deviation(&self) -> Deviation {
        Deviation {
            key: "extended_after_iteration".to_string(),
            ours: toml::Value::Integer(self.from as i64),
            reference: None,
        }
    }

    /// Whether the logs show it: the evaluation at the old end is one that a run which is evaluated
    /// every so many iterations does not have when it is trained at once. Where it has it, all
    /// bytes are the same, since milestones that are past stay in the recipe.
    pub fn shows(&self, evaluate_every: u64) -> bool {
        !self.from.is_multiple_of(evaluate_every.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extension_shows_where_its_evaluation_is_not_one_of_the_usual() {
        let extension = Extension {
            from: 40,
            to: 60,
            milestones_before: None,
            started: String::new(),
            git_revision: String::new(),
        };
        assert!(!extension.shows(20) && !extension.shows(8) && extension.shows(30));
        assert_eq!(extension.deviation().to_string(), "extended after iteration 40");
    }
}
