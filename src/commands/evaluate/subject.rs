//! What `evaluate` tests: networks with their weights, and the recipe for the images.

use std::path::PathBuf;

use anyhow::Result;

use crate::config::dataset_name::DatasetName;
use crate::config::network_name::NetworkName;
use crate::config::recipe::{Normalize, Recipe};
use crate::config::settings::parse_settings;
use crate::console::output::say;
use crate::error::{BadInput, bad_input};
use crate::network::weights::normalization_of;
use crate::records::directory::RunDirectory;
use crate::records::run_toml::{RunConfig, RunRecord};

/// Which nets are tested, and how.
pub struct Subject {
    pub dataset: DatasetName,
    pub networks: Vec<NetworkName>,
    pub weights: Vec<PathBuf>,
    pub recipe: Recipe,
    /// Whether the normalisation was asked for, or is that of the weight files.
    pub sure: bool,
}

impl Subject {
    /// The nets of `--network` and `--weights`.
    pub fn of_weights(
        dataset: DatasetName,
        networks: &[NetworkName],
        weights: &[PathBuf],
        normalize: Option<Normalize>,
        settings: &[String],
    ) -> Result<Subject> {
        if networks.len() != weights.len() {
            let (networks, weights) = (networks.len(), weights.len());
            return Err(
                bad_input(format!("--network is given {networks} times and --weights {weights} times: give one of each per network")).into()
            );
        }
        let mut given = parse_settings(settings)?;
        // The scales of training images mean nothing here, and must not stand in the way of a
        // larger crop.
        if let (Some(crop), Some(scale)) = (
            given.get("crop").and_then(toml::Value::as_integer),
            Recipe::for_dataset(dataset).scale,
        ) {
            given.entry("scale").or_insert_with(|| {
                toml::Value::Array(
                    scale.map(|side| toml::Value::Integer(crop.max(side as i64))).to_vec(),
                )
            });
        }
        let recipe = Recipe::resolve(dataset, 0, None, &given).map_err(BadInput::from)?;
        let noted = noted_normalization(weights)?;
        let normalize = normalize.or(noted).unwrap_or(Normalize::PixelMean);
        if let Some(noted) = noted.filter(|&noted| noted != normalize) {
            say(&format!(
                "note: --normalize {normalize}, but these weights were trained with {noted}: omit --normalize to use that"
            ));
        }
        let recipe = Recipe { normalize, ..recipe };
        Ok(Subject {
            dataset,
            networks: networks.to_vec(),
            weights: weights.to_vec(),
            recipe,
            sure: noted == Some(normalize),
        })
    }

    /// The net of `--run`, with its record.
    pub fn of_run(directory: &RunDirectory) -> Result<(Subject, RunRecord)> {
        let record = directory.finished()?;
        let weights = directory.weights();
        let RunConfig { network, dataset, recipe, .. } = record.run.clone();
        Ok((
            Subject {
                dataset: dataset.name,
                networks: vec![network],
                weights: vec![weights],
                recipe,
                sure: true,
            },
            record,
        ))
    }
}

/// The normalisation that the files name, if one does. They are tested on the same pixels, so they
/// must not name different ones.
fn noted_normalization(weights: &[PathBuf]) -> Result<Option<Normalize>> {
    let mut noted = None;
    for path in weights {
        let Some(found) = normalization_of(path)? else { continue };
        match noted {
            Some((other, before)) if before != found => {
                let other: &PathBuf = other;
                return Err(bad_input(format!(
                    "--weights {} needs --normalize {found} and {} needs {before}: they cannot be tested together",
                    path.display(),
                    other.display()
                ))
                .into());
            }
            _ => noted = Some((path, found)),
        }
    }
    Ok(noted.map(|(_, normalize)| normalize))
}
