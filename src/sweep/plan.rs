//! Which runs a sweep has, in which order, and how each of them stands.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use glob::Pattern;

use crate::config::dataset_name::DatasetName;
use crate::config::recipe::Recipe;
use crate::error::{BadInput, bad_input};
use crate::network::architecture::table::Architecture;
use crate::records::dataset_record::DatasetRecord;
use crate::records::directory::{Claim, NOTHING_TO_EXTEND, RunDirectory};
use crate::records::extend_to::ExtendTo;
use crate::records::run_toml::{RunConfig, RunRecord, State};
use crate::sweep::experiment::{Experiment, PlannedRun};

/// A run of a sweep.
#[derive(Clone)]
pub struct Task {
    /// `<experiment>/<network>/seed-<k>`.
    pub id: String,
    /// Its number in the plan, from 0; the same whichever runs are complete.
    pub element: usize,
    /// What is trained.
    pub run: PlannedRun,
    /// Position of its experiment in the list that the plan was made of.
    pub experiment: usize,
    /// Where it goes.
    pub directory: RunDirectory,
    /// Whether its divergence is no surprise.
    pub may_diverge: bool,
    /// Multiply-adds of the forward pass of one image.
    pub multiply_adds: i64,
    /// Parameters of its network.
    pub parameters: i64,
    /// The length to which it is extended, if it is; its recipe is that of the extended run once it
    /// was looked at.
    pub extend_to: Option<ExtendTo>,
    /// How it stands.
    pub status: TaskStatus,
}

/// How a run stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskStatus {
    /// Nothing is there yet.
    New,
    /// So many iterations are logged.
    Partial(u64),
    /// Finished by this sweep or before.
    Finished,
    /// The loss was not a number.
    Diverged,
    /// Every attempt failed; the reason of the last.
    Failed(String),
}

impl TaskStatus {
    /// Whether there is nothing left to do.
    pub fn is_over(&self) -> bool {
        matches!(self, TaskStatus::Finished | TaskStatus::Diverged)
    }

    fn of(record: &RunRecord) -> TaskStatus {
        match record.state {
            State::Finished => TaskStatus::Finished,
            State::Diverged => TaskStatus::Diverged,
            State::Running | State::Interrupted => TaskStatus::Partial(record.progress.iterations),
        }
    }
}

impl Task {
    /// Multiply-adds of the whole run's forward passes: what its time is proportional to.
    pub fn cost(&self) -> f64 {
        self.iteration_cost() * self.run.recipe.iterations as f64
    }

    /// Multiply-adds of one iteration's forward pass.
    pub fn iteration_cost(&self) -> f64 {
        self.multiply_adds as f64 * self.run.recipe.batch_size as f64
    }

    /// Multiply-adds that are left.
    pub fn cost_left(&self) -> f64 {
        match self.status {
            TaskStatus::Finished | TaskStatus::Diverged => 0.0,
            TaskStatus::Partial(iterations) => {
                (self.cost() - self.iteration_cost() * iterations as f64).max(0.0)
            }
            TaskStatus::New | TaskStatus::Failed(_) => self.cost(),
        }
    }

    /// Finds out how the run stands; a directory of another run is refused. Without the `data` that
    /// it would train on, a run on any version of it counts: good enough for a plan.
    ///
    /// The weight file of a run that has one must be there, unless it is no longer needed; in a
    /// `plan` it may be missing.
    pub fn look(
        &mut self,
        dataset: DatasetName,
        data: Option<&DatasetRecord>,
        plan: bool,
    ) -> Result<()> {
        let (claim, config) = self.claim(dataset, data, plan)?;
        self.status = match claim {
            Claim::New if self.extend_to.is_some() => {
                return Err(bad_input(NOTHING_TO_EXTEND).into());
            }
            Claim::New => TaskStatus::New,
            Claim::Extend(record) => TaskStatus::Partial(record.progress.iterations),
            Claim::Resume(record, _) | Claim::Done(record) => TaskStatus::of(&record),
        };
        if self.extend_to.is_some()
            && let Some(config) = config
        {
            self.run.recipe = Arc::new(config.recipe);
        }
        Ok(())
    }

    /// What its directory holds, under the same conditions, and what the run is, if that is known.
    pub fn claim(
        &self,
        dataset: DatasetName,
        data: Option<&DatasetRecord>,
        plan: bool,
    ) -> Result<(Claim, Option<RunConfig>)> {
        let assumed = match data {
            Some(data) => Some(data.clone()),
            None if self.directory.record().exists() => {
                let recorded = self.directory.recorded()?;
                recorded.map(|(record, _)| DatasetRecord { name: dataset, ..record.run.dataset })
            }
            None => None,
        };
        let Some(data) = assumed else { return Ok((Claim::New, None)) };
        let config = match self.config(data) {
            // What has not begun needs a file that may be made later.
            Err(_) if plan && !self.directory.record().exists() => return Ok((Claim::New, None)),
            config => config.with_context(|| self.id.clone())?,
        };
        let extend_to = self.extend_to.as_ref();
        let config = match extend_to {
            None => config,
            Some(extend_to) => self.directory.extended(&config, extend_to)?,
        };
        Ok((self.directory.claim(&config, extend_to)?, Some(config)))
    }

