//! Runs of one network, seed and recipe that are there more than once: one is shown.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::config::network_name::NetworkName;
use crate::logs::collection::LoggedRun;

/// A run that is not shown, because another one of the same network, seed and recipe is.
pub struct LeftOut<'a> {
    /// The run.
    pub run: &'a LoggedRun,
    /// The one that is shown.
    pub shown: &'a LoggedRun,
    /// Why that one.
    pub reason: &'static str,
}

/// Splits runs into one a network and seed, in order, and the others. The one that is farther is
/// shown; of two that are as far, the newer.
pub fn one_a_seed<'a>(group: &[&'a LoggedRun]) -> (Vec<&'a LoggedRun>, Vec<LeftOut<'a>>) {
    let updated =
        |run: &LoggedRun| run.record.as_ref().map(|record| record.provenance.updated.clone());
    let mut by_progress = group.to_vec();
    by_progress.sort_by_cached_key(|run| Reverse((run.drawn.done, updated(run))));
    let mut shown: BTreeMap<(NetworkName, u64), &'a LoggedRun> = BTreeMap::new();
    let mut left_out = Vec::new();
    for run in by_progress {
        match shown.get(&(run.network, run.seed)) {
            None => {
                shown.insert((run.network, run.seed), run);
            }
            Some(&other) => left_out.push(LeftOut {
                run,
                shown: other,
                reason: match (other.drawn.done > run.drawn.done, updated(other) > updated(run)) {
                    (true, _) => "it has more iterations",
                    (false, true) => "it is newer",
                    (false, false) => "it is as long and as new, and comes first",
                },
            }),
        }
    }
    (shown.into_values().collect(), left_out)
}
