//! Whether a run can be trained on to more iterations than it has, and what it is then.

use serde::{Deserialize, Serialize};

use crate::config::recipe::{LrSchedule, Recipe};
use crate::error::{BadInput, bad_input};
use crate::records::extension::Extension;
use crate::records::run_toml::{RunConfig, RunRecord, State};

/// Iterations that a finished run is to be trained on to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtendTo {
    /// Iterations of the extended run.
    pub iterations: u64,
    /// Milestones from the old end on; without them the run's own stay.
    pub milestones: Option<Vec<u64>>,
}

impl ExtendTo {
    /// What stands for the run of `record`, if it was extended.
    pub fn as_it_is(record: &RunRecord) -> ExtendTo {
        ExtendTo { iterations: record.run.recipe.iterations, milestones: None }
    }

    /// What the run of `record`, planned as `planned`, is once it is extended. Of the plan,
    /// milestones do not count, and iterations may be those that the run had, has or shall have.
    ///
    /// # Errors
    /// Why that run cannot be extended so; its folder is not named.
    pub fn applied(&self, planned: &RunConfig, record: &RunRecord) -> Result<RunConfig, BadInput> {
        let run = &record.run;
        self.check_plan(planned, record)?;
        let begun = record.extensions.last().filter(|last| last.to == self.iterations);
        let (from, before) = match begun {
            Some(Extension { from, milestones_before: Some(before), .. }) => (*from, before),
            Some(Extension { from, .. }) => (*from, &run.recipe.milestones),
            None => {
                self.check_finished(record)?;
                (run.recipe.iterations, &run.recipe.milestones)
            }
        };
        let milestones = match &self.milestones {
            None => run.recipe.milestones.clone(),
            Some(given) => milestones_from(given, from, before, &run.recipe)?,
        };
        let recipe = Recipe {
            iterations: self.iterations,
            milestones,
            checkpoint_segments: planned.recipe.checkpoint_segments,
            ..run.recipe.clone()
        };
        recipe.validate()?;
        let config = RunConfig { recipe, ..run.clone() };
        match begun.and_then(|_| config.difference(run)) {
            Some(difference) => Err(bad_input(format!(
                "it is extended to {} iterations already ({difference})",
                self.iterations
            ))),
            None => Ok(config),
        }
    }

    /// Refuses the plan of another run.
    fn check_plan(&self, planned: &RunConfig, record: &RunRecord) -> Result<(), BadInput> {
        let run = &record.run;
        let asked = planned.recipe.iterations;
        let is_known = asked == self.iterations
            || asked == run.recipe.iterations
            || record.extensions.iter().any(|extension| extension.from == asked);
        let recipe = Recipe {
            iterations: if is_known { run.recipe.iterations } else { asked },
            milestones: run.recipe.milestones.clone(),
            ..planned.recipe.clone()
        };
        let planned = RunConfig { recipe, ..planned.clone() };
        match planned.difference(run) {
            Some(difference) => Err(bad_input(format!("another run is there ({difference})"))),
            None => Ok(()),
        }
    }

    /// Refuses a run that is not finished, is as long, or of which too little is left.
    fn check_finished(&self, record: &RunRecord) -> Result<(), BadInput> {
        let iterations = record.run.recipe.iterations;
        let refused = |reason: String| Err(bad_input(reason));
        match (record.state, record.extensions.last()) {
            (State::Running | State::Interrupted, None) => {
                return refused(
                    "it is not finished: give the same command without --extend-to first".into(),
                );
            }
            (State::Running | State::Interrupted, Some(Extension { to, .. })) => {
                return refused(format!(
                    "it is being extended to {to} iterations: finish that first, with --extend-to {to}"
                ));
            }
            (State::Diverged, _) => {
                let at = record.progress.iterations;
                return refused(format!(
                    "it diverged at iteration {at}: nothing follows from there"
                ));
            }
            (State::Finished, _) => {}
        }
        if self.iterations <= iterations {
            return refused(format!("it has {iterations} iterations: --extend-to takes more"));
        }
        match record.kept_state_sha256 {
            Some(_) => Ok(()),
            None => refused(
                "its state (momentum, place in the schedule) was not kept at its end: train it again from its start, with --keep-state and another --out, or another run from its weights with --weights (without the momentum; on record as a difference)"
                    .into(),
            ),
        }
    }
}

/// The milestones of a run whose rate is lowered at `given` iterations after `from`.
fn milestones_from(
    given: &[u64],
    from: u64,
    before: &[u64],
    recipe: &Recipe,
) -> Result<Vec<u64>, BadInput> {
    if given == before {
        return Ok(before.to_vec());
    }
    if recipe.lower_rate == LrSchedule::Plateau {
        return Err(bad_input(
            "milestones: it lowers its learning rate on a plateau, not at milestones",
        ));
    }
    if given.iter().any(|&milestone| milestone < from) {
        return Err(bad_input(format!(
            "milestones = {given:?}: it is extended from iteration {from}, and what is before is past: give those from {from} on"
        )));
    }
    let past = before.iter().filter(|&&milestone| milestone < from);
    Ok(past.chain(given).copied().collect())
}
