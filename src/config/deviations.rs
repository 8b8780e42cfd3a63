//! In what a recipe differs from another one, such as the paper's: key by key, with both values.

use std::fmt;

use crate::config::network_name::Family;
use crate::config::recipe::{LrSchedule, Recipe, table_of, warms_up};

/// A key of a recipe whose value is not the other recipe's.
#[derive(Debug, Clone, PartialEq)]
pub struct Deviation {
    /// The key, as `run.toml` has it.
    pub key: String,
    /// The value here.
    pub ours: toml::Value,
    /// The value there, if the key has one.
    pub reference: Option<toml::Value>,
}

impl Deviation {
    /// The key and the value here, for titles and names of folders: `learning rate 0.02`,
    /// `precision bf16`.
    pub fn short(&self) -> String {
        let value = match &self.ours {
            toml::Value::String(text) => text.clone(),
            value => value.to_string(),
        };
        format!("{} {value}", self.words())
    }

    fn words(&self) -> String {
        self.key.replace('_', " ")
    }
}

/// As `run.toml` has it: `learning rate 0.02 instead of 0.1`.
impl fmt::Display for Deviation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reference {
            Some(reference) => {
                write!(formatter, "{} {} instead of {reference}", self.words(), self.ours)
            }
            None => write!(formatter, "{} {}", self.words(), self.ours),
        }
    }
}

/// In what `recipe` differs from the paper's for a net of `family` with `depth` layers; nothing for
/// the paper's own.
pub fn from_paper(recipe: &Recipe, family: Family, depth: u64) -> Vec<Deviation> {
    from(recipe, &Recipe { warmup: warms_up(family, depth), ..Recipe::of_paper(family) })
}

/// In what `recipe` differs from `reference`, but for keys that affect no result, or no more than
/// another machine would.
pub fn from(recipe: &Recipe, reference: &Recipe) -> Vec<Deviation> {
    let unused: &[&str] = match recipe.lower_rate {
        // How often a net is evaluated changes no weight where the rate does not wait for it, and
        // the paper does not say it.
        LrSchedule::Milestones => &[
            "checkpoint_segments",
            "gradient_norms_every",
            "kernels",
            "evaluate_every",
            "plateau_patience",
            "plateau_threshold",
            "plateau_reductions",
        ],
        LrSchedule::Plateau => {
            &["checkpoint_segments", "gradient_norms_every", "kernels", "milestones"]
        }
    };
    let [ours, references] = [recipe, reference].map(table_of);
    ours.iter()
        .filter(|(key, value)| {
            !unused.contains(&key.as_str()) && references.get(*key) != Some(value)
        })
        .map(|(key, value)| Deviation {
            key: key.clone(),
            ours: value.clone(),
            reference: references.get(key).cloned(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::precision::Precision;

    #[test]
    fn the_papers_recipe_has_no_deviation_and_recomputation_and_logging_are_none() {
        let paper =
            Recipe { checkpoint_segments: 8, gradient_norms_every: 100, ..Recipe::default() };
        assert_eq!(from_paper(&paper, Family::Cifar, 20), []);
        let warmup = from_paper(&paper, Family::Cifar, 110);
        assert_eq!(warmup[0].to_string(), "warmup false instead of true");
    }

    #[test]
    fn a_deviation_is_told_as_the_record_has_it_and_in_short() {
        let recipe =
            Recipe { precision: Precision::Bf16, learning_rate: 0.02, ..Recipe::default() };
        let found = from_paper(&recipe, Family::Cifar, 20);
        let texts: Vec<(String, String)> =
            found.iter().map(|one| (one.to_string(), one.short())).collect();
        let expected = [
            ("learning rate 0.02 instead of 0.1", "learning rate 0.02"),
            ("precision \"bf16\" instead of \"f32\"", "precision bf16"),
        ];
        assert_eq!(texts, expected.map(|(long, short)| (long.into(), short.into())));
    }
}
