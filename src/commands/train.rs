//! `train`: one network, one seed or several.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::commands::extension;
use crate::commands::extension::ExtensionFlag;
use crate::commands::options::{DataOptions, RecipeOptions, RunFlags, announce, parse_seeds};
use crate::config::dataset_name::DatasetName;
use crate::config::network_name::NetworkName;
use crate::config::recipe::Recipe;
use crate::config::seeds::MOST_SEED;
use crate::console::bars::Display;
use crate::console::output::{print, print_json, say};
use crate::distributed::connect::Transport;
use crate::distributed::group::Group;
use crate::distributed::launch::{die_with_launcher, launch};
use crate::distributed::place::Place;
use crate::error::{EXIT_DONE, EXIT_INTERRUPTED, EXIT_RUN_FAILED};
use crate::logs::statistics::MeanStd;
use crate::logs::summary::{RunCurves, RunSummary};
use crate::logs::windows::final_window;
use crate::network::architecture;
use crate::network::weights::normalization_of;
use crate::records::directory::RunDirectory;
use crate::records::extend_to::ExtendTo;
use crate::records::run_toml::{InitialWeights, RunConfig};
use crate::report::format::{counted, percent};
use crate::run::initial_weights::WeightSource;
use crate::run::ranks::check_world;
use crate::run::spec::{Run, RunOptions};
use crate::system::atomic_file::check_writable;
use crate::system::{device, signals};
use crate::training::trainer::Outcome;

/// Train one network from one seed, or from several
///
/// Writes run.toml, train.csv (every iteration), eval.csv and weights.safetensors to --out; with
/// several seeds a folder each, one after the other, and their mean at the end. Stopped by Ctrl-C,
/// the same command resumes bit-for-bit. A run that was trained with --keep-state is trained on by
/// the same command with --extend-to; its recipe need not be said again.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  resnet-repro train --network resnet-20
  resnet-repro train --network resnet-20 --seeds 0-4
  resnet-repro train --network resnet-20 --iterations 200 --keep-state
  resnet-repro train --network resnet-20 --iterations 200 --extend-to 300
  resnet-repro train --network resnet-20 --dataset cifar10 --data data/cifar10 --seed 3 --out runs/third-seed
  resnet-repro train --network resnet-20 --dataset cifar10 --weights results/2026-11-24-reference-bands/11-reference-bands/resnet-20/seed-0/weights.safetensors --iterations 400 --set lr=0.01")]
