//! Sweeps whose runs an engine starts one by one: `--element`, `--status` and `--slurm`, with
//! stand-ins for Slurm's programs.

use crate::common::{
    SMALL_SWEEP, children, command, lines, refuse, run, signal, stderr, stdout, succeed,
    wait_until, workspace, write_experiment,
};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A sweep of two small runs of so many iterations.
fn sweep<'a>(iterations: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let rest = ["--set", "evaluate_every=1000", "--out", "out", "--iterations", iterations];
    [SMALL_SWEEP, &rest, more].concat()
}

fn status(folder: &Path, iterations: &str) -> Vec<Value> {
    let text = succeed(folder, &sweep(iterations, &["--status", "--json"]));
    serde_json::from_str(&text).unwrap()
}

fn states(folder: &Path, iterations: &str) -> Vec<String> {
    let runs = status(folder, iterations);
    runs.iter().map(|run| run["state"].as_str().unwrap().to_string()).collect()
}

/// Stand-ins in `bin/`, which `PATH` begins with.
fn with_programs(command: &mut Command, folder: &Path, programs: &[(&str, &str)]) {
    let bin = folder.join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    for (name, text) in programs {
        std::fs::write(bin.join(name), format!("#!/bin/bash\n{text}\n")).unwrap();
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(bin.join(name), mode).unwrap();
    }
    command.env("PATH", format!("{}:{}", bin.display(), std::env::var("PATH").unwrap()));
}

/// A run of the plan that another process trains, as an element of a Slurm array.
fn train_element(folder: &Path, element: &str) -> Child {
    let retries = ["--element", element, "--checkpoint-every", "0", "--retries", "0"];
    let mut command = command(folder, &sweep("100000", &retries));
    command.envs([("SLURM_ARRAY_JOB_ID", "77"), ("SLURM_ARRAY_TASK_ID", element)]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn an_element_is_the_run_of_that_number_and_ends_at_once_when_it_is_complete() {
    let folder = workspace();
    write_experiment(folder.path(), "");
    let plan = succeed(folder.path(), &sweep("4", &["--dry-run", "--json"]));
    let plan: Value = serde_json::from_str(&plan).unwrap();
    assert_eq!((&plan[1]["element"], &plan[1]["run"]), (&1.into(), &"e/resnet-8/seed-0".into()));
    let text = succeed(folder.path(), &sweep("4", &["--element", "1"]));
    assert!(text.contains("e/resnet-8/seed-0") && !text.contains("plain-8"), "{text}");
    assert!(!folder.path().join("out/e/plain-8").exists());
    // The number stays the same although a run is complete; its data is no longer needed.
    let log = folder.path().join("out/e/resnet-8/seed-0/train.csv");
    let written = log.metadata().unwrap().modified().unwrap();
    std::fs::rename(folder.path().join("data"), folder.path().join("away")).unwrap();
    let text = succeed(folder.path(), &sweep("4", &["--element", "1"]));
    assert!(text.contains("finished"), "{text}");
    assert_eq!(log.metadata().unwrap().modified().unwrap(), written);
    std::fs::rename(folder.path().join("away"), folder.path().join("data")).unwrap();
    succeed(folder.path(), &sweep("4", &["--element", "0"]));
    assert!(succeed(folder.path(), &sweep("4", &["--dry-run"])).contains("2 runs, 0 to do"));
    refuse(folder.path(), &sweep("4", &["--element", "2"]), 2, &["--element 2", "has 2 runs"]);
}

#[test]
fn the_status_of_a_run_is_told_from_its_folder_alone() {
    let folder = workspace();
    write_experiment(folder.path(), "");
    assert_eq!(states(folder.path(), "100000"), ["waiting", "waiting"]);
    assert!(!folder.path().join("out").exists(), "looking makes no folder");
    let log = folder.path().join("out/e/plain-8/seed-0/train.csv");
    let child = train_element(folder.path(), "0");
    wait_until("no rows", || lines(&log) > 3);
    // What Slurm says of the job that the lock names.
    let says = ("squeue", "[[ \"$*\" == *77_0* ]] && echo '77_0|RUNNING|node-9'");
    let mut look = command(folder.path(), &sweep("100000", &["--status"]));
    with_programs(&mut look, folder.path(), &[says]);
    let text = stdout(&look.output().unwrap());
    for part in ["running", "of 100,000", " ago", "Slurm job 77_0, running, node-9", "1 waiting"] {
        assert!(text.contains(part), "\"{part}\" is not in:\n{text}");
    }
    let runs = status(folder.path(), "100000");
    assert_eq!((&runs[0]["state"], &runs[0]["process"]), (&"running".into(), &child.id().into()));
    assert!(runs[0]["iteration"].as_u64().unwrap() >= 3 && runs[0]["queue"].is_null());
    signal(child.id(), libc::SIGTERM);
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(75));
    assert_eq!(states(folder.path(), "100000"), ["interrupted", "waiting"]);
    // A worker that is killed, and not tried again.
    let before = lines(&log);
    let child = train_element(folder.path(), "0");
    wait_until("no further rows", || lines(&log) > before + 1);
    children(child.id()).into_iter().for_each(|worker| signal(worker, libc::SIGKILL));
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(3));
    let runs = status(folder.path(), "100000");
    assert_eq!(runs[0]["state"], "failed", "{runs:?}");
    assert!(runs[0]["note"].as_str().unwrap().contains("signal 9"), "{runs:?}");
    assert!(runs[0]["hours"].as_f64().unwrap() > 0.0);
    // One of another recipe, and one that cannot be read: lines, and no error.
    let runs = status(folder.path(), "50");
    assert_eq!(runs[0]["state"], "damaged");
    assert!(runs[0]["note"].as_str().unwrap().contains("recipe.iterations"), "{runs:?}");
    std::fs::write(&log, "x\n").unwrap();
    assert_eq!(states(folder.path(), "100000"), ["damaged", "waiting"]);
}

