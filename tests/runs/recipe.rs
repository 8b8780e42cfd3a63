//! `recipe`, and the files that `--recipe` takes.

use crate::common;
use crate::common::{succeed, write_cifar};
use std::path::Path;

/// Exit code 2 and one line, which has all `parts`.
fn refuse(folder: &Path, arguments: &[&str], parts: &[&str]) {
    common::refuse(folder, arguments, 2, parts);
}

#[test]
fn a_written_recipe_trains_the_same_run_and_set_wins_over_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write_cifar(&path.join("data"), 400, 100);
    let settings = ["--set", "batch_size=16", "--set", "lr=0.05"];
    let text = succeed(path, &[&["recipe", "--iterations", "4", "--toml"], &settings[..]].concat());
    std::fs::write(path.join("mine.toml"), text).unwrap();
    let train = ["train", "--network", "plain-8", "--dataset", "cifar10", "--data", "data"];
    let with = |more: &[&str], out: &str| {
        succeed(path, &[&train[..], more, &["--out", out]].concat());
        path.join(out)
    };
    let by_file = with(&["--recipe", "mine.toml"], "file");
    let by_flags = with(&[&["--iterations", "4"], &settings[..]].concat(), "flags");
    common::assert_same_run(&by_file, &by_flags);
    let above = with(&["--recipe", "mine.toml", "--set", "lr=0.1", "--iterations", "2"], "above");
    let record = std::fs::read_to_string(above.join("run.toml")).unwrap();
    for line in ["learning_rate = 0.1\n", "iterations = 2\n", "batch_size = 16\n"] {
        assert!(record.contains(line), "{line}: {record}");
    }
    let milestones: String = record
        .split("milestones = [")
        .nth(1)
        .unwrap()
        .chars()
        .take_while(|&letter| letter != ']')
        .collect();
    let milestones: Vec<&str> =
        milestones.split(',').map(str::trim).filter(|one| !one.is_empty()).collect();
    assert_eq!(milestones, ["1", "1"], "the paper's of 4 iterations, 2 and 3, for 2 of them");
}

#[test]
fn one_key_is_explained_alone_under_any_of_its_names_and_an_unknown_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let text = succeed(folder.path(), &["recipe", "lr", "momentum"]);
    assert!(text.contains("learning_rate ") && text.contains("momentum "), "{text}");
    assert!(!text.contains("weight_decay"), "{text}");
    refuse(folder.path(), &["recipe", "batch"], &["batch: no such key", "batch_size?"]);
}

#[test]
fn every_key_is_listed_with_value_default_range_and_section() {
    let folder = tempfile::tempdir().unwrap();
    let text = succeed(folder.path(), &["recipe", "--network", "resnet-110", "--set", "lr=0.05"]);
    let line = |key: &str| {
        let found = text.lines().find(|line| line.trim_start().starts_with(key));
        found.unwrap_or_else(|| panic!("{key}: {text}")).split_whitespace().collect::<Vec<_>>()
    };
    assert_eq!(line("learning_rate ")[..3], ["learning_rate", "0.05", "0.1"]);
    assert_eq!(line("warmup ")[..3], ["warmup", "true", "true"]);
    assert_eq!(line("crop ")[..3], ["crop", "–", "–"]);
    assert!(text.contains("lr (learning_rate)"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 110 || !line.contains("  ")), "{text}");
    let json = succeed(folder.path(), &["recipe", "--dataset", "imagenet", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let keys = json["keys"].as_array().unwrap();
    let crop = keys.iter().find(|row| row["key"] == "crop").unwrap();
    assert_eq!((&crop["value"], &crop["paper"]), (&224.into(), &"3.4".into()));
    assert_eq!(keys.len(), 27);
}

#[test]
fn a_wrong_recipe_file_is_refused_by_file_line_and_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::write(path.join("wrong.toml"), "lr = 0.1\nmomentun = 0.9\n").unwrap();
    std::fs::write(path.join("range.toml"), "\nmomentum = 1.5\n").unwrap();
    std::fs::write(path.join("crop.toml"), "crop = 32\n").unwrap();
    common::write_experiment(path, "");
    let train = ["train", "--network", "resnet-8", "--recipe"];
    let compare = ["compare", "8", "--recipe"];
    let sweep = ["sweep", "e.toml", "--dry-run", "--recipe"];
    for command in [&train[..], &compare, &sweep, &["recipe", "--recipe"]] {
        let of = |file| [command, &[file]].concat();
        refuse(path, &of("wrong.toml"), &["wrong.toml:2: momentun", "did you mean momentum?"]);
        refuse(path, &of("range.toml"), &["range.toml:2: momentum = 1.5 is out of range"]);
        refuse(path, &of("crop.toml"), &["crop.toml:1: crop: only for ImageFolder datasets"]);
        refuse(path, &of("none.toml"), &["--recipe none.toml"]);
        refuse(path, &of("."), &["--recipe .:"]);
    }
    refuse(path, &["recipe", "--network", "resnet-34"], &["resnet-34"]);
}
