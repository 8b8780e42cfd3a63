//! The seeds of one network and recipe that a log is judged by.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::config::kernels::Kernels;
use crate::config::network_name::NetworkName;
use crate::config::recipe::LrSchedule;
use crate::config::seeds;
use crate::error::{BadInput, bad_input};
use crate::logs::collection::{Collection, LoggedRun};
use crate::logs::error_log::ErrorLog;
use crate::records::directory::RunDirectory;
use crate::records::run_toml::{RunConfig, RunRecord};
use crate::report::format::counted;
use crate::report::protocol::Protocol;

/// The reference that this project publishes.
pub const PUBLISHED: &str = "results/2026-11-24-reference-bands";

/// A standard deviation over fewer seeds says next to nothing.
pub const FEWEST_SEEDS: usize = 3;

/// A finished run of the reference.
#[derive(Debug)]
pub struct Seed {
    /// Its seed.
    pub seed: u64,
    /// Its directory.
    pub path: PathBuf,
    /// Its errors; it has a training error of every iteration.
    pub errors: ErrorLog,
}

/// Finished runs of one network and recipe.
#[derive(Debug)]
pub struct Reference {
    /// Where they lie.
    pub folder: PathBuf,
    /// What they are runs of: data, length, and in what the recipe differs from the paper's.
    pub title: String,
    /// What they are runs of, but for the seed.
    pub config: RunConfig,
    /// The runs.
    pub seeds: Vec<Seed>,
    /// What is not taken into account, a sentence each.
    pub notes: Vec<String>,
    /// Whether one of its own seeds is judged by the others.
    pub is_its_own: bool,
}

impl Reference {
    /// Reads the finished runs of `network` below `folder`, which must be of one recipe.
    pub fn read(folder: &Path, network: NetworkName) -> Result<Reference> {
        let shown = format!("--reference {}", folder.display());
        if !folder.is_dir() {
            return Err(bad_input(format!(
                "{shown}: there is no such folder: name one with finished runs of {network}, of {FEWEST_SEEDS} seeds or more"
            ))
            .into());
        }
        let Collection { runs, problems } = Collection::read(folder)?;
        let mut notes: Vec<String> =
            problems.iter().map(|problem| format!("not read: {problem}")).collect();
        let others = networks(&runs);
        let (own, unfinished): (Vec<LoggedRun>, Vec<LoggedRun>) =
            runs.into_iter().filter(|run| run.network == network).partition(is_finished);
        notes.extend(unfinished.iter().map(|run| {
            format!("{} is not in the band: it is not a finished run", run.path.display())
        }));
        let protocols = Protocol::of(&own);
        let protocol = match &protocols[..] {
            [protocol] => protocol,
            [] => {
                let there = if others.is_empty() { "none".to_string() } else { others.join(", ") };
                return Err(bad_input(format!(
                    "{shown}: there is no finished run of {network} (networks there: {there})"
                ))
                .into());
            }
            several => {
                let titles: Vec<String> = several.iter().map(Protocol::title).collect();
                return Err(bad_input(format!(
                    "{shown}: holds {network} under {} recipes ({}): name a folder with one",
                    several.len(),
                    titles.join("; ")
                ))
                .into());
            }
        };
        let config = protocol.record().map(|record| record.run.clone());
        let config = config.ok_or_else(|| {
            bad_input(format!(
                "{shown}: its runs of {network} have no run.toml: their recipe is not known"
            ))
        })?;
        let seeds = protocol
            .runs
            .iter()
            .map(|run| {
                let path = folder.join(&run.path);
                let errors = ErrorLog::of_run(&RunDirectory::at(&path))?;
                Ok(Seed { seed: run.seed, path, errors })
            })
            .collect::<Result<Vec<Seed>>>()?;
        let (folder, title) = (folder.to_path_buf(), protocol.title());
        Ok(Reference { folder, title, config, seeds, notes, is_its_own: false })
    }

    /// Iterations of each run.
    pub fn iterations(&self) -> u64 {
        self.config.recipe.iterations
    }

    /// Iterations of an epoch.
    pub fn epoch_length(&self) -> u64 {
        let images = self.config.dataset.training_images as u64;
        let images = images.saturating_sub(self.config.recipe.validation);
        images.div_ceil(self.config.recipe.batch_size.max(1)).max(1)
    }

    /// Leaves out the seeds that a log is of, or is of the same seed as: a run is judged by others.
    pub fn leave_out(&mut self, is_same: impl Fn(&Seed) -> bool) {
        let (left_out, kept): (Vec<Seed>, Vec<Seed>) =
            std::mem::take(&mut self.seeds).into_iter().partition(is_same);
        self.seeds = kept;
        self.is_its_own |= !left_out.is_empty();
        self.notes.extend(left_out.iter().map(|seed| {
            format!("seed {} is in the reference itself: it is judged by the others", seed.seed)
        }));
    }

    /// Refuses a reference of too few seeds.
    pub fn check_seeds(&self) -> Result<(), BadInput> {
        let numbers: Vec<u64> = self.seeds.iter().map(|seed| seed.seed).collect();
        if numbers.len() >= FEWEST_SEEDS {
            return Ok(());
        }
        let which = if numbers.is_empty() {
            String::new()
        } else {
            format!(" ({})", seeds::shown(&numbers))
        };
        // What is judged is no part of what it is judged by.
        let beside = if self.is_its_own { " beside the one that is judged" } else { "" };
        Err(bad_input(format!(
            "--reference {}: has {}{which} of {}{beside} to judge by, and a band takes {FEWEST_SEEDS} or more",
            self.folder.display(),
            counted(numbers.len(), "seed"),
            self.config.network
        )))
    }

    /// Refuses a run of another network, other data or another recipe.
    pub fn check_run(&self, record: &RunRecord, path: &Path) -> Result<(), BadInput> {
        let comparable = |config: &RunConfig| {
            let mut config = RunConfig { seed: 0, ..config.clone() };
            config.recipe.gradient_norms_every = 0;
            config.recipe.kernels = Kernels::Libtorch;
            // When it is evaluated steers a run only where it waits for a plateau.
            if config.recipe.lower_rate == LrSchedule::Milestones {
                config.recipe.evaluate_every = self.config.recipe.evaluate_every;
            }
            config
        };
        match comparable(&record.run).difference(&comparable(&self.config)) {
            None => Ok(()),
            Some(difference) => {
                let [own, other] = [&record.run, &self.config].map(|run| &run.dataset);
                let data = match own.fingerprint == other.fingerprint {
                    true => String::new(),
                    false => format!(
                        "it was trained on other data, {} ({}) against {} ({}); ",
                        own.title(),
                        own.status,
                        other.title(),
                        other.status
                    ),
                };
                Err(bad_input(format!(
                    "{}: is not a run as {} holds them ({data}{difference}): name a folder of seeds like it with --reference",
                    path.display(),
                    self.folder.display()
                )))
            }
        }
    }
}

/// Whether a run has all its iterations and a record that says so.
pub fn is_finished(run: &LoggedRun) -> bool {
    run.record.is_some() && run.drawn.is_complete() && run.summary.diverged_at.is_none()
}

fn networks(runs: &[LoggedRun]) -> Vec<String> {
    let mut networks: Vec<NetworkName> = runs.iter().map(|run| run.network).collect();
    networks.sort();
    networks.dedup();
    networks.iter().map(NetworkName::to_string).collect()
}
