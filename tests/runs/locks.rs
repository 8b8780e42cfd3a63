//! One process at a time is at a run: what it holds, what is told to the second, and how long a lock
//! is waited for whose machine may have died.

use crate::common::{
    command, lines, refuse, run, small, stderr, succeed, wait_until, workspace, write_experiment,
};
use std::fs::{File, TryLockError};
use std::path::Path;
use std::process::{Child, Output, Stdio};

/// The run of this many iterations into `out`.
fn train<'a>(iterations: &'a str, out: &'a str) -> Vec<&'a str> {
    let network = ["train", "--network", "plain-8", "--iterations", iterations];
    // Rows are written after each iteration.
    [small(&network), vec!["--out", out, "--checkpoint-every", "0"]].concat()
}

fn in_job(folder: &Path, arguments: &[&str]) -> Child {
    let mut command = command(folder, arguments);
    command.env("SLURM_JOB_ID", "4711").stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// The same, whose stderr goes to the file `said` and can be read meanwhile.
fn in_job_saying(folder: &Path, arguments: &[&str]) -> Child {
    let mut command = command(folder, arguments);
    command.env("SLURM_JOB_ID", "4711").stdout(Stdio::piped());
    command.stderr(File::create(folder.join("said")).unwrap()).spawn().unwrap()
}

fn said(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("said")).unwrap()
}

/// What a node that died leaves: a lock that its server still keeps, and who it was.
fn dead_nodes_lock(folder: &Path) -> File {
    std::fs::create_dir_all(folder).unwrap();
    let path = folder.join(".lock");
    let text = "host = \"node-7\"\nprocess = 12\njob = \"Slurm job 5\"\nsince = \"then\"\n";
    std::fs::write(&path, text).unwrap();
    let lock = File::options().read(true).write(true).open(&path).unwrap();
    lock.lock().unwrap();
    lock
}

fn signal(child: &Child, signal: libc::c_int) {
    // SAFETY: a signal to a child that has not been waited for.
    unsafe { libc::kill(child.id() as libc::pid_t, signal) };
}

fn succeeded(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "{}", stderr(output));
}

#[test]
fn the_second_process_is_told_the_firsts_host_number_and_job_and_a_killed_one_is_no_hindrance() {
    let folder = workspace();
    let arguments = train("100", "out");
    let first = in_job(folder.path(), &arguments);
    wait_until("no rows", || lines(&folder.path().join("out/train.csv")) > 2);
    signal(&first, libc::SIGSTOP);
    let path = folder.path().join("out/.lock");
    // What NFS gives to one node alone is the lock of a file that is open for writing.
    let lock = File::options().read(true).write(true).open(&path).unwrap();
    assert!(matches!(lock.try_lock(), Err(TryLockError::WouldBlock)));
    drop(lock);
    let process = format!("process {}", first.id());
    let parts =
        ["out: another process is working on this run (host ", &process, "Slurm job 4711, since"];
    refuse(folder.path(), &arguments, 2, &parts);
    signal(&first, libc::SIGKILL);
    first.wait_with_output().unwrap();
    assert!(!std::fs::read(&path).unwrap().is_empty(), "a kill leaves the name of who had it");
    succeed(folder.path(), &arguments);
    assert!(std::fs::read(&path).unwrap().is_empty());
    succeed(folder.path(), &["verify", "out"]);
}

#[test]
fn a_lock_that_a_dead_node_left_is_waited_for_in_a_job_and_only_there() {
    let folder = workspace();
    let arguments = train("4", "out");
    let lock = dead_nodes_lock(&folder.path().join("out"));
    let who =
        "another process is working on this run (host node-7, process 12, Slurm job 5, since then)";
    refuse(folder.path(), &arguments, 2, &[who]);
    // A signal ends the waiting.
    let mut stopped = in_job_saying(folder.path(), &arguments);
    let waits = format!("{who}; waiting");
    wait_until("it does not wait", || said(folder.path()).contains(&waits));
    signal(&stopped, libc::SIGTERM);
    let status = stopped.wait().unwrap();
    assert_eq!(status.code(), Some(75), "{}", said(folder.path()));
    let mut waiting = in_job_saying(folder.path(), &arguments);
    wait_until("it does not wait", || said(folder.path()).contains(&waits));
    drop(lock);
    let status = waiting.wait().unwrap();
    assert_eq!(status.code(), Some(0), "{}", said(folder.path()));
}

#[test]
fn a_run_whose_turn_comes_while_another_process_is_at_it_is_left_for_later() {
    let folder = workspace();
    write_experiment(folder.path(), "");
    let arguments = ["sweep", "e.toml", "--out", "out", "--iterations", "100"];
    let mut sweep = command(folder.path(), &small(&arguments));
    let mut sweep = sweep
        .stdout(Stdio::null())
        .stderr(File::create(folder.path().join("said")).unwrap())
        .spawn()
        .unwrap();
    let log = |network: &str| folder.path().join("out/e").join(network).join("seed-0/train.csv");
    // Before the first run trains, the sweep has looked for other processes.
    wait_until("no run begins", || log("plain-8").with_file_name(".lock").exists());
    let other = dead_nodes_lock(&folder.path().join("out/e/resnet-8/seed-0"));
    wait_until("plain-8 does not end", || {
        std::fs::read_to_string(log("plain-8").with_file_name("run.toml"))
            .is_ok_and(|text| text.contains("finished"))
    });
    // Its turn has come.
    wait_until("it says nothing", || said(folder.path()).contains("process 12"));
    assert!(!log("resnet-8").exists());
    drop(other);
    let status = sweep.wait().unwrap();
    assert_eq!(status.code(), Some(0), "{}", said(folder.path()));
    assert_eq!(lines(&log("resnet-8")), 101);
}

#[test]
fn a_sweep_has_no_more_files_open_than_its_runs_at_work_need() {
    let folder = workspace();
    let seeds: Vec<String> = (0..400).map(|seed| seed.to_string()).collect();
    let text = format!(
        "title = \"t\"\npaper = \"p\"\ndataset = \"cifar10\"\n[[runs]]\nnetworks = [\"plain-8\"]\nseeds = [{}]\n",
        seeds.join(",")
    );
    std::fs::write(folder.path().join("e.toml"), text).unwrap();
    let program = env!("CARGO_BIN_EXE_resnet-repro");
    let script = format!(
        "ulimit -n 64; exec {program} sweep e.toml --data data --device cpu --set batch_size=32 --iterations 4 --out out"
    );
    let sweep = std::process::Command::new("bash")
        .args(["-c", &script])
        .current_dir(folder.path())
        .env("OMP_NUM_THREADS", "1")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let at = |seed: u32| folder.path().join(format!("out/e/plain-8/seed-{seed}"));
    wait_until("no second run", || lines(&at(1).join("train.csv")) >= 2);
    signal(&sweep, libc::SIGTERM);
    let output = sweep.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(75), "{}", stderr(&output));
    assert!(at(0).join("weights.safetensors").exists() && !at(9).exists());
}

#[test]
fn a_folder_of_an_earlier_version_which_has_no_lock_file_resumes() {
    let folder = workspace();
    let arguments = train("60", "out");
    let first = in_job(folder.path(), &arguments);
    wait_until("no rows", || lines(&folder.path().join("out/train.csv")) > 2);
    signal(&first, libc::SIGTERM);
    first.wait_with_output().unwrap();
    std::fs::remove_file(folder.path().join("out/.lock")).unwrap();
    succeeded(&run(folder.path(), &arguments));
    assert_eq!(lines(&folder.path().join("out/train.csv")), 61);
}
