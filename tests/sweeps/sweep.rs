//! `sweep`, end to end, and what can go wrong in it.

use crate::common;
use crate::common::{
    SMALL_SWEEP, assert_same_run, children, command, edit_record, lines, refuse, run, signal,
    stderr, stdout, succeed, wait_until, workspace, write_experiment,
};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

const RUNS: [&str; 2] = ["e/plain-8/seed-0", "e/resnet-8/seed-0"];

/// Arguments of a sweep of two small runs into `out`.
pub fn sweep<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [SMALL_SWEEP, &["--set", "evaluate_every=20", "--out", out], more].concat()
}

fn start(folder: &Path, arguments: &[&str]) -> Child {
    let mut command = command(folder, arguments);
    // Tests that were started by "nohup" would hand on that SIGHUP is ignored.
    // SAFETY: signal is among the functions that may be called between fork and exec.
    unsafe {
        command.pre_exec(|| {
            libc::signal(libc::SIGHUP, libc::SIG_DFL);
            Ok(())
        })
    };
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn a_sweep_trains_what_is_missing_and_tells_how_each_run_ended() {
    let folder = workspace();
    write_experiment(folder.path(), "");
    let plan = succeed(folder.path(), &sweep("out", &["--iterations", "6", "--dry-run"]));
    for part in ["e/plain-8/seed-0", "75,290", "2 runs, 2 to do", "measured now"] {
        assert!(plan.contains(part), "\"{part}\" is not in:\n{plan}");
    }
    assert!(!folder.path().join("out").exists(), "a plan starts nothing");
    let planned = run(folder.path(), &sweep("out", &["--iterations", "6", "--dry-run", "--json"]));
    let planned: serde_json::Value = serde_json::from_str(&stdout(&planned)).unwrap();
    let seconds = |key: &str| planned[0][key].as_f64().unwrap();
    let [least, likely, most] =
        ["least_seconds_left", "seconds_left", "most_seconds_left"].map(seconds);
    assert!(0.0 < least && least < likely && likely < most, "{least} {likely} {most}");
    let text = succeed(folder.path(), &sweep("out", &["--iterations", "6", "--jobs", "2"]));
    assert_eq!(text.matches("finished").count(), 2, "{text}");
    let first = std::fs::metadata(folder.path().join("out/e/plain-8/seed-0/train.csv"))
        .unwrap()
        .modified()
        .unwrap();
    let output = run(folder.path(), &sweep("out", &["--iterations", "6", "--json"]));
    let json: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(
        (json[0]["state"].as_str(), json[0]["iterations"].as_u64()),
        (Some("finished"), Some(6))
    );
    assert_eq!(
        std::fs::metadata(folder.path().join("out/e/plain-8/seed-0/train.csv"))
            .unwrap()
            .modified()
            .unwrap(),
        first,
        "nothing is trained again"
    );
    assert!(
        succeed(folder.path(), &sweep("out", &["--iterations", "6", "--dry-run"]))
            .contains("2 runs, 0 to do")
    );
    assert!(
        succeed(folder.path(), &["verify", "out"])
            .contains("2 finished runs: every file is as it was logged")
    );
}

#[test]
fn a_sweep_stopped_by_any_signal_or_killed_goes_on_to_the_same_bytes() {
    let folder = workspace();
    write_experiment(folder.path(), "");
    let arguments =
        |out| sweep(out, &["--iterations", "240", "--jobs", "2", "--checkpoint-every", "0"]);
    succeed(folder.path(), &arguments("whole"));
    let log = folder.path().join("cut/e/plain-8/seed-0/train.csv");
    for (signal_number, code) in [
        (libc::SIGUSR1, Some(75)),
        (libc::SIGKILL, None),
        (libc::SIGTERM, Some(75)),
        (libc::SIGINT, Some(75)),
    ] {
        let before = lines(&log);
        let mut child = start(folder.path(), &arguments("cut"));
        wait_until("the sweep does not log", || {
            lines(&log) > before + 5 || child.try_wait().unwrap().is_some()
        });
        let workers = children(child.id());
        signal(child.id(), signal_number);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), code, "{}", stderr(&output));
        // A killed scheduler takes its workers with it.
        wait_until("workers live on", || {
            workers.iter().all(|worker| !Path::new(&format!("/proc/{worker}/exe")).exists())
        });
    }
    succeed(folder.path(), &arguments("cut"));
    for name in RUNS {
        assert_same_run(
            &folder.path().join("whole").join(name),
            &folder.path().join("cut").join(name),
        );
        let record =
            std::fs::read_to_string(folder.path().join("cut").join(name).join("run.toml")).unwrap();
        assert!(
            record.contains("state = \"finished\"") && record.contains("[[earlier_attempts]]"),
            "{record}"
        );
    }
}

