//! `--extend-to`, which `train` and `sweep` have: what it asks for, and what a command means that
//! names a run on record.

use anyhow::{Context, Result};
use clap::Args;

use crate::commands::options::{RecipeValues, parse_settings, recipe_file};
use crate::config::dataset_name::DatasetName;
use crate::config::recipe::Recipe;
use crate::error::{BadInput, bad_input};
use crate::records::directory::{NOTHING_TO_EXTEND, RunDirectory};
use crate::records::extend_to::ExtendTo;
use crate::records::run_toml::RunRecord;

/// The key that an extension may change.
const MILESTONES: &str = "milestones";

/// The flag.
#[derive(Debug, Args)]
pub struct ExtensionFlag {
    /// Train a finished run on to N iterations, if it was trained with --keep-state. Its milestones
    /// stay, or --set milestones=… gives those from its old end on; on record as a difference
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub extend_to: Option<u64>,
}

impl ExtensionFlag {
    /// What it asks for; takes the milestones out of `settings`, which then say what is planned.
    pub fn take(&self, settings: &mut toml::Table) -> Result<Option<ExtendTo>, BadInput> {
        let Some(iterations) = self.extend_to else { return Ok(None) };
        let milestones = settings.remove(MILESTONES).map(toml::Value::try_into).transpose();
        let milestones = milestones.map_err(|error: toml::de::Error| {
            bad_input(format!("--set {MILESTONES}: {}", error.message()))
        })?;
        Ok(Some(ExtendTo { iterations, milestones }))
    }
}

/// The keys that a command gives, those of `--set` over those of `--recipe`.
pub fn given(values: &RecipeValues) -> Result<toml::Table, BadInput> {
    let mut given = match &values.file {
        Some(path) => recipe_file(path)?.values,
        None => toml::Table::new(),
    };
    // What the file of the run's recipe says of milestones was said before.
    given.remove(MILESTONES);
    given.extend(parse_settings(values.iterations, &values.settings)?);
    if let Some(iterations) = values.iterations {
        given.insert("iterations".to_string(), toml::Value::Integer(iterations as i64));
    }
    Ok(given)
}

/// The iterations by which the folder of a run is called whose command has these keys.
pub fn named_iterations(given: &toml::Table, dataset: DatasetName) -> u64 {
    let said = given.get("iterations").and_then(toml::Value::as_integer);
    said.map_or(Recipe::for_dataset(dataset).iterations, |iterations| iterations as u64)
}

/// The record of the run in `directory`, and its recipe with the `given` keys on top: what a
/// command does not say is as the run has it.
pub fn as_recorded(directory: &RunDirectory, given: &toml::Table) -> Result<(RunRecord, Recipe)> {
    let path = || directory.path().display().to_string();
    let recorded = directory.recorded()?.map(|(record, _)| record);
    let record = recorded.ok_or_else(|| bad_input(NOTHING_TO_EXTEND)).with_context(path)?;
    let mut table = toml::Table::try_from(&record.run.recipe).with_context(path)?;
    table.extend(given.clone());
    let recipe: Recipe = table.try_into().with_context(path)?;
    recipe.validate().map_err(BadInput::from)?;
    Ok((record, recipe))
}
