//! The lock of a run's folder: one process at a time is at a run.
//!
//! What is locked is a file, opened for reading and writing. On NFS, Linux keeps the lock of a
//! folder to the machine that takes it, so two nodes of a cluster would both get it; the lock of a
//! file that is open for writing becomes one that the server gives out (flock(2), "NFS details").
//!
//! The lock, not the file, says that a run is taken: the file stays when the run is over, holds
//! nothing then, and may be removed. While the lock is held, it says by whom.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use serde::{Deserialize, Serialize};

use crate::error::{BadInput, bad_input};
use crate::records::provenance::timestamp;
use crate::system::atomic_file::open_own;
use crate::system::host;
use crate::system::process::is_ending;

/// The file's name.
pub const LOCK: &str = ".lock";

/// How long a lock is waited for in any case: who holds it may be about to be killed.
const DYING: Duration = Duration::from_secs(1);

/// How long a process of this machine that was killed may take to let go of its lock, with what it
/// has started: cores may be busy, and its memory large.
const ENDING: Duration = Duration::from_secs(60);

/// How long an NFS server may keep the lock of a node that died: its lease of 90 s (Linux's
/// default), and what it takes to notice.
const LEASE: Duration = Duration::from_secs(120);

/// No file of ours is longer, in bytes.
const LONGEST: u64 = 4096;

/// Who holds a lock, as its file says; empty if it has not said so (yet).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Holder {
    /// The machine's name.
    pub host: String,
    /// The process's number there.
    pub process: u32,
    /// The cluster's job that it is part of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// When it took the lock (UTC).
    pub since: String,
}

impl Holder {
    fn this_process() -> Holder {
        Holder {
            host: host::name(),
            process: std::process::id(),
            job: host::job(),
            since: timestamp(),
        }
    }

    /// Also if it has not said where it is.
    fn is_elsewhere(&self) -> bool {
        self.host != host::name()
    }

    /// Whether it was killed, and only its lock is left, which another process may still have from it.
    fn is_ending(&self) -> bool {
        !self.is_elsewhere() && is_ending(self.process)
    }

    /// How long its lock is waited for. In a job, the node of an earlier attempt may have died, and
    /// its lock lives on for a while.
    fn patience(&self, in_job: bool) -> Duration {
        match self.is_elsewhere() {
            true if in_job => LEASE,
            false if self.is_ending() => ENDING,
            _ => DYING,
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "host {}, process {}", self.host, self.process)?;
        if let Some(job) = &self.job {
            write!(formatter, ", {job}")?;
        }
        write!(formatter, ", since {}", self.since)
    }
}

/// A lock that is held here. The system drops it with the last process that has it open.
#[derive(Debug)]
pub struct RunLock {
    file: File,
    /// What a person should know about it.
    pub note: Option<String>,
}

/// What came of an attempt.
#[derive(Debug)]
pub enum Attempt {
    /// The lock is held now.
    Taken(RunLock),
    /// Another process has it.
    Held(Holder),
}

impl RunLock {
    /// Tries once to lock the run in `folder`, which is there.
    pub fn attempt(folder: &Path) -> Result<Attempt> {
        let path = folder.join(LOCK);
        let mut file = open_own(&path)?;
        let earlier = holder(&mut file);
        let note = match flock(&file) {
            Flock::Taken => earlier.filter(Holder::is_elsewhere).map(|holder| {
                format!(
                    "{}: {holder} did not release the lock: it was killed, or this mount keeps locks local to each machine (local_lock); make sure that it is gone",
                    path.display()
                )
            }),
            Flock::Held => return Ok(Attempt::Held(holder(&mut file).unwrap_or_default())),
            Flock::Impossible(error) => Some(format!(
                "{}: this file system cannot lock ({error}): make sure that no other process is working on this run{}",
                path.display(),
                earlier.map_or(String::new(), |holder| format!("; the last was {holder}"))
            )),
            Flock::Failed(error) => {
                return Err(anyhow!("{}: cannot be locked: {error}", path.display()));
            }
        };
        sign(&mut file, &Holder::this_process());
        Ok(Attempt::Taken(RunLock { file, note }))
    }

    /// The process that is at the run in `folder`, if there is one. Makes no file.
    pub fn holder_of(folder: &Path) -> Result<Option<Holder>> {
        let path = folder.join(LOCK);
        if path.symlink_metadata().is_err() {
            return Ok(None);
        }
        let mut file = open_own(&path)?;
        Ok(match flock(&file) {
            Flock::Held => Some(holder(&mut file).unwrap_or_default()),
            _ => None,
        })
    }

