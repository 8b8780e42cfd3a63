//! `figures` for ImageNet's networks: Figure 4 and Tables 1 to 5 from logs and tests whose numbers
//! are known.

use crate::common;
use crate::common::{run, stderr, succeed};
use crate::paper_runs::record;
use std::path::{Path, PathBuf};

use resnet_repro::config::dataset_name::DatasetName;
use resnet_repro::config::network_name::NetworkName;
use resnet_repro::config::recipe::Recipe;
use resnet_repro::dataset::data::DataStatus;
use resnet_repro::records::dataset_record::DatasetRecord;
use resnet_repro::records::directory::RunDirectory;
use resnet_repro::records::run_toml::{RunConfig, State};

/// Data and recipe of the runs that a test writes.
struct Kind {
    folder: &'static str,
    dataset: DatasetRecord,
    recipe: Recipe,
}

/// The paper's recipe on the official ImageNet.
fn papers() -> Kind {
    let dataset = DatasetRecord {
        name: DatasetName::Imagenet,
        status: DataStatus::Official,
        fingerprint: "0".repeat(64),
        training_images: 1_281_167,
        test_images: 50_000,
        classes: 1000,
        title: None,
        class_names: Vec::new(),
        test_percent: None,
    };
    Kind { folder: "imagenet", dataset, recipe: Recipe::for_dataset(DatasetName::Imagenet) }
}

/// 300 iterations on 20 classes of Tiny-ImageNet.
fn tiny() -> Kind {
    let dataset = DatasetRecord {
        name: DatasetName::TinyImagenet,
        status: DataStatus::Subset,
        fingerprint: "1".repeat(64),
        training_images: 10_000,
        test_images: 1000,
        classes: 20,
        title: None,
        class_names: Vec::new(),
        test_percent: None,
    };
    let recipe = Recipe {
        iterations: 300,
        batch_size: 64,
        evaluate_every: 60,
        ..Recipe::for_dataset(DatasetName::TinyImagenet)
    };
    Kind { folder: "tiny", dataset, recipe }
}

/// Writes a run that is `done` iterations far: its training error falls evenly from 90 % to `last`,
/// its centre-crop error is 2 points above it. `tests` are rows of tests.csv.
fn write_run(
    results: &Path,
    kind: &Kind,
    network: &str,
    seed: u64,
    done: u64,
    last: f64,
    tests: &[&str],
) -> PathBuf {
    let network: NetworkName = network.parse().unwrap();
    let directory = RunDirectory::of(&results.join(kind.folder), network, seed);
    std::fs::create_dir_all(directory.path()).unwrap();
    let planned = kind.recipe.iterations;
    let error = |iteration: u64| 90.0 - (90.0 - last) * iteration as f64 / planned as f64;
    let train: String =
        (1..=done).map(|iteration| format!("{iteration},0.1,1.5,{}\n", error(iteration))).collect();
    let every = kind.recipe.evaluate_every;
    let evaluations: String = (1..=done / every)
        .map(|index| format!("{},test,1.5,{:.3},5\n", index * every, error(index * every) + 2.0))
        .collect();
    std::fs::write(directory.train_log(), format!("iteration,learning_rate,loss,error\n{train}"))
        .unwrap();
    std::fs::write(
        directory.evaluation_log(),
        format!("iteration,split,loss,error,top5_error\n{evaluations}"),
    )
    .unwrap();
    if !tests.is_empty() {
        std::fs::write(
            directory.tests(),
            format!("views,images,loss,error,top5_error\n{}\n", tests.join("\n")),
        )
        .unwrap();
    }
    let state = if done == planned { State::Finished } else { State::Running };
    let run = RunConfig {
        network,
        seed,
        dataset: kind.dataset.clone(),
        recipe: kind.recipe.clone(),
        initial_weights: None,
    };
    let record = record(state, 1, done, run);
    record.write(&directory.record()).unwrap();
    directory.path().to_path_buf()
}

