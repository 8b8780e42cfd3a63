//! Starts workers, listens to them, tries failed runs again, and stops them all when asked to.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::config::dataset_name::DatasetName;
use crate::console::event::Event;
use crate::error::{EXIT_BAD_INPUT, EXIT_DONE, EXIT_INTERRUPTED, EXIT_RUN_FAILED};
use crate::records::provenance::timestamp;
use crate::records::run_toml::{Failure, RunRecord};
use crate::run::spec::RunOptions;
use crate::sweep::display::Screen;
use crate::sweep::plan::{Task, TaskStatus};
use crate::sweep::worker::Job;
use crate::system::device::DeviceChoice;
use crate::system::parallel;

/// The first pause before a failed run is tried again; each further one is twice as long.
const PAUSE: Duration = Duration::from_secs(1);

const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// How often the supervisor looks whether it was asked to stop.
const TICK: Duration = Duration::from_millis(100);

/// How a sweep is conducted.
pub struct SweepOptions {
    /// One entry a run that may train at the same time: the device that it has.
    pub slots: Vec<DeviceChoice>,
    /// How often a failed run is tried again.
    pub retries: u32,
    /// Where datasets lie that are not in the usual place.
    pub folders: HashMap<DatasetName, PathBuf>,
    /// The dataset of each experiment.
    pub datasets: Vec<DatasetName>,
    /// How each run is conducted; its TensorBoard folder is that of all runs.
    pub options: RunOptions,
}

/// What a worker's threads report.
enum Message {
    Event(Event),
    /// A line on its stderr.
    Said(String),
    Ended(ExitStatus),
}

/// A run in progress.
struct Worker {
    task: usize,
    slot: usize,
    process: u32,
    /// The last error that it told.
    error: Option<String>,
}

/// Attempts at a run, and when the next may begin.
struct Attempts {
    /// Since the run last got farther.
    failed: u32,
    /// The iteration on record at the last failure.
    at: u64,
    not_before: Instant,
}

/// A sweep in progress.
pub struct Scheduler<'a> {
    tasks: &'a mut [Task],
    /// The lock of each run that is not over.
    locks: Vec<Option<File>>,
    attempts: Vec<Attempts>,
    conditions: &'a SweepOptions,
    workers: Vec<Worker>,
    screen: Screen,
    sender: Sender<(usize, Message)>,
    receiver: Receiver<(usize, Message)>,
    /// This program's name, for process lists.
    name: OsString,
}

