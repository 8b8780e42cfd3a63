//! The fast path end to end: bfloat16, recomputed segments, norms of gradients, and measurements,
//! through the real program.

mod common;

use common::{
    assert_same_run, command, lines, refuse, run, small, stderr, succeed, wait_until, workspace,
};
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// Without instructions for bfloat16 an iteration takes several times as long.
fn is_bf16(settings: &[&str]) -> bool {
    settings.contains(&"precision=bf16")
}

fn train<'a>(out: &'a str, settings: &[&'a str]) -> Vec<&'a str> {
    let length = match is_bf16(settings) {
        true => ["--iterations", "18", "--set", "evaluate_every=6"],
        false => ["--iterations", "60", "--set", "evaluate_every=20"],
    };
    let common = ["train", "--network", "resnet-8", "--checkpoint-every", "0"];
    let mut arguments = small(&[&common[..], &length].concat());
    settings.iter().for_each(|setting| arguments.extend(["--set", setting]));
    arguments.extend(["--out", out]);
    arguments
}

/// Starts the run `cut`, kills it in the middle, and goes on with `settings_after`.
fn cut_and_resumed(folder: &Path, settings: &[&str], settings_after: &[&str]) -> PathBuf {
    let mut child = command(folder, &train("cut", settings)).stderr(Stdio::null()).spawn().unwrap();
    let enough = if is_bf16(settings) { 7 } else { 20 };
    wait_until("the run does not log", || lines(&folder.join("cut/train.csv")) > enough);
    child.kill().unwrap();
    child.wait().unwrap();
    succeed(folder, &train("cut", settings_after));
    folder.join("cut")
}

#[test]
fn a_bfloat16_run_repeats_to_the_same_bytes_and_goes_on_exactly_after_a_kill() {
    let folder = workspace();
    succeed(folder.path(), &train("one", &["precision=bf16"]));
    succeed(folder.path(), &train("two", &["precision=bf16"]));
    assert_same_run(&folder.path().join("one"), &folder.path().join("two"));
    for run in ["threads-1", "threads-2"] {
        let output = command(folder.path(), &train(run, &["precision=bf16"]))
            .env("OMP_NUM_THREADS", "2")
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    }
    assert_same_run(&folder.path().join("threads-1"), &folder.path().join("threads-2"));
    let cut = cut_and_resumed(folder.path(), &["precision=bf16"], &["precision=bf16"]);
    assert_same_run(&folder.path().join("one"), &cut);
}

#[test]
fn recomputed_segments_change_no_byte_of_the_logs_and_weights() {
    let folder = workspace();
    for precision in ["precision=f32", "precision=bf16"] {
        let (whole, parts) = (format!("{precision}-whole"), format!("{precision}-parts"));
        succeed(folder.path(), &train(&whole, &[precision, "checkpoint_segments=1"]));
        let output = run(folder.path(), &train(&parts, &[precision, "checkpoint_segments=3"]));
        assert!(stderr(&output).contains("in 3 segments"), "{}", stderr(&output));
        for file in ["train.csv", "eval.csv", "weights.safetensors"] {
            let bytes = |run: &str| std::fs::read(folder.path().join(run).join(file)).unwrap();
            assert_eq!(bytes(&whole), bytes(&parts), "{precision} {file}");
        }
    }
}

#[test]
fn a_run_that_was_stopped_goes_on_with_more_segments_to_the_same_bytes() {
    let folder = workspace();
    succeed(folder.path(), &train("whole", &[]));
    let cut = cut_and_resumed(folder.path(), &[], &["checkpoint_segments=2"]);
    assert_same_run(&folder.path().join("whole"), &cut);
}

#[test]
fn gradient_norms_change_no_byte_of_a_run_and_survive_a_kill() {
    let folder = workspace();
    succeed(folder.path(), &train("without", &[]));
    succeed(folder.path(), &train("whole", &["gradient_norms_every=4"]));
    let bytes = |run: &str, file: &str| std::fs::read(folder.path().join(run).join(file)).unwrap();
    for file in ["train.csv", "eval.csv", "weights.safetensors"] {
        assert_eq!(bytes("without", file), bytes("whole", file), "{file}");
    }
    assert!(!folder.path().join("without/gradients.csv").exists());
    let text = String::from_utf8(bytes("whole", "gradients.csv")).unwrap();
    assert!(text.starts_with("iteration,layer,norm\n4,conv1,"), "{text}");
    assert!(text.trim_end().lines().last().unwrap().starts_with("60,fc,"), "{text}");
    // 15 times 8 layers, and the header.
    assert_eq!(text.lines().count(), 15 * 8 + 1);
    let record = std::fs::read_to_string(folder.path().join("whole/run.toml")).unwrap();
    assert!(!record.contains("gradient norms every"), "{record}");
    let every = ["gradient_norms_every=4"];
    let cut = cut_and_resumed(folder.path(), &every, &every);
    assert_same_run(&folder.path().join("whole"), &cut);
    assert_eq!(bytes("whole", "gradients.csv"), bytes("cut", "gradients.csv"));

    let path = folder.path().join("whole/gradients.csv");
    std::fs::write(&path, text.replace("\n4,", "\n5,")).unwrap();
    let output = run(folder.path(), &["verify", "whole"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(common::stdout(&output).contains("changed: whole/gradients.csv"));
    refuse(
        folder.path(),
        &train("other", &["gradient_norms_every=-1"]),
        2,
        &["gradient_norms_every"],
    );
    refuse(folder.path(), &train("without", &every), 2, &["gradient_norms_every", "--out"]);
}

#[test]
fn bfloat16_is_on_record_as_a_difference_from_the_paper_and_segments_are_not() {
    let folder = workspace();
    succeed(folder.path(), &train("run", &["precision=bf16", "checkpoint_segments=2"]));
    let record = std::fs::read_to_string(folder.path().join("run/run.toml")).unwrap();
    assert!(record.contains("precision \"bf16\" instead of \"f32\""), "{record}");
    assert!(!record.contains("checkpoint segments 2 instead"), "{record}");
}

#[test]
fn tf32_on_a_processor_and_formats_that_do_not_exist_are_refused() {
    let folder = workspace();
    refuse(folder.path(), &train("run", &["precision=tf32"]), 2, &["tf32", "f32 or bf16"]);
    refuse(folder.path(), &train("run", &["precision=fp8"]), 2, &["precision=fp8", "bf16"]);
    refuse(
        folder.path(),
        &["bench", "--precision", "tf32", "--device", "cpu"],
        2,
        &["--precision tf32", "f32 or bf16"],
    );
}

#[test]
fn bench_measures_every_case_and_figures_draws_it() {
    let folder = workspace();
    let arguments = [
        "bench",
        "--networks",
        "resnet-8,resnet-14",
        "--batch",
        "16",
        "--iterations",
        "2",
        "--device",
        "cpu",
        "--json",
    ];
    let output = run(folder.path(), &arguments);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = result["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 4);
    for row in rows {
        for key in [
            "images_per_second",
            "milliseconds",
            "peak_memory_bytes",
            "flops_per_second",
            "operations_limit_milliseconds",
        ] {
            assert!(row[key].as_f64().unwrap() > 0.0, "{key}: {row}");
        }
    }
    assert!(result["peaks"]["copy_bytes_per_second"].as_f64().unwrap() > 1e8);

    succeed(folder.path(), &train("results/try/resnet-8/seed-0", &[]));
    std::fs::write(folder.path().join("results/bench.json"), &output.stdout).unwrap();
    succeed(folder.path(), &["figures", "results"]);
    let table = std::fs::read_to_string(folder.path().join("results/report/cost/cost.md")).unwrap();
    assert!(table.contains("resnet-14") && table.contains("bf16"), "{table}");
    std::fs::write(folder.path().join("results/bench.json"), "{}").unwrap();
    std::fs::remove_file(folder.path().join("results/report/report.html")).unwrap();
    let output = run(folder.path(), &["figures", "results"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("not read: results/bench.json"), "{}", stderr(&output));
    assert!(folder.path().join("results/report/report.html").exists());
}

#[test]
fn bench_with_a_loader_measures_decoding_for_each_number_of_threads() {
    let folder = workspace();
    let image = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/images/full-colour.jpg");
    std::fs::create_dir(folder.path().join("images")).unwrap();
    std::fs::copy(image, folder.path().join("images/1.jpg")).unwrap();
    let arguments = [
        "bench",
        "--loader",
        "images",
        "--threads",
        "1,2",
        "--iterations",
        "1",
        "--exact",
        "--json",
    ];
    let rows: serde_json::Value =
        serde_json::from_str(&succeed(folder.path(), &arguments)).unwrap();
    let threads: Vec<u64> =
        rows.as_array().unwrap().iter().map(|row| row["threads"].as_u64().unwrap()).collect();
    assert_eq!(threads, [1, 2]);
    assert!(rows[0]["images_per_second"].as_f64().unwrap() > 0.0);
}

#[test]
fn describe_says_what_memory_a_step_needs() {
    let folder = workspace();
    let text = succeed(folder.path(), &["describe", "--network", "resnet-1202"]);
    assert!(text.contains("activations") && text.contains("GiB"), "{text}");
}

#[test]
fn threads_wait_briefly_and_cudnn_uses_its_finer_model_unless_the_user_said_otherwise() {
    const CUDNN: &str = "TORCH_CUDNN_USE_HEURISTIC_MODE_B";
    let engine_has = |name: &str, variable: Option<(&str, &str)>| {
        let folder = tempfile::tempdir().unwrap();
        let mut training = common::command(
            folder.path(),
            &["train", "--network", "resnet-8", "--iterations", "100000", "--out", "run"],
        );
        for known in ["GOMP_SPINCOUNT", "OMP_WAIT_POLICY", CUDNN] {
            training.env_remove(known);
        }
        training.envs(variable);
        let mut training = training.spawn().unwrap();
        let process = format!("/proc/{}", training.id());
        common::wait_until("the engine is started", || {
            std::fs::read_to_string(format!("{process}/comm"))
                .unwrap()
                .starts_with("resnet-repro-en")
        });
        let environment = std::fs::read(format!("{process}/environ")).unwrap();
        training.kill().unwrap();
        training.wait().unwrap();
        String::from_utf8_lossy(&environment)
            .split('\0')
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('=').map(str::to_string))
    };
    let spin_count = |variable| engine_has("GOMP_SPINCOUNT", variable);
    assert_eq!(engine_has(CUDNN, None).as_deref(), Some("1"));
    assert_eq!(engine_has(CUDNN, Some((CUDNN, "0"))).as_deref(), Some("0"));
    assert_eq!(spin_count(None).as_deref(), Some("10000"));
    assert_eq!(spin_count(Some(("GOMP_SPINCOUNT", "77"))).as_deref(), Some("77"));
    assert_eq!(spin_count(Some(("OMP_WAIT_POLICY", "passive"))), None);
}
