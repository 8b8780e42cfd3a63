//! Weight files go both ways between this program and torchvision, and both compute the same class scores, at full width.
//!
//! Runs with a Python that has torch, torchvision and safetensors, which the environment variable names:
//! RESNET_REPRO_TORCHVISION=/usr/bin/python3 cargo test --release --test torchvision -- --nocapture

use std::path::Path;
use std::process::Command;

use resnet_repro::network::{Compute, Family, Mode, Network, architecture};
use safetensors::SafeTensors;
use tch::{Device, Kind, Tensor};

const PYTHON: &str = "RESNET_REPRO_TORCHVISION";
/// Of the largest class score: what single precision's rounding makes of as many as 152 layers.
const TOLERANCE: f64 = 1e-4;
const NETWORKS: [&str; 22] = [
    "resnet-18b",
    "resnet-34b",
    "resnet-50-v1.5",
    "resnet-101-v1.5",
    "resnet-152-v1.5",
    "resnet-50",
    "resnet-101",
    "resnet-152",
    "vgg-16",
    "vgg-19",
    "googlenet",
    "googlenet-aux",
    // Not torchvision's: a small PyTorch implementation, which the script holds to torchvision where it can.
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
];

fn python(arguments: &[&str]) {
    let interpreter = std::env::var(PYTHON).expect("asked for before");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/export_torchvision.py");
    let output = Command::new(&interpreter).arg(script).args(arguments).output().unwrap_or_else(|error| panic!("{PYTHON}={interpreter}: {error}"));
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

#[test]
fn class_scores_are_torchvisions_and_weight_files_go_both_ways() {
    if std::env::var_os(PYTHON).is_none() {
        eprintln!("skipped: {PYTHON} names no Python with torchvision");
        return;
    }
    for name in NETWORKS {
        let folder = tempfile::tempdir().unwrap();
        let path = |file: &str| folder.path().join(file);
        python(&["export", name, folder.path().to_str().unwrap()]);
        let mut network = Network::new(architecture(name.parse().unwrap(), Family::Imagenet, 224, 1000).unwrap(), 0, Device::Cpu);
        network.load_weights(&path("weights.safetensors")).unwrap();
        let [images, expected] = ["images", "scores"].map(|tensor_name| tensor(&path("scores.safetensors"), tensor_name));
        let images = images.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]);
        let network = [true, false].into_iter().fold(network, |network, fused| {
            let network = network.with_compute(Compute { fused, ..Compute::default() });
            let scores = tch::no_grad(|| network.forward(&images, Mode::Evaluation));
            let difference = (scores - &expected).abs().max().double_value(&[]) / expected.abs().max().double_value(&[]);
            println!("{name}, {}: {difference:.1e} of the largest class score", if fused { "fused" } else { "separate operations" });
            assert!(difference < TOLERANCE, "{name}, fused {fused}: {difference:.1e}");
            network
        });
        network.save_weights(&path("ours.safetensors")).unwrap();
        python(&["load", name, path("ours.safetensors").to_str().unwrap()]);
    }
}
