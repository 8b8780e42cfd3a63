//! Training and tests on images, through the real program, on generated JPEG files.

use crate::common;
use crate::common::{assert_same_run, lines, refuse, run, stderr, succeed, wait_until};
use crate::image_folder;
use crate::image_folder::{CLASSES, file};
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The program in `folder`, with a cache of its own.
fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = common::command(folder, arguments);
    command.env("RESNET_REPRO_CACHE", folder.join("cache"));
    command
}

fn train<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let fixed = [
        "train",
        "--dataset",
        "tiny-imagenet",
        "--network",
        "resnet-18",
        "--device",
        "cpu",
        "--iterations",
        "12",
        "--checkpoint-every",
        "0",
        "--out",
        out,
    ];
    let settings = [
        "crop=32",
        "scale=[36, 48]",
        "test_scale=36",
        "batch_size=8",
        "evaluate_every=4",
        "learning_rate=0.01",
    ];
    let mut arguments: Vec<&str> = fixed.to_vec();
    // What a test sets itself is not set twice.
    let key = |setting: &str| format!("{}=", setting.split('=').next().unwrap());
    let given = |setting: &str| more.iter().any(|other| other.starts_with(&key(setting)));
    settings
        .iter()
        .filter(|setting| !given(setting))
        .for_each(|setting| arguments.extend(["--set", setting]));
    if !more.contains(&"--data") {
        arguments.extend(["--data", "images"]);
    }
    arguments.extend(more);
    arguments
}

