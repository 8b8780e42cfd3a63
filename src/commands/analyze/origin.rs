//! Where a net that is analysed comes from.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::commands::analyze::arguments::Arguments;
use crate::commands::evaluate;
use crate::config::dataset_name::DatasetName;
use crate::config::network_name::NetworkName;
use crate::config::recipe::Recipe;
use crate::error::bad_input;
use crate::records::directory::RunDirectory;
use crate::records::run_toml::RunConfig;

/// Where a net comes from.
pub struct Origin {
    /// Its data.
    pub dataset: DatasetName,
    /// Which net.
    pub network: NetworkName,
    /// The file with its weights.
    pub weights: PathBuf,
    /// How it was trained, or how its images are seen.
    pub recipe: Recipe,
    /// Of its run.
    pub seed: u64,
    /// Fingerprint of the data that it was trained on, if on record.
    pub fingerprint: Option<String>,
}

impl Origin {
    /// A finished run in the folder `path`.
    pub fn of_run(path: &Path) -> Result<Origin> {
        let directory = RunDirectory::at(path);
        let RunConfig { network, dataset, recipe, seed, .. } = directory.finished()?.run;
        Ok(Origin {
            dataset: dataset.name,
            network,
            weights: directory.weights(),
            recipe,
            seed,
            fingerprint: Some(dataset.fingerprint),
        })
    }

    /// What the command line names.
    pub fn of_arguments(arguments: &Arguments) -> Result<Origin> {
        // clap asks for both where there is no run.
        let (Some(network), Some(weights)) = (arguments.network, arguments.weights.clone()) else {
            return Err(bad_input("give --run, or --network and --weights").into());
        };
        let dataset = arguments.data.name()?;
        let (networks, files) = ([network], [weights.clone()]);
        let recipe = evaluate::subject::Subject::of_weights(
            dataset,
            &networks,
            &files,
            arguments.normalize,
            &[],
        )?
        .recipe;
        Ok(Origin { dataset, network, weights, recipe, seed: 0, fingerprint: None })
    }
}
