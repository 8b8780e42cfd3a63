//! Starts workers, listens to them, tries failed runs again, and stops them all when asked to.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::config::dataset_name::DatasetName;
use crate::config::recipe::Recipe;
use crate::console::event::Event;
use crate::error::{EXIT_BAD_INPUT, EXIT_DONE, EXIT_INTERRUPTED, EXIT_RUN_FAILED};
use crate::records::lock::{Attempt, Patience, RunLock, refused, taken, waiting};
use crate::records::provenance::timestamp;
use crate::records::run_toml::{Failure, RunRecord};
use crate::run::spec::RunOptions;
use crate::sweep::display::Screen;
use crate::sweep::plan::{Task, TaskStatus};
use crate::sweep::queue::Queue;
use crate::sweep::worker::Job;
use crate::system::device::DeviceChoice;
use crate::system::parallel;

/// How often the scheduler looks whether it was asked to stop.
const TICK: Duration = Duration::from_millis(100);

/// How often a run is looked at again that another process has.
const TAKEN_PAUSE: Duration = Duration::from_secs(1);

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
    pub run: RunOptions,
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
    /// The run's, which the process has too.
    _lock: RunLock,
    /// The last error that it told.
    error: Option<String>,
}

/// A sweep in progress.
pub struct Scheduler<'a> {
    tasks: &'a mut [Task],
    queue: Queue,
    /// Runs of which it was said that another process has them.
    told_taken: HashSet<usize>,
    options: &'a SweepOptions,
    workers: Vec<Worker>,
    screen: Screen,
    sender: Sender<(usize, Message)>,
    receiver: Receiver<(usize, Message)>,
    /// This program's name, for process lists.
    name: OsString,
}

