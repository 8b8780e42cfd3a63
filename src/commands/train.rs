//! `train`: one network, one seed.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;

use crate::commands::options::{DataOptions, MOST_SEED, RecipeOptions, RunFlags, announce};
use crate::config::network_name::NetworkName;
use crate::console::bars::Display;
use crate::console::output::{print, print_json, say};
use crate::error::{EXIT_DONE, EXIT_INTERRUPTED, EXIT_RUN_FAILED};
use crate::logs::summary::{RunCurves, RunSummary};
use crate::logs::windows::final_window;
use crate::network::architecture;
use crate::records::directory::RunDirectory;
use crate::run::initial_weights::WeightSource;
use crate::run::spec::Run;
use crate::system::atomic_file::check_writable;
use crate::system::{device, signals};
use crate::training::trainer::Outcome;

/// Train one network from one seed
///
/// Writes run.toml, train.csv (every iteration), eval.csv and weights.safetensors to --out. After
/// Ctrl-C the same command resumes bit-for-bit.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  resnet-repro train --network resnet-20
  resnet-repro train --network resnet-20 --dataset cifar10 --data data/cifar10 --seed 3 --out runs/mine
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
    /// Start from this weight file (safetensors) instead of the paper's initialisation; its hash is
    /// recorded
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Initialise the last layer as usual, for classes other than the file's
    #[arg(long, requires = "weights")]
    reset_classifier: bool,
    /// Folder of this run [default: runs/train-<dataset>-<iterations>/<network>/seed-<k>]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<u8> {
    let recipe = arguments.recipe.resolve(arguments.data.name()?, arguments.network.depth())?;
    let device = device::select(arguments.recipe.device)?;
    let data = arguments.data.load()?;
    let directory = match &arguments.out {
        Some(out) => RunDirectory::at(out),
        None => {
            let folder = format!("runs/train-{}-{}", data.name, recipe.iterations);
            RunDirectory::of(Path::new(&folder), arguments.network, arguments.seed)
        }
    };
    let out = directory.path().to_path_buf();
    let weights = arguments
        .weights
        .clone()
        .map(|file| WeightSource { file, reset_classifier: arguments.reset_classifier });
    let run = Run::new(directory, arguments.network, arguments.seed, recipe, &data, device)?
        .starting_from(weights)?;
    run.check()?;
    check_writable("--out", &out)?;
    announce(device, data.name.family(), &[(arguments.network.depth(), &run.config.recipe)]);
    if let Some(note) = architecture::taken_for_cifar(&run.architecture) {
        say(&format!("note: {note}"));
    }
    let stop = signals::stop_flag()?;
    let name = arguments.network.to_string();
    let display =
        Display::new(name.len()).run(&name, run.config.recipe.iterations).stopped_by(&stop);
    let outcome = run.train(&arguments.options.options(), &|event| display.show(event), &stop)?;
    if let Outcome::Interrupted(iteration) = outcome {
        say(&format!("stopped after iteration {iteration}; the same command resumes"));
        return Ok(EXIT_INTERRUPTED);
    }
    let planned = Some(run.config.recipe.iterations);
    let (network, seed) = (arguments.network, arguments.seed);
    let summary = RunSummary::of(&RunCurves::read(&run.directory, network, seed, planned)?);
    if arguments.json {
        print_json(&summary)?;
    } else {
        let percent =
            |error: Option<f64>| error.map_or("–".to_string(), |error| format!("{error:.2} %"));
        print(&format!(
            "{name}: training error {} (last {}), test error {} (best {}); {}",
            percent(summary.training_error),
            final_window(summary.iterations),
            percent(summary.final_test_error),
            percent(summary.best_test_error),
            out.display()
        ))?;
    }
    Ok(if matches!(outcome, Outcome::Diverged(_)) { EXIT_RUN_FAILED } else { EXIT_DONE })
}
