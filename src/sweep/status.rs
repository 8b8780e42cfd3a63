//! How each run of a plan stands, from its folder alone: nothing is made, locked or changed there.

use std::fmt;

use anyhow::{Result, bail};
use serde::Serialize;

use crate::config::dataset_name::DatasetName;
use crate::records::directory::Claim;
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
        let claim = task.claim(dataset, None, true);
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
            Claim::Resume(record, restored) => {
                self.note = restored.or(self.note.take());
                record
            }
        };
        self.hours = record.progress.seconds / 3600.0;
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
