//! `export`: a run's weights for other programs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use tch::Tensor;

use crate::commands::options::{DataArgument, data_folder};
use crate::config::network_name::Family;
use crate::config::recipe::Normalize;
use crate::console::output::{print, print_json, say};
use crate::dataset;
use crate::error::{EXIT_DONE, bad_input};
use crate::logs::collection::Collection;
use crate::logs::summary::RunSummary;
use crate::network::weights::{WeightFile, tensor_bytes};
use crate::records::directory::RunDirectory;
use crate::records::pth::{StateTensor, state_dict};
use crate::records::run_toml::{RunConfig, RunRecord};
use crate::report::card::{Definition, RESNET_PY, Subject, card};
use crate::system::atomic_file::{check_writable, write_atomically};
use crate::system::hash::sha256;
use crate::system::parallel::available_threads;
use crate::system::regular_file;

/// Write a run's weights for torchvision, PyTorch or a model hub
///
/// torchvision: safetensors and .pth that load_state_dict of torchvision's model takes. pth: a .pth
/// with the names of public CIFAR nets (the last layer is called linear); for images, with
/// torchvision's. hub: safetensors, a configuration, PyTorch code where torchvision has none, and a
/// model card with recipe, results, data and hashes. Where pixels were normalised by the mean image,
/// it is written too, computed from the training images.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  resnet-repro export runs/quick/plain-20/seed-0 --to pth exported
  resnet-repro export runs/quick/resnet-20/seed-0 --to hub exported/resnet-20
  resnet-repro export runs/imagenet/resnet-50-v1.5/seed-0 --to torchvision exported --data /data/imagenet")]
pub struct Arguments {
    /// Folder of a finished run
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// For whom
    #[arg(long, value_enum, value_name = "FORMAT")]
    to: Target,
    /// Folder for the files
    #[arg(value_name = "DIR")]
    out: PathBuf,
    /// Folder with the data that the run was trained on, for the mean image [default:
    /// data/<dataset>]
    #[arg(long, value_name = "[NAME=]DIR", value_parser = DataArgument::parser())]
    data: Vec<DataArgument>,
    /// Leave the mean image out
    #[arg(long, conflicts_with = "data")]
    without_mean: bool,
    /// Print the files and their hashes as JSON
    #[arg(long)]
    json: bool,
}

/// For whom weights are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Target {
    /// torchvision's models.
    Torchvision,
    /// PyTorch's own file format.
    Pth,
    /// Model hubs.
    Hub,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Output<'a> {
    network: String,
    folder: &'a Path,
    files: BTreeMap<&'a str, &'a str>,
}

/// Files to be written, by name.
type Files = Vec<(String, Vec<u8>)>;

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<u8> {
    let directory = RunDirectory::at(&arguments.run);
    let record = directory.finished_as("")?;
    let RunConfig { network, ref dataset, .. } = record.run;
    let definition = Definition::of(network, dataset.name);
    if arguments.to == Target::Torchvision && !matches!(definition, Definition::Torchvision(_)) {
        return Err(bad_input(format!(
            "--to torchvision: torchvision has no {network} for {dataset}: it has resnet-18b, resnet-34b, resnet-50-v1.5, resnet-101-v1.5, resnet-152-v1.5, vgg-16 and vgg-19; --to pth and --to hub take every network",
            dataset = dataset.name
        ))
        .into());
    }
    let mean = mean_image(arguments, &record)?;
    check_writable("DIR", &arguments.out)?;
    let mut files = Files::new();
    let tensors = tensors(&directory.weights())?;
    let own = regular_file::read(&directory.weights())?;
    match arguments.to {
        Target::Torchvision => {
            files.push((format!("{network}.safetensors"), own));
            files.push((format!("{network}.pth"), state_dict(tensors)?));
        }
        Target::Pth => {
            let linear = dataset.name.family() == Family::Cifar;
            files.push((format!("{network}.pth"), state_dict(renamed(tensors, linear))?));
        }
        Target::Hub => {
            files.push(("model.safetensors".to_string(), own));
            if matches!(definition, Definition::Card(..)) {
                files.push(("resnet.py".to_string(), RESNET_PY.as_bytes().to_vec()));
            }
        }
    }
    if let Some(mean) = &mean {
        files.push(mean_file(mean, arguments.to)?);
    }
    if arguments.to == Target::Hub {
        files.push(("config.json".to_string(), config(&record)?));
        files.push(("README.md".to_string(), readme(arguments, &record, &files)?));
    }
    write(arguments, &network.to_string(), &files)?;
    Ok(EXIT_DONE)
}

/// The mean image of the training images, [3, side, side] in [0, 1], where pixels were normalised
/// by it.
fn mean_image(arguments: &Arguments, record: &RunRecord) -> Result<Option<Tensor>> {
    let RunConfig { dataset, recipe, .. } = &record.run;
    if recipe.normalize != Normalize::PixelMean || arguments.without_mean {
        return Ok(None);
    }
    let folder = data_folder(&arguments.data, dataset.name)?;
    let data = dataset::load(dataset.name, folder.as_deref()).map_err(|error| {
        error.context(
            "--without-mean exports without the mean image, which pixels were normalised by",
        )
    })?;
    if data.fingerprint != dataset.fingerprint {
        return Err(bad_input(
            "--data: not the data that the run was trained on: its fingerprint differs",
        )
        .into());
    }
    let never = AtomicBool::new(false);
    let mean = data.train.mean_image(recipe, available_threads(), &never, |reason| {
        say(&format!("{reason}; the mean image is computed without it"))
    })?;
    let side = recipe.image_side();
    let mean = Tensor::from_slice(&mean).view([side, side, 3]).permute([2, 0, 1]).contiguous();
    Ok(Some(mean))
}