fn done(folder: &Path, arguments: &[&str]) -> Output {
    let output = command(folder, arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{arguments:?}\n{}", stderr(&output));
    output
}

fn read(folder: &Path, path: &str) -> String {
    std::fs::read_to_string(folder.join(path)).unwrap()
}

#[test]
fn a_run_repeats_to_the_same_bytes_whatever_the_number_of_loaders_and_goes_on_exactly_after_a_kill()
{
    let folder = tempfile::tempdir().unwrap();
    image_folder::write(folder.path(), 12, 4);
    done(folder.path(), &train("one", &["--loaders", "1"]));
    done(folder.path(), &train("three", &["--loaders", "3"]));
    assert_same_run(&folder.path().join("one"), &folder.path().join("three"));
    let mut child = command(folder.path(), &train("cut", &["--loaders", "2"]))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the run does not log", || lines(&folder.path().join("cut/train.csv")) > 6);
    child.kill().unwrap();
    child.wait().unwrap();
    done(folder.path(), &train("cut", &["--loaders", "1"]));
    assert_same_run(&folder.path().join("one"), &folder.path().join("cut"));
    // Ten crops of every test image, once training is over.
    let tests = read(folder.path(), "cut/tests.csv");
    assert!(tests.starts_with("views,images,loss,error,top5_error\n10-crop,12,"), "{tests}");
    assert_eq!(tests, read(folder.path(), "one/tests.csv"));
    succeed(folder.path(), &["verify", "cut"]);
}

#[test]
fn packed_shards_train_to_the_same_bytes_as_the_files_they_were_packed_from() {
    let folder = tempfile::tempdir().unwrap();
    image_folder::write(folder.path(), 8, 3);
    done(folder.path(), &train("files", &[]));
    let packed = done(
        folder.path(),
        &[
            "data",
            "pack",
            "tiny-imagenet",
            "--data",
            "images",
            "--out",
            "shards",
            "--per-shard",
            "10",
        ],
    );
    let text = common::stdout(&packed);
    assert!(text.contains("33 images in 4 shards, 0 of them scaled down"), "{text}");
    done(folder.path(), &train("shards-run", &["--data", "shards"]));
    for name in ["train.csv", "eval.csv", "tests.csv", "weights.safetensors"] {
        let [one, other] = ["files", "shards-run"]
            .map(|run| std::fs::read(folder.path().join(run).join(name)).unwrap());
        assert!(one == other, "{name} differs");
    }
    // Any tar reads them: an image and its class, one after the other.
    let listing = Command::new("tar")
        .args(["-tf", "shards/train-000000.tar"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let names = common::stdout(&listing);
    let mut names = names.lines();
    let (image, class) = (names.next().unwrap(), names.next().unwrap());
    assert!(image.ends_with(".jpg") && class == image.replace(".jpg", ".cls"), "{image} {class}");
    std::fs::remove_file(folder.path().join("shards/train-000001.tar")).unwrap();
    refuse(
        folder.path(),
        &["data", "check", "tiny-imagenet", "--data", "shards"],
        2,
        &["train-000001.tar", "missing", "pack the data again"],
    );
    std::fs::remove_file(folder.path().join("shards/shards.json")).unwrap();
    refuse(
        folder.path(),
        &["data", "check", "tiny-imagenet", "--data", "shards"],
        2,
        &["shards.json", "packing was interrupted"],
    );
}

#[test]
fn images_are_scaled_down_when_they_are_packed_and_damaged_ones_are_named_and_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let root = image_folder::write(folder.path(), 2, 1);
    std::fs::write(file(&root, "train", 1, 0), b"no image").unwrap();
    let output = done(
        folder.path(),
        &[
            "data",
            "pack",
            "tiny-imagenet",
            "--data",
            "images",
            "--out",
            "shards",
            "--shorter-side",
            "40",
            "--json",
        ],
    );
    let packed: serde_json::Value = serde_json::from_str(&common::stdout(&output)).unwrap();
    assert_eq!(
        (packed["images"].as_u64(), packed["scaled"].as_u64()),
        (Some(8), Some(8)),
        "{packed}"
    );
    assert!(packed["unreadable"][0].as_str().unwrap().contains("n002_0.JPEG"), "{packed}");
    assert!(packed["bytes"].as_u64() < packed["bytes_before"].as_u64());
    done(folder.path(), &["data", "check", "tiny-imagenet", "--data", "shards", "--decode"]);
}

#[test]
fn a_damaged_image_is_named_once_and_counted_and_the_next_stands_in_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let root = image_folder::write(folder.path(), 4, 2);
    let whole = image_folder::jpeg(0, 1);
    std::fs::write(file(&root, "train", 0, 1), &whole[..whole.len() / 3]).unwrap();
    std::fs::write(file(&root, "train", 1, 2), b"").unwrap();
    std::fs::write(file(&root, "val", 2, 0), b"<html>not found</html>").unwrap();
    std::fs::write(root.join("train/n001/readme.txt"), "not an image").unwrap();
    let output = done(folder.path(), &train("run", &[]));
    let text = stderr(&output);
    for (name, consequence) in [
        ("n001_1.JPEG", "the next image in the list"),
        ("n002_2.JPEG", "the next image in the list"),
        ("n003_0.JPEG", "counts as wrong"),
    ] {
        assert_eq!(
            text.matches(&format!("{name}: ")).count(),
            if name == "n003_0.JPEG" { 1 } else { 2 },
            "{name}: {text}"
        );
        assert!(
            text.lines().any(|line| line.contains(name) && line.contains(consequence)),
            "{name}: {text}"
        );
    }
    let record: toml::Table = read(folder.path(), "run/run.toml").parse().unwrap();
    let unreadable = record["unreadable_images"].as_array().unwrap();
    assert_eq!(unreadable.len(), 3, "{unreadable:?}");
    // One of six test images cannot be right.
    for line in read(folder.path(), "run/eval.csv").lines().skip(1) {
        let error: f64 = line.split(',').nth(3).unwrap().parse().unwrap();
        assert!(error >= 100.0 / 6.0 - 1e-3, "{line}");
    }
    let checked =
        command(folder.path(), &["data", "check", "tiny-imagenet", "--data", "images", "--decode"])
            .output()
            .unwrap();
    let text = common::stdout(&checked);
    assert_eq!(checked.status.code(), Some(1), "{text}");
    assert!(
        text.contains("3 images cannot be read") && text.contains("such as n001/readme.txt"),
        "{text}"
    );
}

#[test]
fn a_layout_that_is_not_one_of_class_folders_is_refused_and_said_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let root = image_folder::write(folder.path(), 2, 1);
    let check = ["data", "check", "imagenet", "--data", "images"];
    refuse(
        folder.path(),
        &["data", "check", "imagenet", "--data", "nowhere"],
        2,
        &["nowhere", "no such folder"],
    );
    // Images beside the class folders.
    let stray = root.join("train/stray.JPEG");
    std::fs::copy(file(&root, "train", 0, 0), &stray).unwrap();
    refuse(
        folder.path(),
        &check,
        2,
        &["images/train", "images beside the class folders (1), such as", "stray.JPEG"],
    );
    std::fs::remove_file(&stray).unwrap();
    // A class without images.
    std::fs::create_dir(root.join("train/n009")).unwrap();
    refuse(folder.path(), &check, 2, &["train/n009", "no image in this class"]);
    std::fs::remove_dir(root.join("train/n009")).unwrap();
    // A class that only the validation images have.
    std::fs::create_dir(root.join("val/n009")).unwrap();
    std::fs::copy(file(&root, "val", 0, 0), root.join("val/n009/a.JPEG")).unwrap();
    refuse(folder.path(), &check, 2, &["val", "class n009", "3 classes"]);
    std::fs::remove_dir_all(root.join("val/n009")).unwrap();
    // A list of classes that has other ones.
    std::fs::write(root.join("LOC_synset_mapping.txt"), "n001 tench\nn002 goldfish\n").unwrap();
    refuse(folder.path(), &check, 2, &["n003", "2 classes"]);
    std::fs::write(
        root.join("LOC_synset_mapping.txt"),
        "n003 a\nn001 tench\nn002 goldfish\nn000 none\n",
    )
    .unwrap();
    let text = succeed(folder.path(), &check);
    assert!(text.contains("4 classes"), "{text}");
    std::fs::remove_file(root.join("LOC_synset_mapping.txt")).unwrap();
    // ImageNet's validation images as they are unpacked: in no folders.
    std::fs::remove_dir_all(root.join("val")).unwrap();
    std::fs::create_dir(root.join("val")).unwrap();
    std::fs::copy(file(&root, "train", 0, 0), root.join("val/ILSVRC2012_val_00000001.JPEG"))
        .unwrap();
    refuse(folder.path(), &check, 2, &["images/val", "are in no class folders"]);
    // No validation images.
    std::fs::rename(root.join("val"), root.join("validation")).unwrap();
    refuse(folder.path(), &train("run", &[]), 2, &["no val/<class>/", "nothing to test on"]);
    // No training images.
    std::fs::remove_dir_all(&root).unwrap();
    std::fs::create_dir_all(root.join("val/n001")).unwrap();
    std::fs::write(root.join("val/n001/a.JPEG"), image_folder::jpeg(0, 0)).unwrap();
    refuse(folder.path(), &train("run", &[]), 2, &["nothing to train on"]);
    std::fs::remove_dir_all(&root).unwrap();
    std::fs::create_dir_all(&root).unwrap();
    refuse(folder.path(), &check, 2, &["neither train/<class>/ nor val/<class>/"]);
}

