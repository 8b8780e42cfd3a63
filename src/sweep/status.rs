//! How each run of a plan stands, from its folder alone: nothing is made, locked or changed there.

use std::fmt;
use std::time::Duration;

use anyhow::{Result, bail};
use indicatif::HumanDuration;
use serde::Serialize;

use crate::config::dataset_name::DatasetName;
use crate::records::directory::Claim;
use crate::records::extend_to::ExtendTo;
use crate::records::lock::RunLock;
use crate::records::log_tail::{LastRow, last_row};
use crate::records::run_toml::{RunRecord, State};
use crate::sweep::plan::Task;
use crate::training::metrics::TrainingRow;

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// It has not begun.
    Waiting,
    /// A process is at it: it holds the lock.
    Running,
    /// It has begun, and no process is at it.
    Interrupted,
    /// All iterations are done.
    Finished,
    /// Its loss was NaN or infinite.
    Diverged,
    /// Its last attempt failed.
    Failed,
    /// Its folder holds what no run can go on from, or another run.
    Damaged,
}

impl fmt::Display for RunState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            RunState::Waiting => "waiting",
            RunState::Running => "running",
            RunState::Interrupted => "interrupted",
            RunState::Finished => "finished",
            RunState::Diverged => "diverged",
            RunState::Failed => "failed",
            RunState::Damaged => "damaged",
        })
    }
}

/// What is seen of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunStatus {
    /// Its number in the plan.
    pub element: usize,
    /// `<experiment>/<network>/seed-<k>`.
    pub run: String,
    /// How it stands.
    pub state: RunState,
    /// The last iteration in its log.
    pub iteration: u64,
    /// Iterations of the recipe.
    pub iterations: u64,
    /// Seconds since its log was last written.
    pub last_row_seconds: Option<f64>,
    /// Hours of training, evaluations included, when its record was last written.
    pub hours: f64,
    /// Hours of training that are left at its own pace, or at that of the other runs by the
    /// multiply-adds of their networks.
    pub hours_left: Option<f64>,
    /// The machine of the process that is at it.
    pub host: Option<String>,
    /// That process's number there.
    pub process: Option<u32>,
    /// The cluster's job that it is part of.
    pub job: Option<String>,
    /// What Slurm's queue says of that job: its state, and where it runs or why it waits.
    pub queue: Option<String>,
    /// Why it failed or is damaged.
    pub note: Option<String>,
}

impl RunStatus {
    /// How `task`, a run on `dataset`, stands. What cannot be read is told, and is no error.
    pub fn of(task: &Task, dataset: DatasetName) -> RunStatus {
        let mut status = RunStatus {
            element: task.element,
            run: task.id.clone(),
            state: RunState::Waiting,
            iteration: 0,
            iterations: task.run.recipe.iterations,
            last_row_seconds: None,
            hours: 0.0,
            hours_left: None,
            host: None,
            process: None,
            job: None,
            queue: None,
            note: None,
        };
        if let Err(error) = status.look(task, dataset) {
            status.state = RunState::Damaged;
            status.note = Some(format!("{error:#}"));
        }
        status
    }

    fn look(&mut self, task: &Task, dataset: DatasetName) -> Result<()> {
        let claim = self.claim(task, dataset);
        // After the record, which is never ahead of its log.
        if let Some(LastRow { row, age }) = last_row::<TrainingRow>(&task.directory.train_log())? {
            self.iteration = row.iteration;
            self.last_row_seconds = Some(age.as_secs_f64());
        }
        let held = self.ask_lock(task);
        let record = match claim? {
            Claim::New => {
                if held == Some(true) {
                    self.state = RunState::Running;
                }
                return Ok(());
            }
            Claim::Done(record) => record,
            Claim::Extend(record) => {
                self.tell_time(&record);
                self.note = Some("to be extended".to_string());
                return Ok(());
            }
            Claim::Resume(record, restored) => {
                self.note = restored.or(self.note.take());
                record
            }
        };
        self.tell_time(&record);
        self.state = match (record.state, held) {
            (State::Finished, _) => RunState::Finished,
            (State::Diverged, _) => RunState::Diverged,
            (_, Some(true)) | (State::Running, None) => RunState::Running,
            _ => self.stopped(&record),
        };
        let logged = record.progress.iterations;
        if self.state == RunState::Finished && self.iteration != logged {
            let log = task.directory.train_log();
            bail!("{}: ends at iteration {}, not {logged}", log.display(), self.iteration);
        }
        Ok(())
    }