fn read(folder: &Path, file: &str) -> String {
    let path = folder.join("runs/report").join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The lines of a table in Markdown, without what fills its columns.
fn lines(table: &str) -> Vec<String> {
    let cells = |line: &str| {
        line.trim_matches('|')
            .split('|')
            .map(|cell| cell.trim().to_string())
            .collect::<Vec<_>>()
            .join(" | ")
    };
    table
        .lines()
        .filter(|line| line.starts_with('|') && !line.starts_with("|-"))
        .map(cells)
        .collect()
}

/// Four nets of Figure 4 on small data, resnet-34 from two seeds; two more that are partial and of
/// another paper.
fn write_tiny(results: &Path) {
    write_run(
        results,
        &tiny(),
        "plain-18",
        0,
        300,
        60.0,
        &["centre,1000,1.9,62,25", "10-crop,1000,1.8,59.5,23.25"],
    );
    write_run(results, &tiny(), "plain-34", 0, 300, 64.0, &["10-crop,1000,1.8,63,27"]);
    write_run(results, &tiny(), "resnet-18", 0, 300, 55.0, &["10-crop,500,1.5,54,19"]);
    write_run(
        results,
        &tiny(),
        "resnet-34",
        0,
        300,
        50.0,
        &["10-crop,1000,1.4,50,16", "multi-scale,1000,1.3,48.5,15"],
    );
    write_run(results, &tiny(), "resnet-34", 1, 300, 52.0, &["10-crop,1000,1.4,52,18"]);
    write_run(results, &tiny(), "resnet-50", 0, 120, 50.0, &[]);
    write_run(
        results,
        &tiny(),
        "vgg-16",
        0,
        300,
        70.0,
        &["10-crop,1000,1.4,68,30", "multi-scale,1000,1.4,66,29"],
    );
}

const TINY: &str = "tiny-imagenet-300-20-classes-batch-size-64-evaluate-every-60";

#[test]
fn figure_4_has_plain_nets_left_and_residual_nets_right_and_its_data_are_the_smoothed_logs() {
    let folder = tempfile::tempdir().unwrap();
    write_tiny(&folder.path().join("runs"));
    let text = succeed(folder.path(), &["figures"]);
    assert!(
        text.contains(
            "Tiny-ImageNet, 20 classes, 300 iterations, batch size 64, evaluate every 60: 7 runs, not complete: resnet-50 seed 0 at iteration 120"
        ),
        "{text}"
    );
    assert!(
        text.contains("plain-34's training error of") && text.contains("above plain-18's"),
        "{text}"
    );
    assert!(text.contains("The paper does not train on Tiny-ImageNet"), "{text}");
    let data = read(folder.path(), &format!("{TINY}/figure-4.csv"));
    assert!(
        data.starts_with("panel,network,series,iteration,error (%),deviation,seeds\nplain nets,plain-18,training error,1,89.9,0,1\n"),
        "{}",
        &data[..200]
    );
    // The last of a trailing mean over 10 iterations of a line that falls by 30 / 300 an iteration;
    // the evaluation after it.
    for line in [
        "plain nets,plain-18,training error,300,60.45,0,1",
        "plain nets,plain-34,centre-crop validation error,300,66,0,1",
    ] {
        assert!(data.lines().any(|other| other == line), "{line}");
    }
    // Two seeds: mean 53, deviation √2.
    assert!(
        data.contains("\nresidual nets,resnet-34,centre-crop validation error,300,53,1.41421,2\n"),
        "{data}"
    );
    assert!(!data.contains("resnet-50") && !data.contains("vgg"), "Figure 4 has neither");
    let others = read(folder.path(), &format!("{TINY}/other-nets.csv"));
    assert!(
        others.contains("bottleneck nets,resnet-50,") && others.contains("other nets,vgg-16,"),
        "{}",
        &others[..200]
    );
    let svg = read(folder.path(), &format!("{TINY}/figure-4.svg"));
    assert!(
        svg.contains("thin: training error (mean of the last 10 iterations); bold: centre-crop validation error") && !svg.contains("no runs yet")
    );
    let pairs = read(folder.path(), &format!("{TINY}/pairs.csv"));
    assert!(pairs.contains("resnet-34 – plain-34,1") && !pairs.contains("vgg"), "{pairs}");
}

#[test]
fn each_family_has_its_own_figures_and_tables() {
    let folder = tempfile::tempdir().unwrap();
    write_tiny(&folder.path().join("runs"));
    let cifar = folder.path().join("runs/old/plain-20/seed-0");
    std::fs::create_dir_all(&cifar).unwrap();
    std::fs::write(
        cifar.join("train.csv"),
        "iteration,learning_rate,loss,error\n1,0.1,2.3,90\n2,0.1,2.3,80\n",
    )
    .unwrap();
    std::fs::create_dir_all(folder.path().join("runs/old/plain-32/seed-0")).unwrap();
    std::fs::copy(
        cifar.join("train.csv"),
        folder.path().join("runs/old/plain-32/seed-0/train.csv"),
    )
    .unwrap();
    succeed(folder.path(), &["figures"]);
    let report = folder.path().join("runs/report");
    let has = |file: &str| report.join(file).exists();
    for file in ["figure-1.csv", "figure-6.csv", "table-6.csv"] {
        assert!(!has(&format!("{TINY}/{file}")), "{file}");
    }
    for file in [
        "figure-4.png",
        "figure-4.svg",
        "table-1.md",
        "table-2.md",
        "table-3.csv",
        "table-4.csv",
        "table-5.csv",
        "test-errors.md",
    ] {
        assert!(
            has(&format!("{TINY}/{file}")) && !has(&format!("unrecorded-2/{file}"))
                || file == "test-errors.md",
            "{file}"
        );
    }
    assert!(has("unrecorded-2/figure-6.csv"));
}

#[test]
fn tables_2_and_3_have_ten_crops_beside_the_papers_and_are_not_judged_on_other_data() {
    let folder = tempfile::tempdir().unwrap();
    write_tiny(&folder.path().join("runs"));
    succeed(folder.path(), &["figures"]);
    let other = "not comparable: another recipe, other data";
    assert_eq!(
        lines(&read(folder.path(), &format!("{TINY}/table-2.md"))),
        [
            "network | paper top-1 | seeds | 10-crop top-1 | centre crop | deviation top-1 | verdict".to_string(),
            format!("plain-18 | 27.94 | 1 | 59.50 | 62.00 | +31.56 | {other}"),
            format!("plain-34 | 28.54 | 1 | 63.00 | 66.00 | +34.46 | {other}"),
            format!("resnet-18 | 27.88 | 1 | 54.00 | 57.00 | +26.12 | {other}, 500 of 1,000 images tested"),
            format!("resnet-34 | 25.03 | 2 | 51.00 ± 1.41 | 53.00 ± 1.41 | +25.97 | {other}"),
        ]
    );
    assert_eq!(
        lines(&read(folder.path(), &format!("{TINY}/table-3.md"))),
        [
            "network | paper top-1 | paper top-5 | seeds | 10-crop top-1 | 10-crop top-5 | centre crop | deviation top-1 | deviation top-5 | verdict"
                .to_string(),
            format!("vgg-16 | 28.07 | 9.33 | 1 | 68.00 | 30.00 | 72.00 | +39.93 | +20.67 | {other}"),
            "googlenet | – | 9.15 | – | – | – | – | – | – | quoted".to_string(),
            "PReLU-net | 24.27 | 7.38 | – | – | – | – | – | – | quoted".to_string(),
            format!("plain-34 | 28.54 | 10.02 | 1 | 63.00 | 27.00 | 66.00 | +34.46 | +16.98 | {other}"),
            format!("resnet-34 | 25.03 | 7.76 | 2 | 51.00 ± 1.41 | 17.00 ± 1.41 | 53.00 ± 1.41 | +25.97 | +9.24 | {other}"),
            "resnet-34b | 24.52 | 7.46 | – | – | – | – | – | – | missing".to_string(),
            "resnet-34c | 24.19 | 7.40 | – | – | – | – | – | – | missing".to_string(),
            "resnet-50 | 22.85 | 6.71 | 0 | – | – | – | – | – | partial: 120 of 300".to_string(),
            "resnet-101 | 21.75 | 6.05 | – | – | – | – | – | – | missing".to_string(),
            "resnet-152 | 21.43 | 5.71 | – | – | – | – | – | – | missing".to_string(),
        ]
    );
}

#[test]
fn table_4_has_single_models_at_several_scales_and_table_5_their_ensembles() {
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path().join("runs");
    write_tiny(&results);
    let ensemble = r#"{"dataset": "tiny-imagenet", "networks": ["plain-34", "resnet-34", "resnet-34"], "views": "multi-scale", "images": 1000, "loss": 1.2, "error": 47.5, "top5_error": 14.25}"#;
    std::fs::write(results.join("tiny/ensemble-of-three.json"), ensemble).unwrap();
    succeed(folder.path(), &["figures"]);
    let four = lines(&read(folder.path(), &format!("{TINY}/table-4.md")));
    assert_eq!(
        four.len(),
        13,
        "the header, the paper's ten, and two more that were tested: {four:#?}"
    );
    assert_eq!(four[3], "VGG (v5) | 24.40 | 7.10 | – | – | – | – | – | – | quoted");
    assert_eq!(four[6], "resnet-34b | 21.84 | 5.71 | – | – | – | – | – | – | missing");
    assert!(
        four.contains(
            &"resnet-34 | – | – | 1 of 2 | 48.50 | 15.00 | 53.00 ± 1.41 | – | – | –".to_string()
        ),
        "{four:#?}"
    );
    assert!(
        four.contains(&"vgg-16 | – | – | 1 | 66.00 | 29.00 | 72.00 | – | – | –".to_string()),
        "{four:#?}"
    );
    assert_eq!(
        lines(&read(folder.path(), &format!("{TINY}/table-5.md"))),
        [
            "ensemble | networks | views | images | paper top-5 | ours top-1 | ours top-5 | verdict",
            "VGG (ILSVRC'14) | – | – | – | 7.32 | – | – | quoted",
            "GoogLeNet (ILSVRC'14) | – | – | – | 6.66 | – | – | quoted",
            "VGG (v5) | – | – | – | 6.80 | – | – | quoted",
            "PReLU-net | – | – | – | 4.94 | – | – | quoted",
            "BN-inception | – | – | – | 4.82 | – | – | quoted",
            "ResNet (ILSVRC'15), six nets | – | – | – | 3.57 | – | – | the paper's",
            "plain-34 + 2 × resnet-34 | 3 | multi-scale | 1,000 | – | 47.50 | 14.25 | not comparable: another recipe, other data",
        ]
    );
}

#[test]
fn ensembles_that_cannot_be_read_or_have_no_runs_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path().join("runs");
    write_run(&results, &tiny(), "plain-18", 0, 300, 60.0, &[]);
    std::fs::write(results.join("ensemble-1.json"), "{}").unwrap();
    let two = r#"{"dataset": "imagenet", "networks": ["resnet-50", "resnet-101"], "views": "10-crop", "images": 1, "loss": 1, "error": 1, "top5_error": 1}"#;
    std::fs::write(results.join("ensemble-2.json"), two).unwrap();
    let output = run(folder.path(), &["figures"]);
    assert_eq!(output.status.code(), Some(3));
    for part in [
        "ensemble-1.json: not the test of an ensemble",
        "resnet-50 + resnet-101 on imagenet: an ensemble of networks",
    ] {
        assert!(stderr(&output).contains(part), "{}", stderr(&output));
    }
    let two = lines(&read(folder.path(), &format!("{TINY}/table-2.md")));
    assert_eq!(
        two[1], "plain-18 | 27.94 | 1 | – | 62.00 | – | not tested",
        "a centre crop does not stand in for ten"
    );
}