    /// The same lock for a process that is started with it: it lasts until both are gone.
    pub fn handed_down(&self) -> io::Result<File> {
        self.file.try_clone()
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        // Only for who reads it: the lock is what counts.
        let _ = self.file.set_len(0);
    }
}

/// How long locks that are held are waited for, all together.
pub struct Patience {
    began: Instant,
    in_job: bool,
}

impl Patience {
    /// From now on.
    pub fn new() -> Patience {
        Patience { began: Instant::now(), in_job: host::job().is_some() }
    }

    /// Waits a little for a lock that `holder` has; whether that was worth while.
    pub fn wait_for(&self, holder: &Holder) -> bool {
        let waited = self.began.elapsed();
        if waited >= holder.patience(self.in_job) {
            return false;
        }
        std::thread::sleep(Duration::from_millis(if waited < DYING { 20 } else { 500 }));
        true
    }

    /// Whether the waiting for `holder` becomes so long that a person should know.
    pub fn is_long(&self, holder: &Holder) -> bool {
        let waited = self.began.elapsed();
        waited > DYING && waited < holder.patience(self.in_job)
    }
}

impl Default for Patience {
    fn default() -> Patience {
        Patience::new()
    }
}

/// The error that refuses a run at which another process is.
pub fn refused(folder: &Path, holder: &Holder) -> BadInput {
    bad_input(format!("{}; wait for it, or choose another --out", taken(folder, holder)))
}

/// What is told while a node is waited for that may have died, or a process that was killed.
pub fn waiting(folder: &Path, holder: &Holder) -> String {
    let what =
        if holder.is_elsewhere() { "in case that machine has died" } else { "it was killed" };
    format!("{}; waiting: {what}", taken(folder, holder))
}

/// "runs/x: another process is working on this run (host a, process 1, since …)".
pub fn taken(folder: &Path, holder: &Holder) -> String {
    let who = if holder.host.is_empty() { String::new() } else { format!(" ({holder})") };
    format!("{}: another process is working on this run{who}", folder.display())
}

/// What the system says to an attempt.
enum Flock {
    Taken,
    Held,
    /// Not on this file system.
    Impossible(io::Error),
    Failed(io::Error),
}

fn flock(file: &File) -> Flock {
    use std::fs::TryLockError::{Error, WouldBlock};
    match file.try_lock() {
        Ok(()) => Flock::Taken,
        Err(WouldBlock) => Flock::Held,
        Err(Error(error)) => refusal(error),
    }
}

fn refusal(error: io::Error) -> Flock {
    match error.raw_os_error() {
        // What SMB servers answer for a lock of another machine.
        Some(libc::EACCES | libc::EAGAIN) => Flock::Held,
        // Lustre without "-o flock"; FUSE and others that have no locks; NFS without a lock daemon.
        Some(libc::ENOSYS | libc::EOPNOTSUPP | libc::ENOLCK) => Flock::Impossible(error),
        // EBADF would be a file that is not open for writing, EIO or ESTALE a server that is gone.
        _ => Flock::Failed(error),
    }
}

/// What the file says; nothing if it is empty, half written or another's.
fn holder(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.seek(SeekFrom::Start(0)).ok()?;
    file.take(LONGEST).read_to_string(&mut text).ok()?;
    let holder: Holder = toml::from_str(&text).ok()?;
    (!holder.host.is_empty()).then_some(holder)
}

