//! `scripts/setup` names what is missing, with the Debian package, and is quick when all is there.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
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
        // On a machine without nasm any program stands for it: it is only looked for.
        let target = if target.is_empty() { "/bin/true" } else { target.trim() };
        std::os::unix::fs::symlink(target, folder.path().join(program)).unwrap();
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/setup");
    Command::new("bash").arg(script).args(arguments).env("PATH", folder.path()).output().unwrap()
}

#[test]
fn a_missing_tool_is_named_with_its_package() {
    for (program, package) in [("cargo", "rustup"), ("c++", "g++"), ("python3", "python3")] {
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
fn without_nasm_the_set_up_goes_on_and_one_line_says_what_is_slower() {
    if !cfg!(target_arch = "x86_64") {
        return;
    }
    let output = setup_without("nasm", &["--cpu"]);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{message}");
    assert!(
        message.lines().count() == 1
            && message.contains("slower")
            && message.contains("package nasm")
            && message.contains("cargo clean --release -p mozjpeg-sys"),
        "{message}"
    );
}

#[test]
fn without_nasm_the_image_decoder_is_built_without_assembly() {
    let folder = tempfile::tempdir().unwrap();
    let programs = folder.path().join("programs");
    std::fs::create_dir(&programs).unwrap();
    // Every program of this machine but nasm; the first of a name counts.
    let path = std::env::var_os("PATH").unwrap();
    let entries = std::env::split_paths(&path).filter_map(|part| std::fs::read_dir(part).ok());
    for entry in entries.flatten().flatten().filter(|entry| entry.file_name() != "nasm") {
        let _ = std::os::unix::fs::symlink(entry.path(), programs.join(entry.file_name()));
    }
    let output = Command::new(env!("CARGO"))
        .args(["build", "--release", "--offline", "--package", "mozjpeg-sys"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("CARGO_TARGET_DIR", folder.path().join("target"))
        .env("PATH", &programs)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // What build.rs tells the program by, and "doctor" the user.
    let pattern =
        format!("{}/target/release/build/mozjpeg-sys-*/out/**/jconfig.h", folder.path().display());
    let headers: Vec<_> = glob::glob(&pattern).unwrap().map(Result::unwrap).collect();
    assert!(!headers.is_empty(), "{pattern}");
    for header in headers {
        let text = std::fs::read_to_string(&header).unwrap();
        assert!(!text.lines().any(|line| line.trim() == "#define WITH_SIMD 1"), "{text}");
    }
}

/// A copy of this project's build files, without libtorch.
fn project_without_libtorch() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in ["src", "scripts", ".cargo", "Cargo.toml", "Cargo.lock", "build.rs"] {
        let target = format!("{}/{file}", env!("CARGO_MANIFEST_DIR"));
        let copied = Command::new("cp").args(["-r", &target]).arg(folder.path()).status().unwrap();
        assert!(copied.success());
    }
    folder
}

#[test]
fn a_build_before_the_set_up_ends_within_seconds_in_one_clear_line() {
    let folder = project_without_libtorch();
    let cargo = |arguments: &[&str]| {
        Command::new(env!("CARGO"))
            .args(arguments)
            .current_dir(folder.path())
            .env("CARGO_TARGET_DIR", folder.path().join("target"))
            .env_remove("LIBTORCH")
            .output()
            .unwrap()
    };
    let started = Instant::now();
    let build = || {
        let output = cargo(&["build", "--release", "--offline"]);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{message}");
        let line = message.lines().find(|line| line.starts_with("error: libtorch"));
        let line = line.unwrap_or_else(|| panic!("{message}"));
        assert!(line.contains("libtorch 2.11.0 is missing") && line.contains("run scripts/setup"));
        assert!(!message.contains("torch.h"), "{message}");
        // Its few lines are the proof; all of the crates would take minutes on idle cores.
        assert!(started.elapsed() < Duration::from_secs(180), "{:?}", started.elapsed());
        message
    };
    assert!(build().lines().count() < 6);
    // What needs no libtorch works, and leaves the compiler's version in cargo's cache.
    assert!(cargo(&["clean", "--offline", "-p", "libc"]).status.success());
    assert!(!build().contains("--crate-name"));
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
    // Fetching or unpacking libtorch takes longer on idle cores.
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
}

/// A pip that notes its calls in `calls`, and installs a file or fails if there is a file `fails`.
const PIP: &str = r#"#!/usr/bin/env bash
case "$*" in *"pip --version") exit 0 ;; esac
echo "$*" >> calls
while [ "$1" != --target ]; do shift; done
mkdir -p "$2/nvidia/cu13/lib"
if [ -f fails ]; then echo "ERROR: no such package"; exit 1; fi
touch "$2/nvidia/cu13/lib/libnvrtc.so.13"
"#;

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
}

#[test]
fn the_compiler_of_kernels_is_installed_once_whole_and_not_where_libtorch_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let at = |path: &str| folder.path().join(path);
    for file in ["scripts/setup", "Cargo.toml"] {
        let original = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        write(&at(file), &std::fs::read_to_string(original).unwrap());
    }
    write(&at("programs/python3"), PIP);
    write(&at("own/torch/lib/libtorch_cpu.so"), "");
    write(&at("own/torch/build-version"), "2.11.0+cpu\n");
    let path = format!("{}:{}", at("programs").display(), std::env::var("PATH").unwrap());
    let setup = |arguments: &[&str]| {
        let output = Command::new(at("scripts/setup"))
            .args(arguments)
            .env("LIBTORCH", at("own/torch"))
            .env("PATH", &path)
            .output()
            .unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        (String::from_utf8(output.stdout).unwrap(), errors, output.status.code())
    };
    let calls = || std::fs::read_to_string(at("calls")).unwrap_or_default().lines().count();
    let (_, errors, code) = setup(&["--cpu"]);
    assert_eq!((code, calls()), (Some(0), 0), "{errors}");

    write(&at("fails"), "");
    let (_, errors, code) = setup(&["--kernels"]);
    assert_eq!((code, calls()), (Some(1), 1), "{errors}");
    assert!(errors.contains("error: NVRTC could not be installed: ERROR: no such"), "{errors}");
    assert_eq!(errors.lines().filter(|line| !line.contains("nasm")).count(), 1, "{errors}");
    assert!(!at(".libtorch-kernels").exists() && !at(".libtorch-kernels.partial").exists());
    std::fs::remove_file(at("fails")).unwrap();

    for arguments in [&["--kernels"], &["--cpu", "--kernels"], &["--kernels", "--cpu"]] as [&[_]; 3]
    {
        let (told, errors, code) = setup(arguments);
        assert_eq!((code, calls()), (Some(0), 2), "{errors}");
        assert!(told.contains(".libtorch-kernels/nvidia/cu13/lib"), "{told}");
    }
    // Of an installation that was not finished there is no stamp.
    std::fs::remove_file(at(".libtorch-kernels/installed")).unwrap();
    setup(&["--kernels"]);
    assert!(calls() == 3 && at(".libtorch-kernels/nvidia/cu13/lib/libnvrtc.so.13").exists());

    std::fs::remove_dir_all(at(".libtorch-kernels")).unwrap();
    write(&at("own/nvidia/cu13/lib/libnvrtc.so.13"), "");
    let (told, _, code) = setup(&["--kernels"]);
    assert_eq!((code, calls()), (Some(0), 3));
    assert!(told.contains("NVRTC: comes with libtorch"), "{told}");
}
