//! Which networks and weights the program takes, through the real program.

use crate::common::{refuse, run, small, stderr, stdout, succeed, workspace};
use safetensors::SafeTensors;
use std::path::Path;
use std::process::{Command, Output};
use tch::{Kind, Tensor};

use resnet_repro::network::weights::write_tensors;

/// `describe`, which is ended after five seconds of a core's time, whoever else has the cores.
fn in_seconds(folder: &Path, network: &str) -> Output {
    let program = env!("CARGO_BIN_EXE_resnet-repro");
    let script = format!("ulimit -t 5; exec {program} describe --network {network}");
    Command::new("bash").args(["-c", &script]).current_dir(folder).output().unwrap()
}

#[test]
fn a_network_of_too_many_layers_is_refused_at_once_and_the_largest_is_described_in_seconds() {
    let folder = workspace();
    for network in ["resnet-99999998", "plain-10004"] {
        let output = in_seconds(folder.path(), network);
        assert_eq!(output.status.code(), Some(2), "{network}: {}", stderr(&output));
        assert!(stderr(&output).contains("at most 10000 layers"), "{}", stderr(&output));
    }
    let output = in_seconds(folder.path(), "resnet-9998");
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(text.contains("9998 weighted layers"), "{text}");
}

#[test]
fn a_pre_activation_net_is_described_in_few_lines_and_trains() {
    let folder = workspace();
    let text = succeed(folder.path(), &["describe", "--network", "preact-resnet-164"]);
    for part in ["1,703,258 parameters", "option B", "5.46 %", "precede every convolution"] {
        assert!(text.contains(part), "\"{part}\" is not in: {text}");
    }
    assert!(text.contains("layer1.1.conv3 … layer1.17.conv3"), "{text}");
    assert!(text.lines().count() < 40, "{text}");
    let arguments = small(&["train", "--network", "preact-resnet-11", "--iterations", "2"]);
    let out = "results/try/preact-resnet-11/seed-0";
    succeed(folder.path(), &[&arguments[..], &["--out", out]].concat());
    succeed(folder.path(), &["figures", "results"]);
    let report = std::fs::read_to_string(folder.path().join("results/report/report.html")).unwrap();
    assert!(report.contains("Pre-activation:"));
    let arguments = ["describe", "--network", "preact-resnet-110", "--dataset", "imagenet"];
    refuse(folder.path(), &arguments, 2, &["preact-resnet-110", "32×32", "cifar10"]);
}

#[test]
fn a_run_record_that_names_a_network_of_too_many_layers_is_reported_and_the_others_are_drawn() {
    let folder = workspace();
    for seed in ["0", "1"] {
        let out = format!("results/try/resnet-8/seed-{seed}");
        let arguments = small(&["train", "--network", "resnet-8", "--iterations", "2"]);
        let arguments = [&arguments[..], &["--seed", seed, "--out", &out]].concat();
        succeed(folder.path(), &arguments);
    }
    let path = folder.path().join("results/try/resnet-8/seed-1/run.toml");
    let record = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, record.replace("\"resnet-8\"", "\"resnet-99999998\"")).unwrap();
    let output = run(folder.path(), &["figures", "results"]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stderr(&output).contains("at most 10000 layers"), "{}", stderr(&output));
    assert!(folder.path().join("results/report/report.html").exists());
}

#[test]
fn weights_that_are_nan_or_infinite_are_refused_by_the_name_of_their_tensor() {
    let folder = workspace();
    let arguments = small(&["train", "--network", "resnet-8", "--iterations", "2"]);
    succeed(folder.path(), &[&arguments[..], &["--out", "run"]].concat());
    let bytes = std::fs::read(folder.path().join("run/weights.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    for (damaged, value) in [
        ("layer2.0.conv1.weight", f64::NAN),
        ("layer1.0.bn2.running_var", f64::INFINITY),
        ("fc.bias", f64::NEG_INFINITY),
    ] {
        let mut tensors: Vec<(String, Tensor)> = file
            .tensors()
            .into_iter()
            .map(|(name, view)| {
                let shape: Vec<i64> = view.shape().iter().map(|&side| side as i64).collect();
                (name, Tensor::from_data_size(view.data(), &shape, Kind::Float))
            })
            .collect();
        let (_, tensor) = tensors.iter_mut().find(|(name, _)| name == damaged).unwrap();
        let _ = tensor.view(-1).narrow(0, 0, 1).fill_(value);
        let path = folder.path().join("damaged.safetensors");
        write_tensors(&path, &tensors, ("network", "resnet-8".to_string())).unwrap();
        let evaluate = ["evaluate", "--network", "resnet-8", "--dataset", "cifar10"];
        let weights = ["--data", "data", "--device", "cpu", "--weights", "damaged.safetensors"];
        let parts = ["damaged.safetensors", damaged, "NaN or infinity in 1 of"];
        refuse(folder.path(), &[&evaluate[..], &weights].concat(), 2, &parts);
    }
}
