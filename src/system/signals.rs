//! Stopping on a signal.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result};
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};

use crate::error::EXIT_AT_ONCE;

const ACKNOWLEDGEMENT: &[u8] = b"\nstopping after this iteration or evaluation, to save; once more stops at once, without saving\n";

/// A flag that SIGINT (Ctrl-C), SIGTERM or SIGUSR1 (what cluster schedulers send before the time is
/// up) sets. A second signal ends the program at once, without saving.
pub fn stop_flag() -> Result<Arc<AtomicBool>> {
    register(true)
}

/// The same without a word on stderr and without an end at a second signal, for a process that has
/// a supervisor: the first signal may have come from elsewhere (a scheduler that signals every
/// process), and the supervisor's own must not keep it from saving.
pub fn quiet_stop_flag() -> Result<Arc<AtomicBool>> {
    register(false)
}

fn register(acknowledged: bool) -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGUSR1] {
        // In this order: the first signal finds the flag unset and sets it, the second finds it
        // set.
        if acknowledged {
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
        // SAFETY: write is among the functions that a signal handler may call.
        let acknowledge = || unsafe {
            libc::write(
                libc::STDERR_FILENO,
                ACKNOWLEDGEMENT.as_ptr().cast(),
                ACKNOWLEDGEMENT.len(),
            );
        };
        // SAFETY: the action does nothing else.
        unsafe { signal_hook::low_level::register(signal, acknowledge) }
            .context("signal handler")?;
    }
    Ok(stop)
}