pub struct Arguments {
    /// plain-N, resnet-N, resnet-Nb, resnet-Nc (N = 6n+2; on ImageNet 18, 34, 50, 101, 152),
    /// resnet-N-v1.5, preact-resnet-N (6n+2 or 9n+2), highway-19, highway-32, vgg-16, vgg-19,
    /// googlenet, googlenet-aux
    #[arg(long, value_name = "NAME")]
    network: NetworkName,
    #[command(flatten)]
    data: DataOptions,
    #[command(flatten)]
    recipe: RecipeOptions,
    #[command(flatten)]
    options: RunFlags,
    /// Seed of the initial weights, the order of the images and their augmentation
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=MOST_SEED))]
    seed: u64,
    /// Several seeds, as 0,1,2 or 0-4, one after the other
    #[arg(long, value_name = "LIST", conflicts_with = "seed")]
    seeds: Option<String>,
    /// Start from this weight file (safetensors) instead of the paper's initialisation; its hash is
    /// recorded. Pixels must be normalised as for these weights (--set normalize=…)
    #[arg(long, value_name = "FILE", conflicts_with = "extend_to")]
    weights: Option<PathBuf>,
    /// Initialise the last layer as usual, for classes other than the file's
    #[arg(long, requires = "weights")]
    reset_classifier: bool,
    #[command(flatten)]
    extension: ExtensionFlag,
    /// Folder of this run; with --seeds, of its folders seed-<k> [default:
    /// runs/train-<dataset>-<iterations>/<network>/seed-<k>]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// With several GPUs or ranks: how long a rank may take to come, and later to show a sign of
    /// life, before the others end
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    rank_timeout: u64,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// What `--json` prints of several seeds.
#[derive(Serialize)]
struct Output {
    runs: Vec<RunSummary>,
    training_error: Option<MeanStd>,
    final_test_error: Option<MeanStd>,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<u8> {
    let seeds = match &arguments.seeds {
        Some(seeds) => parse_seeds(seeds)?,
        None => vec![arguments.seed],
    };
    let (extend_to, planned) = plan(arguments, &seeds)?;
    let limit = Duration::from_secs(arguments.rank_timeout);
    let devices = arguments.recipe.device.all();
    let place = Place::here()?;
    for Planned { recipe, .. } in &planned {
        check_world(recipe, place.as_ref().map_or(devices.len(), |place| place.world))?;
    }
    if place.is_none() && devices.len() > 1 {
        for &device in devices {
            device::select(device)?;
        }
        return launch(devices.len(), limit);
    }
    let stop = match place {
        None => signals::stop_flag()?,
        // A launcher passes on what the terminal has sent already.
        Some(_) => signals::quiet_stop_flag()?,
    };
    let device = match &place {
        None => arguments.recipe.device.only("train")?,
        Some(place) => arguments.recipe.device.of_rank(place.local_rank)?,
    };
    let device = device::select(device)?;
    let data = arguments.data.load()?;
    let weights = arguments
        .weights
        .clone()
        .map(|file| WeightSource { file, reset_classifier: arguments.reset_classifier });
    let mut runs = Vec::new();
    for Planned { directory, seed, recipe, initial_weights } in planned {
        let mut run = Run::new(directory, arguments.network, seed, recipe, &data, device)?
            .starting_from(weights.clone(), extend_to.as_ref())?;
        run.config.initial_weights = run.config.initial_weights.or(initial_weights);
        runs.push(run.extended(extend_to.clone())?);
    }
    let Some(place) = place else { return train(arguments, &runs, &stop) };
    die_with_launcher();
    let mut facts = runs[0].facts()?;
    facts.push(("seeds".to_string(), format!("{seeds:?}")));
    let group = Group::join(place, facts, device, limit)?;
    let runs: Vec<Run> = runs.into_iter().map(|run| run.among(Some(&group))).collect();
    let trained = train(arguments, &runs, &stop);
    drop(runs);
    match trained {
        Ok(code) => group.end().map(|()| code),
        Err(error) => {
            group.control().fail(&format!("{error:#}"));
            // Leaving the others in good order would wait for those that have gone.
            std::mem::forget(group);
            Err(error)
        }
    }
}

/// A run as the command names it.
struct Planned {
    directory: RunDirectory,
    seed: u64,
    recipe: Recipe,
    /// Those on record, of a run that is to be extended.
    initial_weights: Option<InitialWeights>,
}

/// The runs that the command names. Of one that is to be extended, what the command does not say is
/// as its record has it.
fn plan(arguments: &Arguments, seeds: &[u64]) -> Result<(Option<ExtendTo>, Vec<Planned>)> {
    let dataset = arguments.data.name()?;
    let folder = |iterations, seed| directory(arguments, dataset, iterations, seed);
    if arguments.extension.extend_to.is_none() {
        let recipe = arguments.recipe.resolve(dataset, arguments.network.depth())?;
        let planned = |&seed: &u64| Planned {
            directory: folder(recipe.iterations, seed),
            seed,
            recipe: recipe.clone(),
            initial_weights: None,
        };
        return Ok((None, seeds.iter().map(planned).collect()));
    }
    let mut given = extension::given(&arguments.recipe.values)?;
    let extend_to = arguments.extension.take(&mut given)?;
    let iterations = extension::named_iterations(&given, dataset);
    let planned = |&seed: &u64| {
        let directory = folder(iterations, seed);
        let (record, recipe) = extension::as_recorded(&directory, &given)?;
        Ok(Planned { directory, seed, recipe, initial_weights: record.run.initial_weights })
    };
    Ok((extend_to, seeds.iter().map(planned).collect::<Result<_>>()?))
}

/// Trains one run after the other, and prints what came of them, where this process is the one that
/// writes.
fn train(arguments: &Arguments, runs: &[Run], stop: &Arc<AtomicBool>) -> Result<u8> {
    let speaks = runs[0].is_first();
    if speaks {
        prepare(arguments, runs)?;
    }
    let options = RunOptions {
        // What was extended once can be extended again.
        keep_state: arguments.options.keep_state || arguments.extension.extend_to.is_some(),
        ..arguments.options.options(runs[0].group)
    };
    let (mut summaries, mut diverged) = (Vec::new(), false);
    for run in runs {
        let options = options.of_run(&run.config);
        let name = match runs.len() {
            1 => run.config.network.to_string(),
            _ => format!("{} seed {}", run.config.network, run.config.seed),
        };
        let outcome = if speaks {
            let display =
                Display::new(name.len()).run(&name, run.config.recipe.iterations).stopped_by(stop);
            run.train(&options, &|event| display.show(event), stop)?
        } else {
            run.train(&options, &|_| {}, stop)?
        };
        if let Outcome::Interrupted(iteration) = outcome {
            if speaks {
                say(&format!(
                    "stopped after iteration {iteration}; the same command resumes from there"
                ));
            }
            return Ok(EXIT_INTERRUPTED);
        }
        diverged |= matches!(outcome, Outcome::Diverged(_));
        if !speaks {
            continue;
        }
        let planned = Some(run.config.recipe.iterations);
        let (network, seed) = (run.config.network, run.config.seed);
        let summary = RunSummary::of(&RunCurves::read(&run.directory, network, seed, planned)?);
        if !arguments.json {
            print(&told(&name, &summary, run.directory.path()))?;
        }
        summaries.push(summary);
    }
    if speaks {
        let folder = runs[0].directory.path().parent().unwrap_or(Path::new("."));
        finish(arguments, summaries, folder)?;
    }
    Ok(if diverged { EXIT_RUN_FAILED } else { EXIT_DONE })
}

/// Checks everything before anything starts, and says where and how it is trained.
fn prepare(arguments: &Arguments, runs: &[Run]) -> Result<()> {
    arguments.options.check()?;
    for run in runs {
        run.check()?;
        check_writable("--out", run.directory.path())?;
    }
    let RunConfig { network, recipe, dataset, .. } = &runs[0].config;
    announce(runs[0].device, dataset.name.family(), &[(network.depth(), recipe)]);
    if let Some(group) = runs[0].group {
        let levels = match group.levels(recipe.groups()) {
            2 => "; sums are added within each machine, then between machines",
            _ => "",
        };
        say(&format!(
            "ranks: {} on {}; each has {} of {} images a batch{levels}",
            group.place().world,
            group.hosts().join(", "),
            counted(runs[0].share().len() / recipe.micro_batch_size() as usize, "group"),
            recipe.micro_batch_size()
        ));
        if let Transport::Gloo(Some(reason)) = group.transport() {
            say(&format!(
                "note: ranks exchange tensors through main memory, which is slower: {reason}"
            ));
        }
    }
    if let Some(note) = architecture::taken_for_cifar(&runs[0].architecture) {
        say(&format!("note: {note}"));
    }
    if let Some(file) = &arguments.weights
        && matches!(normalization_of(file), Ok(None))
    {
        say(&format!(
            "note: {} does not say how pixels are normalised for its weights; taken as {} (--set normalize=…)",
            file.display(),
            recipe.normalize
        ));
    }
    Ok(())
}

/// Where the run of a seed goes.
fn directory(
    arguments: &Arguments,
    dataset: DatasetName,
    iterations: u64,
    seed: u64,
) -> RunDirectory {
    match (&arguments.out, &arguments.seeds) {
        (Some(out), None) => RunDirectory::at(out),
        (Some(out), Some(_)) => RunDirectory::at(&out.join(format!("seed-{seed}"))),
        (None, _) => {
            let folder = format!("runs/train-{dataset}-{iterations}");
            RunDirectory::of(Path::new(&folder), arguments.network, seed)
        }
    }
}

/// A run's result in a line.
fn told(name: &str, summary: &RunSummary, folder: &Path) -> String {
    let percent =
        |error: Option<f64>| error.map_or("–".to_string(), |error| format!("{error:.2} %"));
    format!(
        "{name}: training error {} (last {}), test error {} (best {}); {}",
        percent(summary.training_error),
        final_window(summary.iterations),
        percent(summary.final_test_error),
        percent(summary.best_test_error),
        folder.display()
    )
}

/// Prints the mean over several seeds, whose folders are in `folder`, or everything as JSON.
fn finish(arguments: &Arguments, mut summaries: Vec<RunSummary>, folder: &Path) -> Result<()> {
    if arguments.seeds.is_none() {
        return match summaries.pop().filter(|_| arguments.json) {
            Some(summary) => print_json(&summary),
            None => Ok(()),
        };
    }
    let spread = |of: fn(&RunSummary) -> Option<f64>| MeanStd::of(summaries.iter().map(of));
    let training_error = spread(|run| run.training_error);
    let final_test_error = spread(|run| run.final_test_error);
    if arguments.json {
        return print_json(&Output { runs: summaries, training_error, final_test_error });
    }
    print(&format!(
        "{} over {} seeds: training error {}, test error {}",
        arguments.network,
        summaries.len(),
        percent(training_error),
        percent(final_test_error)
    ))?;
    let shown = folder.display();
    say(&format!(
        "means and their curves as files: resnet-repro figures {shown} --out {shown}/report"
    ));
    Ok(())
}
