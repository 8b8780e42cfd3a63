//! `construct`: the paper's existence proof (section 1): a trained net embedded in a deeper one.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use anyhow::{Result, bail};
use clap::Args;
use serde::Serialize;
use tch::Device;

use crate::commands::options::{DataOptions, threads};
use crate::config::dataset_name::DatasetName;
use crate::config::network_name::NetworkName;
use crate::config::recipe::{Normalize, Recipe};
use crate::config::seeds::MOST_SEED;
use crate::console::output::{print, print_json, say};
use crate::dataset;
use crate::dataset::data::Dataset;
use crate::error::{BadInput, EXIT_DONE, bad_input};
use crate::network::architecture;
use crate::network::embedding;
use crate::network::embedding::{Embedding, Moments};
use crate::network::parameters::Network;
use crate::network::weights::{WeightFile, normalization_of};
use crate::records::directory::RunDirectory;
use crate::records::run_toml::RunRecord;
use crate::report::format::thousands;
use crate::system::atomic_file::check_writable;
use crate::system::device;
use crate::system::device::DeviceChoice;
use crate::system::hash::hash_file;
use crate::system::parallel::available_threads;
use crate::training::batches::Normalization;
use crate::training::evaluation::EvaluationSet;
use crate::training::evaluation::outputs::Outputs;
use crate::training::evaluation::scores::Evaluation;
use crate::training::moments::{BATCHES, TrainingMode, moments, training_mode};

/// How far a score may be off, as a share of the largest one. An identity kernel copies its input,
/// and scale and variance are chosen so that their product is 1; what is left is the rounding of
/// (x - m) + m in float32, of 6e-8 of the larger of the two a layer.
const TOLERANCE: f64 = 1e-4;

/// Embed a trained net in a deeper one whose added layers are the identity
///
/// The paper's existence proof (section 1): a deeper net that is as good as a shallower one, by
/// construction. Plain nets get identity kernels with a batch normalisation that undoes itself,
/// residual nets added branches whose last scale is zero. With --data (or --dataset shapes) both
/// nets are compared on the test images, and the normalisation of added plain layers is fitted to
/// training batches, so that the net is close to the identity in training mode too. "train
/// --weights" continues from the file.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  resnet-repro construct --from results/2026-11-24-reference-bands/11-reference-bands/plain-20/seed-0 --network plain-56 --data data/cifar10 --out plain-56.safetensors
  resnet-repro construct --from resnet20.safetensors --from-network resnet-20 --network resnet-56 --data data/cifar10 --normalize imagenet --out resnet-56.safetensors
Then: resnet-repro train --network plain-56 --dataset cifar10 --weights plain-56.safetensors")]
pub struct Arguments {
    /// Folder of a finished run whose weights were kept, or a weight file (safetensors)
    #[arg(long, value_name = "RUN|FILE")]
    from: PathBuf,
    /// The network of a weight file that does not name it
    #[arg(long, value_name = "NAME")]
    from_network: Option<NetworkName>,
    /// The deeper network: the same kind, with more blocks
    #[arg(long, value_name = "NAME")]
    network: NetworkName,
    #[command(flatten)]
    data: DataOptions,
    /// How pixels were normalised in training, for a weight file that does not say so
    /// [default: pixel-mean]
    #[arg(long, value_enum)]
    normalize: Option<Normalize>,
    /// Seed of the initial values of added residual branches
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=MOST_SEED))]
    seed: u64,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Where to compute
    #[arg(long, value_name = "auto|cpu|cuda:N", default_value_t)]
    device: DeviceChoice,
    /// Threads that decode images [default: one per CPU core]
    #[arg(long, value_name = "N", value_parser = threads)]
    loaders: Option<usize>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Output {
    from: PathBuf,
    from_network: NetworkName,
    network: NetworkName,
    out: PathBuf,
    weights_sha256: String,
    #[serde(flatten)]
    embedding: Embedding,
    tests: Option<Tests>,
    training_mode: Option<Both<TrainingMode>>,
}

/// The same of the shallow net and of the constructed one.
#[derive(Serialize)]
struct Both<T> {
    shallow: T,
    constructed: T,
}

/// How both do on the test images.
#[derive(Serialize)]
struct Tests {
    #[serde(flatten)]
    evaluations: Both<Evaluation>,
    /// Images that one has wrong and the other has not.
    disagreements: i64,
    largest_difference: f64,
    tolerance: f64,
}

/// The shallow net as it is given.
struct Shallow {
    network: NetworkName,
    file: WeightFile,
    dataset: DatasetName,
    recipe: Recipe,
    /// Of the data that a run was trained on.
    fingerprint: Option<String>,
}