    fn config(&self, dataset: DatasetRecord) -> Result<RunConfig> {
        let config = RunConfig {
            network: self.run.network,
            seed: self.run.seed,
            dataset,
            recipe: Recipe::clone(&self.run.recipe),
            initial_weights: None,
        };
        match &self.run.weights {
            None => Ok(config),
            Some(source) => source.identify(config, &self.directory, self.extend_to.as_ref()),
        }
    }
}

/// The runs of `experiments` under `out` that `only` names (all without it), in the order in which
/// they are trained: the first seed of every network, shallow before deep, then the second seeds,
/// so that a figure can be drawn early.
///
/// `only` is compared with each run's `<experiment>/<network>/seed-<k>`, with its network and with
/// its experiment.
pub fn tasks(
    experiments: &[Experiment],
    out: &Path,
    only: Option<&Pattern>,
) -> Result<Vec<Task>, BadInput> {
    let mut ordered: Vec<(usize, Task)> = Vec::new();
    let mut rounds: HashMap<(usize, String), usize> = HashMap::new();
    // Sums over all layers, which a network's seeds share.
    let mut sums: HashMap<*const Architecture, (i64, i64)> = HashMap::new();
    for (position, experiment) in experiments.iter().enumerate() {
        for run in &experiment.runs {
            let id = run.id(&experiment.name);
            let names = [id.clone(), run.name(), experiment.name.clone()];
            if only.is_some_and(|only| !names.iter().any(|name| only.matches(name))) {
                continue;
            }
            let next = rounds.entry((position, run.name())).or_default();
            let round = *next;
            *next += 1;
            let directory = RunDirectory::at(&out.join(&id));
            let (multiply_adds, parameters) =
                *sums.entry(Arc::as_ptr(&run.architecture)).or_insert_with(|| {
                    (run.architecture.multiply_adds(), run.architecture.parameter_count())
                });
            let may_diverge = experiment.may_diverge.contains(&run.network);
            ordered.push((
                round,
                Task {
                    id,
                    element: 0,
                    run: run.clone(),
                    experiment: position,
                    directory,
                    may_diverge,
                    multiply_adds,
                    parameters,
                    extend_to: None,
                    status: TaskStatus::New,
                },
            ));
        }
    }
    if let (true, Some(only)) = (ordered.is_empty(), only) {
        let example = experiments
            .first()
            .and_then(|experiment| Some(experiment.runs.first()?.id(&experiment.name)))
            .unwrap_or_default();
        return Err(bad_input(format!(
            "--only {only}: no run matches; a run is named {example}, for example"
        )));
    }
    ordered.sort_by(|(a_round, a), (b_round, b)| {
        a_round.cmp(b_round).then(a.cost().total_cmp(&b.cost())).then_with(|| a.id.cmp(&b.id))
    });
    let numbered = ordered.into_iter().enumerate();
    Ok(numbered.map(|(element, (_, task))| Task { element, ..task }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep::overrides::Overrides;

    fn order(only: Option<&str>) -> Result<Vec<String>, BadInput> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("e.toml");
        let text = r#"
title = ""
paper = ""
dataset = "cifar10"
[[runs]]
networks = ["resnet-110"]
seeds = [3, 4]
[[runs]]
networks = ["resnet-56", "plain-20", "resnet-20"]
seeds = [0]
"#;
        std::fs::write(&path, text).unwrap();
        let experiments = [Experiment::read(&path, &Overrides::default()).unwrap()];
        let only = only.map(|only| Pattern::new(only).unwrap());
        let tasks = tasks(&experiments, folder.path(), only.as_ref())?;
        assert!((0..tasks.len()).eq(tasks.iter().map(|task| task.element)), "in the plan's order");
        Ok(tasks.into_iter().map(|task| task.id).collect())
    }

    #[test]
    fn a_first_seed_of_every_network_comes_before_a_second_and_shallow_before_deep() {
        let expected = [
            "e/plain-20/seed-0",
            "e/resnet-20/seed-0",
            "e/resnet-56/seed-0",
            "e/resnet-110/seed-3",
            "e/resnet-110/seed-4",
        ];
        assert_eq!(order(None).unwrap(), expected);
    }

    #[test]
    fn only_names_networks_experiments_or_runs_and_must_name_something() {
        assert_eq!(order(Some("*-20")).unwrap(), ["e/plain-20/seed-0", "e/resnet-20/seed-0"]);
        assert_eq!(order(Some("e")).unwrap().len(), 5);
        assert_eq!(order(Some("*/seed-4")).unwrap(), ["e/resnet-110/seed-4"]);
        assert!(order(Some("vgg*")).unwrap_err().0.contains("e/resnet-110/seed-3"));
    }
}
