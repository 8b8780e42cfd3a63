//! `analyze`: what happens inside a trained net.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use tch::Device;

use crate::analysis::images::Split;
use crate::analysis::kind::Kind;
use crate::analysis::lesion;
use crate::analysis::record::{AnalysisRecord, Outcome, csv_name};
use crate::analysis::responses;
use crate::analysis::subject::Subject;
use crate::commands::evaluate;
use crate::commands::options::{DataOptions, threads};
use crate::config::dataset_name::DatasetName;
use crate::config::network_name::NetworkName;
use crate::config::recipe::{Normalize, Recipe};
use crate::console::output::{print, print_json, say};
use crate::dataset;
use crate::dataset::data::Dataset;
use crate::error::{BadInput, EXIT_DONE, EXIT_INTERRUPTED, bad_input};
use crate::network::architecture;
use crate::network::parameters::Network;
use crate::records::directory::RunDirectory;
use crate::records::provenance::Provenance;
use crate::records::run_toml::{DatasetRecord, RunConfig};
use crate::system::atomic_file::check_writable;
use crate::system::hash::hash_file;
use crate::system::parallel::available_threads;
use crate::system::{device, signals};
use crate::training::batches::Normalization;

/// Look inside a trained net: responses of its layers, errors without some of its blocks
///
/// KIND is one or more of responses (Figure 7 of the paper: standard deviations of the layers'
/// responses) and lesion (Veit et al. 2016: blocks deleted and exchanged), with commas, or "all" for
/// what the net allows. Each writes <kind>.csv and <kind>.toml into the run's analysis/ or --out,
/// from which "figures" draws. All are computed in float32, a batch at a time. docs/analyses.md has
/// definitions, sources and costs.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  resnet-repro analyze all --run runs/quick/resnet-20/seed-0
  resnet-repro analyze responses,lesion --network resnet-20 --weights resnet20.safetensors --dataset cifar10 --normalize imagenet --out analysis/public")]
pub struct Arguments {
    /// What to look at, with commas, or all
    #[arg(value_name = "KIND", value_parser = kinds)]
    kinds: Kinds,
    /// Folder of a finished run: its network, weights, recipe and dataset are meant
    #[arg(long, value_name = "DIR", conflicts_with_all = ["network", "weights", "normalize", "dataset"])]
    run: Option<PathBuf>,
    /// The network
    #[arg(long, value_name = "NAME", required_unless_present = "run")]
    network: Option<NetworkName>,
    /// Its weights (safetensors)
    #[arg(long, value_name = "FILE", required_unless_present = "run")]
    weights: Option<PathBuf>,
    #[command(flatten)]
    data: DataOptions,
    /// How pixels are normalised: as when the weights were trained [default: as the weight file
    /// says, else pixel-mean]
    #[arg(long, value_enum)]
    normalize: Option<Normalize>,
    /// The images that are looked at [default: test]
    #[arg(long, value_enum)]
    split: Option<Split>,
    /// The most images that are looked at, spread evenly over the split [default: of responses all,
    /// of lesion 1000]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    images: Option<usize>,
    /// Folder for the files [default: the run's analysis/; without a run and with --json, none]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Seed of random draws [default: the run's, else 0]
    #[arg(long, value_name = "N")]
    seed: Option<u32>,
    /// lesion: draws for each number of blocks deleted or exchanged
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = at_least_one)]
    samples: usize,
    /// lesion: how many points above the whole net's error the smallest net may be
    #[arg(long, value_name = "POINTS", default_value_t = 1.0, value_parser = points)]
    within: f64,
    /// Where to compute
    #[arg(long, value_name = "auto|cpu|cuda:N", default_value_t)]
    device: device::DeviceChoice,
    /// Threads that decode images [default: one per CPU core]
    #[arg(long, value_name = "N", value_parser = threads)]
    loaders: Option<usize>,
    /// Print the rows as JSON: an object, or for several kinds a list of objects
    #[arg(long)]
    json: bool,
}

/// The kinds that were asked for.
#[derive(Debug, Clone)]
struct Kinds {
    kinds: Vec<Kind>,
    /// Whether a kind that the net does not allow is left out instead of an error.
    all: bool,
}

