//! What a run is, and how it is carried out.

use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use tch::Device;

use crate::config::kernels::Kernels;
use crate::config::network_name::NetworkName;
use crate::config::precision::Precision;
use crate::config::recipe::Recipe;
use crate::dataset::data;
use crate::dataset::data::Dataset;
use crate::distributed::group::Group;
use crate::error::{BadInput, bad_input};
use crate::kernels::cuda;
use crate::network::architecture::table::Architecture;
use crate::records::dataset_record::DatasetRecord;
use crate::records::directory::RunDirectory;
use crate::records::extend_to::ExtendTo;
use crate::records::run_toml::RunConfig;
use crate::run::initial_weights::WeightSource;
use crate::system::parallel::available_threads;

/// How a run is conducted: what changes none of its numbers.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// Time between two checkpoints; zero writes one after each iteration.
    pub checkpoint_every: Duration,
    /// Whether the final weights are kept; their hash is on record in any case.
    pub keep_weights: bool,
    /// Whether the final state is kept, from which the run can be extended.
    pub keep_state: bool,
    /// The folder for TensorBoard's event files, if they are wanted.
    pub tensorboard: Option<PathBuf>,
    /// Whether a GPU gets each iteration as one CUDA graph, if it can.
    pub graph: bool,
    /// Threads that decode images.
    pub loaders: usize,
}

impl RunOptions {
    /// The same for one of several runs, whose event file is in a folder of its own.
    pub fn of_run(&self, config: &RunConfig) -> RunOptions {
        let folder = |all: &PathBuf| RunDirectory::of(all, config.network, config.seed);
        let tensorboard = self.tensorboard.as_ref().map(|all| folder(all).path().to_path_buf());
        RunOptions { tensorboard, ..self.clone() }
    }
}

impl Default for RunOptions {
    fn default() -> RunOptions {
        RunOptions {
            checkpoint_every: Duration::from_secs(60),
            keep_weights: true,
            keep_state: false,
            tensorboard: None,
            graph: true,
            loaders: available_threads(),
        }
    }
}

/// A run that is to be done.
pub struct Run<'a> {
    /// Where it goes.
    pub directory: RunDirectory,
    /// What it is.
    pub config: RunConfig,
    /// Its network's table.
    pub architecture: Architecture,
    /// Its data.
    pub data: &'a Dataset,
    /// Where it trains.
    pub device: Device,
    /// The file of its initial weights, if it has them from one.
    pub weights: Option<WeightSource>,
    /// The length to which it is extended, if it is.
    pub extend_to: Option<ExtendTo>,
    /// The processes that train it together with this one, if there are some.
    pub group: Option<&'a Group>,
}

/// Lets own kernels run on the CPU's emulator, some thousand times slower: for tests.
const EMULATE: &str = "RESNET_REPRO_EMULATE";

/// Refuses own kernels where there are none.
fn check_kernels(recipe: &Recipe, device: Device) -> Result<(), BadInput> {
    if recipe.kernels == Kernels::Libtorch {
        return Ok(());
    }
    if recipe.precision != Precision::Bf16 {
        return Err(bad_input(format!(
            "kernels = own: they are for precision = bf16, not {}: add --set precision=bf16, or leave kernels out",
            recipe.precision
        )));
    }
    if device == Device::Cpu && std::env::var_os(EMULATE).is_none() {
        return Err(bad_input(
            "kernels = own: they are for NVIDIA GPUs; on a CPU leave kernels out (a run that began with them resumes on a GPU only)",
        ));
    }
    // In a sweep, and on a rank, before the others wait for it.
    if let (Device::Cuda(_), Some(reason)) = (device, cuda::missing()) {
        return Err(bad_input(format!("kernels = own: {reason}")));
    }
    Ok(())
}

impl<'a> Run<'a> {
    /// A run of `network` with `seed` on `data`. Refuses a split that the data cannot give.
    pub fn new(
        directory: RunDirectory,
        network: NetworkName,
        seed: u64,
        recipe: Recipe,
        data: &'a Dataset,
        device: Device,
    ) -> Result<Run<'a>> {
        let dataset = DatasetRecord::from(data);
        let config = RunConfig { network, seed, dataset, recipe, initial_weights: None };
        let (architecture, recipe) = (config.architecture()?, &config.recipe);
        data::check_split(data, recipe.validation, recipe.batch_size)?;
        if recipe.precision == Precision::Tf32 && device == Device::Cpu {
            return Err(bad_input(
                "precision = tf32: only NVIDIA GPUs have it; on a CPU use f32 or bf16",
            )
            .into());
        }
        check_kernels(recipe, device)?;
        Ok(Run {
            architecture,
            directory,
            config,
            data,
            device,
            weights: None,
            extend_to: None,
            group: None,
        })
    }

    /// The same run from the initial weights in a file, if there is one. Refuses a file that does
    /// not fit the network, or that is not there and still needed: a run that is to be extended
    /// needs it no more.
    pub fn starting_from(
        self,
        weights: Option<WeightSource>,
        extend_to: Option<&ExtendTo>,
    ) -> Result<Run<'a>> {
        let Some(source) = weights else { return Ok(self) };
        let config = source.identify(self.config, &self.directory, extend_to)?;
        Ok(Run { config, weights: Some(source), ..self })
    }

    /// The finished run of this plan that is in the directory, trained on to another length, if one
    /// is given. Refuses one that cannot be.
    pub fn extended(self, extend_to: Option<ExtendTo>) -> Result<Run<'a>> {
        let Some(extend_to) = extend_to else { return Ok(self) };
        let config = self
            .directory
            .extended(&self.config, &extend_to)
            .with_context(|| self.directory.path().display().to_string())?;
        Ok(Run { config, extend_to: Some(extend_to), ..self })
    }

    /// The same run, trained together with other processes, whose number divides that of its groups
    /// (see [`check_world`](crate::run::ranks::check_world)).
    pub fn among(self, group: Option<&'a Group>) -> Run<'a> {
        Run { group, ..self }
    }

    /// Whether this process is the one that writes.
    pub fn is_first(&self) -> bool {
        self.group.is_none_or(Group::is_first)
    }

    /// The images of a batch that this process makes, counted from 0.
    pub fn share(&self) -> Range<usize> {
        let recipe = &self.config.recipe;
        let Some(group) = self.group else { return 0..recipe.batch_size as usize };
        let (groups, size) = (group.share(recipe.groups()), recipe.micro_batch_size() as usize);
        groups.start * size..groups.end * size
    }

    /// Checks that the directory can take this run, without changing it.
    pub fn check(&self) -> Result<()> {
        self.directory.claim(&self.config, self.extend_to.as_ref()).map(|_| ())
    }
}
