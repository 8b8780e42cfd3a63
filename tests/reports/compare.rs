//! `compare` and `train`, end to end.

use crate::common;
use crate::common::{command, lines, run, small, stderr, stdout, succeed, wait_until, workspace};
use std::path::Path;

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path.as_ref())
        .unwrap_or_else(|error| panic!("{}: {error}", path.as_ref().display()))
}

#[test]
fn compare_writes_every_file_and_tells_what_it_saw() {
    let folder = workspace();
    let out = folder.path().join("out");
    let arguments = small(&[
        "compare",
        "14",
        "--shallow",
        "8",
        "--iterations",
        "12",
        "--seeds",
        "0,1",
        "--out",
        "out",
        "--set",
        "validation=64",
    ]);
    let text = succeed(folder.path(), &arguments);
    for part in [
        "plain-8",
        "plain-14",
        "resnet-8",
        "resnet-14",
        "75,290",
        "±",
        "selected on validation",
        "training error (last 2)",
        "shortcuts",
    ] {
        assert!(text.contains(part), "\"{part}\" is not in:\n{text}");
    }
    for network in ["plain-8", "plain-14", "resnet-8", "resnet-14"] {
        for seed in ["seed-0", "seed-1"] {
            let run = out.join(network).join(seed);
            let train = read(run.join("train.csv"));
            assert_eq!(train.lines().count(), 13);
            assert!(train.starts_with("iteration,learning_rate,loss,error\n1,0.1,"), "{train}");
            assert!(
                train.lines().last().unwrap().starts_with("12,0.001,"),
                "milestones scale with the run: {train}"
            );
            let evaluations = read(run.join("eval.csv"));
            assert!(
                evaluations.starts_with("iteration,split,loss,error,top5_error\n3,test,"),
                "{evaluations}"
            );
            assert_eq!(evaluations.matches(",validation,").count(), 4);
            let record = read(run.join("run.toml"));
            for part in [
                "state = \"finished\"",
                "git_revision",
                "libtorch = \"2.11.0",
                "validation 64 instead of 0",
                "fingerprint",
                "processor",
            ] {
                assert!(record.contains(part), "{part} is not in {record}");
            }
            assert!(run.join("weights.safetensors").exists() && !run.join("checkpoint").exists());
        }
    }
    let svg = read(out.join("comparison.svg"));
    assert!(svg.contains("2 seeds") && svg.contains("resnet-14"));
    assert!(
        read(out.join("comparison-table.tex")).contains("\\toprule")
            && read(out.join("comparison-table.csv")).contains("complete,plain-14,")
    );
    assert!(
        out.join("comparison.png").exists()
            && read(out.join("comparison.md")).contains("| plain-14")
    );

    // Again: nothing is trained, the same is said.
    let weights = out.join("plain-14/seed-0/weights.safetensors");
    let written = || std::fs::metadata(&weights).unwrap().modified().unwrap();
    let before = written();
    assert_eq!(succeed(folder.path(), &arguments), text);
    assert_eq!(written(), before);
}

