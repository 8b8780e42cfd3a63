//! Several seeds at once: `train --seeds`, `compare --only`, ranges in experiment files.

use crate::common;
use crate::common::{assert_same_run, refuse, run, small, stderr, succeed, workspace};

#[test]
fn several_seeds_are_trained_as_each_alone_and_their_mean_is_told() {
    let folder = workspace();
    let path = folder.path();
    let train = ["train", "--network", "resnet-8", "--iterations", "4"];
    let text = succeed(path, &small(&[&train[..], &["--seeds", "0,2-3", "--out", "all"]].concat()));
    assert_eq!(text.lines().count(), 4, "{text}");
    assert!(
        text.contains("resnet-8 over 3 seeds: training error ") && text.contains('±'),
        "{text}"
    );
    succeed(path, &small(&[&train[..], &["--seed", "3", "--out", "alone"]].concat()));
    assert_same_run(&path.join("all/seed-3"), &path.join("alone"));
    // Trained already: the numbers are read from the logs.
    let json = &[&train[..], &["--seeds", "0,2-3", "--out", "all", "--json"]].concat();
    let json: serde_json::Value = serde_json::from_str(&succeed(path, &small(json))).unwrap();
    let errors: Vec<f64> = json["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| run["final_test_error"].as_f64().unwrap())
        .collect();
    assert_eq!(errors.len(), 3);
    let mean = errors.iter().sum::<f64>() / 3.0;
    assert!((json["final_test_error"]["mean"].as_f64().unwrap() - mean).abs() < 1e-9);
    // The command that is told of makes a table with the same mean.
    let again = run(path, &small(&[&train[..], &["--seeds", "0,2-3", "--out", "all"]].concat()));
    assert!(stderr(&again).contains("resnet-repro figures all --out all/report"));
    succeed(path, &["figures", "all", "--out", "all/report"]);
    let tables = std::fs::read_dir(path.join("all/report")).unwrap();
    let table = tables.map(|entry| entry.unwrap().path().join("table-6.csv"));
    let table = table.filter(|file| file.exists()).collect::<Vec<_>>();
    let mut rows = csv::Reader::from_path(&table[0]).unwrap();
    let column = rows.headers().unwrap().iter().position(|name| name == "mean").unwrap();
    let means = rows.records().filter_map(|row| row.unwrap()[column].parse::<f64>().ok());
    assert!(means.into_iter().any(|found| (found - mean).abs() < 1e-4), "{mean}");
    // Without --out each lies where the run of that seed alone would.
    succeed(path, &small(&[&train[..], &["--seeds", "5-6"]].concat()));
    assert!(path.join("runs/train-cifar10-4/resnet-8/seed-6/weights.safetensors").exists());
}

#[test]
fn one_kind_of_nets_is_compared_alone() {
    let folder = workspace();
    let path = folder.path();
    let compare = ["compare", "14", "--shallow", "8", "--iterations", "4", "--only", "residual"];
    let text = succeed(path, &small(&[&compare[..], &["--seeds", "0-1", "--out", "out"]].concat()));
    assert!(text.contains("resnet-14") && !text.contains("plain-"), "{text}");
    let out = path.join("out");
    assert!(out.join("resnet-14/seed-1/eval.csv").exists() && !out.join("plain-14").exists());
    let csv = std::fs::read_to_string(out.join("comparison.csv")).unwrap();
    assert!(csv.contains("residual nets,resnet-8,") && !csv.contains("plain"), "{csv}");
    let svg = std::fs::read_to_string(out.join("comparison.svg")).unwrap();
    assert!(!svg.contains("no runs yet") && !svg.contains("plain nets"));
}

#[test]
fn an_experiments_seeds_may_be_a_range() {
    let folder = workspace();
    common::write_experiment(folder.path(), "");
    let file = folder.path().join("e.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("seeds = [0]", "seeds = \"1-3\"")).unwrap();
    let plan = succeed(folder.path(), &["sweep", "e.toml", "--dry-run", "--data", "data"]);
    assert!(plan.contains("e/resnet-8/seed-3") && plan.contains("6 runs"), "{plan}");
    std::fs::write(&file, text.replace("seeds = [0]", "seeds = \"3-1\"")).unwrap();
    let sweep = ["sweep", "e.toml", "--dry-run", "--data", "data"];
    refuse(folder.path(), &sweep, 2, &["e.toml:", "seeds: 3-1: the range ends before it begins"]);
}

#[test]
fn lists_of_seeds_that_are_none_are_refused() {
    let folder = workspace();
    for command in [&["train", "--network", "resnet-8"][..], &["compare", "8"]] {
        for (seeds, part) in [
            ("4-0", "--seeds 4-0: the range ends before it begins"),
            ("0-2,1", "seed 1 is given twice"),
            ("0-99999", "more than 1000 seeds"),
            ("0..3", "--seeds 0..3: write whole numbers"),
            ("", "write whole numbers"),
        ] {
            let list = format!("--seeds={seeds}");
            refuse(folder.path(), &small(&[command, &[list.as_str()]].concat()), 2, &[part]);
        }
    }
    let both = ["train", "--network", "resnet-8", "--seed", "1", "--seeds", "0-1"];
    assert_eq!(run(folder.path(), &both).status.code(), Some(2));
    let only = ["compare", "8", "--only", "highway"];
    refuse(folder.path(), &only, 2, &["--only", "highway"]);
}
