//! Gives every executable the run-time path of the libtorch it was linked with, so that it starts without LD_LIBRARY_PATH, and tells the
//! program which revision of the source it was built from.

use std::path::Path;
use std::process::Command;

/// What the program is made of; a change here makes a build differ from its revision.
const SOURCES: [&str; 4] = ["src", "Cargo.toml", "Cargo.lock", "build.rs"];

fn main() {
    // torch-sys hands its library folder to direct dependents under this name; its own linker arguments do not propagate.
    println!("cargo::rerun-if-env-changed=DEP_TCH_LIBTORCH_LIB");
    match std::env::var("DEP_TCH_LIBTORCH_LIB") {
        Ok(folder) => println!("cargo::rustc-link-arg=-Wl,-rpath,{folder}"),
        Err(_) => println!("cargo::error=torch-sys did not say where libtorch is: run scripts/setup, then build again"),
    }
    // Git appends to this file at every commit and checkout. A path that does not exist would make every build a rebuild.
    let history = git(&["rev-parse", "--git-path", "logs/HEAD"]).filter(|path| Path::new(path).exists());
    for watched in SOURCES.map(str::to_string).into_iter().chain(history) {
        println!("cargo::rerun-if-changed={watched}");
    }
    let revision = git(&["rev-parse", "HEAD"]).unwrap_or_else(|| "unknown".to_string());
    let changes = git(&[&["status", "--porcelain", "--"], &SOURCES[..]].concat());
    println!("cargo::rustc-env=GIT_REVISION={revision}");
    println!("cargo::rustc-env=GIT_DIRTY={}", changes.is_some_and(|changes| !changes.is_empty()));
}

/// Output of a git command in the source folder, if git is there and it is a repository.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_string())
}
