//! Runs with the project's own kernels, on the CPU's emulator: the same bytes after an interruption,
//! and where they are refused.

use crate::common::{
    assert_same_run, command, lines, refuse, signal, small, stderr, wait_until, workspace,
};
use std::path::Path;
use std::process::Output;

/// Arguments of a run of four images an iteration into `out`, and `more`.
fn train<'a>(network: &'a str, out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let usual = ["train", "--network", network, "--data", "data", "--device", "cpu"];
    let own = ["--set", "kernels=own", "--set", "precision=bf16", "--set", "batch_size=4"];
    let length = ["--iterations", "6", "--set", "evaluate_every=6", "--out", out];
    [&usual[..], &own, &length, more].concat()
}

/// The run on the emulator, to its end.
fn emulated(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).env("RESNET_REPRO_EMULATE", "1").output().unwrap()
}

#[test]
fn a_run_that_is_interrupted_has_the_bytes_of_one_that_was_not() {
    let folder = workspace();
    let root = folder.path();
    let whole = emulated(root, &train("resnet-8", "whole", &[]));
    assert_eq!(whole.status.code(), Some(0), "{}", stderr(&whole));
    assert!(
        stderr(&whole).contains("own kernels: the whole step, with all maps kept"),
        "{}",
        stderr(&whole)
    );
    let arguments = train("resnet-8", "broken", &["--checkpoint-every", "0"]);
    let mut child = command(root, &arguments).env("RESNET_REPRO_EMULATE", "1").spawn().unwrap();
    wait_until("some rows", || lines(&root.join("broken/train.csv")) > 3);
    signal(child.id(), libc::SIGTERM);
    assert_eq!(child.wait().unwrap().code(), Some(75));
    let resumed = emulated(root, &arguments);
    assert_eq!(resumed.status.code(), Some(0), "{}", stderr(&resumed));
    assert_same_run(&root.join("whole"), &root.join("broken"));
    let record = std::fs::read_to_string(root.join("whole/run.toml")).unwrap();
    assert!(record.contains("kernels = \"own\""), "{record}");
    assert!(record.contains("kernels = \"emulator\""), "{record}");
    // Others would give other bits.
    let mut arguments = train("resnet-8", "whole", &[]);
    for argument in &mut arguments {
        if *argument == "kernels=own" {
            *argument = "kernels=libtorch";
        }
    }
    refuse(root, &arguments, 2, &["kernels"]);
}

#[test]
fn two_ranks_have_the_bytes_of_one_process() {
    let folder = workspace();
    let root = folder.path();
    for (out, device) in [("one", "cpu"), ("two", "cpu,cpu")] {
        let mut arguments = train("resnet-8", out, &["--set", "group_size=2"]);
        let position = arguments.iter().position(|one| *one == "cpu").unwrap();
        arguments[position] = device;
        // Threads of an evaluation decide its summation order.
        let mut command = command(root, &arguments);
        let run = command.env("RESNET_REPRO_EMULATE", "1").env("OMP_NUM_THREADS", "1").output();
        let run = run.unwrap();
        assert_eq!(run.status.code(), Some(0), "{device}: {}", stderr(&run));
    }
    assert_same_run(&root.join("one"), &root.join("two"));
}

#[test]
fn a_net_whose_convolutions_are_libtorchs_is_normalised_by_the_own_kernels() {
    let folder = workspace();
    let arguments: Vec<&str> = train("resnet-8b", "run", &[])
        .into_iter()
        .map(|one| if one == "6" { "2" } else { one })
        .collect();
    let run = emulated(folder.path(), &arguments);
    assert_eq!(run.status.code(), Some(0), "{}", stderr(&run));
    let said = stderr(&run);
    assert!(said.contains("own kernels: normalisation and updates alone (resnet-8b"), "{said}");
}

#[test]
fn own_kernels_are_refused_on_a_cpu_and_in_another_precision() {
    let folder = workspace();
    let root = folder.path();
    refuse(root, &train("resnet-8", "run", &[]), 2, &["kernels = own", "NVIDIA GPUs"]);
    let arguments = ["train", "--network", "resnet-8", "--out", "run", "--set", "kernels=own"];
    refuse(root, &small(&arguments), 2, &["kernels = own", "precision=bf16"]);
    let arguments = ["train", "--network", "resnet-8", "--out", "run", "--set", "kernels=mine"];
    refuse(root, &small(&arguments), 2, &["kernels=mine", "libtorch", "own"]);
    assert!(!root.join("run").exists());
    let bench = ["bench", "--networks", "resnet-8", "--path", "own-separate"];
    refuse(root, &bench, 2, &["--path own", "--precision bf16"]);
    let bench = [&bench[..], &["--precision", "bf16"]].concat();
    refuse(root, &bench, 2, &["--path own-separate", "--dataset imagenet"]);
}
