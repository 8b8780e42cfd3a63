//! `construct`: a trained net embedded in a deeper one answers as it did, image by image.

use crate::common::{refuse, small, succeed, workspace};
use serde_json::Value;
use std::path::Path;

/// A folder with data and a trained net in `trained`.
fn trained(network: &str) -> tempfile::TempDir {
    let folder = workspace();
    let arguments = ["train", "--network", network, "--iterations", "40", "--out", "trained"];
    succeed(folder.path(), &small(&arguments));
    folder
}

fn construct<'a>(network: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let arguments =
        ["construct", "--from", "trained", "--network", network, "--out", "deep.safetensors"];
    [&arguments[..], more].concat()
}

fn json(folder: &Path, arguments: &[&str]) -> Value {
    serde_json::from_str(&succeed(folder, arguments)).unwrap()
}

/// Loss and wrong images of the file by `evaluate`, which knows nothing of how it was made.
fn evaluate(folder: &Path, network: &str, weights: &str) -> (f64, u64) {
    let arguments =
        ["evaluate", "--network", network, "--weights", weights, "--data", "data", "--json"];
    let result = json(folder, &arguments);
    (result["loss"].as_f64().unwrap(), result["wrong"].as_u64().unwrap())
}

#[test]
fn a_plain_net_of_8_layers_answers_the_same_in_20_and_nearly_so_in_training_mode() {
    let folder = trained("plain-8");
    let found = json(folder.path(), &construct("plain-20", &["--data", "data", "--json"]));
    let tests = &found["tests"];
    assert_eq!(
        (found["added_layers"].as_u64(), tests["disagreements"].as_u64()),
        (Some(12), Some(0))
    );
    // Two blocks of two 3×3 layers a stage, each with a scale and a shift a channel.
    let parameters: u64 =
        [16, 32, 64].iter().map(|width| 4 * (width * width * 9 + 2 * width)).sum();
    assert_eq!(found["added_parameters"].as_u64(), Some(parameters));
    let (difference, tolerance) =
        (tests["largest_difference"].as_f64().unwrap(), tests["tolerance"].as_f64().unwrap());
    assert!(difference <= tolerance / 10.0, "{difference} {tolerance}");
    let shallow = evaluate(folder.path(), "plain-8", "trained/weights.safetensors");
    let deep = evaluate(folder.path(), "plain-20", "deep.safetensors");
    assert!(shallow.1 == deep.1 && (shallow.0 - deep.0).abs() < 1e-5, "{shallow:?} {deep:?}");
    let loss = |which: &str| found["training_mode"][which]["loss"].as_f64().unwrap();
    let fitted = (loss("constructed") - loss("shallow")).abs();
    assert!(fitted < 0.1 * loss("shallow"), "{found}");

    // Without training images it is exact in evaluation, and far from it in training.
    succeed(folder.path(), &construct("plain-20", &[]));
    assert_eq!(evaluate(folder.path(), "plain-20", "deep.safetensors"), shallow);
    let train = ["train", "--network", "plain-20", "--iterations", "1", "--out", "continued"];
    let weights = ["--weights", "deep.safetensors", "--set", "evaluate_every=1"];
    succeed(folder.path(), &[small(&train), weights.to_vec()].concat());
    let log = std::fs::read_to_string(folder.path().join("continued/train.csv")).unwrap();
    let unfitted: f64 = log.lines().nth(1).unwrap().split(',').nth(2).unwrap().parse().unwrap();
    assert!((unfitted - loss("shallow")).abs() > 3.0 * fitted, "{unfitted} {found}");
}

#[test]
fn residual_nets_of_every_option_answer_the_same_in_more_layers() {
    for (shallow, deep) in [("resnet-8", "resnet-14"), ("resnet-8c", "resnet-14c")] {
        let folder = trained(shallow);
        let found = json(folder.path(), &construct(deep, &["--data", "data", "--json"]));
        let tests = &found["tests"];
        assert_eq!(tests["disagreements"].as_u64(), Some(0), "{found}");
        assert!(tests["largest_difference"].as_f64() <= tests["tolerance"].as_f64(), "{found}");
        let mode = &found["training_mode"];
        if shallow == "resnet-8" {
            assert_eq!(tests["largest_difference"].as_f64(), Some(0.0), "{found}");
            assert_eq!(mode["shallow"], mode["constructed"], "zero branches are exact in training");
        }
        let handed = evaluate(folder.path(), deep, "deep.safetensors");
        let given = evaluate(folder.path(), shallow, "trained/weights.safetensors");
        assert_eq!(handed.1, given.1);
    }
}

#[test]
fn a_net_that_cannot_hold_the_other_is_refused_with_the_reason() {
    let folder = trained("plain-8");
    for (network, part) in [
        ("plain-8", "no more layers"),
        ("resnet-14", "both must be plain, or residual with one shortcut option"),
        ("highway-19", "only plain, residual and pre-activation nets"),
    ] {
        refuse(folder.path(), &construct(network, &[]), 2, &["plain-8 cannot be", network, part]);
    }
    let from = |file: &'static str, more: &[&'static str]| {
        let arguments = ["construct", "--network", "plain-14", "--out", "x", "--from", file];
        [&arguments[..], more].concat()
    };
    refuse(folder.path(), &from("none.safetensors", &[]), 2, &["none.safetensors", "No such file"]);
    let weights = "trained/weights.safetensors";
    succeed(folder.path(), &from(weights, &[]));
    let other = ["--from-network", "plain-20"];
    refuse(folder.path(), &from(weights, &other), 2, &["plain-20 cannot be embedded", "fewer"]);
    refuse(
        folder.path(),
        &from(weights, &["--dataset", "imagenet"]),
        2,
        &["networks for ImageNet"],
    );
}

#[test]
fn a_plain_bottleneck_is_refused_and_a_residual_one_is_embedded() {
    use resnet_repro::config::network_name::{Family, NetworkName};
    use resnet_repro::network::architecture;
    use resnet_repro::network::embedding::check;
    let net = |name: &str| {
        let name: NetworkName = name.parse().unwrap();
        architecture::build(name, Family::Imagenet, 224, 1000).unwrap()
    };
    assert!(check(&net("plain-50"), &net("plain-101")).unwrap_err().0.contains("no identity fits"));
    for (shallow, deep) in [
        ("plain-18", "plain-34"),
        ("resnet-34b", "resnet-34b"),
        ("resnet-50", "resnet-152"),
        ("resnet-18c", "resnet-34c"),
    ] {
        assert_eq!(check(&net(shallow), &net(deep)).is_ok(), shallow != deep, "{shallow} {deep}");
    }
    assert!(check(&net("resnet-34"), &net("resnet-101")).is_err(), "other blocks");
}
