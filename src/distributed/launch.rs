//! Starts the ranks of a run on this machine, as torchrun does, and ends them together.

use std::io::Read;
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::console::output::say;
use crate::distributed::place::LAUNCHER;
use crate::distributed::shared::GRACE;
use crate::error::{EXIT_BAD_INPUT, EXIT_DONE, EXIT_FAILED};
use crate::system::parallel::available_threads;
use crate::system::process::die_with;
use crate::system::signals;

/// How often it is looked whether a rank has ended.
const POLL: Duration = Duration::from_millis(10);

/// A rank that was started here.
struct Rank {
    number: usize,
    process: Child,
    /// What it says on stderr, of ranks other than 0.
    said: Option<JoinHandle<String>>,
    ended: Option<ExitStatus>,
}

/// Starts this program once for each of `count` ranks with the same arguments, waits for all, and
/// returns the exit code. A signal that asks to stop is passed on. When a rank fails, the others
/// end by themselves within `limit` and a little more, or are ended then.
pub fn launch(count: usize, limit: Duration) -> Result<u8> {
    let stop = signals::stop_flag()?;
    let mut ranks = start(count)?;
    let mut asked = false;
    // The first rank that did not end as it should, and when.
    let mut failed: Option<(usize, Instant)> = None;
    loop {
        for rank in &mut ranks {
            if rank.ended.is_some() {
                continue;
            }
            rank.ended = rank.process.try_wait().context("a rank")?;
            if failed.is_none() && rank.ended.is_some_and(|status| !status.success()) {
                failed = Some((rank.number, Instant::now()));
            }
        }
        let running = || ranks.iter().filter(|rank| rank.ended.is_none());
        if running().next().is_none() {
            break;
        }
        // After a refusal the others may wait for one that will not come.
        let patience = if ranks.iter().any(refuses) { 2 * GRACE } else { limit + 2 * GRACE };
        if stop.load(Ordering::Relaxed) && !std::mem::replace(&mut asked, true) {
            for rank in running() {
                send(&rank.process, libc::SIGTERM);
            }
        }
        if failed.is_some_and(|(_, since)| since.elapsed() > patience) {
            for rank in running() {
                send(&rank.process, libc::SIGKILL);
            }
        }
        std::thread::sleep(POLL);
    }
    Ok(result(ranks, failed.map(|(rank, _)| rank)))
}

/// Starts all ranks.
fn start(count: usize) -> Result<Vec<Rank>> {
    // Free now; another program may take it before rank 0 does, which then says so.
    let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
    let port = port.context("no free port on 127.0.0.1")?.port();
    let threads = (available_threads() / count).max(1);
    let start = |number: usize| -> Result<Rank> {
        let mut command = Command::new("/proc/self/exe");
        command
            .args(std::env::args_os().skip(1))
            .env("RANK", number.to_string())
            .env("LOCAL_RANK", number.to_string())
            .env("WORLD_SIZE", count.to_string())
            .env("LOCAL_WORLD_SIZE", count.to_string())
            .env("MASTER_ADDR", "127.0.0.1")
            .env("MASTER_PORT", port.to_string())
            .env_remove("TORCHELASTIC_USE_AGENT_STORE")
            .env(LAUNCHER, std::process::id().to_string())
            .stdin(Stdio::null());
        if std::env::var_os("OMP_NUM_THREADS").is_none() {
            command.env("OMP_NUM_THREADS", threads.to_string());
        }
        // What all have to say, rank 0 says.
        if number > 0 {
            command.stdout(Stdio::null()).stderr(Stdio::piped());
        }
        let mut process =
            command.spawn().with_context(|| format!("rank {number} cannot be started"))?;
        let said = process.stderr.take().map(|mut stream| {
            std::thread::spawn(move || {
                let mut text = Vec::new();
                let _ = stream.read_to_end(&mut text);
                String::from_utf8_lossy(&text).into_owned()
            })
        });
        Ok(Rank { number, process, said, ended: None })
    };
    let mut ranks = Vec::new();
    for number in 0..count {
        match start(number) {
            Ok(rank) => ranks.push(rank),
            Err(error) => {
                ranks.iter().for_each(|rank: &Rank| send(&rank.process, libc::SIGKILL));
                return Err(error);
            }
        }
    }
    Ok(ranks)
}

fn send(process: &Child, signal: libc::c_int) {
    // SAFETY: the process was started here and is not waited for yet, so its number is its own.
    unsafe { libc::kill(process.id() as libc::pid_t, signal) };
}

/// The exit code of all: 2 if one refused its input, else that of the rank that failed first, 1 if a
/// signal ended it. What only such a rank has said is passed on.
fn result(ranks: Vec<Rank>, failed: Option<usize>) -> u8 {
    let Some(failed) = failed else { return EXIT_DONE };
    // Rank 0 has said it, or was told of it.
    if ranks.iter().any(refuses) {
        return EXIT_BAD_INPUT;
    }
    let Some(rank) = ranks.into_iter().nth(failed) else { return EXIT_FAILED };
    let Some(status) = rank.ended else { return EXIT_FAILED };
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(EXIT_FAILED);
    if let Some(signal) = status.signal() {
        say(&format!("rank {failed} was ended by signal {signal}"));
    }
    let said = rank.said.and_then(|said| said.join().ok()).unwrap_or_default();
    if code == EXIT_FAILED {
        said.lines().for_each(|line| say(&format!("rank {failed}: {line}")));
    }
    code
}

/// Whether a rank found its arguments or input wrong.
fn refuses(rank: &Rank) -> bool {
    rank.ended.and_then(|status| status.code()) == Some(i32::from(EXIT_BAD_INPUT))
}

/// Has the system end this process with the launcher that started it, if one did.
pub fn die_with_launcher() {
    let launcher = std::env::var(LAUNCHER).ok().and_then(|text| text.parse().ok());
    if let Some(launcher) = launcher {
        die_with(launcher, EXIT_FAILED);
    }
}