    /// How long it has been trained, and how long it will be at that pace.
    fn tell_time(&mut self, record: &RunRecord) {
        self.hours = record.progress.seconds / 3600.0;
        if record.progress.iterations > 0 {
            let left = self.iterations.saturating_sub(self.iteration) as f64;
            self.hours_left = Some(self.hours / record.progress.iterations as f64 * left);
        }
    }

    /// How long ago its log was last written, in words; nothing if it was not.
    pub fn last_row(&self) -> String {
        self.last_row_seconds.map_or(String::new(), |seconds| format!("{} ago", duration(seconds)))
    }

    /// How long it will train yet, in words; nothing if that is not known.
    pub fn time_left(&self) -> String {
        self.hours_left.map_or(String::new(), |hours| duration(hours * 3600.0))
    }

    /// Where it runs, and what there is to know about it.
    pub fn place(&self) -> String {
        let host = self.host.as_ref().map(|host| format!("host {host}"));
        let place = [host, self.job.clone(), self.queue.clone(), self.note.clone()];
        place.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    /// Whether nothing of it is left to do.
    pub fn is_over(&self) -> bool {
        matches!(self.state, RunState::Finished | RunState::Diverged)
    }

    /// What the run's directory holds. One that was extended beyond the plan, or that cannot be
    /// extended as planned, is shown as it is.
    fn claim(&mut self, task: &Task, dataset: DatasetName) -> Result<Claim> {
        let planned = task.claim(dataset, None, true);
        let Some(record) = RunRecord::read(&task.directory.record()).ok() else {
            return planned.map(|(claim, _)| claim);
        };
        let of_record = |extend_to| Task { extend_to, ..task.clone() }.claim(dataset, None, true);
        match planned {
            Err(error) => {
                let as_it_is = (!record.extensions.is_empty()).then(|| ExtendTo::as_it_is(&record));
                let Ok((claim, _)) = of_record(as_it_is) else { return Err(error) };
                self.iterations = record.run.recipe.iterations;
                if task.extend_to.is_some() {
                    self.note = Some(format!("{error:#}"));
                }
                Ok(claim)
            }
            Ok((claim, config)) => {
                self.iterations = config.map_or(self.iterations, |config| config.recipe.iterations);
                Ok(claim)
            }
        }
    }

    /// Whether a process is at the run, which is then named. The lock of another user's run cannot
    /// be looked at: its record has to do.
    fn ask_lock(&mut self, task: &Task) -> Option<bool> {
        match RunLock::holder_of(task.directory.path()) {
            Ok(Some(holder)) => {
                if !holder.host.is_empty() {
                    (self.host, self.process) = (Some(holder.host), Some(holder.process));
                    self.job = holder.job;
                }
                Some(true)
            }
            Ok(None) => Some(false),
            Err(error) => {
                self.note = Some(format!("{error:#}"));
                None
            }
        }
    }

    /// What ended the last attempt of a run at which no process is: a signal or a kill, or a
    /// failure, which is then the last thing on record.
    fn stopped(&mut self, record: &RunRecord) -> RunState {
        // Both as RFC 3339 writes them, in UTC.
        let failure = record.failures.last();
        match failure.filter(|failure| failure.time >= record.provenance.started) {
            Some(failure) => {
                self.note = Some(failure.reason.clone());
                RunState::Failed
            }
            None => RunState::Interrupted,
        }
    }
}

/// Whole seconds in words.
pub fn duration(seconds: f64) -> String {
    HumanDuration(Duration::from_secs_f64(seconds.floor())).to_string()
}

/// Estimates what is left of runs that have no pace of their own yet, by that of the others: time is
/// proportional to multiply-adds. `tasks` are those of `runs`, in their order.
pub fn estimate_left(runs: &mut [RunStatus], tasks: &[Task]) {
    let paced = || runs.iter().zip(tasks).filter(|(run, _)| run.hours > 0.0);
    let hours: f64 = paced().map(|(run, _)| run.hours).sum();
    let done: f64 = paced().map(|(run, task)| task.iteration_cost() * run.iteration as f64).sum();
    for (run, task) in runs.iter_mut().zip(tasks) {
        if run.is_over() {
            run.hours_left = None;
        } else if run.hours_left.is_none() && done > 0.0 {
            let left = run.iterations.saturating_sub(run.iteration) as f64;
            run.hours_left = Some(task.iteration_cost() * left * hours / done);
        }
    }
}
