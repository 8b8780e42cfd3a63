//! What the command line changes in the recipes of experiments.

use crate::config::dataset_name::DatasetName;
use crate::config::recipe::{InvalidRecipe, Recipe};
use crate::config::recipe_file::RecipeFile;
use crate::config::settings::scale_milestones;
use crate::error::{BadInput, bad_input};

/// Changes to every recipe of an experiment, from the command line.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// Another number of iterations.
    pub iterations: Option<u64>,
    /// A recipe file.
    pub file: Option<RecipeFile>,
    /// Other keys, which win over the file's.
    pub settings: toml::Table,
}

impl Overrides {
    /// Puts them on top of what an experiment on `dataset` has `given`. Milestones that it states
    /// keep their place in a run of another length.
    pub fn apply(&self, given: &mut toml::Table, dataset: DatasetName) {
        let base = Recipe::for_dataset(dataset).iterations;
        if let Some(file) = &self.file {
            let length = file.values.get("iterations").and_then(toml::Value::as_integer);
            if let Some(length) = length {
                scale_milestones(given, length.max(0) as u64, base);
            }
            given.extend(file.values.clone());
        }
        if let Some(iterations) = self.iterations {
            scale_milestones(given, iterations, base);
        }
        given.extend(self.settings.clone());
    }

    /// The error of a recipe that is wrong only with them on top.
    pub fn blame(&self, error: InvalidRecipe) -> BadInput {
        match &self.file {
            Some(file) => file.blame(error, &self.settings),
            None => bad_input(format!("--set or --iterations: {error}")),
        }
    }
}
