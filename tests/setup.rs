//! `scripts/setup` names what is missing, with the Debian package, and is quick when all is there.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

const ALWAYS: [&str; 13] = [
    "bash", "dirname", "uname", "cut", "sed", "sort", "head", "cat", "realpath", "df", "awk",
    "env", "rustc",
];

const CHECKED: [&str; 4] = ["cargo", "c++", "python3", "nasm"];

/// Runs the script where all programs but `missing` can be found.
fn setup_without(missing: &str, arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    for program in ALWAYS.iter().chain(&CHECKED).filter(|program| **program != missing) {
        if *program == "nasm" && !cfg!(target_arch = "x86_64") {
            continue;
        }
        let found =
            Command::new("sh").args(["-c", &format!("command -v {program}")]).output().unwrap();
        let target = String::from_utf8(found.stdout).unwrap();
        std::os::unix::fs::symlink(target.trim(), folder.path().join(program)).unwrap();
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/setup");
    Command::new("bash").arg(script).args(arguments).env("PATH", folder.path()).output().unwrap()
}

#[test]
fn a_missing_tool_is_named_with_its_package() {
    for (program, package) in
        [("cargo", "rustup"), ("c++", "g++"), ("python3", "python3"), ("nasm", "nasm")]
    {
        let output = setup_without(program, &[]);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(
            message.starts_with("error: ")
                && message.contains("is missing")
                && message.contains(package),
            "{message}"
        );
    }
}

#[test]
fn an_unknown_option_and_a_libtorch_of_another_version_are_refused() {
    let output = setup_without("", &["--gpu"]);
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("lib")).unwrap();
    std::fs::write(folder.path().join("lib/libtorch_cpu.so"), "").unwrap();
    std::fs::write(folder.path().join("build-version"), "2.4.0+cpu\n").unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/setup");
    let output = Command::new("bash").arg(script).env("LIBTORCH", folder.path()).output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("version 2.4.0+cpu") && message.contains("2.11.0"), "{message}");
}

#[test]
fn a_second_call_takes_no_time() {
    let started = Instant::now();
    let output = setup_without("", &["--cpu"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}
