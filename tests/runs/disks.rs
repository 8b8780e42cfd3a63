//! Disks that are full, cannot be written, or lose power.

use crate::common;
use crate::common::{assert_same_run, signal, stderr, succeed, wait_until, workspace};
use crate::faults::train_for;
use std::path::Path;
use std::process::{Command, Output};

/// Runs a script with `/program` for the program in a mount namespace of its own, where it may
/// mount a small disk. `None` where the system does not allow that.
fn in_own_namespace(folder: &Path, script: &str) -> Option<Output> {
    let namespace = ["-r", "-m", "sh", "-c"];
    let allowed = Command::new("unshare")
        .args(namespace)
        .arg("mkdir -p disk && mount -t tmpfs none disk")
        .current_dir(folder)
        .output();
    if !allowed.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: this system lets no test mount a small disk");
        return None;
    }
    let script = script.replace("/program", env!("CARGO_BIN_EXE_resnet-repro"));
    Some(
        Command::new("unshare")
            .args(namespace)
            .arg(script)
            .current_dir(folder)
            .env("OMP_NUM_THREADS", "1")
            .output()
            .unwrap(),
    )
}

/// Fills a small disk but for `free` KiB, trains on it until it is full, makes room, and goes on.
fn full_disk(free: u32, iterations: &str, checkpoint_every: &str, file: &str) {
    let folder = workspace();
    succeed(folder.path(), &train_for(iterations, "whole", "1000"));
    let arguments = train_for(iterations, "disk/run", checkpoint_every).join(" ");
    let script = format!(
        "mkdir -p disk && mount -t tmpfs -o size=8m none disk && dd if=/dev/zero of=disk/filler bs=1K count={} status=none || exit 90
         /program {arguments} 2> first.txt; echo $? > first.code
         tail -c 1 disk/run/train.csv | od -An -c > last.txt; wc -l < disk/run/train.csv > rows.txt
         rm disk/filler && /program {arguments} 2> second.txt; echo $? > second.code
         cp -r disk/run copy",
        8192 - free
    );
    let Some(output) = in_own_namespace(folder.path(), &script) else { return };
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap_or_default();
    assert_eq!(read("first.code").trim(), "1", "{}{}", read("first.txt"), stderr(&output));
    assert!(
        read("first.txt").contains(file) && read("first.txt").contains("No space left"),
        "{}",
        read("first.txt")
    );
    assert!(
        read("last.txt").contains("\\n") && read("rows.txt").trim().parse::<u32>().unwrap() > 1,
        "whole rows are kept: {}",
        read("rows.txt")
    );
    assert_eq!(read("second.code").trim(), "0", "{}", read("second.txt"));
    assert_same_run(&folder.path().join("whole"), &folder.path().join("copy"));
}

#[test]
fn a_disk_that_is_full_at_a_checkpoint() {
    // The logs fit, a checkpoint of 600 KB does not.
    full_disk(100, "60", "0", "disk/run/checkpoint/");
}

#[test]
fn a_disk_that_is_full_at_a_log_flush() {
    // Four blocks: the lock, the record, the evaluations and the first 4,096 bytes of rows fit.
    full_disk(16, "200", "1000", "train.csv");
}

#[test]
fn a_results_folder_that_cannot_be_written_is_refused_at_once() {
    let folder = workspace();
    common::write_experiment(folder.path(), "");
    let sweep = "/program sweep e.toml --data data --iterations 4 --set batch_size=32 --device cpu --out disk/out";
    let script = format!(
        "mkdir -p disk && mount -t tmpfs none disk && {sweep} --only plain-8 2> zero.txt && mount -o remount,ro disk || exit 90
         {sweep} 2> first.txt; echo $? > first.code
         /program verify disk/out > verify.txt; /program figures disk/out 2> figures.txt; echo $? > figures.code; /program figures disk/out --out report > /dev/null"
    );
    let Some(output) = in_own_namespace(folder.path(), &script) else { return };
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap_or_default();
    assert_eq!(
        read("first.code").trim(),
        "2",
        "{}{}{}",
        read("zero.txt"),
        read("first.txt"),
        stderr(&output)
    );
    assert!(
        read("first.txt").contains("--out disk/out: cannot be written")
            && read("first.txt").contains("Read-only"),
        "{}",
        read("first.txt")
    );
    assert!(
        read("verify.txt").contains("1 finished run: every file is as it was logged"),
        "reading needs no writing: {}",
        read("verify.txt")
    );
    assert_eq!(read("figures.code").trim(), "2", "{}", read("figures.txt"));
    assert!(
        folder.path().join("report/report.html").exists(),
        "figures of a folder that cannot be written go elsewhere"
    );
}

/// Files in `folder` that a loop device is bound to.
fn loop_devices(folder: &str) -> usize {
    let devices = std::fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let files = devices.map(|device| device.path().join("loop/backing_file"));
    files.filter(|file| std::fs::read_to_string(file).is_ok_and(|of| of.contains(folder))).count()
}

#[test]
fn a_power_cut_test_that_is_ended_leaves_nothing_mounted() {
    let folder = tempfile::tempdir().unwrap();
    let name = folder.path().to_str().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/power-cut");
    let mut child = Command::new(script)
        .args(["--cuts", "50", "--program", env!("CARGO_BIN_EXE_resnet-repro")])
        .env("TMPDIR", folder.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    // Its mounts are seen by itself, and by all where it may have none of its own.
    let mounted = |process: &str| {
        let mounts = std::fs::read_to_string(format!("/proc/{process}/mounts"));
        mounts.is_ok_and(|mounts| mounts.lines().any(|line| line.contains(name)))
    };
    let number = child.id().to_string();
    wait_until("it neither mounts a disk nor ends", || {
        mounted(&number) || child.try_wait().unwrap().is_some()
    });
    if child.try_wait().unwrap().is_some() {
        eprintln!("skipped: this system lets no test mount a disk");
        return;
    }
    signal(child.id(), libc::SIGTERM);
    assert_eq!(child.wait().unwrap().code(), Some(128 + libc::SIGTERM));
    assert!(!mounted("self"));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    // The kernel takes a device from its file a moment after the last mount of it is gone.
    wait_until("a loop device is left", || loop_devices(name) == 0);
}