fn kinds(text: &str) -> Result<Kinds, BadInput> {
    if text == "all" {
        return Ok(Kinds { kinds: Kind::ALL.to_vec(), all: true });
    }
    let known: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
    let mut kinds = Vec::new();
    for name in text.split(',').map(str::trim) {
        let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            bad_input(format!(
                "there is no \"{name}\": write {} or all, several with commas",
                known.join(", ")
            ))
        })?;
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    Ok(Kinds { kinds, all: false })
}

fn at_least_one(text: &str) -> Result<usize, BadInput> {
    let number = text.parse().ok().filter(|number| (1..=100_000_000).contains(number));
    number.ok_or_else(|| bad_input("write a whole number from 1"))
}

fn points(text: &str) -> Result<f64, BadInput> {
    let points = text.parse().ok().filter(|points: &f64| (0.0..=100.0).contains(points));
    points.ok_or_else(|| bad_input("write a number of percentage points from 0 to 100"))
}

/// Where a net comes from.
struct Origin {
    dataset: DatasetName,
    network: NetworkName,
    weights: PathBuf,
    recipe: Recipe,
    seed: u64,
    /// Fingerprint of the data that it was trained on, if on record.
    fingerprint: Option<String>,
}

impl Origin {
    fn of_run(path: &Path) -> Result<Origin> {
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

    fn of_arguments(arguments: &Arguments) -> Result<Origin> {
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

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<u8> {
    let origin = match &arguments.run {
        Some(path) => Origin::of_run(path)?,
        None => Origin::of_arguments(arguments)?,
    };
    let out = arguments.out.clone().or_else(|| {
        arguments.run.as_ref().map(|run| run.join(crate::records::verify::ANALYSIS_FOLDER))
    });
    if out.is_none() && !arguments.json {
        return Err(bad_input("--out: say where the files go; with --json none are needed").into());
    }
    let device = device::select(arguments.device)?;
    let data = dataset::load(origin.dataset, arguments.data.folder(origin.dataset)?.as_deref())?;
    if origin.fingerprint.as_ref().is_some_and(|fingerprint| *fingerprint != data.fingerprint) {
        return Err(bad_input(
            "--data: not the data that the run was trained on: its fingerprint differs",
        )
        .into());
    }
    let stop = signals::stop_flag()?;
    let subject = subject(arguments, &origin, &data, device, &stop)?;
    let _lock = match &out {
        None => None,
        Some(out) => {
            check_writable("--out", out)?;
            let lock = RunDirectory::at(out).lock(&stop, &|text| say(&text))?;
            // A signal came while another process was at the folder.
            let Some(lock) = lock else { return Ok(EXIT_INTERRUPTED) };
            Some(lock)
        }
    };
    let weights_sha256 = hash_file(&origin.weights)?;
    let (mut outputs, mut refused, mut complete) = (Vec::new(), None, true);
    for &kind in &arguments.kinds.kinds {
        let context = Context {
            arguments,
            subject: &subject,
            out: out.as_deref(),
            weights_sha256: &weights_sha256,
            kind,
        };
        match context.analyse() {
            Ok((output, done)) => {
                complete &= done;
                outputs.extend(output);
            }
            Err(error) if arguments.kinds.all && error.is::<BadInput>() => {
                say(&format!("{kind} is left out: {error}"));
                refused = Some(error);
            }
            Err(error) => return Err(error),
        }
        if stop.load(Ordering::Relaxed) {
            complete = false;
            break;
        }
    }
    if let (true, Some(refused)) = (outputs.is_empty() && complete, refused) {
        return Err(refused);
    }
    if arguments.json {
        match &outputs[..] {
            [output] if arguments.kinds.kinds.len() == 1 => print_json(output)?,
            outputs => print_json(&outputs)?,
        }
    }
    Ok(if complete { EXIT_DONE } else { EXIT_INTERRUPTED })
}

fn subject<'a>(
    arguments: &Arguments,
    origin: &Origin,
    data: &'a Dataset,
    device: Device,
    stop: &Arc<AtomicBool>,
) -> Result<Subject<'a>> {
    let recipe = origin.recipe.clone();
    let (side, classes) = (recipe.image_side(), data.classes.len() as i64);
    let architecture = architecture::build(origin.network, data.name.family(), side, classes)?;
    let seed = arguments.seed.map_or(origin.seed, u64::from);
    // In float32, whatever the net was trained in: derivatives of second order need it.
    let mut network = Network::new(architecture, seed, device);
    network.load_weights(&origin.weights)?;
    let loaders = arguments.loaders.unwrap_or_else(available_threads);
    let mean = || {
        if data.train.is_empty() {
            return Err(bad_input("--normalize pixel-mean: there are no training images to take the mean image of: give --normalize imagenet").into());
        }
        data.train.mean_image(&recipe, loaders, |reason| {
            say(&format!("{reason}; the mean image is computed without it"))
        })
    };
    let normalization = Normalization::new(recipe.normalize, side, mean, device)?;
    Ok(Subject {
        network,
        data,
        recipe: origin.recipe.clone(),
        normalization,
        seed,
        split: arguments.split,
        images: arguments.images,
        loaders,
        stop: Arc::clone(stop),
    })
}

/// What one kind is computed of and for.
struct Context<'a> {
    arguments: &'a Arguments,
    subject: &'a Subject<'a>,
    out: Option<&'a Path>,
    weights_sha256: &'a str,
    kind: Kind,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Output {
    kind: Kind,
    network: NetworkName,
    dataset: DatasetName,
    split: Split,
    images: u64,
    complete: bool,
    settings: toml::Table,
    summary: toml::Table,
    rows: serde_json::Value,
}

impl Context<'_> {
    /// Computes the kind, writes its files, and says what was found. Nothing where a signal came
    /// before there was anything.
    fn analyse(&self) -> Result<(Option<Output>, bool)> {
        let (start, subject) = (Instant::now(), self.subject);
        match self.kind {
            Kind::Responses => self.close(start, responses::analyse(subject)?, responses::headline),
            Kind::Lesion => {
                let (samples, within) = (self.arguments.samples as u64, self.arguments.within);
                let outcome = lesion::analyse(subject, lesion::Settings { samples, within })?;
                self.close(start, outcome, lesion::headline)
            }
        }
    }