impl<'a> Scheduler<'a> {
    /// Takes the locks of all runs that are not over. Refused if another process has one of them.
    pub fn new(tasks: &'a mut [Task], conditions: &'a SweepOptions) -> Result<Scheduler<'a>> {
        for task in tasks.iter().filter(|task| task.status.is_over()) {
            // A kill right after a run's last record leaves them, and costs no more than room.
            let _ = task.directory.checkpoints().remove();
        }
        let lock = |task: &Task| {
            if task.status.is_over() { Ok(None) } else { task.directory.lock().map(Some) }
        };
        let locks = tasks.iter().map(lock).collect::<Result<Vec<_>>>()?;
        let attempts = tasks
            .iter()
            .map(|_| Attempts { failed: 0, at: 0, not_before: Instant::now() })
            .collect();
        let (sender, receiver) = channel();
        let name = std::env::args_os().next().unwrap_or_default();
        Ok(Scheduler {
            name,
            screen: Screen::new(tasks),
            locks,
            attempts,
            conditions,
            workers: Vec::new(),
            sender,
            receiver,
            tasks,
        })
    }

    /// Trains until every run is over or has failed too often, or until `stop` is set: then every
    /// worker saves and ends first. Returns whether it was stopped.
    pub fn run(&mut self, stop: &AtomicBool) -> Result<bool> {
        let mut told_to_stop = false;
        self.screen.total(self.tasks, true);
        loop {
            let stopping = stop.load(Ordering::Relaxed);
            if stopping && !told_to_stop {
                told_to_stop = true;
                self.screen.stopping();
                self.stop_workers();
            }
            if !stopping {
                self.start_workers();
            }
            if self.workers.is_empty() && (stopping || !self.someone_waits()) {
                return Ok(stopping);
            }
            match self.receiver.recv_timeout(TICK) {
                Ok((task, message)) => self.hear(task, message, stopping),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
            self.screen.total(self.tasks, false);
        }
    }

    fn stop_workers(&self) {
        for worker in &self.workers {
            // SAFETY: the process is a child whose end has not been heard of yet, so its number is
            // not another's.
            unsafe { libc::kill(worker.process as libc::pid_t, libc::SIGTERM) };
        }
    }

    fn start_workers(&mut self) {
        while let Some(slot) = (0..self.conditions.slots.len())
            .find(|slot| self.workers.iter().all(|worker| worker.slot != *slot))
        {
            let Some(task) = self.next_task() else { break };
            if let Err(error) = self.start(task, slot) {
                self.failed(task, format!("{error:#}"), false, false, false);
            }
        }
    }

    fn is_waiting(&self, task: usize) -> bool {
        let open = matches!(self.tasks[task].status, TaskStatus::New | TaskStatus::Partial(_));
        open && self.workers.iter().all(|worker| worker.task != task)
    }

    /// The first run in order that waits and is not pausing.
    fn next_task(&self) -> Option<usize> {
        let now = Instant::now();
        (0..self.tasks.len())
            .find(|&task| self.is_waiting(task) && self.attempts[task].not_before <= now)
    }

    /// Whether a run waits, be it for a slot or for the end of its pause.
    fn someone_waits(&self) -> bool {
        (0..self.tasks.len()).any(|task| self.is_waiting(task))
    }

    fn start(&mut self, index: usize, slot: usize) -> Result<()> {
        let task = &self.tasks[index];
        let assignment = self.assignment(task, slot);
        let lock = self.locks[index]
            .as_ref()
            .context("the run is not locked")?
            .try_clone()
            .context("the lock of a run")?;
        // The program that runs, even if its file was replaced by a newer build since.
        let mut command = Command::new("/proc/self/exe");
        command
            .arg0(&self.name)
            .arg("worker")
            .arg(assignment.to_text()?)
            .stdin(lock)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // Ctrl-C in a terminal reaches the supervisor alone, which then stops the workers.
        command.process_group(0);
        if let Some(threads) = self.threads() {
            command.env("OMP_NUM_THREADS", threads.to_string());
        }
        let child = command.spawn().context("a worker cannot be started")?;
        self.workers.push(Worker { task: index, slot, process: child.id(), error: None });
        self.screen.start(index, task);
        listen(child, index, &self.sender);
        Ok(())
    }

    fn assignment(&self, task: &Task, slot: usize) -> Job {
        let conditions = self.conditions;
        let dataset = conditions.datasets[task.experiment];
        Job {
            directory: task.directory.path().to_path_buf(),
            network: task.run.network,
            seed: task.run.seed,
            dataset,
            data: conditions.folders.get(&dataset).cloned(),
            device: conditions.slots[slot].to_string(),
            checkpoint_every_seconds: conditions.options.checkpoint_every.as_secs_f64(),
            keep_weights: conditions.options.keep_weights,
            graph: conditions.options.graph,
            loaders: (conditions.options.loaders / conditions.slots.len()).max(1),
            tensorboard: conditions
                .options
                .tensorboard
                .as_ref()
                .map(|folder| folder.join(&task.id)),
            supervisor: std::process::id(),
            recipe: task.run.recipe.clone(),
            weights: task.run.weights.clone(),
        }
    }

    /// Threads of each worker, where several share the cores and the user did not say.
    fn threads(&self) -> Option<usize> {
        let slots = self.conditions.slots.len();
        let cores = parallel::available_threads();
        (slots > 1 && std::env::var_os("OMP_NUM_THREADS").is_none())
            .then_some((cores / slots).max(1))
    }

    fn hear(&mut self, index: usize, message: Message, stopping: bool) {
        match message {
            Message::Event(event) => self.screen.event(index, &self.tasks[index], event),
            Message::Said(line) => {
                let worker = self.workers.iter_mut().find(|worker| worker.task == index);
                match (line.strip_prefix("error: "), worker) {
                    (Some(error), Some(worker)) => worker.error = Some(error.to_string()),
                    _ if line.trim().is_empty() => {}
                    _ => self.screen.note(&self.tasks[index], &line),
                }
            }
            Message::Ended(status) => self.ended(index, status, stopping),
        }
    }

    fn ended(&mut self, index: usize, status: ExitStatus, stopping: bool) {
        let Some(position) = self.workers.iter().position(|worker| worker.task == index) else {
            return;
        };
        let worker = self.workers.swap_remove(position);
        let code = status.code().and_then(|code| u8::try_from(code).ok());
        match code {
            Some(EXIT_DONE) => self.tasks[index].status = TaskStatus::Finished,
            Some(EXIT_RUN_FAILED) => self.tasks[index].status = TaskStatus::Diverged,
            Some(EXIT_INTERRUPTED) if stopping => self.tasks[index].status = self.partial(index),
            // Asked to stop before it had begun to listen for that.
            None if stopping && status.signal() == Some(libc::SIGTERM) => {
                self.tasks[index].status = self.partial(index)
            }
            _ => {
                let told = worker.error.is_some();
                self.failed(
                    index,
                    reason(status, worker.error),
                    told,
                    code == Some(EXIT_BAD_INPUT),
                    stopping,
                );
            }
        }
        let over = self.tasks[index].status.is_over();
        if over {
            self.locks[index] = None;
        }
        self.screen.end(index, over);
        self.screen.total(self.tasks, true);
    }

    /// Notes a failed attempt, and decides whether there is another.
    fn failed(&mut self, index: usize, reason: String, told: bool, hopeless: bool, stopping: bool) {
        self.record_failure(index, &reason, told);
        let standing = self.partial(index);
        let now_at = if let TaskStatus::Partial(iterations) = standing { iterations } else { 0 };
        let attempts = &mut self.attempts[index];
        // A run that gets farther each time is not a hopeless one.
        attempts.failed = if now_at > attempts.at { 1 } else { attempts.failed + 1 };
        attempts.at = now_at;
        if stopping || !hopeless && attempts.failed <= self.conditions.retries {
            let pause =
                (PAUSE * 2u32.saturating_pow(attempts.failed - 1).min(1000)).min(LONGEST_PAUSE);
            attempts.not_before = Instant::now() + pause;
            self.tasks[index].status = standing;
            let again = format!(
                "attempt {} of {} in {} s",
                attempts.failed + 1,
                self.conditions.retries + 1,
                pause.as_secs()
            );
            let next = if stopping {
                "the same command resumes from its last checkpoint".to_string()
            } else {
                again
            };
            self.screen.note(&self.tasks[index], &format!("failed: {reason}; {next}"));
        } else {
            self.screen.note(
                &self.tasks[index],
                &format!(
                    "failed: {reason}; given up after {} attempts, the sweep continues",
                    attempts.failed
                ),
            );
            self.tasks[index].status = TaskStatus::Failed(reason);
        }
    }

    /// Puts the reason on record. A worker that `told` it may have done so itself; one that was
    /// killed could not.
    fn record_failure(&self, index: usize, reason: &str, told: bool) {
        let path = self.tasks[index].directory.record();
        // The lock is held here and the worker is gone. If this fails too (a full disk), the reason
        // is still told at the end.
        if let Ok(mut record) = RunRecord::read(&path)
            && !(told && record.failures.last().is_some_and(|last| last.reason == reason))
        {
            record.failures.push(Failure { time: timestamp(), reason: reason.to_string() });
            let _ = record.write(&path);
        }
    }

    fn partial(&self, index: usize) -> TaskStatus {
        match RunRecord::read(&self.tasks[index].directory.record()) {
            Ok(record) => TaskStatus::Partial(record.progress.iterations),
            Err(_) => TaskStatus::New,
        }
    }
}