fn mean_file(mean: &Tensor, target: Target) -> Result<(String, Vec<u8>)> {
    let tensors = [("mean_image".to_string(), mean.shallow_clone())];
    if target == Target::Hub {
        let note = ("pixels", "in [0, 1]".to_string());
        return Ok(("mean_image.safetensors".to_string(), tensor_bytes(&tensors, note)?));
    }
    let mut bytes = vec![0; mean.numel() * 4];
    mean.copy_data_u8(&mut bytes, mean.numel());
    let shape = mean.size().iter().map(|&side| side as usize).collect();
    let tensor = StateTensor { name: "mean_image".to_string(), shape, bytes };
    Ok(("mean_image.pth".to_string(), state_dict(vec![tensor])?))
}

fn tensors(weights: &Path) -> Result<Vec<StateTensor>> {
    let file = WeightFile::read(weights)?;
    let tensors = file.tensors()?;
    let tensor = |(name, view): (&String, &safetensors::tensor::TensorView)| StateTensor {
        name: name.clone(),
        shape: view.shape().to_vec(),
        bytes: view.data().to_vec(),
    };
    Ok(tensors.iter().map(tensor).collect())
}

/// With the name that public CIFAR nets have for the last layer.
fn renamed(mut tensors: Vec<StateTensor>, linear: bool) -> Vec<StateTensor> {
    for tensor in tensors.iter_mut().filter(|_| linear) {
        if let Some(kind) = tensor.name.strip_prefix("fc.") {
            tensor.name = format!("linear.{kind}");
        }
    }
    tensors
}

/// `config.json`: what the network is and how its pixels are normalised.
fn config(record: &RunRecord) -> Result<Vec<u8>> {
    let run = &record.run;
    let mut config = serde_json::json!({
        "network": run.network,
        "depth": run.network.depth(),
        "dataset": run.dataset.name,
        "dataset_status": run.dataset.status,
        "dataset_fingerprint": run.dataset.fingerprint,
        "num_classes": run.dataset.classes,
        "image_side": run.recipe.image_side(),
        "normalize": run.recipe.normalize,
        "seed": run.seed,
        "parameters": record.parameters,
        "weights_sha256": record.weights_sha256,
        "recipe": run.recipe,
        "differences_from_paper": record.differences_from_paper,
        "program": { "version": record.provenance.version, "revision": record.provenance.git_revision },
    });
    if let Some(title) = &run.dataset.title {
        config["dataset_title"] = serde_json::json!(title);
        config["class_names"] = serde_json::json!(run.dataset.class_names);
    }
    Ok(format!("{}\n", serde_json::to_string_pretty(&config)?).into_bytes())
}

fn readme(arguments: &Arguments, record: &RunRecord, files: &Files) -> Result<Vec<u8>> {
    let hashes: Vec<(String, String)> =
        files.iter().map(|(name, bytes)| (name.clone(), sha256(bytes))).collect();
    let has_mean = files.iter().any(|(name, _)| name.starts_with("mean_image"));
    let seeds = seeds(&arguments.run, record)?;
    let subject = Subject { record, seeds: &seeds, files: &hashes, has_mean };
    Ok(card(&subject).into_bytes())
}

/// The run and, from the folders beside it, finished ones of the same config with other seeds.
fn seeds(run: &Path, record: &RunRecord) -> Result<Vec<RunSummary>> {
    let run = run.canonicalize()?;
    let mut folders = vec![run.clone()];
    let is_seed = |path: &Path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("seed-"))
    };
    if is_seed(&run)
        && let Some(parent) = run.parent()
    {
        let beside = std::fs::read_dir(parent)?.flatten().map(|entry| entry.path());
        folders.extend(beside.filter(|path| is_seed(path) && path.is_dir() && *path != run));
    }
    let mut found: Vec<RunSummary> = Vec::new();
    for folder in folders {
        let alike = Collection::read(&folder)?.runs.into_iter().filter(|other| {
            let config = other.record.as_ref().map(|other| &other.run);
            let same = |config: &RunConfig| {
                RunConfig { seed: config.seed, ..record.run.clone() } == *config
            };
            other.drawn.is_complete() && config.is_some_and(same)
        });
        for other in alike {
            if found.iter().all(|run| run.seed != other.seed) {
                found.push(other.summary);
            }
        }
    }
    found.sort_by_key(|run| run.seed);
    Ok(found)
}

fn write(arguments: &Arguments, network: &str, files: &Files) -> Result<()> {
    let hashes: Vec<(&str, String)> =
        files.iter().map(|(name, bytes)| (name.as_str(), sha256(bytes))).collect();
    for (name, bytes) in files {
        write_atomically(&arguments.out.join(name), bytes)?;
    }
    if arguments.json {
        let files = hashes.iter().map(|(name, hash)| (*name, hash.as_str())).collect();
        return print_json(&Output { network: network.to_string(), folder: &arguments.out, files });
    }
    for (name, hash) in &hashes {
        print(&format!("{}  {hash}", arguments.out.join(name).display()))?;
    }
    Ok(())
}
