//! Whether a log lies inside of the band of the seeds of a reference.

pub mod drawn;
pub mod reference;
pub mod rule;
pub mod table;

use std::path::Path;

use serde::Serialize;

use crate::config::network_name::NetworkName;
use crate::config::seeds;
use crate::error::{BadInput, bad_input};
use crate::logs::error_log::ErrorLog;
use crate::report::band::reference::Reference;
use crate::report::band::rule::{Compared, LEVEL_PERCENT, Place, QUANTITIES, Quantity};
use crate::report::format::{counted, thousands};

/// A log that was judged.
#[derive(Debug, Serialize)]
pub struct Judged {
    /// The log.
    pub log: String,
    /// The network that it is said to be of.
    pub network: NetworkName,
    /// Folder of the reference.
    pub reference: String,
    /// What it holds runs of.
    pub recipe: String,
    /// The seeds of the band.
    pub seeds: Vec<u64>,
    /// Iterations of the reference.
    pub iterations: u64,
    /// The last iteration of the log.
    pub log_iterations: u64,
    /// How many right logs of 100 are outside at most.
    pub level_percent: f64,
    /// What is compared.
    pub compared: Vec<Compared>,
    /// The iteration at which the log's run diverged.
    pub diverged_at: Option<u64>,
    /// Whether nothing is outside.
    pub inside: bool,
    /// What was guessed, and what is not compared, a sentence each.
    pub notes: Vec<String>,
    /// The verdict in words.
    pub verdict: String,
}

/// Judges the log at `path`; what ends early is refused unless it is taken as `partial`.
pub fn judge(
    path: &Path,
    log: &ErrorLog,
    reference: &Reference,
    partial: bool,
    diverged_at: Option<u64>,
) -> Result<Judged, BadInput> {
    reference.check_seeds()?;
    let iterations = reference.iterations();
    let last = log.last();
    let lengths = format!(
        "{} iterations, those of {} have {}",
        thousands(last as i64),
        reference.folder.display(),
        thousands(iterations as i64)
    );
    if rule::is_longer(log, iterations) {
        let path = path.display();
        return Err(bad_input(format!("{path}: has {lengths}: it is of another schedule")));
    }
    let is_whole = rule::is_whole(log, iterations) || diverged_at.is_some();
    if !is_whole && !partial {
        let path = path.display();
        return Err(bad_input(format!(
            "{path}: has {lengths}: --partial compares as far as it goes"
        )));
    }
    let compared = rule::compare(log, reference);
    if compared.is_empty() && diverged_at.is_none() {
        let path = path.display();
        return Err(bad_input(format!(
            "{path}: has no error where one is compared (a quarter, half, three quarters and the end of {} iterations)",
            thousands(iterations as i64)
        )));
    }
    let mut notes = reference.notes.clone();
    notes.extend(not_compared(&compared, iterations));
    let inside = diverged_at.is_none() && compared.iter().all(|one| one.place == Place::Inside);
    let mut judged = Judged {
        log: path.display().to_string(),
        network: reference.config.network,
        reference: reference.folder.display().to_string(),
        recipe: reference.title.clone(),
        seeds: reference.seeds.iter().map(|seed| seed.seed).collect(),
        iterations,
        log_iterations: last,
        level_percent: LEVEL_PERCENT,
        compared,
        diverged_at,
        inside,
        notes,
        verdict: String::new(),
    };
    judged.verdict = judged.in_words();
    Ok(judged)
}

/// What the log has no value of, as a sentence.
fn not_compared(compared: &[Compared], iterations: u64) -> Option<String> {
    let is_there = |name: &str, iteration: u64| {
        compared.iter().any(|one| one.quantity == name && one.iteration == iteration)
    };
    let missing: Vec<String> = QUANTITIES
        .iter()
        .map(|quantity| (quantity.name(), quantity.iteration(iterations)))
        .filter(|&(name, iteration)| !is_there(name, iteration))
        .map(|(name, iteration)| format!("{name} at {}", thousands(iteration as i64)))
        .collect();
    (!missing.is_empty()).then(|| format!("not in the log: {}", missing.join(", ")))
}

impl Judged {
    fn in_words(&self) -> String {
        let seeds =
            format!("{} ({})", counted(self.seeds.len(), "seed"), seeds::shown(&self.seeds));
        if let Some(iteration) = self.diverged_at {
            let iteration = thousands(iteration as i64);
            return format!(
                "outside the band: the run diverged at iteration {iteration}, no run of the reference did"
            );
        }
        let places: Vec<String> = self.compared.iter().filter_map(Compared::outside).collect();
        let so_far = match self.log_iterations < self.iterations && !self.is_whole() {
            true => format!(
                ", as far as it goes (iteration {} of {})",
                thousands(self.log_iterations as i64),
                thousands(self.iterations as i64)
            ),
            false => String::new(),
        };
        let band = format!("the band of {seeds} of {}{so_far}", self.network);
        match places.is_empty() {
            true => format!(
                "inside {band}: none of {} is outside (of right logs at most {LEVEL_PERCENT} % are){}",
                counted(self.compared.len(), "comparison"),
                self.unseen().unwrap_or_default()
            ),
            false => format!("outside {band}: {}", places.join(", ")),
        }
    }

    /// How wrong a log may be and lie inside all the same.
    fn unseen(&self) -> Option<String> {
        let test = self.compared.iter().find(|one| one.quantity == Quantity::Test.name())?;
        Some(format!(
            "; it sees nothing wrong with a final test error that is up to {:.1} points off the mean",
            (test.high - test.low) / 2.0
        ))
    }

    fn is_whole(&self) -> bool {
        self.compared.iter().any(|one| one.iteration == self.iterations)
    }
}

impl Compared {
    /// How far it is from the band, in words; nothing if it is inside.
    fn outside(&self) -> Option<String> {
        let (points, side) = match self.place {
            Place::Inside => return None,
            Place::Below => (self.low - self.value, "below"),
            Place::Above => (self.value - self.high, "above"),
        };
        let at = thousands(self.iteration as i64);
        Some(format!("{} at {at} is {points:.2} points {side}", self.quantity))
    }
}