#[test]
fn a_kept_list_is_made_again_when_a_file_is_added() {
    let folder = tempfile::tempdir().unwrap();
    let root = image_folder::write(folder.path(), 2, 1);
    let count = || {
        let output =
            done(folder.path(), &["data", "check", "tiny-imagenet", "--data", "images", "--json"]);
        serde_json::from_str::<serde_json::Value>(&common::stdout(&output)).unwrap()
    };
    let first = count();
    assert_eq!(count(), first);
    std::fs::write(file(&root, "train", 0, 7), image_folder::jpeg(0, 7)).unwrap();
    let more = count();
    // Files within a folder of the class folder, as Tiny-ImageNet has them.
    std::fs::create_dir(root.join("train/n001/images")).unwrap();
    std::fs::write(root.join("train/n001/images/a.JPEG"), image_folder::jpeg(0, 8)).unwrap();
    assert_eq!(count()["training_images"].as_u64(), Some(8));
    std::fs::write(root.join("train/n001/images/b.JPEG"), image_folder::jpeg(0, 9)).unwrap();
    assert_eq!(count()["training_images"].as_u64(), Some(9), "a change inside is noticed");
    assert_eq!(
        (first["training_images"].as_u64(), more["training_images"].as_u64()),
        (Some(6), Some(7))
    );
    assert_ne!(first["fingerprint"], more["fingerprint"]);
}

#[test]
fn the_learning_rate_falls_at_a_plateau_and_a_batch_in_groups_trains() {
    let folder = tempfile::tempdir().unwrap();
    image_folder::write(folder.path(), 4, 1);
    let plateau = [
        "--set",
        "plateau_patience=1",
        "--set",
        "plateau_threshold=99",
        "--set",
        "evaluate_every=3",
    ];
    done(folder.path(), &train("plateau", &[&plateau[..], &["--set", "group_size=4"]].concat()));
    let rates: Vec<String> = read(folder.path(), "plateau/train.csv")
        .lines()
        .skip(1)
        .map(|line| line.split(',').nth(1).unwrap().to_string())
        .collect();
    // The first evaluation is progress, whatever its error; the ones after it are not.
    let expected: Vec<&str> = [["0.01"; 6].as_slice(), &["0.001"; 3], &["0.0001"; 3]].concat();
    assert_eq!(rates, expected);
    done(folder.path(), &train("whole", &[]));
    done(folder.path(), &train("one-group", &["--set", "group_size=8"]));
    assert_same_run(&folder.path().join("whole"), &folder.path().join("one-group"));
}

