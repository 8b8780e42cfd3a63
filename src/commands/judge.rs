//! `judge`: whether a training log of anyone lies inside of the band of a reference's seeds.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;

use crate::config::network_name::NetworkName;
use crate::console::output::{print, print_json, say};
use crate::error::{BadInput, EXIT_DONE, EXIT_FAILED, bad_input};
use crate::logs::collection::{Collection, LoggedRun};
use crate::logs::error_log::ErrorLog;
use crate::logs::external::names::Values;
use crate::logs::external::values::Unit;
use crate::logs::external::{self, Mapping, Rows};
use crate::records::directory::RunDirectory;
use crate::report::band::reference::{PUBLISHED, Reference};
use crate::report::band::{Judged, judge, table};
use crate::report::tables::table::Style;

/// Tell whether a training log lies inside the band of reference seeds
///
/// The log may come from any program: a CSV file with a header, TensorBoard event files, or the
/// folder of a run of this program. Its training errors at a quarter, half, three quarters and the
/// end, its test error at the end, and the difference of the two there are held against those of
/// finished runs of several seeds of the same network and recipe. Each has a band in which one new
/// run lies by chance (prediction interval by Student's t), corrected for the number of
/// comparisons: of right logs at most 5 % are outside. Better than the band is outside too.
/// docs/verification.md states the rule, and how small an error it sees: bands of few seeds are
/// wide, and to be inside of one says little.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  resnet-repro judge log.csv --network resnet-20
  resnet-repro judge log.csv --network resnet-20 --iteration-column step --test-column top1 --values accuracy
  resnet-repro judge events.out.tfevents.1 --network plain-20 --training-column loss/err --unit fraction
  resnet-repro judge runs/mine/resnet-20/seed-7 --network resnet-20 --partial
Exit codes: 0 inside, 1 outside, 2 not judged: something is wrong with the log or the reference.")]
pub struct Arguments {
    /// A CSV file, a TensorBoard event file or a folder of them, or the folder of a run
    #[arg(value_name = "LOG")]
    log: PathBuf,
    /// The network that it is a log of
    #[arg(long, value_name = "NAME")]
    network: NetworkName,
    /// Folder with finished runs of this network, of one recipe: three seeds or more beside the one
    /// that is judged
    #[arg(long, value_name = "DIR", default_value = PUBLISHED)]
    reference: PathBuf,
    /// Another CSV or event file with the test errors
    #[arg(long, value_name = "FILE")]
    test_log: Option<PathBuf>,
    /// Compare as far as it goes a log that ends before the reference does
    #[arg(long)]
    partial: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    columns: Columns,
}

/// What the columns of the log hold, where their names do not tell.
#[derive(Debug, Args)]
#[command(next_help_heading = "Columns (guessed from usual names where not given)")]
struct Columns {
    /// Column of a CSV file that counts iterations (updates), or epochs
    #[arg(long, value_name = "COLUMN")]
    iteration_column: Option<String>,
    /// That column, or the steps of an event file, count epochs
    #[arg(long)]
    epochs: bool,
    /// Column, or tag of an event file, with training errors
    #[arg(long, value_name = "COLUMN", visible_alias = "training-tag")]
    training_column: Option<String>,
    /// Column, or tag of an event file, with test errors
    #[arg(long, value_name = "COLUMN", visible_alias = "test-tag")]
    test_column: Option<String>,
    /// What they hold
    #[arg(long, value_enum)]
    values: Option<Values>,
    /// In which unit
    #[arg(long, value_enum)]
    unit: Option<Unit>,
    /// Whether a training error is of one batch, or the mean since the row before
    #[arg(long, value_enum)]
    rows: Option<Rows>,
}

/// Runs the command. All that fails is told apart from a log outside of the band.
pub fn run(arguments: &Arguments) -> Result<u8> {
    let judged = judged(arguments).map_err(|error| bad_input(format!("{error:#}")))?;
    match arguments.json {
        true => print_json(&judged),
        false => tell(&judged),
    }
    .map_err(|error| bad_input(format!("{error:#}")))?;
    Ok(if judged.inside { EXIT_DONE } else { EXIT_FAILED })
}

fn tell(judged: &Judged) -> Result<()> {
    judged.notes.iter().for_each(|note| say(&format!("note: {note}")));
    print(&format!("{}: {} as {}", judged.log, judged.network, judged.recipe))?;
    if !judged.compared.is_empty() {
        print(&format!("\n{}\n", table::table(&judged.compared).render(Style::Terminal)))?;
    }
    print(&judged.verdict)
}