impl<'a> Scheduler<'a> {
    /// A sweep of all runs that are not over.
    pub fn new(tasks: &'a mut [Task], options: &'a SweepOptions) -> Scheduler<'a> {
        for task in tasks.iter().filter(|task| task.status.is_over()) {
            // A kill right after a run's last record leaves them, and costs no more than room.
            let _ = RunRecord::read(&task.directory.record())
                .and_then(|record| task.directory.tidy(&record));
        }
        let (sender, receiver) = channel();
        let open = (0..tasks.len()).filter(|&task| !tasks[task].status.is_over());
        Scheduler {
            name: std::env::args_os().next().unwrap_or_default(),
            screen: Screen::new(tasks),
            queue: Queue::new(open),
            told_taken: HashSet::new(),
            options,
            workers: Vec::new(),
            sender,
            receiver,
            tasks,
        }
    }

    /// Refuses if another process is at one of the runs; one that was just killed is waited for, and
    /// in a cluster's job a node that may have died.
    ///
    /// Locks are held for runs at work alone: a plan may have more runs than a process may have
    /// files open.
    fn refuse_taken(&self, stop: &AtomicBool) -> Result<()> {
        let patience = Patience::new();
        let mut told = false;
        for task in self.queue.waiting() {
            let folder = self.tasks[task].directory.path();
            while let Some(holder) = RunLock::holder_of(folder)?
                && !stop.load(Ordering::Relaxed)
            {
                if patience.is_long(&holder) && !std::mem::replace(&mut told, true) {
                    self.screen.note(&self.tasks[task], &waiting(folder, &holder));
                }
                if !patience.wait_for(&holder) {
                    return Err(refused(folder, &holder).into());
                }
            }
        }
        Ok(())
    }

    /// Trains until every run is over or has failed too often, or until `stop` is set: then every
    /// worker saves and ends first. Returns whether it was stopped.
    pub fn run(&mut self, stop: &AtomicBool) -> Result<bool> {
        self.refuse_taken(stop)?;
        let mut told_to_stop = false;
        self.screen.total(true);
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
            if self.workers.is_empty() && (stopping || self.queue.is_empty()) {
                return Ok(stopping);
            }
            match self.receiver.recv_timeout(TICK) {
                Ok((task, message)) => self.hear(task, message, stopping),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
            self.screen.total(false);
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
        while let Some(slot) = (0..self.options.slots.len())
            .find(|slot| self.workers.iter().all(|worker| worker.slot != *slot))
        {
            let Some(task) = self.queue.take_next() else { break };
            match self.start(task, slot) {
                Ok(None) => {}
                Ok(Some(told)) => {
                    self.queue.put_back(task, TAKEN_PAUSE);
                    if self.told_taken.insert(task) {
                        self.screen.note(&self.tasks[task], &told);
                    }
                }
                Err(error) => self.failed(task, format!("{error:#}"), false, false),
            }
        }
    }

    /// Starts a run's process; or says why that has to wait.
    fn start(&mut self, index: usize, slot: usize) -> Result<Option<String>> {
        let task = &self.tasks[index];
        let lock = match task.directory.try_lock()? {
            Attempt::Taken(lock) => lock,
            Attempt::Held(holder) => {
                let who = taken(task.directory.path(), &holder);
                return Ok(Some(format!("{who}; leaving the run to it and checking again")));
            }
        };
        if let Some(note) = &lock.note {
            self.screen.note(task, note);
        }
        let job = self.job(task, slot);
        // The program that runs, even if its file was replaced by a newer build since.
        let mut command = Command::new("/proc/self/exe");
        command
            .arg0(&self.name)
            .arg("worker")
            .arg(job.to_text()?)
            .stdin(lock.handed_down().context("the lock of a run")?)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // Ctrl-C in a terminal reaches the scheduler alone, which then stops the workers.
        command.process_group(0);
        if let Some(threads) = self.threads() {
            command.env("OMP_NUM_THREADS", threads.to_string());
        }
        let child = command.spawn().context("a worker cannot be started")?;
        self.screen.start(index, task);
        let process = child.id();
        self.workers.push(Worker { task: index, slot, process, _lock: lock, error: None });
        listen(child, index, &self.sender);
        Ok(None)
    }

    fn job(&self, task: &Task, slot: usize) -> Job {
        let options = self.options;
        let dataset = options.datasets[task.experiment];
        Job {
            directory: task.directory.path().to_path_buf(),
            network: task.run.network,
            seed: task.run.seed,
            dataset,
            data: options.folders.get(&dataset).cloned(),
            device: options.slots[slot].to_string(),
            checkpoint_every_seconds: options.run.checkpoint_every.as_secs_f64(),
            keep_weights: options.run.keep_weights,
            keep_state: options.run.keep_state,
            graph: options.run.graph,
            loaders: (options.run.loaders / options.slots.len()).max(1),
            tensorboard: options.run.tensorboard.as_ref().map(|folder| folder.join(&task.id)),
            scheduler: std::process::id(),
            recipe: Recipe::clone(&task.run.recipe),
            weights: task.run.weights.clone(),
            extend_to: task.extend_to.clone(),
        }
    }

    /// Threads of each worker, where several share the cores and the user did not say.
    fn threads(&self) -> Option<usize> {
        let slots = self.options.slots.len();
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
                let reason = reason(status, worker.error);
                self.record_failure(index, &reason, told);
                self.failed(index, reason, code == Some(EXIT_BAD_INPUT), stopping);
            }
        }
        let over = self.tasks[index].status.is_over();
        self.screen.end(index, over);
        self.screen.total(true);
    }

    /// Notes a failed attempt, and decides whether there is another.
    fn failed(&mut self, index: usize, reason: String, hopeless: bool, stopping: bool) {
        let standing = self.partial(index);
        let now_at = if let TaskStatus::Partial(iterations) = standing { iterations } else { 0 };
        let (failed, pause) = self.queue.failed(index, now_at);
        if stopping || !hopeless && failed <= self.options.retries {
            self.queue.put_back(index, pause);
            self.tasks[index].status = standing;
            let again = format!(
                "attempt {} of {} in {} s",
                failed + 1,
                self.options.retries + 1,
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
                &format!("failed: {reason}; given up after {failed} attempts, the sweep continues"),
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
