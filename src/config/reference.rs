//! All keys of a recipe beside each other: value, default, range, meaning and the paper's sections,
//! as rows, as the table of docs/protocol.md, and as a file that `--recipe` takes.

use serde::Serialize;

use crate::config::dataset_name::DatasetName;
use crate::config::keys::{KEYS, Key};
use crate::config::recipe::{Recipe, WARMUP_FROM_DEPTH, table_of};
use crate::config::settings::ALIASES;

/// Where a recipe has no such key, and where the paper states nothing.
const NONE: &str = "–";

/// A key with its value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KeyRow {
    /// The key.
    pub key: &'static str,
    /// Its other names.
    pub aliases: Vec<&'static str>,
    /// Its value; nothing where the dataset's recipe has no such key.
    pub value: Option<toml::Value>,
    /// What it is where nothing is given.
    pub default: Option<toml::Value>,
    /// What it may be.
    pub range: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// The paper's sections that state it; nothing where the paper states nothing.
    pub paper: Option<&'static str>,
}

/// Every key with its value in `recipe` and its `default`.
pub fn rows(recipe: &Recipe, default: &Recipe) -> Vec<KeyRow> {
    let [values, defaults] = [recipe, default].map(all_values);
    let row = |key: &Key| KeyRow {
        key: key.name,
        aliases: ALIASES
            .iter()
            .filter(|(_, of)| *of == key.name)
            .map(|(alias, _)| *alias)
            .collect(),
        value: values.get(key.name).cloned(),
        default: defaults.get(key.name).cloned(),
        range: key.allowed,
        meaning: key.meaning,
        paper: Some(key.sections).filter(|sections| !sections.is_empty()),
    };
    KEYS.iter().map(row).collect()
}

/// The recipe with the keys that records leave out at their defaults.
fn all_values(recipe: &Recipe) -> toml::Table {
    let mut table = table_of(recipe);
    let norms = toml::Value::Integer(recipe.gradient_norms_every as i64);
    table.entry("gradient_norms_every").or_insert(norms);
    let kernels = toml::Value::String(recipe.kernels.to_string());
    table.entry("kernels").or_insert(kernels);
    table
}

/// A value as people write it on the command line: words without quotation marks.
pub fn shown(value: Option<&toml::Value>) -> String {
    match value {
        None => NONE.to_string(),
        Some(toml::Value::String(text)) => text.clone(),
        Some(toml::Value::Float(number)) => number.to_string(),
        Some(value) => value.to_string(),
    }
}

/// The rows as a file for `--recipe`, each key below its meaning. A warm-up belongs to a depth:
/// without one (`any_depth`) it is left to the network.
pub fn to_toml(rows: &[KeyRow], any_depth: bool) -> String {
    let mut text = String::new();
    for row in rows {
        let Some(value) = &row.value else { continue };
        let paper = row.paper.map_or("the paper does not state it".to_string(), section);
        text.push_str(&format!("\n# {}\n# {}; {paper}\n", row.meaning.replace('`', ""), row.range));
        match row.key == "warmup" && any_depth {
            true => text.push_str(&format!(
                "# warmup = true  # without this line: from {WARMUP_FROM_DEPTH} layers on CIFAR-10's networks\n"
            )),
            false => text.push_str(&format!("{} = {value}\n", row.key)),
        }
    }
    text
}

fn section(sections: &str) -> String {
    let plural = if sections.contains(',') { "s" } else { "" };
    format!("section{plural} {sections} of the paper")
}

/// The table of docs/protocol.md.
pub fn markdown() -> String {
    let mut lines = vec![
        "| key | default (CIFAR-10; ImageNet) | range | meaning | section |".to_string(),
        "|---|---|---|---|---|".to_string(),
    ];
    lines.extend(KEYS.iter().map(|key| {
        let sections = if key.sections.is_empty() { NONE } else { key.sections };
        let Key { name, allowed, meaning, .. } = key;
        format!("| `{name}` | {} | {allowed} | {meaning} | {sections} |", defaults(name))
    }));
    lines.join("\n")
}

/// The defaults of a key: CIFAR-10's, ImageNet's where it has another, and in brackets those of the
/// datasets that differ from these two.
fn defaults(key: &str) -> String {
    if key == "warmup" {
        return format!("from {WARMUP_FROM_DEPTH} layers; false");
    }
    let of = |dataset| match all_values(&Recipe::for_dataset(dataset)).get(key) {
        Some(toml::Value::String(text)) => format!("`{text}`"),
        value => shown(value),
    };
    let [cifar, imagenet] = [DatasetName::Cifar10, DatasetName::Imagenet].map(of);
    let mut text = cifar.clone();
    if imagenet != cifar {
        text.push_str(&format!("; {imagenet}"));
    }
    for (name, dataset, usual) in [
        ("shapes", DatasetName::Shapes, cifar),
        ("Tiny-ImageNet", DatasetName::TinyImagenet, imagenet),
    ] {
        let value = of(dataset);
        if value != usual {
            text.push_str(&format!(" ({name}: {value})"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::recipe_file::RecipeFile;
    use crate::config::settings;

    #[test]
    fn every_key_of_a_recipe_is_in_the_reference_once() {
        let mut known: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
        let mut keys = settings::keys();
        known.sort_unstable();
        keys.sort_unstable();
        assert_eq!(known, keys);
        assert!(KEYS.iter().all(|key| !key.allowed.is_empty() && !key.meaning.is_empty()));
    }

    #[test]
    fn a_written_file_reads_back_as_the_same_recipe_for_every_dataset() {
        for dataset in [DatasetName::Shapes, DatasetName::Cifar10, DatasetName::TinyImagenet] {
            let given = toml::toml! { weight_decay = 5e-4 };
            let recipe = Recipe::resolve(dataset, 110, Some(400), &given).unwrap();
            let text = to_toml(&rows(&recipe, &Recipe::for_dataset(dataset)), false);
            let file = RecipeFile::parse("mine.toml", &text).unwrap();
            let again = Recipe::resolve(dataset, 20, None, &file.values).unwrap();
            assert_eq!(again, recipe);
            // Without a depth the file does not state the warm-up.
            let text = to_toml(&rows(&recipe, &Recipe::for_dataset(dataset)), true);
            assert!(!RecipeFile::parse("mine.toml", &text).unwrap().values.contains_key("warmup"));
        }
    }

    #[test]
    fn defaults_name_the_datasets_that_differ() {
        assert_eq!(defaults("learning_rate"), "0.1 (shapes: 0.02)");
        assert_eq!(defaults("crop"), "–; 224 (Tiny-ImageNet: 56)");
        assert_eq!(defaults("iterations"), "64000; 600000 (shapes: 130)");
    }
}
