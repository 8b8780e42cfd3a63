//! Runs that start from a weight file: what is on their record, how they resume, what is refused.

use crate::common;
use crate::common::{
    assert_same_run, command, lines, refuse, small, stderr, stdout, succeed, wait_until, workspace,
};
use crate::image_folder;
use std::path::Path;

use resnet_repro::records::run_toml::RunRecord;
use resnet_repro::system::hash::hash_file;

/// The arguments of a run of resnet-8 into `out`, and `more`.
fn train<'a>(out: &'a str, iterations: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let arguments = ["train", "--network", "resnet-8", "--iterations", iterations, "--out", out];
    [small(&arguments), more.to_vec()].concat()
}

/// A folder with data and with trained weights of resnet-8 in `given.safetensors`.
fn with_weights() -> tempfile::TempDir {
    let folder = workspace();
    succeed(folder.path(), &train("source", "30", &[]));
    std::fs::copy(
        folder.path().join("source/weights.safetensors"),
        folder.path().join("given.safetensors"),
    )
    .unwrap();
    folder
}

fn record(folder: &Path, run: &str) -> RunRecord {
    RunRecord::read(&folder.join(run).join("run.toml")).unwrap()
}

#[test]
fn given_weights_are_on_record_evaluated_first_and_another_file_is_another_run() {
    let folder = with_weights();
    let given = ["--weights", "given.safetensors", "--seed", "1"];
    succeed(folder.path(), &train("out", "4", &given));
    let found = record(folder.path(), "out");
    let weights = found.run.initial_weights.clone().unwrap();
    let hash = hash_file(&folder.path().join("given.safetensors")).unwrap();
    assert_eq!((&weights.sha256, weights.reset_classifier), (&hash, false));
    let difference =
        format!("initial weights \"{}\" instead of \"He initialisation\"", &hash[..12]);
    assert!(found.differences_from_paper.contains(&difference), "{found:?}");
    assert!(record(folder.path(), "source").run.initial_weights.is_none());

    // What it was handed is what the other run ended with, by the log of either.
    let read = |run: &str| std::fs::read_to_string(folder.path().join(run)).unwrap();
    let handed = read("out/eval.csv").lines().nth(1).unwrap().to_string();
    let ended = read("source/eval.csv").lines().last().unwrap().to_string();
    assert_eq!(handed.strip_prefix("0,"), ended.strip_prefix("30,"), "{handed} {ended}");

    // Weights for pixels that are normalised otherwise would be ruined without a word.
    let otherwise = ["--weights", "given.safetensors", "--set", "normalize=imagenet"];
    refuse(
        folder.path(),
        &train("other", "4", &otherwise),
        2,
        &["given.safetensors: these weights", "--set normalize=pixel-mean"],
    );

    // The same weights from elsewhere are the same run; others are not.
    std::fs::rename(
        folder.path().join("given.safetensors"),
        folder.path().join("moved.safetensors"),
    )
    .unwrap();
    let again = ["--weights", "moved.safetensors", "--seed", "1"];
    succeed(folder.path(), &train("out", "4", &again));
    refuse(
        folder.path(),
        &train("out", "4", &["--weights", "out/weights.safetensors", "--seed", "1"]),
        2,
        &["out: holds another run", "initial_weights.sha256 is", &hash[..12], "there"],
    );
    refuse(
        folder.path(),
        &train("out", "4", &["--seed", "1"]),
        2,
        &["out: holds another run", "initial_weights is", "not set here"],
    );
    // A finished run needs no file.
    std::fs::remove_file(folder.path().join("moved.safetensors")).unwrap();
    succeed(folder.path(), &train("out", "4", &again));
    let text = stdout(&common::run(folder.path(), &["figures", "out", "--out", "report"]));
    assert!(text.contains(&format!("initial weights {}", &hash[..12])), "{text}");
}

#[test]
fn a_stopped_run_goes_on_to_the_same_bytes_without_its_file() {
    let folder = with_weights();
    let given = ["--weights", "given.safetensors", "--checkpoint-every", "0"];
    succeed(folder.path(), &train("whole", "60", &given));
    let mut child = command(folder.path(), &train("cut", "60", &given))
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the run does not log", || lines(&folder.path().join("cut/train.csv")) > 20);
    // SAFETY: a signal to a child that has not been waited for.
    unsafe { libc::kill(child.id() as libc::pid_t, libc::SIGKILL) };
    child.wait().unwrap();
    std::fs::remove_file(folder.path().join("given.safetensors")).unwrap();
    succeed(folder.path(), &train("cut", "60", &given));
    assert_same_run(&folder.path().join("whole"), &folder.path().join("cut"));
    refuse(folder.path(), &train("new", "60", &given), 2, &["given.safetensors", "No such file"]);
    assert!(!folder.path().join("new").exists(), "nothing was started");
}

