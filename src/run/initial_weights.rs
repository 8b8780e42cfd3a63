//! Initial weights from a file: what of them a run is, and how they come into its network.

use std::path::PathBuf;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::Device;

use crate::error::bad_input;
use crate::network::parameters::Network;
use crate::network::weights::WeightFile;
use crate::records::directory::{Claim, RunDirectory};
use crate::records::extend_to::ExtendTo;
use crate::records::run_toml::{InitialWeights, RunConfig};

/// A weight file that a run starts from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightSource {
    /// The file.
    pub file: PathBuf,
    /// Whether the last layer is initialised all the same.
    pub reset_classifier: bool,
}

impl WeightSource {
    /// `config` with these weights as a part of what it is.
    ///
    /// A file that is there must fit the network, and the recipe's normalisation if it says its
    /// own. One that is not is no longer needed where the run in `directory` is done or has a
    /// checkpoint: the weights are then those on its record.
    pub fn identify(
        &self,
        config: RunConfig,
        directory: &RunDirectory,
        extend_to: Option<&ExtendTo>,
    ) -> Result<RunConfig> {
        let file = match WeightFile::read(&self.file) {
            Ok(file) => file,
            Err(error) => match self.recorded(&config, directory, extend_to)? {
                Some(config) => return Ok(config),
                None => return Err(error),
            },
        };
        let normalize = config.recipe.normalize;
        if let Some(noted) = file.normalization()?.filter(|&noted| noted != normalize) {
            return Err(bad_input(format!(
                "{}: these weights were trained on pixels normalised as {noted}, and the recipe has {normalize}: --set normalize={noted} goes on with them as they are",
                self.file.display()
            ))
            .into());
        }
        let mut network = Network::new(config.architecture()?, config.seed, Device::Cpu);
        network.load(&file, self.reset_classifier)?;
        let weights =
            InitialWeights { sha256: file.sha256(), reset_classifier: self.reset_classifier };
        Ok(RunConfig { initial_weights: Some(weights), ..config })
    }

    /// `config` with the weights on the record of the run in `directory`, if it can do without the
    /// file.
    fn recorded(
        &self,
        config: &RunConfig,
        directory: &RunDirectory,
        extend_to: Option<&ExtendTo>,
    ) -> Result<Option<RunConfig>> {
        let Some((record, _)) = directory.recorded()? else { return Ok(None) };
        let Some(weights) = record.run.initial_weights else { return Ok(None) };
        let weights = InitialWeights { reset_classifier: self.reset_classifier, ..weights };
        let config = RunConfig { initial_weights: Some(weights), ..config.clone() };
        if extend_to.is_some() {
            return Ok(Some(config));
        }
        Ok(match directory.claim(&config, None)? {
            Claim::Done(_) => Some(config),
            Claim::Resume(..) => {
                let position = directory.position(&config.recipe, &config.architecture()?)?;
                position.checkpoint.map(|_| config)
            }
            Claim::New | Claim::Extend(_) => None,
        })
    }

    /// Puts the weights into the network of the run that `weights` are a part of.
    pub fn load(&self, network: &mut Network, weights: &InitialWeights) -> Result<()> {
        let file = WeightFile::read(&self.file)?;
        if file.sha256() != weights.sha256 {
            return Err(bad_input(format!(
                "{}: the file changed while the run was prepared: give the same command again",
                self.file.display()
            ))
            .into());
        }
        network.load(&file, weights.reset_classifier)
    }
}
