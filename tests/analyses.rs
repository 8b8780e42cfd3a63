//! `analyze`: its files, and what it refuses.

mod common;

use common::{command, refuse, run, stderr, succeed, workspace};
use std::path::Path;

/// A finished run of two iterations in `run/` on the small data.
fn trained(network: &str) -> tempfile::TempDir {
    let folder = workspace();
    let arguments = ["train", "--network", network, "--iterations", "2", "--out", "run"];
    succeed(folder.path(), &common::small(&arguments));
    folder
}

fn rows(folder: &Path, kind: &str, more: &[&str]) -> Vec<serde_json::Value> {
    let arguments = ["analyze", kind, "--run", "run", "--data", "data", "--json"];
    let output = succeed(folder, &[&arguments[..], more].concat());
    let value: serde_json::Value = serde_json::from_str(&output).unwrap();
    value["rows"].as_array().unwrap().clone()
}

#[test]
fn an_analysis_is_written_into_the_run_and_verified_with_it() {
    let folder = trained("resnet-8");
    let whole =
        succeed(folder.path(), &["analyze", "responses,lesion", "--run", "run", "--data", "data"]);
    assert!(whole.contains("responses: resnet-8, 100 test images: 7 layers"), "{whole}");
    let verified = succeed(folder.path(), &["verify", "run"]);
    assert!(verified.contains("1 finished run, 2 analyses: every file is as"), "{verified}");
    let path = folder.path().join("run/analysis/lesion.csv");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(
        text.starts_with("test,block,count,sample,tau,wrong,error,loss\nwhole,,0,,,"),
        "{text}"
    );
    assert_eq!(text.lines().filter(|line| line.starts_with("single,")).count(), 3);
    let evaluated = std::fs::read_to_string(folder.path().join("run/eval.csv")).unwrap();
    let error = evaluated.lines().last().unwrap().split(',').nth(3).unwrap().to_string();
    let whole: Vec<&str> = text.lines().nth(1).unwrap().split(',').collect();
    assert_eq!(whole[6].parse::<f64>().unwrap(), error.parse::<f64>().unwrap());
    std::fs::write(&path, text.replace("single", "singly")).unwrap();
    let output = run(folder.path(), &["verify", "run"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(common::stdout(&output).contains("changed: run/analysis/lesion.csv"));
}

#[test]
fn rows_repeat_and_a_plain_net_loses_only_blocks_that_keep_their_shape() {
    let folder = trained("plain-14");
    let found = rows(folder.path(), "lesion", &["--samples", "1"]);
    assert_eq!(found, rows(folder.path(), "lesion", &["--samples", "1"]));
    let singles = found.iter().filter(|row| row["test"] == "single");
    let blocks: Vec<&str> = singles.map(|row| row["block"].as_str().unwrap()).collect();
    assert_eq!(blocks, ["layer1.0", "layer1.1", "layer2.1", "layer3.1"]);
    let taus = found.iter().filter(|row| row["test"] == "exchange");
    assert!(taus.clone().count() > 0 && taus.clone().all(|row| row["tau"].is_f64()));
}

#[test]
fn gradients_of_a_net_and_its_twin_repeat_and_paths_add_up() {
    let folder = trained("resnet-8");
    let found = rows(folder.path(), "gradients", &["--images", "64"]);
    assert_eq!(found, rows(folder.path(), "gradients", &["--images", "64"]));
    let count = |network: &str, weights: &str, quantity: &str| {
        let is = |row: &&serde_json::Value| {
            row["network"] == network && row["weights"] == weights && row["quantity"] == quantity
        };
        found.iter().filter(is).count()
    };
    // 7 normalised layers and 8 with weights; with and without normalisation if they are fresh.
    assert_eq!(count("resnet-8", "given", "output"), 7);
    assert_eq!(count("plain-8", "given", "output"), 0);
    for network in ["resnet-8", "plain-8"] {
        assert_eq!(count(network, "initial", "weights"), 2 * 8, "{network}");
        // The maps between 3 blocks, at two distances.
        assert_eq!(count(network, "initial", "correlation"), 2 * 2 * 4, "{network}");
    }
    let top =
        found.iter().find(|row| row["layer"] == "layer3.0" && row["quantity"] == "correlation");
    assert!(top.unwrap()["mean"].as_f64().unwrap() > 0.999, "{top:?}");

    let found = rows(folder.path(), "paths", &["--images", "64", "--paths", "2"]);
    assert_eq!(found, rows(folder.path(), "paths", &["--images", "64", "--paths", "2"]));
    let sum = |column: &str| found.iter().map(|row| row[column].as_f64().unwrap()).sum::<f64>();
    assert_eq!(found.len(), 4);
    for column in ["paths_percent", "gradient_percent"] {
        assert!((sum(column) - 100.0).abs() < 1e-9, "{column}");
    }
    assert_eq!(sum("samples"), 4.0 * 2.0);

    succeed(folder.path(), &["analyze", "gradients,paths", "--run", "run", "--data", "data"]);
    let record =
        std::fs::read_to_string(folder.path().join("run/analysis/gradients.toml")).unwrap();
    for key in ["output_ratio_given", "twin_output_factor_initial_unnormalized", "sentence"] {
        assert!(record.contains(&format!("\n{key} = ")), "{key}: {record}");
    }
    let verified = succeed(folder.path(), &["verify", "run"]);
    assert!(verified.contains("1 finished runs, 2 analyses: every file is as"), "{verified}");
}

#[test]
fn gradients_and_paths_refuse_what_they_cannot_look_at() {
    let folder = trained("plain-8");
    let analyze = |kind: &'static str, more: &[&'static str]| {
        [&["analyze", kind, "--run", "run", "--data", "data"], more].concat()
    };
    refuse(folder.path(), &analyze("paths", &[]), 2, &["plain-8", "one path"]);
    refuse(folder.path(), &analyze("gradients", &["--images", "3"]), 2, &["--images", "4"]);
    refuse(folder.path(), &analyze("paths", &["--paths", "0"]), 2, &["--paths"]);
    refuse(folder.path(), &analyze("gradients", &["--out", "run"]), 2, &["--out run", "analysis"]);
    let all = run(folder.path(), &analyze("all", &["--images", "64"]));
    assert_eq!(all.status.code(), Some(0), "{}", stderr(&all));
    assert!(stderr(&all).contains("paths is left out"), "{}", stderr(&all));
}

#[test]
fn what_cannot_be_analysed_is_refused_in_one_line() {
    let folder = trained("resnet-8");
    let of = |network: &'static str, weights: &'static str| {
        [
            "analyze",
            "lesion",
            "--network",
            network,
            "--weights",
            weights,
            "--data",
            "data",
            "--json",
        ]
    };
    refuse(folder.path(), &of("resnet-20", "run/weights.safetensors"), 2, &["layer1.1", "missing"]);
    refuse(folder.path(), &of("resnet-8", "nowhere"), 2, &["nowhere"]);
    refuse(folder.path(), &["analyze", "lesions", "--run", "run"], 2, &["lesions", "responses"]);
    refuse(folder.path(), &["analyze", "all", "--run", "."], 2, &["run.toml"]);
    refuse(
        folder.path(),
        &["analyze", "lesion", "--run", "run", "--data", "data", "--images", "0"],
        2,
        &["--images"],
    );
    let without_out = &of("resnet-8", "run/weights.safetensors")[..8];
    refuse(folder.path(), without_out, 2, &["--out"]);
    succeed(
        folder.path(),
        &common::small(&[
            "train",
            "--network",
            "highway-19",
            "--iterations",
            "1",
            "--out",
            "gated",
        ]),
    );
    let highway = ["analyze", "lesion", "--run", "gated", "--data", "data"];
    refuse(folder.path(), &highway, 2, &["highway-19", "blocks"]);
    std::fs::remove_file(folder.path().join("run/weights.safetensors")).unwrap();
    refuse(
        folder.path(),
        &["analyze", "all", "--run", "run", "--data", "data"],
        2,
        &["--no-weights"],
    );
}

#[test]
fn an_interrupt_keeps_what_is_done() {
    let folder = trained("resnet-20");
    // More work than a second's.
    common::write_cifar(&folder.path().join("data"), 320, 100);
    let arguments = ["analyze", "lesion", "--run", "run", "--data", "data", "--samples", "40"];
    let mut child = command(folder.path(), &arguments)
        .stderr(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1500));
    // SAFETY: sends a signal to a child that is not waited for yet.
    unsafe { libc::kill(child.id() as i32, libc::SIGINT) };
    let code = child.wait().unwrap().code();
    assert!(matches!(code, Some(75) | Some(0)), "{code:?}");
    let output = run(folder.path(), &["verify", "run"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[test]
fn generalisation_counts_all_images_of_both_splits_and_the_test_error_is_the_runs() {
    let folder = trained("resnet-8");
    let found = rows(folder.path(), "generalisation", &[]);
    let of = |place: usize, key: &str| found[place][key].clone();
    assert_eq!((found.len(), of(0, "split"), of(1, "split")), (2, "train".into(), "test".into()));
    assert_eq!((of(0, "images"), of(1, "images")), (320.into(), 100.into()));
    let evaluated = std::fs::read_to_string(folder.path().join("run/eval.csv")).unwrap();
    let error = evaluated.lines().last().unwrap().split(',').nth(3).unwrap();
    assert_eq!(of(1, "error").as_f64().unwrap(), error.parse::<f64>().unwrap());
    let wrong = of(0, "wrong").as_f64().unwrap();
    assert_eq!(of(0, "error").as_f64().unwrap(), wrong * 100.0 / 320.0);
    let few = rows(folder.path(), "generalisation", &["--images", "7"]);
    assert_eq!((few[0]["images"].clone(), few[1]["images"].clone()), (7.into(), 7.into()));
    let one_split =
        ["analyze", "generalisation", "--run", "run", "--data", "data", "--split", "test"];
    refuse(folder.path(), &one_split, 2, &["--split", "generalisation"]);
}

#[test]
fn generalisation_leaves_out_the_images_that_a_run_held_back_and_takes_nets_without_blocks() {
    let folder = workspace();
    let arguments = ["train", "--network", "highway-19", "--iterations", "1", "--out", "run"];
    let held_back = ["--set", "validation=64"];
    succeed(folder.path(), &[&common::small(&arguments)[..], &held_back].concat());
    let found = rows(folder.path(), "generalisation", &[]);
    assert_eq!(found[0]["images"], 320 - 64);
    let another =
        ["analyze", "generalisation", "--run", "run", "--data", "data", "--json", "--seed", "5"];
    refuse(folder.path(), &another, 2, &["--seed", "held back"]);
}

#[test]
fn the_report_has_a_section_of_the_analyses_below_its_results() {
    let folder = workspace();
    for network in ["plain-14", "resnet-14"] {
        let run = format!("runs/{network}/seed-0");
        let arguments = ["train", "--network", network, "--iterations", "2", "--out", &run];
        succeed(folder.path(), &common::small(&arguments));
        succeed(folder.path(), &["analyze", "all", "--run", &run, "--data", "data"]);
    }
    let text = succeed(folder.path(), &["figures"]);
    assert!(text.contains("Inside the nets: 6 analyses of 2 nets, all complete"), "{text}");
    let report = folder.path().join("runs/report");
    let page = std::fs::read_to_string(report.join("report.html")).unwrap();
    assert!(page.contains("<a href=\"#analyses\">Inside the nets</a>"));
    for name in ["figure-7", "lesion-blocks", "lesion-counts", "lesion-order"] {
        assert!(page.contains(&format!("id=\"analyses-{name}\"")), "{name}");
        for ending in ["svg", "png", "csv"] {
            assert!(report.join(format!("analyses/{name}.{ending}")).is_file(), "{name}.{ending}");
        }
    }
    for name in ["responses", "lesion", "generalisation"] {
        assert!(report.join(format!("analyses/{name}.md")).is_file(), "{name}.md");
    }
    let json = succeed(folder.path(), &["figures", "--json"]);
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["analyses"]["count"], "6 analyses of 2 nets");
}