#[test]
fn weights_are_tested_by_all_views_alone_and_together() {
    let folder = tempfile::tempdir().unwrap();
    image_folder::write(folder.path(), 4, 4);
    done(folder.path(), &train("run", &[]));
    let evaluate = |more: &[&str]| {
        let fixed = [
            "evaluate",
            "--dataset",
            "tiny-imagenet",
            "--data",
            "images",
            "--set",
            "crop=32",
            "--set",
            "test_scale=36",
            "--json",
        ];
        let one = ["--network", "resnet-18", "--weights", "run/weights.safetensors"];
        let output = done(folder.path(), &[&fixed[..], &one, more].concat());
        serde_json::from_str::<serde_json::Value>(&common::stdout(&output)).unwrap()
    };
    let ten = evaluate(&["--views", "10-crop"]);
    let tests = read(folder.path(), "run/tests.csv");
    assert!(
        tests.contains(&format!("10-crop,12,{},", ten["loss"])),
        "the same as at the end of the training: {ten} {tests}"
    );
    let centre = evaluate(&[]);
    let last = read(folder.path(), "run/eval.csv");
    let last: f64 = last.lines().last().unwrap().split(',').nth(2).unwrap().parse().unwrap();
    assert!((centre["loss"].as_f64().unwrap() - last).abs() < 1e-4, "{centre} {last}");
    let pair = evaluate(&[
        "--views",
        "10-crop",
        "--network",
        "resnet-18",
        "--weights",
        "run/weights.safetensors",
    ]);
    assert!(
        (pair["loss"].as_f64().unwrap() - ten["loss"].as_f64().unwrap()).abs() < 1e-5,
        "an ensemble of a net and itself is the net"
    );
    let scales = evaluate(&["--views", "multi-scale", "--scores", "scores.safetensors"]);
    assert_eq!(scales["views"], "multi-scale");
    let bytes = std::fs::read(folder.path().join("scores.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(file.tensor("scores").unwrap().shape(), [12, CLASSES.len()]);
    // A run's own recipe and weights are meant, and the result is put on record.
    done(
        folder.path(),
        &["evaluate", "--run", "run", "--data", "images", "--views", "multi-scale"],
    );
    let tests = read(folder.path(), "run/tests.csv");
    assert!(
        tests.lines().nth(2).unwrap().starts_with(&format!("multi-scale,12,{},", scales["loss"])),
        "{tests} {scales}"
    );
    succeed(folder.path(), &["verify", "run"]);
    refuse(
        folder.path(),
        &["evaluate", "--run", "run", "--data", "images", "--normalize", "imagenet"],
        2,
        &["--run", "--normalize"],
    );
    std::fs::write(folder.path().join("run/weights.safetensors"), "other").unwrap();
    refuse(
        folder.path(),
        &["evaluate", "--run", "run", "--data", "images"],
        2,
        &["not the weights that the run ended with"],
    );
    refuse(
        folder.path(),
        &["evaluate", "--network", "resnet-18", "--network", "resnet-18", "--weights", "a"],
        2,
        &["--network", "--weights"],
    );
}

#[test]
fn keys_of_images_are_refused_elsewhere_and_out_of_range() {
    let folder = tempfile::tempdir().unwrap();
    image_folder::write(folder.path(), 1, 1);
    let set = |setting: &str, parts: &[&str]| {
        refuse(folder.path(), &train("run", &["--set", setting]), 2, parts)
    };
    set("crop=16", &["crop = 16", "32 to 4096"]);
    set("scale=[30, 48]", &["scale = 30"]);
    set("lighting=-1", &["lighting = -1"]);
    set("group_size=3", &["group_size = 3", "batch_size = 8"]);
    refuse(
        folder.path(),
        &["train", "--network", "resnet-20", "--set", "crop=32", "--out", "run"],
        2,
        &["crop", "ImageFolder datasets"],
    );
    refuse(folder.path(), &["train", "--network", "resnet-18", "--out", "run"], 2, &["6n+2"]);
    refuse(
        folder.path(),
        &[
            "train",
            "--network",
            "resnet-20",
            "--dataset",
            "tiny-imagenet",
            "--data",
            "images",
            "--out",
            "run",
        ],
        2,
        &["resnet-20"],
    );
    assert!(!run(folder.path(), &["data", "fetch", "imagenet"]).status.success());
}
