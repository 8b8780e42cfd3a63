//! Options that several subcommands have, and writing results to stdout.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};
use tch::Device;

use crate::config::dataset_name::DatasetName;
use crate::config::network_name::Family;
use crate::config::recipe::{LrSchedule, Recipe};
use crate::config::recipe_file::RecipeFile;
use crate::config::{seeds, settings};
use crate::console::output::say;
use crate::dataset;
use crate::dataset::data::Dataset;
use crate::distributed::group::Group;
use crate::error::{BadInput, bad_input};
use crate::report::format::counted;
use crate::run::spec::RunOptions;
use crate::system::atomic_file::check_writable;
use crate::system::device;
use crate::system::device::Cuda;
use crate::system::device_list::DeviceList;
use crate::system::parallel::share_of_threads;
use crate::system::regular_file;

/// Which data.
#[derive(Debug, Args)]
pub struct DataOptions {
    /// Dataset [default: the one that --data holds, else shapes]
    #[arg(long, value_name = "NAME")]
    pub dataset: Option<DatasetName>,
    /// Folder with the dataset's files, as DIR or as imagenet=DIR [default: data/<dataset>]
    #[arg(long, value_name = "[NAME=]DIR", value_parser = DataArgument::parser())]
    pub data: Vec<DataArgument>,
}

impl DataOptions {
    /// The dataset that is meant: the one that `--dataset` or `--data` names, else the one that
    /// the folder holds (CIFAR-10, if nobody can tell), else the synthetic one.
    pub fn name(&self) -> Result<DatasetName, BadInput> {
        if let Some(name) = self.dataset {
            return Ok(name);
        }
        let mut given = self.data.iter().flat_map(|argument| &argument.0);
        match (given.next(), given.next()) {
            (None, _) => Ok(DatasetName::Shapes),
            (Some((Some(name), _)), None) => Ok(*name),
            (Some((None, folder)), None) => {
                Ok(dataset::recognized(folder).unwrap_or(DatasetName::Cifar10))
            }
            (Some(_), Some(_)) => {
                Err(bad_input("--data names several folders: say which dataset by --dataset"))
            }
        }
    }

    /// The folder of `name`, if one is given; else it lies in the usual place.
    pub fn folder(&self, name: DatasetName) -> Result<Option<PathBuf>, BadInput> {
        data_folder(&self.data, name)
    }

    /// Loads it.
    pub fn load(&self) -> Result<Dataset> {
        let name = self.name()?;
        dataset::load(name, self.folder(name)?.as_deref())
    }
}

/// One `--data`: `DIR`, or `cifar10=DIR,imagenet=DIR`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataArgument(Vec<(Option<DatasetName>, PathBuf)>);

impl DataArgument {
    /// Reads the flag's value; folders need not be UTF-8.
    pub fn parser() -> impl TypedValueParser<Value = DataArgument> {
        OsStringValueParser::new().try_map(DataArgument::parse)
    }

    fn parse(value: OsString) -> Result<DataArgument, BadInput> {
        // A folder may have any name, be it "a,b" or "a=b".
        let text = match value.to_str() {
            Some(text) if !Path::new(text).exists() => text,
            _ => return Ok(DataArgument(vec![(None, PathBuf::from(value))])),
        };
        let mut folders: Vec<(Option<DatasetName>, String)> = Vec::new();
        for part in text.split(',') {
            match (part.split_once('='), folders.last_mut()) {
                (Some((name, folder)), _) if !name.contains('/') => {
                    let name = DatasetName::from_text(name.trim())?;
                    folders.push((Some(name), folder.to_string()));
                }
                (_, Some((_, folder))) => folder.extend([",", part]),
                (_, None) => folders.push((None, part.to_string())),
            }
        }
        if folders.iter().any(|(_, folder)| folder.is_empty()) {
            return Err(bad_input("a folder is missing: write DIR, or cifar10=DIR,imagenet=DIR"));
        }
        Ok(DataArgument(
            folders.into_iter().map(|(name, folder)| (name, PathBuf::from(folder))).collect(),
        ))
    }
}

/// The folder of each of the datasets in `wanted` for which `--data` gives one.
///
/// A folder without a name belongs to the one dataset that has none yet; among several, to the one
/// that its content shows.
pub fn data_folders(
    arguments: &[DataArgument],
    wanted: &[DatasetName],
) -> Result<HashMap<DatasetName, PathBuf>, BadInput> {
    let mut folders = HashMap::new();
    let mut insert =
        |name: DatasetName, folder: &Path| match folders.insert(name, folder.to_path_buf()) {
            None => Ok(()),
            Some(other) => Err(bad_input(format!(
                "--data: {} and {} are both for {name}: give one of them",
                other.display(),
                folder.display()
            ))),
        };
    let given = || arguments.iter().flat_map(|argument| &argument.0);
    let mut open: Vec<DatasetName> = wanted.to_vec();
    for (name, folder) in given().filter_map(|(name, folder)| Some(((*name)?, folder))) {
        open.retain(|other| *other != name);
        insert(name, folder)?;
    }
    // The synthetic dataset takes a folder only where nothing else is wanted: to refuse it.
    if open.len() > 1 {
        open.retain(|name| *name != DatasetName::Shapes);
    }
    for folder in given().filter(|(name, _)| name.is_none()).map(|(_, folder)| folder) {
        let name = match &open[..] {
            [name] => *name,
            _ => dataset::recognized_among(folder, wanted).ok_or_else(|| {
                bad_input(format!(
                    "--data {}: cannot tell which dataset this is: write {}=DIR",
                    folder.display(),
                    open.first().or(wanted.first()).unwrap_or(&DatasetName::Cifar10)
                ))
            })?,
        };
        insert(name, folder)?;
    }
    Ok(folders)
}