    fn close<Row: Serialize>(
        &self,
        start: Instant,
        outcome: Outcome<Row>,
        headline: impl Fn(&[Row]) -> String,
    ) -> Result<(Option<Output>, bool)> {
        if outcome.images == 0 {
            return Ok((None, false));
        }
        let subject = self.subject;
        let network = subject.network.architecture().name;
        let (split, _) = subject.chosen(self.kind);
        if let Some(folder) = self.out {
            let mut record = AnalysisRecord {
                kind: self.kind,
                complete: outcome.complete,
                network,
                weights_sha256: self.weights_sha256.to_string(),
                normalize: subject.recipe.normalize,
                split,
                images: outcome.images,
                seed: subject.seed,
                seconds: start.elapsed().as_secs_f64(),
                settings: outcome.settings.clone(),
                summary: outcome.summary.clone(),
                files: Default::default(),
                dataset: DatasetRecord::from(subject.data),
                provenance: Provenance::now(subject.device()),
            };
            record.write(folder, &outcome.rows)?;
        }
        if !self.arguments.json {
            let state = if outcome.complete { "" } else { ", stopped before its end" };
            print(&format!(
                "{}: {network}, {} {split} images{state}: {}",
                self.kind,
                outcome.images,
                headline(&outcome.rows)
            ))?;
            if let Some(folder) = self.out {
                print(&format!("  {}", folder.join(csv_name(self.kind)).display()))?;
            }
        }
        let output = Output {
            kind: self.kind,
            network,
            dataset: subject.data.name,
            split,
            images: outcome.images,
            complete: outcome.complete,
            settings: outcome.settings,
            summary: outcome.summary,
            rows: serde_json::to_value(&outcome.rows)?,
        };
        Ok((Some(output), outcome.complete))
    }
}
