//! Starts the program: makes sure that libtorch can be found, then hands over to the engine beside
//! it.
//!
//! The engine is linked against libtorch, so where that is missing the system's loader would end it
//! with a message of its own before its first line. The loader itself is asked here which libraries
//! it does not find, and the answer says what to do.

// The library cannot be used here: it needs libtorch.
#[path = "console/escape.rs"]
#[allow(dead_code)]
mod escape;

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

/// Exit code for a failure, as in the library.
const EXIT_FAILED: u8 = 1;

/// Variables that say how OpenMP's threads wait for one another, the first of them in turns of a
/// loop before a thread sleeps. OpenMP reads them when its library is loaded, so the engine cannot
/// set them.
const WAITING: [&str; 2] = ["GOMP_SPINCOUNT", "OMP_WAIT_POLICY"];

/// A thirtieth of libgomp's default, with which a thread that waits can keep the one that it waits
/// for from running for whole time slices, where another program takes a core
/// (docs/performance.md, "Busy cores").
const SPIN_COUNT: &str = "10000";

/// Has cuDNN choose its deterministic algorithms by its finer model: 3 and 5 % faster steps of
/// ResNet-20 and -56 on an H100 (results/2026-11-24-h100). libtorch reads it at the first
/// convolution.
const CUDNN_MODEL: &str = "TORCH_CUDNN_USE_HEURISTIC_MODE_B";

fn main() -> ExitCode {
    let engine = match std::env::current_exe() {
        Ok(path) => path.with_file_name("resnet-repro-engine"),
        Err(error) => return fail(&format!("this program's own path cannot be read: {error}")),
    };
    let missing = missing_libraries(&engine);
    if !missing.is_empty() {
        return fail(&format!(
            "libtorch 2.11.0 is not where it was when this program was built (not found: {}): run scripts/setup, or set LD_LIBRARY_PATH to the torch/lib folder of a PyTorch 2.11.0",
            missing.join(", ")
        ));
    }
    let mut command = Command::new(&engine);
    command.args(std::env::args_os().skip(1));
    if WAITING.iter().all(|variable| std::env::var_os(variable).is_none()) {
        command.env(WAITING[0], SPIN_COUNT);
    }
    if std::env::var_os(CUDNN_MODEL).is_none() {
        command.env(CUDNN_MODEL, "1");
    }
    let error = command.exec();
    fail(&format!(
        "{}: cannot be started: {error}; build again with \"cargo build --release\"",
        engine.display()
    ))
}

/// The libraries that the loader does not find for `program`; empty too if it cannot be asked.
fn missing_libraries(program: &std::path::Path) -> Vec<String> {
    // What ldd does: with this variable set the loader lists the libraries and starts nothing.
    let listing = Command::new(program).env("LD_TRACE_LOADED_OBJECTS", "1").output();
    let listing = listing
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    listing
        .lines()
        .filter(|line| line.contains("not found"))
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_string)
        .collect()
}

fn fail(message: &str) -> ExitCode {
    // Names of folders may hold anything.
    eprintln!("error: {}", escape::one_line(message));
    ExitCode::from(EXIT_FAILED)
}