/// The folder that `--data` gives for the one dataset of a command, if it gives one.
pub fn data_folder(
    arguments: &[DataArgument],
    name: DatasetName,
) -> Result<Option<PathBuf>, BadInput> {
    let mut folders = data_folders(arguments, &[name])?;
    let folder = folders.remove(&name);
    match (&folder, folders.into_iter().next()) {
        (None, Some((other, path))) => Err(bad_input(format!(
            "--data {other}={}: the dataset is {name}: write {name}=DIR",
            path.display()
        ))),
        _ => Ok(folder),
    }
}

/// How to train.
#[derive(Debug, Args)]
pub struct RecipeValues {
    /// Iterations of each run; the learning rate's milestones scale along [default: the paper's
    /// 64,000, on images 600,000; on shapes 130]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub iterations: Option<u64>,
    /// Change the paper's recipe, for example --set validation=5000; can be repeated. Keys:
    /// iterations, batch_size, learning_rate, milestones, learning_rate_factor, momentum,
    /// weight_decay, warmup, warmup_learning_rate, warmup_until_error, validation, augment,
    /// normalize, evaluate_every, precision (f32, bf16; on a GPU also tf32), kernels (libtorch;
    /// on a GPU also own), checkpoint_segments,
    /// gradient_norms_every, lower_rate (milestones, plateau), plateau_patience, plateau_threshold,
    /// plateau_reductions, group_size; lr, lr_schedule and lr_gamma stand for learning_rate,
    /// lower_rate and learning_rate_factor; for images also crop, scale, test_scale, lighting
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub settings: Vec<String>,
    /// Take the keys of this file (resnet-repro recipe --toml writes one); --set and --iterations
    /// win over it
    #[arg(long = "recipe", value_name = "FILE")]
    pub file: Option<PathBuf>,
}

impl RecipeValues {
    /// The recipe for a network of `depth` layers on `dataset`.
    pub fn resolve(&self, dataset: DatasetName, depth: u64) -> Result<Recipe, BadInput> {
        let settings = parse_settings(self.iterations, &self.settings)?;
        let Some(path) = &self.file else {
            return Ok(Recipe::resolve(dataset, depth, self.iterations, &settings)?);
        };
        let file = recipe_file(path)?;
        let mut given = file.values.clone();
        if let Some(iterations) = self.iterations {
            let base = Recipe::for_dataset(dataset).iterations;
            settings::scale_milestones(&mut given, iterations, base);
        }
        given.extend(settings.clone());
        Recipe::resolve(dataset, depth, self.iterations, &given)
            .map_err(|error| file.blame(error, &settings))
    }
}

/// Reads the file of `--recipe`.
pub fn recipe_file(path: &Path) -> Result<RecipeFile, BadInput> {
    let name = path.display().to_string();
    let text = regular_file::read_to_string(path)
        .map_err(|error| bad_input(format!("--recipe {name}: {error}")))?;
    RecipeFile::parse(&name, &text)
}

/// How and where to train.
#[derive(Debug, Args)]
pub struct RecipeOptions {
    #[command(flatten)]
    pub values: RecipeValues,
    /// Where to train; "train" takes several GPUs for one run, as cuda:0-3 or cuda:0,2
    #[arg(long, value_name = "auto|cpu|cuda:N", default_value_t)]
    pub device: DeviceList,
}

impl RecipeOptions {
    /// The recipe for a network of `depth` layers on `dataset`.
    pub fn resolve(&self, dataset: DatasetName, depth: u64) -> Result<Recipe, BadInput> {
        self.values.resolve(dataset, depth)
    }
}

/// Reads the values of `--set`, which may not say again what `--iterations` says.
pub fn parse_settings(
    iterations: Option<u64>,
    settings: &[String],
) -> Result<toml::Table, BadInput> {
    let given = settings::parse_settings(settings)?;
    if iterations.is_some() && given.contains_key("iterations") {
        return Err(bad_input(
            "--iterations and --set iterations=… mean the same: give one of them",
        ));
    }
    Ok(given)
}

