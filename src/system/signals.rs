//! Stopping on a signal.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};

use crate::error::EXIT_AT_ONCE;

/// What is told, and shown until it is over, after the first signal.
pub const STOPPING: &str =
    "stopping after this iteration, to save; press again in a second to stop without saving";

/// The same where there is little room.
pub const STOPPING_SHORT: &str = "stopping and saving; again: quit";

const STOPPED: &[u8] = b"\nstopped immediately, without saving\n";

/// Signals that come so soon after the first, in milliseconds, are one request with it: timeout(1)
/// and some schedulers signal a process, and then its group.
const ONE_REQUEST: i64 = 1000;

/// A flag that SIGINT (Ctrl-C), SIGTERM, SIGHUP (a closed terminal) or SIGUSR1 (what cluster
/// schedulers send before the time is up) sets. A second signal, a second later or more, ends the
/// program at once, without saving.
pub fn stop_flag() -> Result<Arc<AtomicBool>> {
    let (stop, first) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicI64::new(NEVER)));
    register(|| {
        let (stop, first) = (Arc::clone(&stop), Arc::clone(&first));
        move || {
            let now = milliseconds();
            match first.compare_exchange(NEVER, now, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => {
                    stop.store(true, Ordering::Relaxed);
                    [b"\n", STOPPING.as_bytes(), b"\n"].into_iter().for_each(tell);
                }
                Err(before) if now - before < ONE_REQUEST => {}
                Err(_) => {
                    tell(STOPPED);
                    // SAFETY: _exit is among the functions that a signal handler may call.
                    unsafe { libc::_exit(i32::from(EXIT_AT_ONCE)) }
                }
            }
        }
    })?;
    Ok(stop)
}

/// The same without a word on stderr and without an end at a second signal, for a process that has
/// a supervisor: the first signal may have come from elsewhere (a cluster that signals every
/// process), and the supervisor's own must not keep it from saving.
pub fn quiet_stop_flag() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    register(|| {
        let stop = Arc::clone(&stop);
        move || stop.store(true, Ordering::Relaxed)
    })?;
    Ok(stop)
}

/// Has each of the signals do what `action` makes, which a signal handler may do.
fn register<Action: Fn() + Send + Sync + 'static>(action: impl Fn() -> Action) -> Result<()> {
    for signal in [SIGINT, SIGTERM, SIGHUP, SIGUSR1] {
        // What "nohup" has the program ignore stays ignored.
        if signal == SIGHUP && is_ignored(signal) {
            continue;
        }
        // SAFETY: the actions above change atomic numbers, ask for the time, write and exit.
        unsafe { signal_hook::low_level::register(signal, action()) }.context("signal handler")?;
    }
    Ok(())
}

/// Before any signal.
const NEVER: i64 = i64::MIN;

/// Since some moment in the past.
fn milliseconds() -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes to a place of its size; among the functions that a signal handler may call.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec * 1000 + time.tv_nsec / 1_000_000
}

/// Writes to stderr from a signal handler.
fn tell(text: &[u8]) {
    // SAFETY: write is among the functions that a signal handler may call.
    unsafe { libc::write(libc::STDERR_FILENO, text.as_ptr().cast(), text.len()) };
}

fn is_ignored(signal: libc::c_int) -> bool {
    // SAFETY: the action is only read, into a place of its size.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &mut action) == 0
            && action.sa_sigaction == libc::SIG_IGN
    }
}