#[test]
fn a_status_that_is_watched_is_repeated_until_it_is_interrupted() {
    let folder = workspace();
    write_experiment(folder.path(), "");
    let arguments = sweep("4", &["--status", "--watch", "0.1"]);
    let mut child = command(folder.path(), &arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    for _ in 0..3 {
        assert!(lines.any(|line| line == "2 runs: 2 waiting"));
    }
    signal(child.id(), libc::SIGINT);
    let last = lines.last();
    assert!(last.is_none_or(|line| line == "2 runs: 2 waiting"), "the last one is whole");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    // Nor does it go on for a reader that has gone away.
    let mut child = command(folder.path(), &arguments).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    // It ends by itself when all runs are over.
    succeed(folder.path(), &sweep("4", &[]));
    assert!(succeed(folder.path(), &arguments).ends_with("2 runs: 2 finished\n"));
    let output = run(folder.path(), &sweep("4", &["--watch", "1"]));
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--status"), "{}", stderr(&output));
}

/// Notes its arguments, and numbers the jobs from 41.
const SBATCH: &str = "[ \"$1\" = --version ] && exit; printf '%s\\n' \"$*\" >>submitted; \
                      echo $((40 + $(wc -l <submitted)))\\;cluster";

#[test]
fn a_sweep_is_submitted_as_an_array_over_what_is_not_complete_with_figures_after_it() {
    let folder = workspace();
    write_experiment(folder.path(), "");
    succeed(folder.path(), &sweep("4", &["--element", "0"]));
    let options = "--partition=gpu --gpus=1 --time=4:00:00";
    let slurm = ["--slurm", "--slurm-options", options, "--parallel", "2"];
    let arguments = sweep("4", &slurm);
    let shown = succeed(folder.path(), &[&arguments[..], &["--dry-run"]].concat());
    for part in ["#SBATCH --array=1%2", options, "--dependency=afterany:JOB", "e-1-%A_%a.log"] {
        assert!(shown.contains(part), "\"{part}\" is not in:\n{shown}");
    }
    assert!(!shown.contains("--slurm-options") && !shown.contains("--dry-run"), "{shown}");
    let scripts = folder.path().join("out/slurm");
    assert!(!scripts.exists(), "a dry run writes nothing");
    let submit = |programs: &[(&str, &str)]| {
        let mut command = command(folder.path(), &arguments);
        with_programs(&mut command, folder.path(), programs);
        command.output().unwrap()
    };
    let output = submit(&[("sbatch", SBATCH)]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let told = stdout(&output);
    assert!(told.contains("submitted: 1 run as array 41, then figures as job 42"), "{told}");
    let submitted = std::fs::read_to_string(folder.path().join("submitted")).unwrap();
    let submitted: Vec<&str> = submitted.lines().collect();
    assert!(submitted[0].ends_with("/out/slurm/e-1.sbatch"), "{submitted:?}");
    assert!(submitted[1].contains("--dependency=afterany:41 "), "{submitted:?}");
    let script = std::fs::read_to_string(scripts.join("e-1.sbatch")).unwrap();
    assert!(told.contains(&script), "what was printed is what was submitted");
    let sweep_line = script.lines().find(|line| line.starts_with("sweep=(")).unwrap();
    assert!(sweep_line.ends_with("--out out --iterations 4)"), "{sweep_line}");
    // The next has a script of its own; a refusal of Slurm's is told in one line.
    std::fs::write(scripts.join("e-1.sbatch"), "edited").unwrap();
    submit(&[("sbatch", SBATCH)]);
    assert!(scripts.join("e-2.sbatch").exists() && scripts.join("e-2.figures.sbatch").exists());
    let refusing = "[ \"$1\" = --version ] && exit; echo 'invalid partition: gpu' >&2; exit 1";
    let output = submit(&[("sbatch", refusing)]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("did not take the job: invalid partition: gpu"));
    succeed(folder.path(), &sweep("4", &["--element", "1"]));
    let output = submit(&[("sbatch", "exit 1")]);
    assert!(stderr(&output).contains("nothing to submit") && output.status.success());
}

#[test]
fn without_slurm_a_submission_is_refused_before_anything_is_written() {
    let folder = workspace();
    write_experiment(folder.path(), "");
    let mut command = command(folder.path(), &sweep("4", &["--slurm"]));
    let output = command.env("PATH", folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let told = stderr(&output);
    assert!(told.contains("error: --slurm: sbatch cannot be started"), "{told}");
    assert_eq!(told.trim().lines().count(), 1, "{told}");
    assert!(!folder.path().join("out").exists());
    let two_lines = ["--slurm", "--slurm-options", "--time=1\n--mem=1", "--dry-run"];
    refuse(folder.path(), &sweep("4", &two_lines), 2, &["--slurm-options"]);
    for alone in
        [&["--parallel", "2"][..], &["--slurm", "--element", "0"], &["--slurm", "--status"]]
    {
        assert_eq!(run(folder.path(), &sweep("4", alone)).status.code(), Some(2), "{alone:?}");
    }
}