impl Shallow {
    fn of(arguments: &Arguments) -> Result<Shallow> {
        if arguments.from.is_dir() {
            return Shallow::of_run(&RunDirectory::at(&arguments.from), arguments);
        }
        let file = WeightFile::read(&arguments.from)?;
        let written = || file.network()?.parse().ok();
        let network = arguments.from_network.or_else(written).ok_or_else(|| {
            bad_input(format!(
                "--from {}: the file does not name its network: give --from-network",
                arguments.from.display()
            ))
        })?;
        let dataset = arguments.data.name()?;
        let recipe = Recipe::resolve(dataset, network.depth(), None, &toml::Table::new())
            .map_err(BadInput::from)?;
        let noted = normalization_of(&arguments.from)?;
        let normalize = arguments.normalize.or(noted).unwrap_or(recipe.normalize);
        let recipe = Recipe { normalize, ..recipe };
        Ok(Shallow { network, file, dataset, recipe, fingerprint: None })
    }

    fn of_run(directory: &RunDirectory, arguments: &Arguments) -> Result<Shallow> {
        let record = RunRecord::read(&directory.record())?;
        let weights = directory.weights();
        if !weights.exists() {
            return Err(bad_input(format!(
                "--from {}: it holds no weights: the run is not finished, or they were not kept",
                arguments.from.display()
            ))
            .into());
        }
        let file = WeightFile::read(&weights)?;
        if record.weights_sha256.as_ref() != Some(&file.sha256()) {
            return Err(bad_input(format!(
                "{}: not the weights that the run ended with",
                weights.display()
            ))
            .into());
        }
        let run = record.run;
        Ok(Shallow {
            network: run.network,
            file,
            dataset: run.dataset.name,
            recipe: run.recipe,
            fingerprint: Some(run.dataset.fingerprint),
        })
    }

    /// The data, if some is named.
    fn data(&self, options: &DataOptions) -> Result<Option<Dataset>> {
        if options.data.is_empty() && options.dataset.is_none() {
            return Ok(None);
        }
        if options.dataset.is_some_and(|name| name != self.dataset) {
            return Err(bad_input(format!("--dataset: the run is on {}", self.dataset)).into());
        }
        let data = dataset::load(self.dataset, options.folder(self.dataset)?.as_deref())?;
        if self.fingerprint.as_ref().is_some_and(|known| *known != data.fingerprint) {
            return Err(bad_input(
                "--data: not the data that the run was trained on: its fingerprint differs",
            )
            .into());
        }
        Ok(Some(data))
    }

    /// Both nets: the trained one, and the deeper one with its initial values.
    fn networks(&self, deep: NetworkName, seed: u64, device: Device) -> Result<(Network, Network)> {
        let build = |name, classes| {
            let side = self.recipe.image_side();
            architecture::build(name, self.dataset.family(), side, classes)
        };
        // What tells the file's classes apart is in the file.
        let probe = build(self.network, self.dataset.classes() as i64)?;
        let classes = self.file.classes(&probe)?.unwrap_or(probe.classes);
        let (shallow, deep) = (build(self.network, classes)?, build(deep, classes)?);
        embedding::check(&shallow, &deep)?;
        let mut trained = Network::new(shallow, seed, device);
        trained.load(&self.file, false)?;
        Ok((trained, Network::new(deep, seed, device)))
    }
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<u8> {
    let shallow = Shallow::of(arguments)?;
    let device = device::select(arguments.device)?;
    let (trained, deep) = shallow.networks(arguments.network, arguments.seed, device)?;
    if let Some(folder) = arguments.out.parent().filter(|path| !path.as_os_str().is_empty()) {
        check_writable("--out", folder)?;
    }
    let data = shallow.data(&arguments.data)?;
    let comparer = data.as_ref().map(|data| Comparer::new(arguments, &shallow, data, device));
    let comparer = comparer.transpose()?;
    let fitted = match &comparer {
        Some(comparer) if embedding::needs_moments(deep.architecture()) => {
            comparer.moments(&trained)?
        }
        _ => None,
    };
    if fitted.is_none() && embedding::needs_moments(deep.architecture()) {
        say("note: without training images (--data) the added layers are the identity in \
             evaluation alone, not in training");
    }
    let embedding = embedding::embed(&trained, &deep, fitted.as_deref());
    let (tests, training_mode) = match &comparer {
        None => (None, None),
        Some(comparer) => (comparer.tests(&trained, &deep)?, comparer.training(&trained, &deep)?),
    };
    deep.save_weights(&arguments.out, shallow.recipe.normalize)?;
    let output = Output {
        from: arguments.from.clone(),
        from_network: shallow.network,
        network: arguments.network,
        weights_sha256: hash_file(&arguments.out)?,
        out: arguments.out.clone(),
        embedding,
        tests,
        training_mode,
    };
    if arguments.json {
        print_json(&output)?;
    } else {
        print(&output.text())?;
    }
    if let Some(tests) = output.tests.filter(|tests| tests.largest_difference > tests.tolerance) {
        bail!(
            "the constructed net does not compute what the shallow one does: a score differs by {:.2e}, more than {:.2e}",
            tests.largest_difference,
            tests.tolerance
        );
    }
    Ok(EXIT_DONE)
}

/// What both nets are compared on.
struct Comparer<'a> {
    data: &'a Dataset,
    recipe: &'a Recipe,
    normalization: Normalization,
    device: Device,
    loaders: usize,
}

