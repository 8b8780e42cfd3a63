//! Sweeps whose runs an engine starts one by one.

mod common;

use common::{refuse, succeed, workspace, write_experiment};
use serde_json::Value;

/// A sweep of two small runs of so many iterations.
fn sweep<'a>(iterations: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let common = ["sweep", "e.toml", "--data", "data", "--device", "cpu", "--set", "batch_size=32"];
    let rest = ["--set", "evaluate_every=1000", "--out", "out", "--iterations", iterations];
    [&common[..], &rest, more].concat()
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