#[test]
fn whole_runs_of_the_papers_recipe_are_judged_and_drawn_on_its_axis() {
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path().join("runs");
    write_run(&results, &papers(), "plain-34", 0, 600_000, 30.0, &["10-crop,50000,1.2,29.4,10.6"]);
    write_run(
        &results,
        &papers(),
        "resnet-34",
        0,
        600_000,
        24.0,
        &["10-crop,50000,1,25.2,7.9", "multi-scale,50000,1,22,6"],
    );
    // 152 layers have no warm-up here, so they belong with the others.
    write_run(&results, &papers(), "resnet-152", 0, 1000, 20.0, &[]);
    let text = succeed(folder.path(), &["figures"]);
    assert!(text.contains("ImageNet, 600,000 iterations: 3 runs, not complete: resnet-152 seed 0 at iteration 1,000"), "{text}");
    let two = lines(&read(folder.path(), "imagenet-600000/table-2.md"));
    assert_eq!(two[2], "plain-34 | 28.54 | 1 | 29.40 | 32.00 | +0.86 | outside ± 0.5");
    assert_eq!(two[4], "resnet-34 | 25.03 | 1 | 25.20 | 26.00 | +0.17 | inside ± 0.5");
    let page = read(folder.path(), "report.html");
    let json = common::page_data(&page);
    let chart = &json["charts"]["imagenet-600000-figure-4"];
    assert_eq!(chart["panels"][0]["y"], serde_json::json!([20.0, 60.0]));
    assert_eq!(
        (chart["x_scale"].as_f64(), chart["x_label"].as_str()),
        (Some(1e4), Some("iteration (1e4)"))
    );
    let one = lines(&read(folder.path(), "imagenet-600000/table-1.md"));
    assert!(one[0].starts_with("network | block | conv2_x (56×56) | conv3_x (28×28) | conv4_x (14×14) | conv5_x (7×7) | parameters | FLOPs | paper"));
    assert!(
        one[6].starts_with("resnet-101 | 1×1, 3×3, 1×1 | 3 | 4 | 23 | 3 | ")
            && one[6].contains(" | 7.6 | "),
        "{one:#?}"
    );
    std::fs::write(
        folder.path().join("README.md"),
        "<!-- results: made by \"resnet-repro figures --readme\" -->\n<!-- end of results -->\n",
    )
    .unwrap();
    succeed(folder.path(), &["figures", "--readme", "README.md"]);
    let readme = std::fs::read_to_string(folder.path().join("README.md")).unwrap();
    assert!(
        readme.contains("imagenet-600000/figure-4.svg")
            && readme.contains("**Validation errors (%)**")
            && readme.contains("| resnet-34  |     1 |"),
        "{readme}"
    );
}
