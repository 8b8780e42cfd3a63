//! A recipe file, as `--recipe` takes it: `key = value` lines in TOML, each key of
//! docs/protocol.md or an alias, none else.

use std::collections::BTreeMap;

use toml::Spanned;

use crate::config::recipe::InvalidRecipe;
use crate::config::settings::{canonical_key, check_setting};
use crate::error::{BadInput, bad_input};

/// The keys that a file sets.
#[derive(Debug, Clone)]
pub struct RecipeFile {
    /// What the file is called in messages.
    name: String,
    /// The values, under the record's names of the keys.
    pub values: toml::Table,
    lines: BTreeMap<String, usize>,
}

impl RecipeFile {
    /// Reads the `text` of the file `name`. The error names file, line and key.
    pub fn parse(name: &str, text: &str) -> Result<RecipeFile, BadInput> {
        let line_at = |start: usize| text[..start.min(text.len())].matches('\n').count() + 1;
        let refuse = |start: usize, reason: String| {
            let reason = reason.lines().map(str::trim).collect::<Vec<_>>().join(" ");
            bad_input(format!("{name}:{}: {reason}", line_at(start)))
        };
        let written: BTreeMap<Spanned<String>, toml::Value> =
            toml::from_str(text).map_err(|error| {
                refuse(error.span().map_or(0, |span| span.start), error.message().to_string())
            })?;
        let mut file = RecipeFile {
            name: name.to_string(),
            values: toml::Table::new(),
            lines: BTreeMap::new(),
        };
        for (key, value) in written {
            let start = key.span().start;
            let own = canonical_key(key.get_ref());
            let value = check_setting(own, value).map_err(|reason| {
                // An unknown key's reason names it already.
                let named = reason.starts_with(own);
                refuse(start, if named { reason } else { format!("{}: {reason}", key.get_ref()) })
            })?;
            if file.values.insert(own.to_string(), value).is_some() {
                return Err(refuse(start, format!("{own} is given twice")));
            }
            file.lines.insert(own.to_string(), line_at(start));
        }
        Ok(file)
    }

    /// The error of a recipe with this file's keys, of which those in `above` were given again
    /// elsewhere: with file and line if the file is to blame.
    pub fn blame(&self, error: InvalidRecipe, above: &toml::Table) -> BadInput {
        let key = error.key.as_ref().filter(|key| !above.contains_key(*key));
        match (key.and_then(|key| self.lines.get(key)), &error.key) {
            (Some(line), _) => bad_input(format!("{}:{line}: {error}", self.name)),
            (None, Some(_)) => error.into(),
            (None, None) => bad_input(format!("{}: {error}", self.name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::dataset_name::DatasetName;
    use crate::config::recipe::Recipe;

    fn refused(text: &str) -> String {
        RecipeFile::parse("mine.toml", text).unwrap_err().0
    }

    #[test]
    fn a_file_is_strict_and_its_errors_name_the_line() {
        let file = RecipeFile::parse("mine.toml", "lr = 1\nmilestones = [3]\n").unwrap();
        assert_eq!(file.values["learning_rate"].as_float(), Some(1.0));
        for (text, start, part) in [
            ("lr = 0.1\nlearnin_rate = 1\n", "mine.toml:2: ", "did you mean learning_rate?"),
            ("lr = 0.1\n\nlearning_rate = 1\n", "mine.toml:", "learning_rate is given twice"),
            ("lr = 0.1\nlr = 0.2\n", "mine.toml:2: ", "duplicate key"),
            ("# mine\nmomentum = \"much\"\n", "mine.toml:2: momentum: ", "invalid type"),
            ("momentum =\n", "mine.toml:", ""),
            ("[recipe]\nlr = 1\n", "mine.toml:1: recipe: ", "no such key"),
            ("augment = 1\n", "mine.toml:1: augment: ", "boolean"),
        ] {
            let message = refused(text);
            assert!(message.starts_with(start) && message.contains(part), "{message}");
            assert!(!message.contains('\n'), "{message}");
        }
    }

    #[test]
    fn a_value_out_of_range_is_the_files_fault_unless_it_was_given_again() {
        let file = RecipeFile::parse("mine.toml", "\nmomentum = 1.5\n").unwrap();
        let message = |values: &toml::Table, above: &toml::Table| {
            let error = Recipe::resolve(DatasetName::Cifar10, 20, None, values).unwrap_err();
            file.blame(error, above).0
        };
        let none = toml::Table::new();
        assert!(message(&file.values, &none).starts_with("mine.toml:2: momentum = 1.5 is out"));
        let again = toml::toml! { momentum = 2.0 };
        assert!(message(&again, &again).starts_with("momentum = 2 is out"));
    }
}
