//! `analyze`: what happens inside a trained net.

mod arguments;
mod curvature;
mod kinds;
mod landscape;
mod one_kind;
mod origin;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use tch::Device;

use crate::analysis::subject::Subject;
pub use crate::commands::analyze::arguments::Arguments;
use crate::commands::analyze::one_kind::Context;
use crate::commands::analyze::origin::Origin;
use crate::console::output::{print_json, say};
use crate::dataset;
use crate::dataset::data::Dataset;
use crate::error::{BadInput, EXIT_DONE, EXIT_INTERRUPTED, Stopped, bad_input};
use crate::network::architecture;
use crate::network::parameters::Network;
use crate::records::directory::RunDirectory;
use crate::system::atomic_file::check_writable;
use crate::system::hash::hash_file;
use crate::system::parallel::available_threads;
use crate::system::{device, signals};
use crate::training::batches::Normalization;

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<u8> {
    let origin = match &arguments.run {
        Some(path) => Origin::of_run(path)?,
        None => Origin::of_arguments(arguments)?,
    };
    let out = arguments.out.clone().or_else(|| {
        arguments.run.as_ref().map(|run| run.join(crate::records::verify::ANALYSIS_FOLDER))
    });
    // Names of its files could be those of a run's.
    if let Some(out) = out.as_ref().filter(|out| RunDirectory::at(out).record().exists()) {
        return Err(bad_input(format!(
            "--out {}: the folder of a run: without --out files go to the analysis/ folder of --run",
            out.display()
        ))
        .into());
    }
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
    let subject = match subject(arguments, &origin, &data, device, &stop) {
        Err(error) if error.is::<Stopped>() => return Ok(EXIT_INTERRUPTED),
        subject => subject?,
    };
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
        data.train.mean_image(&recipe, loaders, stop, |reason| {
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
        run_seed: origin.seed,
        split: arguments.split,
        images: arguments.images,
        loaders,
        stop: Arc::clone(stop),
    })
}