#[test]
fn a_worker_that_is_killed_is_started_again_and_the_reason_is_on_record() {
    let folder = workspace();
    write_experiment(folder.path(), "");
    let arguments = |out| sweep(out, &["--iterations", "240", "--checkpoint-every", "0"]);
    succeed(folder.path(), &arguments("whole"));
    let child = start(folder.path(), &arguments("cut"));
    let log = folder.path().join("cut/e/plain-8/seed-0/train.csv");
    wait_until("the sweep does not log", || lines(&log) > 5);
    // What the kernel does to a process when memory runs out.
    children(child.id()).into_iter().for_each(|worker| signal(worker, libc::SIGKILL));
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("killed by signal 9")
            && stderr(&output).contains("attempt 2 of 3"),
        "{}",
        stderr(&output)
    );
    for name in RUNS {
        assert_same_run(
            &folder.path().join("whole").join(name),
            &folder.path().join("cut").join(name),
        );
    }
    let record = std::fs::read_to_string(log.with_file_name("run.toml")).unwrap();
    assert!(record.contains("[[failures]]") && record.contains("memory runs out"), "{record}");
}

/// Joins a group of processes whose memory the kernel limits, and starts the program in it; exit
/// code 90 where the system allows no such group.
const LIMITED: &str = r#"
for base in /sys/fs/cgroup/memory /sys/fs/cgroup; do
  group=$base/resnet-repro-test-$$
  mkdir "$group" 2> /dev/null || continue
  echo "$group" > group.txt
  for limit in memory.limit_in_bytes memory.max; do
    if [ -w "$group/$limit" ] && echo 1000M > "$group/$limit" && echo $$ > "$group/cgroup.procs"; then exec "$@"; fi
  done
  rmdir "$group"
done
exit 90"#;

#[test]
fn a_run_that_the_kernel_kills_for_memory_is_given_up_and_the_others_are_trained() {
    let folder = workspace();
    common::write_cifar(&folder.path().join("data"), 4200, 20);
    // Some gigabytes of activations.
    write_experiment(
        folder.path(),
        "[[runs]]\nnetworks = [\"plain-14\"]\nseeds = [0]\nrecipe = { batch_size = 4096 }\n",
    );
    let sweep = [
        "sweep",
        "e.toml",
        "--data",
        "data",
        "--device",
        "cpu",
        "--iterations",
        "3",
        "--retries",
        "1",
        "--out",
        "out",
    ];
    let mut command = std::process::Command::new("sh");
    command
        .args(["-c", LIMITED, "sh", env!("CARGO_BIN_EXE_resnet-repro")])
        .args(sweep)
        .current_dir(folder.path())
        .env("OMP_NUM_THREADS", "1");
    let output = command.output().unwrap();
    if let Ok(group) = std::fs::read_to_string(folder.path().join("group.txt")) {
        let _ = std::fs::remove_dir(group.trim());
    }
    if output.status.code() == Some(90) {
        eprintln!("skipped: this system lets no test limit the memory of a process");
        return;
    }
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let said = stderr(&output);
    assert!(
        said.contains("e/plain-14/seed-0 failed: killed by signal 9")
            && said.contains("given up after 2 attempts"),
        "{said}"
    );
    assert_eq!(stdout(&output).matches("finished").count(), 2, "{}", stdout(&output));
    let record =
        std::fs::read_to_string(folder.path().join("out/e/plain-14/seed-0/run.toml")).unwrap();
    assert_eq!(record.matches("[[failures]]").count(), 2, "every attempt is on record: {record}");
}

