//! Damaged checkpoints, truncated logs, full disks, folders that cannot be written: what was logged
//! is kept, the message names the file, and the run goes on to the bytes of one that was never
//! interrupted.

use crate::common;
use crate::common::{
    assert_same_run, command, copy_folder, edit_record, lines, refuse, run, small, stderr, succeed,
    wait_until, workspace,
};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Arguments of a run of 100 iterations into `out`.
fn train<'a>(out: &'a str, checkpoint_every: &'a str) -> Vec<&'a str> {
    train_for("100", out, checkpoint_every)
}

pub fn train_for<'a>(iterations: &'a str, out: &'a str, checkpoint_every: &'a str) -> Vec<&'a str> {
    let arguments = [
        "train",
        "--network",
        "plain-8",
        "--iterations",
        iterations,
        "--set",
        "evaluate_every=30",
        "--checkpoint-every",
        checkpoint_every,
    ];
    [small(&arguments), vec!["--out", out]].concat()
}

/// A folder with a whole run in `whole` and one that was stopped in `cut`, which has two
/// checkpoints: a copy of one that all tests share.
fn stopped_run() -> tempfile::TempDir {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        let shared = Path::new(env!("CARGO_TARGET_TMPDIR"));
        remove_those_of_ended_processes(shared);
        let path = shared.join(format!("{STOPPED_RUN}{}", std::process::id()));
        copy_folder(make_stopped_run().path(), &path);
        path
    });
    let folder = tempfile::tempdir().unwrap();
    copy_folder(made, folder.path());
    folder
}

/// How the shared folder is called, before the number of its process.
const STOPPED_RUN: &str = "stopped-run-";