#[test]
fn json_has_the_numbers_of_the_table() {
    let folder = workspace();
    let text = succeed(
        folder.path(),
        &small(&["compare", "8", "--iterations", "4", "--out", "out", "--json"]),
    );
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
fn the_same_seed_and_threads_give_the_same_bytes() {
    let folder = workspace();
    for out in ["a", "b"] {
        let arguments =
            small(&["train", "--network", "resnet-8", "--iterations", "10", "--out", out]);
        assert!(
            command(folder.path(), &arguments)
                .env("OMP_NUM_THREADS", "2")
                .status()
                .unwrap()
                .success()
        );
    }
    for file in ["train.csv", "eval.csv", "weights.safetensors"] {
        let [a, b] =
            ["a", "b"].map(|out| std::fs::read(folder.path().join(out).join(file)).unwrap());
        assert!(a == b, "{file} differs");
    }
    succeed(
        folder.path(),
        &small(&[
            "train",
            "--network",
            "resnet-8",
            "--iterations",
            "10",
            "--seed",
            "1",
            "--out",
            "c",
        ]),
    );
    assert_ne!(read(folder.path().join("a/train.csv")), read(folder.path().join("c/train.csv")));
}

/// Sends `signal` once the run has logged some rows, and returns the exit code.
fn stop_in_the_middle(
    folder: &Path,
    arguments: &[&str],
    log: &Path,
    signal: libc::c_int,
) -> Option<i32> {
    let mut child = command(folder, arguments)
        .stderr(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the run does not log", || lines(log) >= 8);
    // SAFETY: a signal to a child that has not been waited for.
    unsafe { libc::kill(child.id() as libc::pid_t, signal) };
    child.wait().unwrap().code()
}

#[test]
fn a_run_stopped_by_a_signal_exits_75_and_goes_on_to_the_same_bytes() {
    let folder = workspace();
    let arguments = |out| {
        small(&[
            "train",
            "--network",
            "resnet-8",
            "--iterations",
            "300",
            "--set",
            "evaluate_every=7",
            "--out",
            out,
        ])
    };
    succeed(folder.path(), &arguments("whole"));
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGUSR1] {
        let log = folder.path().join("stopped/train.csv");
        assert_eq!(
            stop_in_the_middle(folder.path(), &arguments("stopped"), &log, signal),
            Some(75)
        );
        let rows = read(&log).lines().count();
        assert!((8..300).contains(&rows), "{rows} rows");
        assert!(read(folder.path().join("stopped/run.toml")).contains("state = \"interrupted\""));
        let output = run(folder.path(), &arguments("stopped"));
        assert!(stderr(&output).contains("resumes after iteration"), "{}", stderr(&output));
        assert!(
            read(folder.path().join("stopped/run.toml")).contains("[[earlier_attempts]]"),
            "both attempts are on record"
        );
        for file in ["train.csv", "eval.csv", "weights.safetensors"] {
            let [whole, stopped] = ["whole", "stopped"]
                .map(|out| std::fs::read(folder.path().join(out).join(file)).unwrap());
            assert!(whole == stopped, "{file} differs");
        }
        std::fs::remove_dir_all(folder.path().join("stopped")).unwrap();
    }
}

#[test]
fn a_killed_run_goes_on_from_its_last_checkpoint_to_the_same_bytes() {
    let folder = workspace();
    let arguments = |out| {
        small(&[
            "train",
            "--network",
            "plain-8",
            "--iterations",
            "200",
            "--set",
            "evaluate_every=7",
            "--checkpoint-every",
            "0",
            "--out",
            out,
        ])
    };
    succeed(folder.path(), &arguments("whole"));
    let log = folder.path().join("killed/train.csv");
    assert_eq!(
        stop_in_the_middle(folder.path(), &arguments("killed"), &log, libc::SIGKILL),
        None,
        "it did not end by itself"
    );
    assert!(read(&log).lines().count() < 200);
    assert!(read(folder.path().join("killed/run.toml")).contains("state = \"running\""));
    let output = run(folder.path(), &arguments("killed"));
    assert!(
        stderr(&output).contains("resumes after iteration"),
        "not from the start: {}",
        stderr(&output)
    );
    for file in ["train.csv", "eval.csv", "weights.safetensors"] {
        let [whole, killed] = ["whole", "killed"]
            .map(|out| std::fs::read(folder.path().join(out).join(file)).unwrap());
        assert!(whole == killed, "{file} differs");
    }
}

#[test]
fn compare_stopped_by_ctrl_c_exits_75_and_keeps_the_rows() {
    let folder = workspace();
    let arguments = small(&[
        "compare",
        "14",
        "--shallow",
        "8",
        "--iterations",
        "300",
        "--set",
        "evaluate_every=7",
        "--out",
        "out",
    ]);
    let log = folder.path().join("out/plain-8/seed-0/train.csv");
    assert_eq!(stop_in_the_middle(folder.path(), &arguments, &log, libc::SIGINT), Some(75));
    assert!(read(&log).ends_with('\n') && read(&log).lines().count() >= 8);
}

#[test]
fn a_net_of_110_layers_starts_at_a_rate_of_0_01() {
    let folder = workspace();
    let arguments = [
        "train",
        "--network",
        "resnet-110",
        "--iterations",
        "2",
        "--data",
        "data",
        "--device",
        "cpu",
        "--set",
        "batch_size=8",
        "--out",
        "out",
    ];
    succeed(folder.path(), &arguments);
    assert!(read(folder.path().join("out/train.csv")).contains("\n1,0.01,"));
}

#[test]
fn a_loss_that_is_no_number_is_a_recorded_result_and_exits_3() {
    let folder = workspace();
    // A decay of 1 at a rate of 100 multiplies every weight by -99 an iteration.
    let settings = ["--set", "learning_rate=100", "--set", "weight_decay=1"];
    let arguments =
        [small(&["compare", "8", "--iterations", "60", "--out", "out"]), settings.to_vec()]
            .concat();
    for _ in ["at first", "and when asked again"] {
        let output = run(folder.path(), &arguments);
        assert_eq!(output.status.code(), Some(3), "{}{}", stdout(&output), stderr(&output));
        assert!(stdout(&output).contains("plain-8 (seed 0) diverged"), "{}", stdout(&output));
    }
    assert!(
        read(folder.path().join("out/plain-8/seed-0/run.toml")).contains("state = \"diverged\"")
    );
    let log = read(folder.path().join("out/plain-8/seed-0/train.csv"));
    assert!(log.contains("NaN") || log.contains("inf"), "the last row is the evidence: {log}");
}

#[test]
fn evaluate_of_the_saved_weights_gives_the_last_row_of_the_log() {
    let folder = tempfile::tempdir().unwrap();
    // More test images than two batches of an evaluation, and no whole number of them.
    common::write_cifar(&folder.path().join("data"), 320, 1203);
    for normalize in ["pixel-mean", "imagenet"] {
        let setting = format!("normalize={normalize}");
        let arguments = small(&[
            "train",
            "--network",
            "resnet-8",
            "--iterations",
            "6",
            "--set",
            &setting,
            "--out",
            normalize,
        ]);
        succeed(folder.path(), &arguments);
        let weights = format!("{normalize}/weights.safetensors");
        let evaluate = [
            "evaluate",
            "--network",
            "resnet-8",
            "--data",
            "data",
            "--device",
            "cpu",
            "--json",
            "--weights",
            &weights,
        ];
        let json: serde_json::Value =
            serde_json::from_str(&succeed(folder.path(), &evaluate)).unwrap();
        assert_eq!(json["images"], 1203);
        let log = read(folder.path().join(normalize).join("eval.csv"));
        let last: Vec<f64> =
            log.lines().last().unwrap().split(',').filter_map(|value| value.parse().ok()).collect();
        for (value, key) in last[1..].iter().zip(["loss", "error", "top5_error"]) {
            let found = json[key].as_f64().unwrap();
            assert!(
                (found - value).abs() < 1e-5 * value.abs().max(1.0),
                "{key}: {found}, logged {value}"
            );
        }
        assert!((1..1203).contains(&json["wrong"].as_i64().unwrap()));
        // The weights say how they were trained; who asks for something else is told.
        let other = if normalize == "imagenet" { "pixel-mean" } else { "imagenet" };
        let told = run(folder.path(), &[&evaluate[..], &["--normalize", other]].concat());
        let message =
            format!("note: --normalize {other}, but these weights were trained with {normalize}");
        assert!(stderr(&told).contains(&message), "{}", stderr(&told));
        assert!(!stdout(&told).contains(&json["loss"].to_string()), "{}", stdout(&told));
    }
}

#[test]
fn a_second_process_is_kept_off_a_run_that_is_being_trained() {
    let folder = workspace();
    let arguments =
        small(&["train", "--network", "plain-8", "--iterations", "3000", "--out", "out"]);
    let mut first =
        command(folder.path(), &arguments).stderr(std::process::Stdio::null()).spawn().unwrap();
    wait_until("it does not begin", || folder.path().join("out/run.toml").exists());
    common::refuse(folder.path(), &arguments, 2, &["out", "another process"]);
    first.kill().unwrap();
    first.wait().unwrap();
}

#[test]
fn a_log_that_lost_more_rows_than_both_checkpoints_is_not_continued() {
    let folder = workspace();
    let arguments = small(&[
        "train",
        "--network",
        "plain-8",
        "--iterations",
        "300",
        "--set",
        "evaluate_every=7",
        "--out",
        "out",
    ]);
    let log = folder.path().join("out/train.csv");
    assert_eq!(stop_in_the_middle(folder.path(), &arguments, &log, libc::SIGINT), Some(75));
    let text = read(&log);
    let kept: String = text.lines().take(4).map(|line| format!("{line}\n")).collect();
    std::fs::write(&log, &kept).unwrap();
    common::refuse(
        folder.path(),
        &arguments,
        1,
        &["out/checkpoint/", "ends at iteration 3", "rows were lost", "remove out/checkpoint"],
    );
    assert_eq!(read(&log), kept, "what is there is kept");
}

#[test]
fn weights_that_are_not_kept_are_on_record_all_the_same() {
    let folder = workspace();
    let arguments =
        |out| small(&["train", "--network", "plain-8", "--iterations", "4", "--out", out]);
    succeed(folder.path(), &arguments("kept"));
    succeed(folder.path(), &[arguments("not"), vec!["--no-weights"]].concat());
    let hash = |out: &str| {
        read(folder.path().join(out).join("run.toml"))
            .lines()
            .find(|line| line.starts_with("weights_sha256"))
            .map(str::to_string)
    };
    assert_eq!(hash("kept"), hash("not"));
    assert!(hash("not").is_some() && !folder.path().join("not/weights.safetensors").exists());
    for out in ["kept", "not"] {
        assert!(
            succeed(folder.path(), &["verify", out])
                .contains("1 finished run: every file is as it was logged")
        );
    }
}

#[test]
fn doctor_finds_libtorch_and_a_damaged_data_set() {
    let folder = tempfile::tempdir().unwrap();
    let text = succeed(folder.path(), &["doctor"]);
    for part in
        ["✓ libtorch    2.11.0", "lib", "thread", "core", "GiB", "no cifar10 in data/cifar10"]
    {
        assert!(text.contains(part), "\"{part}\" is not in:\n{text}");
    }
    let data = common::write_cifar(&folder.path().join("data/cifar10"), 10, 10);
    std::fs::write(data.join("test_batch.bin"), [0; 100]).unwrap();
    assert!(succeed(folder.path(), &["doctor"]).contains("test_batch.bin"));
    let json: serde_json::Value =
        serde_json::from_str(&succeed(folder.path(), &["doctor", "--json"])).unwrap();
    assert_eq!(json[0]["ok"], true);
}
