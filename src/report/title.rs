//! What a protocol is called: the title of its section, and the name of its folder.

use sha2::{Digest, Sha256};

use crate::config::dataset_name::DatasetName;
use crate::config::deviations;
use crate::config::deviations::Deviation;
use crate::config::recipe::{Recipe, warms_up};
use crate::dataset::data::DataStatus;
use crate::records::extension::Extension;
use crate::records::run_toml::{InitialWeights, RunRecord};
use crate::report::format::thousands;

/// Longest name of a folder, in bytes; file systems allow 255.
const LONGEST_SLUG: usize = 120;

/// Hexadecimal digits of the hash that stands for the rest of a longer name.
const HASH_DIGITS: usize = 12;

/// What a protocol is named by.
pub struct Naming {
    /// The data, if it is on record.
    pub dataset: Option<DatasetName>,
    /// What own images are called.
    pub own: Option<String>,
    /// Whether it is the published data.
    pub status: Option<DataStatus>,
    /// Its classes, where they are not as many as the published data has.
    pub classes: Option<usize>,
    /// Iterations of a run.
    pub iterations: u64,
    /// What of the recipe is not the dataset's default; without the length, and milestones at the
    /// usual parts of it.
    pub changes: Vec<Deviation>,
}

impl Naming {
    /// The names of runs like that of `record`, if they have one.
    pub fn new(record: Option<&RunRecord>, classes: Option<usize>, iterations: u64) -> Naming {
        let dataset = record.map(|record| record.run.dataset.name);
        let status = record.map(|record| record.run.dataset.status);
        let changes = record.map(changes).unwrap_or_default();
        let own = record.and_then(|record| record.run.dataset.title.clone());
        Naming { dataset, own, status, classes, iterations, changes }
    }

    /// "CIFAR-10, 2,000 iterations, precision bf16".
    pub fn title(&self) -> String {
        let data = match (&self.own, self.dataset) {
            (Some(own), _) => own,
            (None, Some(DatasetName::Shapes)) => "Synthetic shapes",
            (None, Some(dataset)) => dataset.title(),
            (None, None) => "Runs without a record",
        };
        let part = self.part().map_or(String::new(), |part| format!(" ({part})"));
        let classes = self.classes.map_or(String::new(), |classes| format!(", {classes} classes"));
        let changes: String =
            self.changes.iter().map(|change| format!(", {}", change.short())).collect();
        format!("{data}{part}{classes}, {} iterations{changes}", thousands(self.iterations as i64))
    }

    /// What sets the data apart from the published data of its name. CIFAR-10's subsets keep its
    /// classes: of ImageNet, a part is another question.
    fn part(&self) -> Option<&'static str> {
        match (self.dataset, self.status) {
            (Some(DatasetName::Imagenet), Some(DataStatus::Subset)) => Some("a subset"),
            (Some(DatasetName::Cifar10), Some(DataStatus::Other)) => Some("unofficial copy"),
            // Its name may be another dataset's.
            (Some(DatasetName::Folder), _) => Some("own images"),
            _ => None,
        }
    }

    /// "cifar10-2000-precision-bf16": small letters, digits, dots and single hyphens, at most
    /// [`LONGEST_SLUG`] bytes.
    pub fn slug(&self) -> String {
        let mut parts = vec![
            self.dataset.map_or("unrecorded".to_string(), |name| name.to_string()),
            self.iterations.to_string(),
        ];
        match &self.own {
            Some(own) => parts.insert(1, own.clone()),
            None => {
                let unofficial = self.status == Some(DataStatus::Other);
                parts.extend(self.part().filter(|_| unofficial).map(str::to_string));
            }
        }
        parts.extend(self.classes.map(|classes| format!("{classes}-classes")));
        parts.extend(self.changes.iter().map(Deviation::short));
        shortened(clean(&parts.join("-")))
    }
}

fn changes(record: &RunRecord) -> Vec<Deviation> {
    let (dataset, recipe) = (record.run.dataset.name, &record.run.recipe);
    let usual = Recipe {
        warmup: warms_up(dataset.family(), record.run.network.depth()),
        milestones: Recipe::of_paper(dataset.family()).scaled_milestones(recipe.iterations),
        iterations: recipe.iterations,
        ..Recipe::for_images(dataset, recipe.crop)
    };
    let mut changes = deviations::from(recipe, &usual);
    changes.extend(record.run.initial_weights.as_ref().map(InitialWeights::deviation));
    changes.extend(record.shown_extensions().map(Extension::deviation));
    changes
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
    fn an_unofficial_copy_of_the_data_is_named_as_such() {
        let of = |status| Naming {
            dataset: Some(DatasetName::Cifar10),
            own: None,
            status: Some(status),
            classes: None,
            iterations: 2000,
            changes: Vec::new(),
        };
        assert_eq!(of(DataStatus::Official).title(), "CIFAR-10, 2,000 iterations");
        assert_eq!(of(DataStatus::Official).slug(), "cifar10-2000");
        assert_eq!(of(DataStatus::Other).title(), "CIFAR-10 (unofficial copy), 2,000 iterations");
        assert_eq!(of(DataStatus::Other).slug(), "cifar10-2000-unofficial-copy");
    }

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