fn judged(arguments: &Arguments) -> Result<Judged> {
    let mut reference = Reference::read(&reference_folder(arguments)?, arguments.network)?;
    let path = &arguments.log;
    if let Some(run) = own_run(path)? {
        check_no_columns(arguments)?;
        return judged_run(arguments, &run, reference);
    }
    // A log of the reference itself is judged by the other seeds.
    let folder = path.parent().and_then(|folder| folder.canonicalize().ok());
    reference.leave_out(|seed| folder.is_some() && seed.path.canonicalize().ok() == folder);
    let columns = &arguments.columns;
    let mapping = Mapping {
        iteration: columns.iteration_column.clone(),
        epochs: columns.epochs,
        training: columns.training_column.clone(),
        test: columns.test_column.clone(),
        values: columns.values,
        unit: columns.unit,
        rows: columns.rows,
        epoch_length: reference.epoch_length(),
    };
    let log = external::read(path, arguments.test_log.as_deref(), &mapping)?;
    let mut judged = judge(path, &log.errors, &reference, arguments.partial, None)?;
    judged.notes.splice(0..0, log.notes);
    Ok(judged)
}

/// The folder of the reference. The published one is looked for here, and in the folders above the
/// program.
fn reference_folder(arguments: &Arguments) -> Result<PathBuf, BadInput> {
    let named = &arguments.reference;
    if named != Path::new(PUBLISHED) || named.is_dir() {
        return Ok(named.clone());
    }
    let program = std::env::current_exe().unwrap_or_default();
    let found = program.ancestors().map(|above| above.join(PUBLISHED)).find(|path| path.is_dir());
    found.ok_or_else(|| {
        bad_input(format!(
            "the reference {PUBLISHED} is neither here nor above the program: name its folder in a clone of the project with --reference"
        ))
    })
}

/// The run of ours in a folder, if there is one.
fn own_run(path: &Path) -> Result<Option<LoggedRun>> {
    let directory = RunDirectory::at(path);
    if !path.is_dir() || !(directory.record().exists() || directory.train_log().exists()) {
        return Ok(None);
    }
    let mut collection = Collection::read(path)?;
    if let Some(problem) = collection.problems.first() {
        return Err(bad_input(problem.clone()).into());
    }
    match collection.runs.len() {
        1 => Ok(collection.runs.pop()),
        count => Err(bad_input(format!("{}: holds {count} runs: name one", path.display())).into()),
    }
}

/// Judges a run of ours, whose record tells what it is.
fn judged_run(arguments: &Arguments, run: &LoggedRun, mut reference: Reference) -> Result<Judged> {
    let path = &arguments.log;
    if run.network != arguments.network {
        let (network, path) = (run.network, path.display());
        return Err(bad_input(format!(
            "--network {}: {path} is a run of {network}",
            arguments.network
        ))
        .into());
    }
    match &run.record {
        Some(record) => reference.check_run(record, path)?,
        None => reference
            .notes
            .push("no run.toml: that its recipe is the reference's is not checked".to_string()),
    }
    reference.leave_out(|seed| seed.seed == run.seed);
    let errors = ErrorLog::of_run(&RunDirectory::at(path))?;
    Ok(judge(path, &errors, &reference, arguments.partial, run.summary.diverged_at)?)
}

/// Refuses flags that say what the columns of a run of ours hold.
fn check_no_columns(arguments: &Arguments) -> Result<(), BadInput> {
    let Columns { iteration_column, epochs, training_column, test_column, values, unit, rows } =
        &arguments.columns;
    let given = [
        ("--test-log", arguments.test_log.is_some()),
        ("--iteration-column", iteration_column.is_some()),
        ("--epochs", *epochs),
        ("--training-column", training_column.is_some()),
        ("--test-column", test_column.is_some()),
        ("--values", values.is_some()),
        ("--unit", unit.is_some()),
        ("--rows", rows.is_some()),
    ];
    match given.iter().find(|(_, is_given)| *is_given) {
        None => Ok(()),
        Some((flag, _)) => Err(bad_input(format!(
            "{flag}: {} is a run of this program, whose columns are known: leave it out",
            arguments.log.display()
        ))),
    }
}
