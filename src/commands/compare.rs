//! `compare`: plain against residual at one depth, or at two.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;

use crate::commands::options::{DataOptions, RecipeOptions, RunFlags, announce, parse_seeds};
use crate::config::network_name::NetworkName;
use crate::console::bars::Display;
use crate::console::output::{print, print_json, say};
use crate::error::{EXIT_DONE, EXIT_INTERRUPTED, EXIT_RUN_FAILED, bad_input};
use crate::logs::collection::{Collection, LoggedRun};
use crate::network::architecture;
use crate::records::directory::RunDirectory;
use crate::report::comparison::Comparison;
use crate::report::figures;
use crate::report::notes::notes;
use crate::report::protocol::Protocol;
use crate::report::tables::comparison;
use crate::report::tables::table::Style;
use crate::run::spec::{Run, RunOptions};
use crate::system::atomic_file::check_writable;
use crate::system::{atomic_file, device, signals};
use crate::training::trainer::Outcome;

/// Train a plain net and its residual twin and show the difference
///
/// Trains plain-DEPTH and resnet-DEPTH (and the same at --shallow) under one protocol, with the
/// same initial weights and the same batches, and prints training and test errors beside the paper's,
/// and the findings. Each run is logged under --out; after Ctrl-C the same command resumes
/// bit-for-bit.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  resnet-repro compare 44 --shallow 20                                    synthetic shapes dataset, minutes
  resnet-repro compare 56 --shallow 20 --dataset cifar10 --iterations 300
  resnet-repro compare 56 --shallow 20 --dataset cifar10 --seeds 0-2
  resnet-repro compare 56 --only residual --seeds 0-4
  resnet-repro compare 56 --set learning_rate=0.05 --set validation=1000 --json
The third is the paper's recipe, 64,000 iterations: hours on a GPU, days on a CPU.")]
pub struct Arguments {
    /// Weighted layers, 6n+2 (the paper's: 20, 32, 44, 56, 110, 1202)
    depth: u64,
    /// Depth of a shallower pair to compare with: shows whether depth helps
    #[arg(long, value_name = "DEPTH")]
    shallow: Option<u64>,
    #[command(flatten)]
    data: DataOptions,
    #[command(flatten)]
    recipe: RecipeOptions,
    #[command(flatten)]
    options: RunFlags,
    /// Seeds, as 0,1,2 or 0-4; several give mean, standard deviation and bands
    #[arg(long, value_name = "LIST", default_value = "0")]
    seeds: String,
    /// Train one of the two kinds of nets only
    #[arg(long, value_enum, value_name = "KIND")]
    only: Option<Kind>,
    /// Folder for logs, weights and figure [default:
    /// runs/compare-<dataset>-<depths>-<iterations>]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// A kind of nets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// Without shortcuts.
    Plain,
    /// With shortcuts.
    Residual,
}

impl Kind {
    fn network(self, depth: u64) -> NetworkName {
        match self {
            Kind::Plain => NetworkName::plain(depth),
            Kind::Residual => NetworkName::residual(depth),
        }
    }
}

