//! `evaluate` on images in memory: a finished run, its classes, an ensemble.

use crate::common::{refuse, small, succeed, workspace};
use std::path::Path;

/// A folder with data and a finished run of resnet-8 in `run`.
fn trained(iterations: &str) -> tempfile::TempDir {
    let folder = workspace();
    let train = ["train", "--network", "resnet-8", "--iterations", iterations, "--out", "run"];
    succeed(folder.path(), &small(&train));
    folder
}

fn evaluated(folder: &Path, more: &[&str]) -> serde_json::Value {
    let arguments = [&["evaluate", "--json", "--data", "data"], more].concat();
    serde_json::from_str(&succeed(folder, &arguments)).unwrap()
}

/// The rows of a file that `--confusion` wrote.
fn pairs(path: &Path) -> Vec<(String, String, u64)> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    assert_eq!(reader.headers().unwrap(), vec!["class", "predicted", "images"]);
    reader.deserialize().map(|row| row.unwrap()).collect()
}

#[test]
fn a_run_on_cifar_has_the_error_of_its_log_again_and_each_class_has_its_own() {
    let folder = trained("20");
    let root = folder.path();
    let record = std::fs::read(root.join("run/run.toml")).unwrap();
    let of_run = ["--run", "run", "--classes", "--confusion", "pairs.csv"];
    let result = evaluated(root, &of_run);
    let log = std::fs::read_to_string(root.join("run/eval.csv")).unwrap();
    let logged: Vec<&str> = log.lines().last().unwrap().split(',').collect();
    let (wrong, images) = (result["wrong"].as_u64().unwrap(), result["images"].as_u64().unwrap());
    assert_eq!(logged[3].parse::<f64>().unwrap(), 100.0 * wrong as f64 / images as f64, "{log}");
    // A test of images in memory is in eval.csv already.
    assert_eq!(std::fs::read(root.join("run/run.toml")).unwrap(), record);
    assert!(!root.join("run/tests.csv").exists());

    let pairs = pairs(&root.join("pairs.csv"));
    let sum = |keep: &dyn Fn(&str, &str) -> bool| -> u64 {
        let kept = pairs.iter().filter(|(class, predicted, _)| keep(class, predicted));
        kept.map(|(_, _, images)| images).sum()
    };
    assert_eq!(sum(&|_, _| true), images);
    assert_eq!(sum(&|class, predicted| class != predicted), wrong);
    let classes = result["classes"].as_array().unwrap();
    assert_eq!(classes.len(), 10);
    for class in classes {
        let name = class["class"].as_str().unwrap();
        let wrong = sum(&|of, predicted| of == name && predicted != name);
        assert_eq!(class["wrong"], wrong, "{name}");
        let taken_for = class["taken_for"]["images"].as_u64();
        let others = pairs.iter().filter(|(of, predicted, _)| of == name && predicted != name);
        assert_eq!(taken_for, others.map(|(_, _, images)| *images).max(), "{name}");
    }
}

#[test]
fn an_ensemble_of_a_net_and_itself_scores_as_it_does_alone_and_what_has_one_view_has_no_other() {
    let folder = trained("3");
    let root = folder.path();
    let one = ["--network", "resnet-8", "--weights", "run/weights.safetensors"];
    let dataset = ["--dataset", "cifar10", "--scores", "scores.safetensors"];
    let alone = evaluated(root, &[&dataset[..], &one].concat());
    let twice = evaluated(root, &[&dataset[..], &one, &one].concat());
    for key in ["images", "wrong", "top5_wrong"] {
        assert_eq!(alone[key], twice[key], "{key}");
    }
    let bytes = std::fs::read(root.join("scores.safetensors")).unwrap();
    let scores = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let images = alone["images"].as_u64().unwrap() as usize;
    assert_eq!(scores.tensor("scores").unwrap().shape(), [images, 10]);
    let views = ["evaluate", "--dataset", "cifar10", "--data", "data", "--views", "10-crop"];
    refuse(root, &[&views[..], &one].concat(), 2, &["--views", "one view"]);
}
