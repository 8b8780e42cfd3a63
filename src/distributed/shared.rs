//! What the threads of a rank have in common: its connections, why the ranks cannot go on, and the
//! end of a process whose training does not end.

use std::io;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::anyhow;

use crate::console::output::say;
use crate::distributed::frame::Frame;
use crate::distributed::patience::Patience;
use crate::error::EXIT_FAILED;

/// How often a rank shows that it is alive.
pub const BEAT: Duration = Duration::from_secs(1);

/// How long a training may take to end after it was told that another rank has gone.
pub const GRACE: Duration = Duration::from_secs(5);

/// How long a training may wait for the others, in an exchange of tensors or for a message, the
/// slowest rank's step and a checkpoint included. That a rank has gone is noticed long before.
pub const STUCK: Duration = Duration::from_secs(30 * 60);

/// What is called with the reason when a training does not end by itself.
pub type LastWords = Box<dyn Fn(&str) + Send>;

/// What all threads see.
pub struct Shared {
    /// Which one this is.
    pub rank: usize,
    /// How many there are.
    pub world: usize,
    /// Of each rank.
    pub hosts: Vec<String>,
    /// A rank that shows no sign of life for so long has gone.
    pub limit: Duration,
    /// Why the ranks cannot go on.
    pub verdict: Mutex<Option<String>>,
    /// Tells that there is a verdict.
    pub reached: Condvar,
    /// All ranks are done: connections that end mean nothing.
    pub ended: AtomicBool,
    /// A thread is about to end the process.
    pub is_ending: AtomicBool,
    /// The training has been told why it must end, and will say so itself.
    pub is_told: AtomicBool,
    /// The last iteration that was begun.
    pub iteration: AtomicU64,
    /// How long the training has waited.
    pub patience: Patience,
    /// Connections, by rank.
    pub writers: Vec<(usize, Mutex<TcpStream>)>,
    /// Called before the process is ended in the midst of its training.
    pub last_words: Mutex<Option<LastWords>>,
}

/// The value, whatever happened to a thread that held it.
pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// A rank as it is named in messages.
    pub fn named(&self, rank: usize) -> String {
        let host = self.hosts.get(rank).map_or("unknown", String::as_str);
        format!("rank {rank} of {} (host {host})", self.world)
    }

    /// Sends a frame to a rank that this one is connected with.
    pub fn send(&self, rank: usize, frame: &Frame) -> io::Result<()> {
        let writer = self.writers.iter().find(|(other, _)| *other == rank);
        let (_, writer) = writer.ok_or(io::ErrorKind::NotConnected)?;
        frame.write(&mut *locked(writer))
    }

    /// Puts the reason on record, if it is the first, and tells it to the others (from rank 0) or
    /// to rank 0.
    pub fn decide(&self, reason: &str) {
        {
            let mut verdict = locked(&self.verdict);
            if verdict.is_some() {
                return;
            }
            *verdict = Some(reason.to_string());
            self.reached.notify_all();
        }
        for (rank, _) in &self.writers {
            let _ = self.send(*rank, &Frame::Failed(reason.to_string()));
        }
    }

    /// The reason, waited for at most so long.
    pub fn reason(&self, patience: Duration) -> Option<String> {
        let verdict = locked(&self.verdict);
        let waited =
            self.reached.wait_timeout_while(verdict, patience, |verdict| verdict.is_none());
        waited.unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// The error that ends this rank.
    pub fn failure(&self, reason: &str) -> anyhow::Error {
        self.is_told.store(true, Ordering::Relaxed);
        anyhow!("{}", self.told(reason))
    }

    fn told(&self, reason: &str) -> String {
        let iteration = match self.iteration.load(Ordering::Relaxed) {
            0 => "before the first iteration".to_string(),
            iteration => format!("in iteration {iteration}"),
        };
        format!(
            "{} ends {iteration}: {reason}; the same command resumes from the last checkpoint",
            self.named(self.rank)
        )
    }

    /// Why the ranks cannot go on, if this one's training has waited too long.
    pub fn stuck(&self) -> Option<String> {
        let own = self.named(self.rank);
        let minutes = STUCK.as_secs() / 60;
        Some(match self.patience.exceeded()? {
            Some(missing) => {
                let missing = self.named(missing);
                format!("{missing} is stuck: {own} has waited for it for {minutes} min")
            }
            None => format!("{own} has waited for an exchange of tensors for {minutes} min"),
        })
    }

    /// Ends the process if its training does not.
    pub fn end_soon(&self) {
        std::thread::sleep(GRACE);
        // One thread of several is enough.
        if self.ended.load(Ordering::Relaxed) || self.is_ending.swap(true, Ordering::Relaxed) {
            return;
        }
        if self.is_told.load(Ordering::Relaxed) {
            // It puts that on record and ends, if it can.
            std::thread::sleep(BEAT.max(self.limit));
        } else {
            let told = self.told(&self.reason(Duration::ZERO).unwrap_or_default());
            if let Some(last_words) = locked(&self.last_words).take() {
                last_words(&told);
            }
            say(&format!("error: {told}"));
        }
        // SAFETY: ends the process without running what its other threads may be in the midst of.
        unsafe { libc::_exit(i32::from(EXIT_FAILED)) }
    }
}