/// Why a worker ended.
fn reason(status: ExitStatus, error: Option<String>) -> String {
    match (error, status.signal()) {
        (Some(error), _) => error,
        (None, Some(libc::SIGKILL)) => {
            "killed by signal 9, as the system does when memory runs out: fewer --jobs or a smaller batch_size need less".to_string()
        }
        (None, Some(signal)) => format!("ended by signal {signal}"),
        (None, None) => format!("ended with exit code {}", status.code().unwrap_or(-1)),
    }
}

/// Reads what a worker writes, and waits for its end, in threads of their own.
fn listen(mut child: Child, task: usize, sender: &Sender<(usize, Message)>) {
    let (events, lines) = (child.stdout.take(), child.stderr.take());
    let reader = |stream: Option<Box<dyn std::io::Read + Send>>,
                  message: fn(String) -> Option<Message>| {
        let sender = sender.clone();
        std::thread::spawn(move || {
            for line in stream
                .into_iter()
                .flat_map(|stream| BufReader::new(stream).lines())
                .map_while(Result::ok)
            {
                if let Some(message) = message(line) {
                    let _ = sender.send((task, message));
                }
            }
        })
    };
    let readers = [
        reader(events.map(|stream| Box::new(stream) as _), |line| {
            serde_json::from_str(&line).ok().map(Message::Event)
        }),
        reader(lines.map(|stream| Box::new(stream) as _), |line| Some(Message::Said(line))),
    ];
    let sender = sender.clone();
    std::thread::spawn(move || {
        // Everything that it wrote is heard before its end.
        for reader in readers {
            let _ = reader.join();
        }
        if let Ok(status) = child.wait() {
            let _ = sender.send((task, Message::Ended(status)));
        }
    });
}