/// What `--json` prints.
#[derive(Serialize)]
struct Output {
    #[serde(flatten)]
    comparison: Comparison,
    figure: [PathBuf; 2],
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<u8> {
    let depths = depths(arguments.depth, arguments.shallow)?;
    let seeds = parse_seeds(&arguments.seeds)?;
    let dataset = arguments.data.name()?;
    let recipes = depths
        .iter()
        .map(|&depth| arguments.recipe.resolve(dataset, depth))
        .collect::<Result<Vec<_>, _>>()?;
    let device = device::select(arguments.recipe.device.only("compare")?)?;
    let data = arguments.data.load()?;
    let iterations = recipes[0].iterations;
    let out = arguments.out.clone().unwrap_or_else(|| {
        let depths: Vec<String> = depths.iter().map(u64::to_string).collect();
        PathBuf::from(format!("runs/compare-{dataset}-{}-{iterations}", depths.join("-")))
    });

    let mut runs = Vec::new();
    for &seed in &seeds {
        for (&depth, recipe) in depths.iter().zip(&recipes) {
            let kinds = arguments.only.map_or(vec![Kind::Plain, Kind::Residual], |kind| vec![kind]);
            for network in kinds.into_iter().map(|kind| kind.network(depth)) {
                runs.push(Run::new(
                    RunDirectory::of(&out, network, seed),
                    network,
                    seed,
                    recipe.clone(),
                    &data,
                    device,
                )?);
            }
        }
    }
    // Everything is checked before anything starts.
    for run in &runs {
        run.check()?;
    }
    check_writable("--out", &out)?;
    arguments.options.check()?;
    announce(device, dataset.family(), &depths.iter().copied().zip(&recipes).collect::<Vec<_>>());
    if let Some(note) = runs.iter().find_map(|run| architecture::taken_for_cifar(&run.architecture))
    {
        say(&format!("note: {note}"));
    }
    let Some(diverged) = train_all(&runs, &arguments.options.options(None))? else {
        say(&format!("stopped; the logs are in {}; the same command resumes", out.display()));
        return Ok(EXIT_INTERRUPTED);
    };
    show(arguments.json, &runs, &out)?;
    Ok(if diverged { EXIT_RUN_FAILED } else { EXIT_DONE })
}

/// Writes the figure and the table of the runs, and prints what was seen.
fn show(json: bool, runs: &[Run], out: &Path) -> Result<()> {
    let collection = Collection::read(out)?;
    let protocol = Protocol::together(own(&collection, runs, out)?);
    let (comparison, sentences) = (Comparison::of(&protocol), notes(&protocol));
    let table = comparison::comparison(&comparison);
    let figure = out.join("comparison");
    figures::comparison(&protocol).write(out)?;
    table.write_data(out, &protocol.title())?;
    let markdown = format!("{}\n\n{}\n", table.render(Style::Markdown), sentences.join("\n\n"));
    atomic_file::write_atomically(&out.join("comparison.md"), markdown.as_bytes())?;
    let output =
        Output { comparison, figure: [figure.with_extension("svg"), figure.with_extension("png")] };
    if json {
        return print_json(&output);
    }
    let mut lines = vec![table.render(Style::Terminal)];
    lines.extend(sentences);
    lines.push(format!(
        "figure: {} (and .png)   logs: {}",
        output.figure[0].display(),
        out.display()
    ));
    print(&lines.join("\n"))
}

/// The depths to train, the shallow one first.
fn depths(depth: u64, shallow: Option<u64>) -> Result<Vec<u64>> {
    let check = |depth: u64| format!("plain-{depth}").parse::<NetworkName>().map(|_| ());
    check(depth)?;
    match shallow {
        None => Ok(vec![depth]),
        Some(shallow) if shallow < depth => {
            check(shallow)?;
            Ok(vec![shallow, depth])
        }
        Some(shallow) => {
            Err(bad_input(format!("--shallow {shallow} is not less than {depth}")).into())
        }
    }
}

/// Trains one run after the other. Returns whether one diverged, or nothing if a signal stopped
/// them.
fn train_all(runs: &[Run], options: &RunOptions) -> Result<Option<bool>> {
    let stop = signals::stop_flag()?;
    let names: Vec<String> =
        runs.iter().map(|run| format!("{} seed {}", run.config.network, run.config.seed)).collect();
    let display = Display::new(names.iter().map(String::len).max().unwrap_or(0));
    let displays: Vec<_> = names
        .iter()
        .zip(runs)
        .map(|(name, run)| display.run(name, run.config.recipe.iterations).stopped_by(&stop))
        .collect();
    let mut diverged = false;
    for (run, display) in runs.iter().zip(&displays) {
        match run.train(&options.of_run(&run.config), &|event| display.show(event), &stop)? {
            Outcome::Finished => {}
            Outcome::Diverged(_) => diverged = true,
            Outcome::Interrupted(_) => return Ok(None),
        }
    }
    Ok(Some(diverged))
}

/// What was logged of `runs`, among all that there is in their folder.
fn own<'a>(collection: &'a Collection, runs: &[Run], out: &Path) -> Result<Vec<&'a LoggedRun>> {
    runs.iter()
        .map(|run| {
            let path = run.directory.path();
            let relative = path.strip_prefix(out).unwrap_or(path);
            let found = collection.runs.iter().find(|logged| logged.path == relative);
            found.with_context(|| {
                let name = path.display().to_string();
                let problem = collection.problems.iter().find(|problem| problem.contains(&name));
                problem.cloned().unwrap_or(format!("{name}: its logs are not there"))
            })
        })
        .collect()
}
