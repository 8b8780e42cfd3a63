//! What a protocol is called: the title of its section, and the name of its folder.

use sha2::{Digest, Sha256};

use crate::config::dataset_name::DatasetName;
use crate::config::deviations;
use crate::config::deviations::Deviation;
use crate::config::recipe::{Recipe, warms_up};
use crate::report::format::thousands;
use crate::report::protocol::Protocol;

/// Longest name of a folder, in bytes; file systems allow 255.
const LONGEST_SLUG: usize = 120;

/// Hexadecimal digits of the hash that stands for the rest of a longer name.
const HASH_DIGITS: usize = 12;

/// "CIFAR-10, 2,000 iterations, precision bf16".
pub fn title(protocol: &Protocol) -> String {
    let data = match protocol.dataset {
        Some(DatasetName::Shapes) => "Synthetic shapes",
        Some(dataset) => dataset.title(),
        None => "Runs without a record",
    };
    let classes = protocol.classes.map_or(String::new(), |classes| format!(", {classes} classes"));
    let changes: String =
        changes(protocol).iter().map(|change| format!(", {}", change.short())).collect();
    format!("{data}{classes}, {} iterations{changes}", thousands(protocol.iterations as i64))
}

/// "cifar10-2000-precision-bf16": small letters, digits, dots and single hyphens, at most
/// [`LONGEST_SLUG`] bytes.
pub fn slug(protocol: &Protocol) -> String {
    let mut parts = vec![
        protocol.dataset.map_or("unrecorded".to_string(), |name| name.to_string()),
        protocol.iterations.to_string(),
    ];
    parts.extend(protocol.classes.map(|classes| format!("{classes}-classes")));
    parts.extend(changes(protocol).iter().map(Deviation::short));
    shortened(clean(&parts.join("-")))
}

/// What the title says of the recipe: what is not its data set's default, without the length and
/// milestones at the usual parts of it.
fn changes(protocol: &Protocol) -> Vec<Deviation> {
    let Some(record) = protocol.record() else { return Vec::new() };
    let (dataset, recipe) = (record.run.dataset.name, &record.run.recipe);
    let usual = Recipe {
        warmup: warms_up(dataset.family(), record.run.network.depth),
        milestones: Recipe::of_paper(dataset.family()).scaled_milestones(recipe.iterations),
        iterations: recipe.iterations,
        ..Recipe::for_dataset(dataset)
    };
    deviations::from(recipe, &usual)
}

fn clean(text: &str) -> String {
    let letter = |letter: char| match letter {
        'a'..='z' | '0'..='9' | '.' => letter,
        'A'..='Z' => letter.to_ascii_lowercase(),
        _ => '-',
    };
    let words: String = text.chars().map(letter).collect();
    words.split('-').filter(|word| !word.is_empty()).collect::<Vec<_>>().join("-")
}

/// A name that is too long keeps its beginning; a hash tells it from others of that beginning.
fn shortened(slug: String) -> String {
    if slug.len() <= LONGEST_SLUG {
        return slug;
    }
    let hash: String = Sha256::digest(&slug).iter().map(|byte| format!("{byte:02x}")).collect();
    let beginning = &slug[..LONGEST_SLUG - HASH_DIGITS - 1];
    format!("{}-{}", beginning.trim_end_matches(['-', '.']), &hash[..HASH_DIGITS])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_has_single_hyphens_and_none_at_its_ends() {
        assert_eq!(clean("cifar10-300-precision \"bf16\""), "cifar10-300-precision-bf16");
        assert_eq!(clean("a-milestones [1, 2]"), "a-milestones-1-2");
    }

    #[test]
    fn a_long_slug_is_cut_and_told_from_others_of_its_beginning() {
        let [one, other] = ["1", "2"].map(|end| shortened("key-".repeat(80) + end));
        assert!(one.len() <= LONGEST_SLUG && one != other && one.starts_with("key-key-"), "{one}");
        assert_eq!(shortened("short".to_string()), "short");
    }
}