#[test]
fn a_signal_that_reaches_a_worker_and_the_sweep_saves_all_the_same() {
    let folder = workspace();
    write_experiment(folder.path(), "");
    let child = start(folder.path(), &sweep("out", &["--iterations", "3000"]));
    let log = folder.path().join("out/e/plain-8/seed-0/train.csv");
    wait_until("the sweep does not log", || lines(&log) > 5);
    // A scheduler that signals every process of a job.
    children(child.id())
        .into_iter()
        .chain([child.id()])
        .for_each(|process| signal(process, libc::SIGTERM));
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(75), "{}", stderr(&output));
    let record = std::fs::read_to_string(log.with_file_name("run.toml")).unwrap();
    assert!(
        record.contains("state = \"interrupted\"") && !record.contains("[[failures]]"),
        "{record}"
    );
    assert!(log.with_file_name("checkpoint").exists(), "its state is saved");
}

#[test]
fn a_program_file_that_is_replaced_during_a_sweep_does_not_end_it() {
    let folder = workspace();
    write_experiment(folder.path(), "");
    // Copies, to be removed while they run.
    for name in ["resnet-repro", "resnet-repro-engine"] {
        let original = Path::new(env!("CARGO_BIN_EXE_resnet-repro")).with_file_name(name);
        std::fs::copy(original, folder.path().join(name)).unwrap();
    }
    let mut command = std::process::Command::new(folder.path().join("resnet-repro"));
    command
        .args(sweep("out", &["--iterations", "60"]))
        .current_dir(folder.path())
        .env("OMP_NUM_THREADS", "1");
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("the sweep does not log", || {
        lines(&folder.path().join("out/e/plain-8/seed-0/train.csv")) > 5
    });
    std::fs::remove_file(folder.path().join("resnet-repro-engine")).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stdout(&output).matches("finished").count(), 2, "{}", stdout(&output));
}

#[test]
fn checkpoints_that_a_kill_left_in_a_finished_run_are_removed() {
    let folder = workspace();
    write_experiment(folder.path(), "");
    let arguments = sweep("out", &["--iterations", "2", "--only", "plain-8"]);
    succeed(folder.path(), &arguments);
    let left = folder.path().join("out/e/plain-8/seed-0/checkpoint");
    std::fs::create_dir(&left).unwrap();
    std::fs::write(left.join("000000002-0123456789abcdef.safetensors"), "left").unwrap();
    assert_eq!(run(folder.path(), &["verify", "out"]).status.code(), Some(1));
    succeed(folder.path(), &arguments);
    succeed(folder.path(), &["verify", "out"]);
}

#[test]
fn a_run_that_always_fails_is_given_up_and_the_others_are_trained() {
    let folder = workspace();
    write_experiment(folder.path(), "");
    succeed(folder.path(), &sweep("out", &["--iterations", "4", "--only", "plain-8"]));
    let record = folder.path().join("out/e/plain-8/seed-0/run.toml");
    let changes = [
        ("state = \"finished\"", "state = \"running\""),
        ("iterations = 4\nseconds", "iterations = 0\nseconds"),
    ];
    edit_record(&record, &changes);
    // A folder stands where the log of one run must go.
    let log = folder.path().join("out/e/plain-8/seed-0/eval.csv");
    std::fs::remove_file(&log).unwrap();
    std::fs::create_dir(&log).unwrap();
    let output = run(folder.path(), &sweep("out", &["--iterations", "4", "--retries", "1"]));
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("given up after 2 attempts, the sweep continues")
            && stderr(&output).contains("eval.csv"),
        "{}",
        stderr(&output)
    );
    let table = stdout(&output);
    assert!(table.contains("failed") && table.contains("finished"), "{table}");
}