/// Writes who has the lock. That it cannot be written (a full disk) is no reason not to go on.
fn sign(file: &mut File, holder: &Holder) {
    let text = toml::to_string(holder).unwrap_or_default();
    let _ = file
        .set_len(0)
        .and_then(|()| file.seek(SeekFrom::Start(0)))
        .and_then(|_| file.write_all(text.as_bytes()))
        // Other nodes of an NFS see what the server has.
        .and_then(|()| file.sync_data());
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    fn taken_in(folder: &Path) -> RunLock {
        match RunLock::attempt(folder).unwrap() {
            Attempt::Taken(lock) => lock,
            Attempt::Held(holder) => panic!("held by {holder}"),
        }
    }

    fn holder_in(folder: &Path) -> Option<Holder> {
        match RunLock::attempt(folder).unwrap() {
            Attempt::Taken(_) => None,
            Attempt::Held(holder) => Some(holder),
        }
    }

    #[test]
    fn the_lock_is_on_a_file_that_is_open_for_writing_as_nfs_needs_it() {
        let folder = tempfile::tempdir().unwrap();
        let lock = taken_in(folder.path());
        // SAFETY: asks for the flags of an open file.
        let flags = unsafe { libc::fcntl(lock.file.as_raw_fd(), libc::F_GETFL) };
        assert_eq!(flags & libc::O_ACCMODE, libc::O_RDWR);
        assert!(lock.file.metadata().unwrap().is_file());
    }

    #[test]
    fn who_comes_second_is_told_who_has_it_and_the_file_is_empty_once_it_is_free() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(RunLock::holder_of(folder.path()).unwrap(), None);
        assert!(!folder.path().join(LOCK).exists(), "looking makes no file");
        let lock = taken_in(folder.path());
        for holder in [holder_in(folder.path()), RunLock::holder_of(folder.path()).unwrap()] {
            let holder = holder.unwrap();
            assert_eq!((&*holder.host, holder.process), (&*host::name(), std::process::id()));
        }
        drop(lock);
        assert_eq!(std::fs::read(folder.path().join(LOCK)).unwrap(), b"");
        assert!(RunLock::holder_of(folder.path()).unwrap().is_none());
        assert!(taken_in(folder.path()).note.is_none());
    }

    #[test]
    fn a_lock_that_was_handed_down_lasts_as_long_as_any_of_the_two() {
        let folder = tempfile::tempdir().unwrap();
        let lock = taken_in(folder.path());
        let other = lock.handed_down().unwrap();
        drop(lock);
        assert!(holder_in(folder.path()).is_some());
        drop(other);
        assert!(holder_in(folder.path()).is_none());
    }

    #[test]
    fn what_a_file_says_that_nobody_has_locked_is_no_hindrance_and_another_machine_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let text = "host = \"node-7\"\nprocess = 12\njob = \"Slurm job 5\"\nsince = \"then\"\n";
        std::fs::write(folder.path().join(LOCK), text).unwrap();
        let note = taken_in(folder.path()).note.clone().unwrap();
        assert!(
            note.contains("host node-7, process 12, Slurm job 5, since then did not"),
            "{note}"
        );
        for odd in ["", "host", "\u{7f}", "process = \"x\"\n"] {
            std::fs::write(folder.path().join(LOCK), odd).unwrap();
            assert_eq!(taken_in(folder.path()).note, None, "{odd:?}");
        }
    }

    #[test]
    fn a_dead_nodes_lease_is_waited_for_in_a_job_and_a_process_that_works_here_never() {
        let process = std::process::id();
        let here = Holder { host: host::name(), process, ..Holder::default() };
        assert_eq!(Holder::default().patience(true), Duration::from_secs(120));
        assert_eq!([here.patience(true), Holder::default().patience(false)], [DYING; 2]);
        assert!(Holder::default().is_elsewhere() && !here.is_elsewhere());
        let began = Instant::now() - Duration::from_secs(2);
        let patience = Patience { began, in_job: true };
        assert!(!patience.wait_for(&here) && patience.wait_for(&Holder::default()));
        assert!(!patience.is_long(&here) && patience.is_long(&Holder::default()));
    }

    #[test]
    fn what_a_killed_process_left_locked_is_waited_for() {
        let mut killed = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        killed.kill().unwrap();
        killed.wait().unwrap();
        let holder = Holder { host: host::name(), process: killed.id(), ..Holder::default() };
        let after = |seconds| Patience {
            began: Instant::now() - Duration::from_secs(seconds),
            in_job: false,
        };
        assert!(after(2).wait_for(&holder) && after(2).is_long(&holder));
        assert!(!after(61).wait_for(&holder));
        let told = waiting(Path::new("runs/x"), &holder);
        assert!(told.ends_with("; waiting: it was killed"), "{told}");
    }

    #[test]
    fn a_file_system_without_locks_is_told_from_one_that_fails() {
        let kind = |code| match refusal(io::Error::from_raw_os_error(code)) {
            Flock::Taken => "taken",
            Flock::Held => "held",
            Flock::Impossible(_) => "impossible",
            Flock::Failed(_) => "failed",
        };
        for code in [libc::ENOSYS, libc::EOPNOTSUPP, libc::ENOLCK] {
            assert_eq!(kind(code), "impossible");
        }
        assert_eq!(kind(libc::EACCES), "held");
        for code in [libc::EBADF, libc::EIO, libc::ESTALE] {
            assert_eq!(kind(code), "failed");
        }
    }
}