/// A static value is not dropped at the end of the tests.
fn remove_those_of_ended_processes(shared: &Path) {
    for entry in std::fs::read_dir(shared).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = name.strip_prefix(STOPPED_RUN);
        if process.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

fn make_stopped_run() -> tempfile::TempDir {
    let folder = workspace();
    succeed(folder.path(), &train("whole", "0"));
    loop {
        let mut child = command(folder.path(), &train("cut", "0"))
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        wait_until("the run does not log", || {
            lines(&folder.path().join("cut/train.csv")) > 40 || child.try_wait().unwrap().is_some()
        });
        child.kill().unwrap();
        let status = child.wait().unwrap();
        let is_cut = status.signal() == Some(libc::SIGKILL);
        let has_checkpoints = folder.path().join("cut/checkpoint").exists();
        if is_cut && has_checkpoints && checkpoints(folder.path()).len() >= 2 {
            return folder;
        }
        // This test had no core in the second that the run took, or its kill hit the instant in
        // which one checkpoint takes another's place.
        assert!(status.success() || is_cut, "{status}");
        std::fs::remove_dir_all(folder.path().join("cut")).unwrap();
    }
}

/// The checkpoints of `cut`, oldest first.
fn checkpoints(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder.join("cut/checkpoint"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> = entries
        .filter(|path| path.extension().is_some_and(|ending| ending == "safetensors"))
        .collect();
    paths.sort();
    paths
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

/// Goes on with `cut`, which must end as `whole`, and returns what was said.
fn goes_on(folder: &Path) -> String {
    let output = run(folder, &train("cut", "0"));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_same_run(&folder.join("whole"), &folder.join("cut"));
    stderr(&output)
}

fn flip_a_bit(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    std::fs::write(path, bytes).unwrap();
}

fn truncate(path: &Path, bytes: u64) {
    std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(bytes).unwrap();
}

#[test]
fn a_damaged_newest_checkpoint_is_named_and_the_older_one_used() {
    for damage in [flip_a_bit, |path: &Path| truncate(path, 1000)] {
        let folder = stopped_run();
        let newest = checkpoints(folder.path()).pop().unwrap();
        damage(&newest);
        let said = goes_on(folder.path());
        assert!(
            said.contains(&file_name(&newest))
                && said.contains("damaged")
                && said.contains("the older checkpoint is used"),
            "{said}"
        );
        let record = std::fs::read_to_string(folder.path().join("cut/run.toml")).unwrap();
        assert!(
            record.contains("[[failures]]") && record.contains(&file_name(&newest)),
            "it is on record: {record}"
        );
    }
}

#[test]
fn a_damaged_older_checkpoint_does_not_matter() {
    let folder = stopped_run();
    flip_a_bit(&checkpoints(folder.path())[0]);
    assert!(!goes_on(folder.path()).contains("damaged"));
}

#[test]
fn two_damaged_checkpoints_stop_the_run_and_keep_its_logs() {
    let folder = stopped_run();
    let log = std::fs::read(folder.path().join("cut/train.csv")).unwrap();
    for path in checkpoints(folder.path()) {
        flip_a_bit(&path);
    }
    refuse(
        folder.path(),
        &train("cut", "0"),
        1,
        &["cut/checkpoint/", "damaged", "remove cut/checkpoint", "logs are kept"],
    );
    assert_eq!(std::fs::read(folder.path().join("cut/train.csv")).unwrap(), log);
    // What the message says to do works.
    std::fs::remove_dir_all(folder.path().join("cut/checkpoint")).unwrap();
    goes_on(folder.path());
}

#[test]
fn a_log_cut_in_the_middle_of_a_row_goes_on_from_the_checkpoint_that_it_reaches() {
    for name in ["train.csv", "eval.csv"] {
        let folder = stopped_run();
        let newest: u64 =
            file_name(&checkpoints(folder.path()).pop().unwrap())[..9].parse().unwrap();
        let path = folder.path().join("cut").join(name);
        let text = std::fs::read_to_string(&path).unwrap();
        // The row of the newest checkpoint's iteration, or the last evaluation, loses its second
        // half.
        let row = if name == "train.csv" {
            format!("\n{newest},")
        } else {
            text[..text.len() - 1].rfind('\n').map(|at| text[at..at + 4].to_string()).unwrap()
        };
        truncate(&path, text.find(&row).unwrap() as u64 + 4);
        let output = run(folder.path(), &train("cut", "0"));
        if name == "train.csv" {
            assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
            assert!(stderr(&output).contains("rows were lost"), "{}", stderr(&output));
            assert_same_run(&folder.path().join("whole"), &folder.path().join("cut"));
        } else {
            // Both checkpoints are after the evaluation that was lost.
            assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
            assert!(
                stderr(&output).contains("eval.csv: ends at iteration")
                    && stderr(&output).contains("rows were lost")
                    && stderr(&output).contains("cut/checkpoint"),
                "{}",
                stderr(&output)
            );
        }
    }
}

#[test]
fn a_changed_row_before_the_checkpoints_is_refused_by_file_and_line_and_nothing_is_cut() {
    let folder = stopped_run();
    let log = folder.path().join("cut/train.csv");
    let text = std::fs::read_to_string(&log).unwrap();
    // One flipped bit; earlier versions cut rows 11 to the end and trained them again.
    let changed = text.replacen("\n11,", "\n91,", 1);
    std::fs::write(&log, &changed).unwrap();
    let parts =
        ["cut/train.csv: line 12: iteration 91 after iteration 10", "remove cut/checkpoint"];
    refuse(folder.path(), &train("cut", "0"), 1, &parts);
    assert_eq!(std::fs::read_to_string(&log).unwrap(), changed, "nothing is cut");
    std::fs::write(&log, text).unwrap();
    goes_on(folder.path());
}

#[test]
fn a_record_that_cannot_be_read_is_restored_from_the_checkpoint() {
    for damage in [|record: &Path| truncate(record, 0), |record: &Path| truncate(record, 100)] {
        let folder = stopped_run();
        damage(&folder.path().join("cut/run.toml"));
        let said = goes_on(folder.path());
        assert!(
            said.contains("cut/run.toml") && said.contains("restored from the checkpoint"),
            "{said}"
        );
        let record = std::fs::read_to_string(folder.path().join("cut/run.toml")).unwrap();
        assert!(record.contains("state = \"finished\""), "{record}");
    }
    let folder = stopped_run();
    std::fs::remove_file(folder.path().join("cut/run.toml")).unwrap();
    assert!(goes_on(folder.path()).contains("no run.toml; restored from the checkpoint"));
    // A finished run has no checkpoint: its files are kept.
    truncate(&folder.path().join("cut/run.toml"), 0);
    let log = std::fs::read(folder.path().join("cut/train.csv")).unwrap();
    refuse(
        folder.path(),
        &train("cut", "0"),
        2,
        &["cut", "there is no checkpoint to restore it from", "or remove cut"],
    );
    assert_eq!(std::fs::read(folder.path().join("cut/train.csv")).unwrap(), log);
}

#[test]
fn what_a_kill_leaves_behind_stops_no_run_and_is_removed() {
    let folder = stopped_run();
    let run_folder = folder.path().join("cut");
    let leftovers =
        [".writable", ".0123456789abcdef.partial", "run.toml.partial", "checkpoint/.01.partial"];
    for name in leftovers {
        std::fs::write(run_folder.join(name), "half").unwrap();
    }
    goes_on(folder.path());
    for name in leftovers {
        assert!(!run_folder.join(name).exists(), "{name} is still there");
    }
    // In a folder with nothing else, and in that of a finished run.
    std::fs::create_dir(folder.path().join("new")).unwrap();
    for name in [".writable", "run.toml.partial"] {
        std::fs::write(folder.path().join("new").join(name), "half").unwrap();
        std::fs::write(run_folder.join(name), "half").unwrap();
    }
    succeed(folder.path(), &train("new", "1000"));
    succeed(folder.path(), &train("cut", "1000"));
    succeed(folder.path(), &["verify", "cut"]);
}

#[test]
fn a_link_in_place_of_a_log_is_not_followed() {
    let folder = workspace();
    std::fs::create_dir(folder.path().join("out")).unwrap();
    std::fs::write(folder.path().join("victim"), "kept").unwrap();
    let arguments = train("out", "1000");
    std::fs::write(folder.path().join("out/run.toml"), "").unwrap();
    std::os::unix::fs::symlink("../victim", folder.path().join("out/train.csv")).unwrap();
    refuse(folder.path(), &arguments, 1, &["out/train.csv: ", "remove it"]);
    assert_eq!(std::fs::read_to_string(folder.path().join("victim")).unwrap(), "kept");
    std::fs::remove_file(folder.path().join("out/train.csv")).unwrap();
    succeed(folder.path(), &arguments);
}

#[test]
fn a_finished_run_with_one_flipped_bit_is_refused_by_name_and_left_as_it_is() {
    let folder = workspace();
    let arguments = train("whole", "1000");
    succeed(folder.path(), &arguments);
    for name in ["run.toml", "train.csv", "eval.csv", "weights.safetensors"] {
        let path = folder.path().join("whole").join(name);
        let kept = std::fs::read(&path).unwrap();
        flip_a_bit(&path);
        let damaged = std::fs::read(&path).unwrap();
        let named = format!("whole/{name}: ");
        let code = if name == "run.toml" { 2 } else { 1 };
        refuse(folder.path(), &arguments, code, &[&named, "restore it from a backup, or remove"]);
        let verified = run(folder.path(), &["verify", "whole"]);
        assert_eq!(verified.status.code(), Some(1));
        let said = common::stdout(&verified);
        assert!(said.contains(&format!("whole/{name}")), "{said}");
        // No figure shows it. Figures need no weights.
        let figures = run(folder.path(), &["figures", "whole", "--out", "report"]);
        let expected = if name == "weights.safetensors" { 0 } else { 3 };
        assert_eq!(figures.status.code(), Some(expected), "{}", stderr(&figures));
        assert!(expected == 0 || stderr(&figures).contains(&named), "{}", stderr(&figures));
        assert_eq!(std::fs::read(&path).unwrap(), damaged);
        std::fs::write(&path, kept).unwrap();
    }
    assert!(stderr(&run(folder.path(), &arguments)).contains("already complete"));
}

#[test]
fn a_clock_that_was_set_back_changes_nothing() {
    let folder = stopped_run();
    let record = folder.path().join("cut/run.toml");
    let text = std::fs::read_to_string(&record).unwrap();
    let year =
        text.lines().find_map(|line| line.strip_prefix("updated = \"")).unwrap()[..4].to_string();
    edit_record(&record, &[(&format!("= \"{year}-"), "= \"2099-")]);
    for path in checkpoints(folder.path()) {
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.set_modified(
            std::time::SystemTime::now() + std::time::Duration::from_secs(1_000_000_000),
        )
        .unwrap();
    }
    goes_on(folder.path());
}

#[test]
fn verify_finds_a_file_that_was_changed_removed_or_added() {
    let folder = workspace();
    let arguments = small(&[
        "train",
        "--network",
        "plain-8",
        "--iterations",
        "4",
        "--out",
        "runs/plain-8/seed-0",
    ]);
    succeed(folder.path(), &arguments);
    let verify = |parts: &[&str]| {
        let output = run(folder.path(), &["verify"]);
        assert_eq!(
            output.status.code(),
            Some(if parts.is_empty() { 0 } else { 1 }),
            "{}",
            common::stdout(&output)
        );
        parts.iter().for_each(|part| {
            assert!(common::stdout(&output).contains(part), "{part}: {}", common::stdout(&output))
        });
    };
    verify(&[]);
    let file = |name: &str| folder.path().join("runs/plain-8/seed-0").join(name);
    let log = std::fs::read(file("train.csv")).unwrap();
    std::fs::write(
        file("train.csv"),
        String::from_utf8(log.clone()).unwrap().replacen("1,0.1,", "1,0.2,", 1),
    )
    .unwrap();
    verify(&["1 finished run: 1 problem\n"]);
    std::fs::remove_file(file("eval.csv")).unwrap();
    std::fs::write(file("extra.csv"), "x").unwrap();
    verify(&[
        "changed: runs/plain-8/seed-0/train.csv",
        "missing: runs/plain-8/seed-0/eval.csv",
        "extra: runs/plain-8/seed-0/extra.csv",
        "3 problems",
    ]);
    std::fs::write(file("run.toml"), "state = 3").unwrap();
    verify(&["not verified: runs/plain-8/seed-0/run.toml"]);
    std::fs::remove_file(file("run.toml")).unwrap();
    std::fs::remove_file(file("train.csv")).unwrap();
    verify(&["missing: runs/plain-8/seed-0/run.toml"]);
}