#[test]
fn a_run_that_diverges_is_a_result_and_the_sweep_goes_on() {
    let folder = workspace();
    // A decay of 1 at a rate of 100 multiplies every weight by -99 an iteration.
    let diverging = "[[runs]]\nnetworks = [\"plain-14\"]\nseeds = [0]\nrecipe = { learning_rate = 100, weight_decay = 1 }\n";
    write_experiment(folder.path(), diverging);
    let output = run(folder.path(), &sweep("out", &["--iterations", "60"]));
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("e/plain-14/seed-0 diverged")
            && stdout(&output).matches("finished").count() == 2,
        "{}",
        stdout(&output)
    );
    // Where it is expected it is no reason to worry.
    write_experiment(folder.path(), &format!("may_diverge = [\"plain-14\"]\n{diverging}"));
    assert!(succeed(folder.path(), &sweep("out", &["--iterations", "60"])).contains("diverged"));
    let text = succeed(folder.path(), &["figures", "out"]);
    assert!(text.contains("plain-14 (seed 0) diverged: its loss was not finite"), "{text}");
}

#[test]
fn a_second_sweep_on_the_same_runs_is_refused() {
    let folder = workspace();
    write_experiment(folder.path(), "");
    let arguments = sweep("out", &["--iterations", "3000"]);
    let mut first = start(folder.path(), &arguments);
    let log = folder.path().join("out/e/plain-8/seed-0/train.csv");
    wait_until("the sweep does not log", || lines(&log) > 2);
    refuse(folder.path(), &arguments, 2, &["out/e/plain-8/seed-0", "another process"]);
    first.kill().unwrap();
    first.wait().unwrap();
}

#[test]
fn two_sweeps_started_at_once_train_each_run_once() {
    let folder = workspace();
    write_experiment(folder.path(), "");
    let arguments = sweep("out", &["--iterations", "120"]);
    let [one, other] = [start(folder.path(), &arguments), start(folder.path(), &arguments)]
        .map(|child| child.wait_with_output().unwrap());
    let mut codes = [one.status.code(), other.status.code()];
    codes.sort();
    // The later one is refused; it can also come so late that nothing is left to do.
    assert!(
        codes == [Some(0), Some(2)] || codes == [Some(0), Some(0)],
        "{codes:?}\n{}\n{}",
        stderr(&one),
        stderr(&other)
    );
    succeed(folder.path(), &sweep("whole", &["--iterations", "120"]));
    for name in RUNS {
        assert_same_run(
            &folder.path().join("whole").join(name),
            &folder.path().join("out").join(name),
        );
    }
}

#[test]
fn a_worker_without_its_scheduler_does_nothing() {
    let folder = workspace();
    refuse(folder.path(), &["worker", "nonsense"], 2, &["the job cannot be read"]);
}

#[test]
fn a_closed_terminal_saves_and_a_second_signal_is_answered() {
    let folder = workspace();
    write_experiment(folder.path(), "");
    let train = ["train", "--network", "plain-8", "--data", "data", "--device", "cpu"];
    let train = [&train[..], &["--iterations", "100000", "--out", "run"]].concat();
    let log = folder.path().join("run/train.csv");
    let child = start(folder.path(), &train);
    wait_until("the run begins", || lines(&log) > 2);
    signal(child.id(), libc::SIGHUP);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(75), "{}", stderr(&output));
    assert!(stderr(&output).contains("press again in a second to stop without saving"));
    // Two at once are one request, as timeout(1) makes it: to the process, and to its group.
    let child = start(folder.path(), &train);
    let logged = lines(&log);
    wait_until("the run goes on", || lines(&log) > logged);
    signal(child.id(), libc::SIGTERM);
    std::thread::sleep(Duration::from_millis(1));
    signal(child.id(), libc::SIGTERM);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(75), "{}", stderr(&output));
    // A second one that comes later, in an iteration of seconds.
    let slow = ["train", "--network", "resnet-110", "--data", "data", "--device", "cpu"];
    let slow = [&slow[..], &["--set", "batch_size=160", "--out", "slow"]].concat();
    let child = start(folder.path(), &slow);
    wait_until("the run begins", || folder.path().join("slow/train.csv").exists());
    signal(child.id(), libc::SIGTERM);
    std::thread::sleep(Duration::from_millis(1100));
    signal(child.id(), libc::SIGTERM);
    let output = child.wait_with_output().unwrap();
    let told = stderr(&output);
    match output.status.code() {
        // A machine that was through with the iteration before.
        Some(75) => eprintln!("the iteration took less than 1.1 s"),
        code => {
            assert_eq!(code, Some(130), "{told}");
            assert!(told.contains("stopped immediately, without saving"), "{told}");
        }
    }
}
