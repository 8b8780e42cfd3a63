//! Weight files go both ways between this program and torchvision, and both compute the same class
//! scores, at full width.
//!
//! Runs with a Python that has torch, torchvision and safetensors, which the environment variable
//! names: RESNET_REPRO_TORCHVISION=/usr/bin/python3 cargo test --release --test nets -- torchvision
//! --nocapture

use safetensors::SafeTensors;
use std::path::Path;
use std::process::Command;
use tch::{Device, Kind, Tensor};

use resnet_repro::config::network_name::Family;
use resnet_repro::config::recipe::Normalize;
use resnet_repro::network::architecture;
use resnet_repro::network::forward::pass::Mode;
use resnet_repro::network::parameters::{Compute, Network};

const PYTHON: &str = "RESNET_REPRO_TORCHVISION";

/// Of the largest class score: what single precision's rounding makes of as many as 152 layers.
const TOLERANCE: f64 = 1e-4;

fn python(arguments: &[&str]) {
    let interpreter = std::env::var(PYTHON).expect("asked for before");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/export_torchvision.py");
    let output = Command::new(&interpreter)
        .arg(script)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{PYTHON}={interpreter}: {error}"));
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    print!("{}", String::from_utf8_lossy(&output.stdout));
}

fn tensor(path: &Path, name: &str) -> Tensor {
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let view = file.tensor(name).unwrap();
    let shape: Vec<i64> = view.shape().iter().map(|&side| side as i64).collect();
    Tensor::from_data_size(view.data(), &shape, Kind::Float)
}

fn scores_agree_and_weight_files_go_both_ways(networks: &[&str]) {
    if std::env::var_os(PYTHON).is_none() {
        eprintln!("skipped: {PYTHON} names no Python with torchvision");
        return;
    }
    for name in networks {
        let folder = tempfile::tempdir().unwrap();
        let path = |file: &str| folder.path().join(file);
        python(&["export", name, folder.path().to_str().unwrap()]);
        let mut network = Network::new(
            architecture::build(name.parse().unwrap(), Family::Imagenet, 224, 1000).unwrap(),
            0,
            Device::Cpu,
        );
        network.load_weights(&path("weights.safetensors")).unwrap();
        let [images, expected] = ["images", "scores"]
            .map(|tensor_name| tensor(&path("scores.safetensors"), tensor_name));
        let images = images.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]);
        for fused in [true, false] {
            network = network.with_compute(Compute { fused, ..Compute::default() });
            let scores = tch::no_grad(|| network.forward(&images, Mode::Evaluation));
            let difference = (scores - &expected).abs().max().double_value(&[])
                / expected.abs().max().double_value(&[]);
            println!(
                "{name}, {}: {difference:.1e} of the largest class score",
                if fused { "fused" } else { "separate operations" }
            );
            assert!(difference < TOLERANCE, "{name}, fused {fused}: {difference:.1e}");
        }
        network.save_weights(&path("ours.safetensors"), Normalize::Imagenet).unwrap();
        python(&["load", name, path("ours.safetensors").to_str().unwrap()]);
    }
}

#[test]
fn torchvisions_residual_nets_are_those_with_option_b_and_the_stride_on_the_3x3_layer() {
    scores_agree_and_weight_files_go_both_ways(&[
        "resnet-18b",
        "resnet-34b",
        "resnet-50-v1.5",
        "resnet-101-v1.5",
        "resnet-152-v1.5",
    ]);
}

#[test]
fn with_the_papers_strides_they_are_the_papers() {
    scores_agree_and_weight_files_go_both_ways(&["resnet-50", "resnet-101", "resnet-152"]);
}

#[test]
fn vgg_is_torchvisions() {
    scores_agree_and_weight_files_go_both_ways(&["vgg-16", "vgg-19"]);
}

#[test]
fn googlenet_is_torchvisions_with_and_without_auxiliary_classifiers() {
    scores_agree_and_weight_files_go_both_ways(&["googlenet", "googlenet-aux"]);
}

/// A small PyTorch implementation has them; the script holds it to torchvision where torchvision
/// has the net.
#[test]
fn nets_that_torchvision_has_not_are_those_of_the_reference() {
    scores_agree_and_weight_files_go_both_ways(&[
        "plain-18",
        "plain-34",
        "plain-50",
        "plain-50-v1.5",
        "resnet-18",
        "resnet-34",
        "resnet-34c",
        "resnet-50c",
        "highway-19",
        "highway-32",
    ]);
}

#[test]
fn a_converted_pytorch_checkpoint_can_be_read() {
    let Some(interpreter) = std::env::var_os(PYTHON) else {
        eprintln!("skipped: {PYTHON} names no Python with torchvision");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = |file: &str| folder.path().join(file).to_str().unwrap().to_string();
    let net =
        || architecture::build("resnet-18b".parse().unwrap(), Family::Imagenet, 224, 1000).unwrap();
    let network = Network::new(net(), 5, Device::Cpu);
    network.save_weights(Path::new(&path("ours.safetensors")), Normalize::Imagenet).unwrap();
    python(&["to-pth", &path("ours.safetensors"), &path("module.pth")]);
    let converter = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/to_safetensors.py");
    let status = Command::new(interpreter)
        .args([converter, &path("module.pth"), &path("back.safetensors")])
        .status()
        .unwrap();
    assert!(status.success());
    let mut again = Network::new(net(), 6, Device::Cpu);
    again.load_weights(Path::new(&path("back.safetensors"))).unwrap();
    assert!(
        again.parameters().equal(network.parameters())
            && again.running_stats().equal(network.running_stats())
    );
}