#[test]
fn weights_that_do_not_fit_are_refused_and_the_classifier_can_be_left_out() {
    let folder = with_weights();
    let of = |network: &'static str, more: &[&'static str]| {
        let arguments = ["train", "--network", network, "--iterations", "2", "--out", "other"];
        let weights = ["--weights", "given.safetensors"];
        [small(&arguments), weights.to_vec(), more.to_vec()].concat()
    };
    refuse(folder.path(), &of("resnet-14", &[]), 2, &["given.safetensors", "missing"]);
    let whole = std::fs::read(folder.path().join("given.safetensors")).unwrap();
    let end = whole.len() - 4;
    let damaged = [&whole[..end], &f32::NAN.to_le_bytes()].concat();
    std::fs::write(folder.path().join("given.safetensors"), damaged).unwrap();
    refuse(folder.path(), &of("resnet-8", &[]), 2, &["given.safetensors", "holds NaN"]);
    std::fs::write(folder.path().join("given.safetensors"), whole).unwrap();
    assert!(!folder.path().join("other").exists(), "nothing was started");
    refuse(
        folder.path(),
        &small(&["train", "--network", "resnet-8", "--reset-classifier"]),
        2,
        &["required arguments were not provided"],
    );
    // With the classifier initialised anew the first evaluation is another one.
    succeed(folder.path(), &of("resnet-8", &["--reset-classifier"]));
    let handed = std::fs::read_to_string(folder.path().join("other/eval.csv")).unwrap();
    let ended = std::fs::read_to_string(folder.path().join("source/eval.csv")).unwrap();
    let rest = |line: &str| line.split_once(',').unwrap().1.to_string();
    assert_ne!(rest(handed.lines().nth(1).unwrap()), rest(ended.lines().last().unwrap()));
    let weights = record(folder.path(), "other").run.initial_weights.unwrap();
    assert!(weights.reset_classifier);
    refuse(folder.path(), &of("resnet-8", &[]), 2, &["other: holds another run"]);
}

#[test]
fn an_experiment_names_weights_beside_itself_and_a_label_tells_its_runs_apart() {
    let folder = with_weights();
    let text = |weights: &str| {
        format!(
            "title = \"t\"\npaper = \"p\"\ndataset = \"cifar10\"\nrecipe.iterations = 4\n\n\
             [[runs]]\nnetworks = [\"resnet-8\"]\nseeds = [0]\n\n[[runs]]\n\
             networks = [\"resnet-8\"]\nseeds = [0]\nlabel = \"continued\"\nweights = \"{weights}\"\n"
        )
    };
    std::fs::create_dir(folder.path().join("e")).unwrap();
    std::fs::write(folder.path().join("e/x.toml"), text("../given.safetensors")).unwrap();
    let sweep = small(&["sweep", "e/x.toml", "--out", "runs"]);
    let table = succeed(folder.path(), &sweep);
    assert!(table.contains("x/resnet-8-continued/seed-0"), "{table}");
    let continued = record(folder.path(), "runs/x/resnet-8-continued/seed-0");
    let hash = hash_file(&folder.path().join("given.safetensors")).unwrap();
    assert_eq!(continued.run.initial_weights.unwrap().sha256, hash);
    let fresh = record(folder.path(), "runs/x/resnet-8/seed-0");
    assert!(fresh.run.initial_weights.is_none());
    let missing = small(&["sweep", "e/x.toml", "--out", "elsewhere"]);
    std::fs::write(folder.path().join("e/x.toml"), text("none.safetensors")).unwrap();
    refuse(
        folder.path(),
        &missing,
        2,
        &["x/resnet-8-continued/seed-0", "e/none.safetensors", "No such file"],
    );
    assert!(!folder.path().join("elsewhere").exists(), "nothing was started");
    // A plan can be made before the file is.
    succeed(folder.path(), &[&missing[..], &["--dry-run"]].concat());
    let strange = text("../given.safetensors").replace("continued", "a/b");
    std::fs::write(folder.path().join("e/x.toml"), strange).unwrap();
    refuse(folder.path(), &missing, 2, &["e/x.toml:13", "label: \"a/b\""]);
}

#[test]
fn weights_of_another_number_of_classes_are_taken_but_for_the_classifier() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let images = image_folder::write(root, 4, 2);
    let data = ["--dataset", "tiny-imagenet", "--data", "images", "--device", "cpu"];
    let keys = ["crop=32", "scale=[36, 48]", "test_scale=36", "batch_size=4"];
    let keys: Vec<&str> = keys.iter().flat_map(|key| ["--set", key]).collect();
    let train = |out: &str, more: &[&str]| {
        let run = ["train", "--network", "resnet-18", "--iterations", "1", "--out", out];
        let arguments = [&run[..], &data, &keys, more].concat();
        command(root, &arguments).env("RESNET_REPRO_CACHE", root.join("cache")).output().unwrap()
    };
    assert!(train("three", &[]).status.success());
    for split in ["train", "val"] {
        std::fs::remove_dir_all(images.join(split).join("n003")).unwrap();
    }
    let given = ["--weights", "three/weights.safetensors"];
    let refused = train("two", &given);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("tensor \"fc."), "{}", stderr(&refused));
    let started = train("two", &[&given[..], &["--reset-classifier"]].concat());
    assert!(started.status.success(), "{}", stderr(&started));
    let found = record(root, "two");
    assert_eq!(found.run.dataset.classes, 2);
    assert!(found.differences_from_paper.iter().any(|one| one.contains("classifier reset")));
}