/// What changes none of a run's numbers.
#[derive(Debug, Args)]
pub struct RunFlags {
    /// Time between checkpoints, from which a killed run resumes; longer where saving would take
    /// more than 1 % of the time. 0: after every iteration, whatever it costs
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0, value_parser = seconds)]
    pub checkpoint_every: f64,
    /// Do not keep the final weights; their hash is still recorded
    #[arg(long)]
    pub no_weights: bool,
    /// Keep the final state (weights, momentum, place in the schedule) in checkpoint/, from which
    /// --extend-to trains on
    #[arg(long)]
    pub keep_state: bool,
    /// On a GPU: launch each iteration as one CUDA graph, if libresnet_cuda_graph.so is there
    /// (scripts/build-cuda-graph makes it)
    #[arg(long, value_enum, default_value_t = GraphChoice::Auto)]
    pub graph: GraphChoice,
    /// Threads that decode images; does not affect results [default: one per CPU core]
    #[arg(long, value_name = "N", value_parser = threads)]
    pub loaders: Option<usize>,
    /// Also write TensorBoard event files to this folder, each run's to <network>/seed-<k> (of a
    /// sweep: <experiment>/<network>/seed-<k>)
    #[arg(long, value_name = "DIR")]
    pub tensorboard: Option<PathBuf>,
}

/// What `--graph` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum GraphChoice {
    /// Wherever possible.
    Auto,
    /// Launch each operation separately.
    Off,
}

impl RunFlags {
    /// The same for a run, on which other processes of this machine may be at work too.
    pub fn options(&self, group: Option<&Group>) -> RunOptions {
        let processes = group.and_then(|group| group.place().local_world).unwrap_or(1);
        RunOptions {
            checkpoint_every: Duration::from_secs_f64(self.checkpoint_every),
            keep_weights: !self.no_weights,
            keep_state: self.keep_state,
            tensorboard: self.tensorboard.clone(),
            graph: self.graph == GraphChoice::Auto,
            loaders: self.loaders.unwrap_or_else(|| share_of_threads(processes)),
        }
    }

    /// Whether files can be made in the folders that are named here.
    pub fn check(&self) -> Result<(), BadInput> {
        self.tensorboard.iter().try_for_each(|folder| check_writable("--tensorboard", folder))
    }
}

/// Reads a number of threads.
pub fn threads(text: &str) -> Result<usize, BadInput> {
    let threads = text.parse().ok().filter(|threads| (1..=1024).contains(threads));
    threads.ok_or_else(|| bad_input("write a whole number of threads from 1 to 1024"))
}

fn seconds(text: &str) -> Result<f64, BadInput> {
    let seconds = text.parse().ok().filter(|seconds: &f64| (0.0..=86_400.0).contains(seconds));
    seconds.ok_or_else(|| bad_input("write a number of seconds from 0 to 86400"))
}

/// Says on stderr where training happens, and what schedule each depth has if it is not the
/// paper's.
pub fn announce(device: Device, family: Family, recipes: &[(u64, &Recipe)]) {
    let unused = match (device, device::register_cuda()) {
        (Device::Cpu, Cuda::Unavailable(reason)) if !device::gpu_models().is_empty() => {
            format!("; the GPU is not used: {reason}")
        }
        _ => String::new(),
    };
    let description = device::describe(device);
    say(&format!(
        "device: {}, {}{unused}",
        description.gpu.unwrap_or(description.name),
        counted(tch::get_num_threads() as usize, "thread")
    ));
    // Depths differ in their warm-up alone: one line tells the schedule of all.
    let paper = Recipe::of_paper(family);
    if let Some((_, recipe)) =
        recipes.first().filter(|(_, recipe)| schedule(recipe) != schedule(&paper))
    {
        say(&format!("schedule: {} (paper: {})", schedule(recipe), schedule(&paper)));
    }
    for (depth, recipe) in recipes.iter().filter(|(_, recipe)| recipe.warmup) {
        say(&format!(
            "warm-up for {depth} layers: learning rate {} until the training error is below {} %; it does not scale with the length of the run",
            recipe.warmup_learning_rate, recipe.warmup_until_error
        ));
    }
}

/// A recipe's schedule in words.
fn schedule(recipe: &Recipe) -> String {
    let milestones: Vec<String> = recipe.milestones.iter().map(u64::to_string).collect();
    let lowered = match recipe.lower_rate {
        LrSchedule::Plateau => {
            format!("after {} evaluations without progress", recipe.plateau_patience)
        }
        LrSchedule::Milestones if milestones.is_empty() => "never".to_string(),
        LrSchedule::Milestones => format!("after iterations {}", milestones.join(", ")),
    };
    format!(
        "{} iterations, learning rate {}, times {} {lowered}",
        recipe.iterations, recipe.learning_rate, recipe.learning_rate_factor
    )
}

/// Reads `--seeds`: `0,1,2`, `0-4`, `0,2,5-7`.
pub fn parse_seeds(text: &str) -> Result<Vec<u64>, BadInput> {
    seeds::parse(text).map_err(|error| bad_input(format!("--seeds {error}")))
}
