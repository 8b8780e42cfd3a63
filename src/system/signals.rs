//! Stopping on a signal.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};

use crate::error::EXIT_AT_ONCE;

/// What is told, and shown until it is over, after the first signal.
pub const STOPPING: &str =
    "stopping after this iteration, to save; press again to stop without saving";

/// The same where there is little room.
pub const STOPPING_SHORT: &str = "stopping and saving; again: quit";

const STOPPED: &[u8] = b"\nstopped immediately, without saving\n";

/// A flag that SIGINT (Ctrl-C), SIGTERM, SIGHUP (a closed terminal) or SIGUSR1 (what cluster
/// schedulers send before the time is up) sets. A second signal ends the program at once, without saving.
pub fn stop_flag() -> Result<Arc<AtomicBool>> {
    register(true)
}

/// The same without a word on stderr and without an end at a second signal, for a process that has
/// a supervisor: the first signal may have come from elsewhere (a cluster that signals every
/// process), and the supervisor's own must not keep it from saving.
pub fn quiet_stop_flag() -> Result<Arc<AtomicBool>> {
    register(false)
}

fn register(acknowledged: bool) -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP, SIGUSR1] {
        // What "nohup" has the program ignore stays ignored.
        if signal == SIGHUP && is_ignored(signal) {
            continue;
        }
        // In this order: the first signal finds the flag unset and sets it, the second finds it
        // set.
        if acknowledged {
            let again = Arc::clone(&stop);
            let last_words = move || {
                if again.load(Ordering::Relaxed) {
                    tell(STOPPED);
                }
            };
            // SAFETY: the action reads a flag and writes.
            unsafe { signal_hook::low_level::register(signal, last_words) }
                .context("signal handler")?;
            signal_hook::flag::register_conditional_shutdown(
                signal,
                i32::from(EXIT_AT_ONCE),
                Arc::clone(&stop),
            )
            .context("signal handler")?;
        }
        signal_hook::flag::register(signal, Arc::clone(&stop)).context("signal handler")?;
        if !acknowledged {
            continue;
        }
        let acknowledge = || {
            tell(b"\n");
            tell(STOPPING.as_bytes());
            tell(b"\n");
        };
        // SAFETY: the action does nothing else.
        unsafe { signal_hook::low_level::register(signal, acknowledge) }
            .context("signal handler")?;
    }
    Ok(stop)
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
