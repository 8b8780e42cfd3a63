//! The command line of `sweep`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use glob::Pattern;

use crate::commands::extension::ExtensionFlag;
use crate::commands::options::{DataArgument, RunFlags};
use crate::error::{BadInput, bad_input};
use crate::system::device::DeviceChoice;

/// Train all runs of one or more experiments
///
/// Trains what is not trained yet, each run in a process of its own, shallow networks and first
/// seeds first. A run that fails is retried; one that fails for good or diverges does not stop the
/// others. On Ctrl-C, SIGTERM or SIGUSR1 (sent by cluster schedulers) every run saves, and the same
/// command resumes bit-for-bit.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  resnet-repro sweep experiments/quick.toml                   minutes, on the synthetic shapes dataset
  resnet-repro sweep --dry-run experiments/*.toml             the plan, its time and disk space
  resnet-repro sweep experiments/0[1-6]*.toml                 the paper's CIFAR-10 experiments
  resnet-repro sweep experiments/0*.toml --skip-missing-data  all experiments whose data is there
  resnet-repro sweep experiments/0[1-6]*.toml --only 'plain-*' --iterations 400 --out runs/400
  resnet-repro sweep experiments/quick.toml --extend-to 400   finished runs, trained on (--keep-state)
  resnet-repro sweep experiments/quick.toml --status --watch  how each run stands, every 10 s
  resnet-repro sweep experiments/quick.toml --report p.html   a page to watch it in a browser
  resnet-repro sweep experiments/quick.toml --element 3       the fourth run of the plan alone
  resnet-repro sweep experiments/quick.toml --slurm --slurm-options '--gpus=1 --time=4:00:00'
Then: resnet-repro figures")]
pub struct Arguments {
    /// Experiment files; each run goes to <out>/<file name>/<network>/seed-<k>
    #[arg(required = true, value_name = "FILE")]
    pub experiments: Vec<PathBuf>,
    /// Folders of the datasets, as cifar10=DIR,imagenet=DIR; can be repeated. DIR alone is for the
    /// one dataset that is needed, or the one that it contains [default: data/<dataset>]
    #[arg(long, value_name = "[NAME=]DIR,…", value_parser = DataArgument::parser())]
    pub data: Vec<DataArgument>,
    /// Skip experiments whose dataset is missing, and train the others
    #[arg(long)]
    pub skip_missing_data: bool,
    /// Folder for the runs
    #[arg(long, value_name = "DIR", default_value = "runs")]
    pub out: PathBuf,
    /// Only runs whose name, network or experiment matches, such as 'plain-*', '*/seed-0' or
    /// '02-residual-nets'
    #[arg(long, value_name = "GLOB")]
    pub only: Option<Pattern>,
    /// Runs trained at the same time on each device. On a CPU they share the cores. The number of
    /// threads determines the floating-point summation order: do not change it while a run is
    /// unfinished
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub jobs: u32,
    /// Where to train; several devices with commas share the runs, for example cuda:0,cuda:1
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "auto")]
    pub device: Vec<DeviceChoice>,
    /// Iterations of every run instead of the files'; the learning rate's milestones scale along
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub iterations: Option<u64>,
    /// Change every recipe by the keys of this file (resnet-repro recipe --toml writes one); --set
    /// wins over it
    #[arg(long, value_name = "FILE")]
    pub recipe: Option<PathBuf>,
    /// Change every recipe, for example --set validation=5000; can be repeated. Keys as in "train
    /// --help"
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub settings: Vec<String>,
    /// How many times a failed run is retried
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(..=100))]
    pub retries: u32,
    #[command(flatten)]
    pub extension: ExtensionFlag,
    #[command(flatten)]
    pub options: RunFlags,
    /// Train one run alone: the Nth of the plan, from 0, as --dry-run numbers them, whatever is
    /// complete or left out; ends at once if that run is complete. For engines that number tasks, in
    /// SLURM_ARRAY_TASK_ID, AWS_BATCH_JOB_ARRAY_INDEX or JOB_COMPLETION_INDEX (Kubernetes)
    #[arg(long, value_name = "N")]
    pub element: Option<usize>,
    /// Print how each run stands, and train nothing: waiting, running, interrupted, finished,
    /// diverged, failed or damaged; what Slurm says of it, where squeue knows its job
    #[arg(long, conflicts_with_all = ["dry_run", "slurm"])]
    pub status: bool,
    /// Keep a page at this path while the runs train: state and time left of each run, and the
    /// figures and tables of their logs so far. It reloads itself in a browser. With --status, of
    /// runs that others train (Slurm, other machines)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["dry_run", "slurm", "element"])]
    pub report: Option<PathBuf>,
    /// With --status: again and again, so many seconds apart, until all runs are over [default:
    /// 10]. With --report: how often the page is made [default: 30]
    #[arg(long, value_name = "SECONDS", num_args = 0..=1,
        default_missing_value = "10", value_parser = pause)]
    pub watch: Option<Duration>,
    /// Submit the runs that are not complete to Slurm, as an array, and "figures" after it. The
    /// script is kept in <out>/slurm and may be edited; with --dry-run it is printed alone
    #[arg(long, conflicts_with = "element")]
    pub slurm: bool,
    /// Options of sbatch for the runs, such as "--partition=gpu --gpus=1 --time=4:00:00"
    #[arg(long, value_name = "OPTIONS", requires = "slurm", allow_hyphen_values = true)]
    pub slurm_options: Option<String>,
    /// With --slurm: runs at the same time, at most
    #[arg(long, value_name = "P", requires = "slurm", value_parser = clap::value_parser!(u32).range(1..))]
    pub parallel: Option<u32>,
    /// Print the plan and train nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print the result (or the plan, or the status) as JSON
    #[arg(long)]
    pub json: bool,
}

/// Reads the pause of `--watch`.
fn pause(text: &str) -> Result<Duration, BadInput> {
    let seconds = text.parse().ok().filter(|seconds: &f64| (0.1..=86_400.0).contains(seconds));
    let seconds = seconds.ok_or_else(|| {
        bad_input("write a number of seconds from 0.1 to 86400, or put --watch at the end")
    })?;
    Ok(Duration::from_secs_f64(seconds))
}