impl<'a> Comparer<'a> {
    fn new(
        arguments: &Arguments,
        shallow: &'a Shallow,
        data: &'a Dataset,
        device: Device,
    ) -> Result<Comparer<'a>> {
        let loaders = arguments.loaders.unwrap_or_else(available_threads);
        let recipe = &shallow.recipe;
        let mean = || {
            if data.train.is_empty() {
                return Err(bad_input("--normalize pixel-mean: there are no training images to compute the mean image from: give --normalize imagenet").into());
            }
            data.train.mean_image(recipe, loaders, &AtomicBool::new(false), |reason| say(&reason))
        };
        let normalization =
            Normalization::new(recipe.normalize, recipe.image_side(), mean, device)?;
        Ok(Comparer { data, recipe, normalization, device, loaders })
    }

    /// The moments of the stages in training; `None` without training images.
    fn moments(&self, network: &Network) -> Result<Option<Vec<Moments>>> {
        if self.data.train.is_empty() {
            return Ok(None);
        }
        moments(network, self.data, self.recipe, &self.normalization, self.loaders).map(Some)
    }

    fn tests(&self, trained: &Network, deep: &Network) -> Result<Option<Tests>> {
        if self.data.test.is_empty() {
            return Ok(None);
        }
        let set = EvaluationSet::new(&self.data.test, None, self.recipe, self.device, self.loaders);
        let outputs = |network: &Network| {
            Outputs::of(network, &set, &self.normalization, &mut |reason| say(&reason))
        };
        let (one, other) = (outputs(trained)?, outputs(deep)?);
        Ok(Some(Tests {
            evaluations: Both { shallow: one.evaluation(), constructed: other.evaluation() },
            disagreements: one.disagreements(&other),
            largest_difference: one.largest_difference(&other),
            tolerance: TOLERANCE * one.largest().max(1.0),
        }))
    }

    fn training(&self, trained: &Network, deep: &Network) -> Result<Option<Both<TrainingMode>>> {
        if self.data.train.is_empty() {
            return Ok(None);
        }
        let of = |network: &Network| {
            training_mode(network, self.data, self.recipe, &self.normalization, self.loaders)
        };
        Ok(Some(Both { shallow: of(trained)?, constructed: of(deep)? }))
    }
}

impl Output {
    fn text(&self) -> String {
        let mut lines = vec![format!(
            "{} in {}: {} layers added, with {} parameters; {}",
            self.from_network,
            self.network,
            self.embedding.added_layers,
            thousands(self.embedding.added_parameters),
            self.out.display()
        )];
        if let Some(tests) = &self.tests {
            let Both { shallow, constructed } = &tests.evaluations;
            let agreement = match tests.disagreements {
                0 => "the same images".to_string(),
                count => format!("{count} of them in only one of the two"),
            };
            lines.push(format!(
                "test images: {} and {} of {} wrong ({:.2} % and {:.2} %), {agreement}; largest \
                 difference of a score {:.1e} (tolerance {:.1e})",
                thousands(shallow.wrong as i64),
                thousands(constructed.wrong as i64),
                thousands(shallow.images as i64),
                shallow.error(),
                constructed.error(),
                tests.largest_difference,
                tests.tolerance
            ));
        }
        if let Some(Both { shallow, constructed }) = &self.training_mode {
            lines.push(format!(
                "training mode, {BATCHES} batches: loss {:.4} and {:.4}, error {:.2} % and {:.2} %",
                shallow.loss, constructed.loss, shallow.error, constructed.error
            ));
        }
        lines.join("\n")
    }
}
