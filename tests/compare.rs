//! `compare` and `train`, end to end.

mod common;

use std::path::Path;
use std::time::{Duration, Instant};

use common::{command, run, small, stderr, stdout, succeed, workspace};

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path.as_ref()).unwrap_or_else(|error| panic!("{}: {error}", path.as_ref().display()))
}

#[test]
fn compare_writes_every_file_and_tells_what_it_saw() {
    let folder = workspace();
    let out = folder.path().join("out");
    let arguments = small(&["compare", "14", "--shallow", "8", "--iterations", "12", "--seeds", "0,1", "--out", "out", "--set", "validation=64"]);
    let text = succeed(folder.path(), &arguments);
    for part in ["plain-8", "plain-14", "resnet-8", "resnet-14", "75,290", "±", "selected on validation", "training error (last 2)", "shortcuts"] {
        assert!(text.contains(part), "\"{part}\" is not in:\n{text}");
    }
    for network in ["plain-8", "plain-14", "resnet-8", "resnet-14"] {
        for seed in ["seed-0", "seed-1"] {
            let run = out.join(network).join(seed);
            let train = read(run.join("train.csv"));
            assert_eq!(train.lines().count(), 13);
            assert!(train.starts_with("iteration,learning_rate,loss,error\n1,0.1,"), "{train}");
            assert!(train.lines().last().unwrap().starts_with("12,0.001,"), "milestones scale with the run: {train}");
            let evaluations = read(run.join("eval.csv"));
            assert!(evaluations.starts_with("iteration,split,loss,error,top5_error\n3,test,"), "{evaluations}");
            assert_eq!(evaluations.matches(",validation,").count(), 4);
            let record = read(run.join("run.toml"));
            for part in ["state = \"finished\"", "git_revision", "libtorch = \"2.11.0", "validation 64 instead of 0", "fingerprint", "processor"] {
                assert!(record.contains(part), "{part} is not in {record}");
            }
            assert!(run.join("weights.safetensors").exists() && !run.join("checkpoint").exists());
        }
    }
    let svg = read(out.join("comparison.svg"));
    assert!(svg.contains("2 seeds") && svg.contains("resnet-14"));
    assert!(out.join("comparison.png").exists() && read(out.join("comparison.md")).contains("| plain-14"));

    // Again: nothing is trained, the same is said.
    let started = Instant::now();
    assert_eq!(succeed(folder.path(), &arguments), text);
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn json_has_the_numbers_of_the_table() {
    let folder = workspace();
    let text = succeed(folder.path(), &small(&["compare", "8", "--iterations", "4", "--out", "out", "--json"]));
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["dataset"], "cifar10");
    assert_eq!(json["iterations"], 4);
    assert_eq!(json["networks"][1]["network"], "resnet-8");
    assert_eq!(json["networks"][1]["parameters"], 75_290);
    assert!(json["networks"][0]["training_error"]["mean"].as_f64().unwrap() > 0.0);
    assert!(json["findings"][0]["sentence"].as_str().unwrap().contains("resnet-8"));
    assert_eq!(json["figure"][0], "out/comparison.svg");
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_twins_see_the_same_batches() {
    let folder = workspace();
    for out in ["a", "b"] {
        succeed(folder.path(), &small(&["train", "--network", "resnet-8", "--iterations", "10", "--out", out]));
    }
    for file in ["train.csv", "eval.csv", "weights.safetensors"] {
        let [a, b] = ["a", "b"].map(|out| std::fs::read(folder.path().join(out).join(file)).unwrap());
        assert!(a == b, "{file} differs");
    }
    succeed(folder.path(), &small(&["train", "--network", "resnet-8", "--iterations", "10", "--seed", "1", "--out", "c"]));
    assert_ne!(read(folder.path().join("a/train.csv")), read(folder.path().join("c/train.csv")));
}

/// Sends `signal` once the run has logged some rows, and returns the exit code.
fn stop_in_the_middle(folder: &Path, arguments: &[&str], log: &Path, signal: libc::c_int) -> Option<i32> {
    let mut child = command(folder, arguments).stderr(std::process::Stdio::null()).stdout(std::process::Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while std::fs::read_to_string(log).map_or(0, |text| text.lines().count()) < 8 {
        assert!(Instant::now() < deadline, "the run does not log");
        std::thread::sleep(Duration::from_millis(5));
    }
    // SAFETY: a signal to a child that has not been waited for.
    unsafe { libc::kill(child.id() as libc::pid_t, signal) };
    child.wait().unwrap().code()
}

#[test]
fn a_run_stopped_by_a_signal_exits_75_and_goes_on_to_the_same_bytes() {
    let folder = workspace();
    let arguments = |out| small(&["train", "--network", "resnet-8", "--iterations", "300", "--set", "evaluate_every=7", "--out", out]);
    succeed(folder.path(), &arguments("whole"));
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let log = folder.path().join("stopped/train.csv");
        assert_eq!(stop_in_the_middle(folder.path(), &arguments("stopped"), &log, signal), Some(75));
        let rows = read(&log).lines().count();
        assert!((8..300).contains(&rows), "{rows} rows");
        assert!(read(folder.path().join("stopped/run.toml")).contains("state = \"interrupted\""));
        let output = run(folder.path(), &arguments("stopped"));
        assert!(stderr(&output).contains("goes on after iteration"), "{}", stderr(&output));
        for file in ["train.csv", "eval.csv", "weights.safetensors"] {
            let [whole, stopped] = ["whole", "stopped"].map(|out| std::fs::read(folder.path().join(out).join(file)).unwrap());
            assert!(whole == stopped, "{file} differs");
        }
        std::fs::remove_dir_all(folder.path().join("stopped")).unwrap();
    }
}

#[test]
fn a_killed_run_goes_on_from_its_last_evaluation_to_the_same_bytes() {
    let folder = workspace();
    let arguments = |out| small(&["train", "--network", "plain-8", "--iterations", "200", "--set", "evaluate_every=7", "--out", out]);
    succeed(folder.path(), &arguments("whole"));
    stop_in_the_middle(folder.path(), &arguments("killed"), &folder.path().join("killed/train.csv"), libc::SIGKILL);
    succeed(folder.path(), &arguments("killed"));
    for file in ["train.csv", "eval.csv", "weights.safetensors"] {
        let [whole, killed] = ["whole", "killed"].map(|out| std::fs::read(folder.path().join(out).join(file)).unwrap());
        assert!(whole == killed, "{file} differs");
    }
}

#[test]
fn compare_stopped_by_ctrl_c_exits_75_and_keeps_the_rows() {
    let folder = workspace();
    let arguments = small(&["compare", "14", "--shallow", "8", "--iterations", "300", "--set", "evaluate_every=7", "--out", "out"]);
    let log = folder.path().join("out/plain-8/seed-0/train.csv");
    assert_eq!(stop_in_the_middle(folder.path(), &arguments, &log, libc::SIGINT), Some(75));
    assert!(read(&log).ends_with('\n') && read(&log).lines().count() >= 8);
}

#[test]
fn a_net_of_110_layers_starts_at_a_rate_of_0_01() {
    let folder = workspace();
    let arguments =
        ["train", "--network", "resnet-110", "--iterations", "2", "--data", "data", "--device", "cpu", "--set", "batch_size=8", "--out", "out"];
    succeed(folder.path(), &arguments);
    assert!(read(folder.path().join("out/train.csv")).contains("\n1,0.01,"));
}

#[test]
fn a_loss_that_is_no_number_is_a_recorded_result_and_exits_3() {
    let folder = workspace();
    // A decay of 1 at a rate of 100 multiplies every weight by -99 an iteration.
    let settings = ["--set", "learning_rate=100", "--set", "weight_decay=1"];
    let arguments = [small(&["compare", "8", "--iterations", "60", "--out", "out"]), settings.to_vec()].concat();
    for _ in ["at first", "and when asked again"] {
        let output = run(folder.path(), &arguments);
        assert_eq!(output.status.code(), Some(3), "{}{}", stdout(&output), stderr(&output));
    }
    assert!(read(folder.path().join("out/plain-8/seed-0/run.toml")).contains("state = \"diverged\""));
    let log = read(folder.path().join("out/plain-8/seed-0/train.csv"));
    assert!(log.contains("NaN") || log.contains("inf"), "the last row is the evidence: {log}");
}
