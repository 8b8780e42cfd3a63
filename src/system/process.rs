//! Processes of this machine: others, and the end of this one.

use std::io::Write;

/// The kernel's mark of a process that is giving back what it has (`PF_EXITING`, the ninth field of
/// /proc/PID/stat; proc(5)).
const EXITING: u64 = 0x4;

/// Place of SIGKILL in the masks of /proc/PID/status.
const KILLED: u64 = 1 << (libc::SIGKILL - 1);

/// Whether a process of this machine has ended, or was killed and has only to be cleared away,
/// which takes seconds where cores are busy and its memory is large.
pub fn is_ending(process: u32) -> bool {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/{process}/{name}"));
    // In the order in which a killed process shows it.
    match (read("status"), read("stat")) {
        (Ok(status), Ok(stat)) => is_killed(&status) || is_exiting(&stat),
        // It is gone, if this system tells of processes at all.
        _ => std::path::Path::new("/proc/self/stat").exists(),
    }
}

/// Has the system kill this process when its parent, which has the number `parent`, dies. Ends it
/// with the exit code `code` where that has happened already.
pub fn die_with(parent: u32, code: u8) {
    if !is_bound_to(parent) {
        leave(code);
    }
}

/// Has the system kill this process when its parent dies, also after it has become another program.
/// Returns whether the parent, which has the number `parent`, is still there. May be called between
/// fork and exec.
pub fn is_bound_to(parent: u32) -> bool {
    // SAFETY: both calls only concern this process's own standing.
    let present = unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        libc::getppid()
    };
    present as u32 == parent
}

/// Ends this process with the exit code `code`, without libtorch's leave-taking: undoing the
/// registration of its operators takes a third of the time of a start (docs/performance.md, "Start
/// and end").
pub fn leave(code: u8) -> ! {
    // As at every end: there is nobody left to tell of a failure.
    let _ = std::io::stdout().flush();
    let _ = std::io::stderr().flush();
    // SAFETY: ends the process; whatever must reach a file was written by its owner before.
    unsafe { libc::_exit(i32::from(code)) }
}

/// By its line in /proc/PID/stat; the name in brackets may hold anything.
fn is_exiting(stat: &str) -> bool {
    let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
    let mut fields = fields.split(' ');
    let state = fields.next();
    let flags = fields.nth(5).and_then(|flags| flags.parse::<u64>().ok());
    matches!(state, Some("Z" | "X")) || flags.is_some_and(|flags| flags & EXITING != 0)
}

/// By the signals that wait for it.
fn is_killed(status: &str) -> bool {
    let waiting = status.lines().filter_map(|line| {
        let (name, mask) = line.split_once(':')?;
        let mask = u64::from_str_radix(mask.trim(), 16).ok()?;
        matches!(name, "SigPnd" | "ShdPnd").then_some(mask)
    });
    waiting.fold(0, |all, mask| all | mask) & KILLED != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_was_killed_is_ending_and_one_that_works_or_was_stopped_is_not() {
        assert!(!is_ending(std::process::id()));
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let signal = |signal| {
            // SAFETY: a signal to a process that this test started.
            unsafe { libc::kill(child.id() as libc::pid_t, signal) }
        };
        assert!(!is_ending(child.id()));
        signal(libc::SIGSTOP);
        assert!(!is_ending(child.id()));
        signal(libc::SIGKILL);
        // Whether it has got to die or not; a zombie until it is waited for.
        let soon = (0..1000).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(1));
            is_ending(child.id())
        });
        assert!(soon);
        let process = child.id();
        child.wait().unwrap();
        assert!(is_ending(process));
    }

    #[test]
    fn a_name_with_brackets_and_blanks_is_no_field() {
        let stat =
            |state: &str, flags: &str| format!("12 (a) Z 1 (b) {state} 1 2 3 0 -1 {flags} 7 8");
        assert!(!is_exiting(&stat("S", "4194304")) && is_exiting(&stat("R", "4194308")));
        assert!(is_exiting(&stat("Z", "0")) && !is_exiting("") && !is_exiting("12 (a"));
        assert!(is_killed("SigPnd:\t0000000000000000\nShdPnd:\t0000000000000100\n"));
        assert!(!is_killed("SigPnd:\t0000000000000001\nSigBlk:\t0000000000000100\n"));
    }
}
