//! `analyze`: its files, and what it refuses.

use crate::common;
use crate::common::{command, refuse, run, stderr, succeed, workspace};
use std::path::Path;

use resnet_repro::analysis::record;
use resnet_repro::analysis::record::AnalysisRecord;

/// A finished run of two iterations in `run/` on the small data.
fn trained(network: &str) -> tempfile::TempDir {
    let folder = workspace();
    let arguments = ["train", "--network", network, "--iterations", "2", "--out", "run"];
    succeed(folder.path(), &common::small(&arguments));
    folder
}

fn rows(folder: &Path, kind: &str, more: &[&str]) -> Vec<serde_json::Value> {
    let arguments = ["analyze", kind, "--run", "run", "--data", "data", "--json"];
    let output = succeed(folder, &[&arguments[..], more].concat());
    let value: serde_json::Value = serde_json::from_str(&output).unwrap();
    value["rows"].as_array().unwrap().clone()
}

#[test]
fn an_analysis_is_written_into_the_run_and_verified_with_it() {
    let folder = trained("resnet-8");
    let whole =
        succeed(folder.path(), &["analyze", "responses,lesion", "--run", "run", "--data", "data"]);
    assert!(whole.contains("responses: resnet-8, 100 test images: 7 layers"), "{whole}");
    let verified = succeed(folder.path(), &["verify", "run"]);
    assert!(verified.contains("1 finished run, 2 analyses: every file is as"), "{verified}");
    let path = folder.path().join("run/analysis/lesion.csv");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(
        text.starts_with("test,block,count,sample,tau,wrong,error,loss\nwhole,,0,,,"),
        "{text}"
    );
    assert_eq!(text.lines().filter(|line| line.starts_with("single,")).count(), 3);
    let evaluated = std::fs::read_to_string(folder.path().join("run/eval.csv")).unwrap();
    let error = evaluated.lines().last().unwrap().split(',').nth(3).unwrap().to_string();
    let whole: Vec<&str> = text.lines().nth(1).unwrap().split(',').collect();
    assert_eq!(whole[6].parse::<f64>().unwrap(), error.parse::<f64>().unwrap());
    std::fs::write(&path, text.replace("single", "singly")).unwrap();
    let output = run(folder.path(), &["verify", "run"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(common::stdout(&output).contains("changed: run/analysis/lesion.csv"));
}

#[test]
fn no_flipped_bit_of_an_analysis_is_believed_and_figures_name_its_file() {
    let folder = trained("resnet-8");
    let analyze = ["analyze", "responses", "--run", "run", "--data", "data"];
    succeed(folder.path(), &analyze);
    let analysis = folder.path().join("run/analysis");
    let record = AnalysisRecord::read(&analysis.join("responses.toml")).unwrap();
    let values = toml::to_string(&record).unwrap();
    for name in ["responses.toml", "responses.csv"] {
        let path = analysis.join(name);
        let whole = std::fs::read(&path).unwrap();
        let (mut told, mut harmless) = (0, 0);
        for byte in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[byte] ^= 1 << (byte % 8);
            std::fs::write(&path, damaged).unwrap();
            match &record::problems(folder.path())[..] {
                // In the words before the checksum: no value is another one.
                [] => {
                    let read = AnalysisRecord::read(&analysis.join("responses.toml")).unwrap();
                    assert_eq!(toml::to_string(&read).unwrap(), values, "{name}, byte {byte}");
                    harmless += 1;
                }
                [problem] => {
                    assert!(problem.contains(name) && !problem.contains('\n'), "{problem}");
                    told += 1;
                }
                several => panic!("{several:?}"),
            }
        }
        assert!(told > 200 && harmless < 40, "{name}: {told} {harmless}");
        let figures = run(folder.path(), &["figures", "run", "--out", "report"]);
        assert_eq!(figures.status.code(), Some(3), "{}", stderr(&figures));
        assert!(stderr(&figures).contains(&format!("analysis/{name}")), "{}", stderr(&figures));
        std::fs::write(&path, whole).unwrap();
    }
    assert_eq!(record::problems(folder.path()), Vec::<String>::new());
    // What a kill left here is passed over, and goes with the next analysis.
    let left = analysis.join(".0123456789abcdef.partial");
    std::fs::write(&left, "half").unwrap();
    succeed(folder.path(), &["verify", "run"]);
    succeed(folder.path(), &analyze);
    assert!(!left.exists());
    succeed(folder.path(), &["verify", "run"]);
}

#[test]
fn rows_repeat_and_a_plain_net_loses_only_blocks_that_keep_their_shape() {
    let folder = trained("plain-14");
    let found = rows(folder.path(), "lesion", &["--samples", "1"]);
    assert_eq!(found, rows(folder.path(), "lesion", &["--samples", "1"]));
    let singles = found.iter().filter(|row| row["test"] == "single");
    let blocks: Vec<&str> = singles.map(|row| row["block"].as_str().unwrap()).collect();
    assert_eq!(blocks, ["layer1.0", "layer1.1", "layer2.1", "layer3.1"]);
    let taus = found.iter().filter(|row| row["test"] == "exchange");
    assert!(taus.clone().count() > 0 && taus.clone().all(|row| row["tau"].is_f64()));
}

#[test]
fn gradients_of_a_net_and_its_twin_repeat_and_paths_add_up() {
    let folder = trained("resnet-8");
    let found = rows(folder.path(), "gradients", &["--images", "64"]);
    assert_eq!(found, rows(folder.path(), "gradients", &["--images", "64"]));
    let count = |network: &str, weights: &str, quantity: &str| {
        let is = |row: &&serde_json::Value| {
            row["network"] == network && row["weights"] == weights && row["quantity"] == quantity
        };
        found.iter().filter(is).count()
    };
    // 7 normalised layers and 8 with weights; with and without normalisation if they are fresh.
    assert_eq!(count("resnet-8", "given", "output"), 7);
    assert_eq!(count("plain-8", "given", "output"), 0);
    for network in ["resnet-8", "plain-8"] {
        assert_eq!(count(network, "initial", "weights"), 2 * 8, "{network}");
        // The maps between 3 blocks, at two distances.
        assert_eq!(count(network, "initial", "correlation"), 2 * 2 * 4, "{network}");
    }
    let top =
        found.iter().find(|row| row["layer"] == "layer3.0" && row["quantity"] == "correlation");
    assert!(top.unwrap()["mean"].as_f64().unwrap() > 0.999, "{top:?}");

    let found = rows(folder.path(), "paths", &["--images", "64", "--paths", "2"]);
    assert_eq!(found, rows(folder.path(), "paths", &["--images", "64", "--paths", "2"]));
    let sum = |column: &str| found.iter().map(|row| row[column].as_f64().unwrap()).sum::<f64>();
    assert_eq!(found.len(), 4);
    for column in ["paths_percent", "gradient_percent"] {
        assert!((sum(column) - 100.0).abs() < 1e-9, "{column}");
    }
    assert_eq!(sum("samples"), 4.0 * 2.0);

    succeed(folder.path(), &["analyze", "gradients,paths", "--run", "run", "--data", "data"]);
    let record =
        std::fs::read_to_string(folder.path().join("run/analysis/gradients.toml")).unwrap();
    for key in ["output_ratio_given", "twin_output_factor_initial_unnormalized", "sentence"] {
        assert!(record.contains(&format!("\n{key} = ")), "{key}: {record}");
    }
    let verified = succeed(folder.path(), &["verify", "run"]);
    assert!(verified.contains("1 finished run, 2 analyses: every file is as"), "{verified}");
}

#[test]
fn gradients_and_paths_refuse_what_they_cannot_look_at() {
    let folder = trained("plain-8");
    let analyze = |kind: &'static str, more: &[&'static str]| {
        [&["analyze", kind, "--run", "run", "--data", "data"], more].concat()
    };
    refuse(folder.path(), &analyze("paths", &[]), 2, &["plain-8", "one path"]);
    refuse(folder.path(), &analyze("gradients", &["--images", "3"]), 2, &["--images", "4"]);
    refuse(folder.path(), &analyze("paths", &["--paths", "0"]), 2, &["--paths"]);
    refuse(folder.path(), &analyze("gradients", &["--out", "run"]), 2, &["--out run", "analysis"]);
    let all = run(folder.path(), &analyze("all", &["--images", "64"]));
    assert_eq!(all.status.code(), Some(0), "{}", stderr(&all));
    assert!(stderr(&all).contains("paths is left out"), "{}", stderr(&all));
}

#[test]
fn what_cannot_be_analysed_is_refused_in_one_line() {
    let folder = trained("resnet-8");
    let of = |network: &'static str, weights: &'static str| {
        [
            "analyze",
            "lesion",
            "--network",
            network,
            "--weights",
            weights,
            "--data",
            "data",
            "--json",
        ]
    };
    refuse(folder.path(), &of("resnet-20", "run/weights.safetensors"), 2, &["layer1.1", "missing"]);
    refuse(folder.path(), &of("resnet-8", "nowhere"), 2, &["nowhere"]);
    refuse(folder.path(), &["analyze", "lesions", "--run", "run"], 2, &["lesions", "responses"]);
    refuse(folder.path(), &["analyze", "all", "--run", "."], 2, &["run.toml"]);
    refuse(
        folder.path(),
        &["analyze", "lesion", "--run", "run", "--data", "data", "--images", "0"],
        2,
        &["--images"],
    );
    let without_out = &of("resnet-8", "run/weights.safetensors")[..8];
    refuse(folder.path(), without_out, 2, &["--out"]);
    succeed(
        folder.path(),
        &common::small(&[
            "train",
            "--network",
            "highway-19",
            "--iterations",
            "1",
            "--out",
            "gated",
        ]),
    );
    let highway = ["analyze", "lesion", "--run", "gated", "--data", "data"];
    refuse(folder.path(), &highway, 2, &["highway-19", "blocks"]);
    std::fs::remove_file(folder.path().join("run/weights.safetensors")).unwrap();
    refuse(
        folder.path(),
        &["analyze", "all", "--run", "run", "--data", "data"],
        2,
        &["--no-weights"],
    );
}

#[test]
fn an_interrupt_keeps_what_is_done() {
    let folder = trained("resnet-20");
    // More work than a second's.
    common::write_cifar(&folder.path().join("data"), 320, 100);
    let arguments = ["analyze", "lesion", "--run", "run", "--data", "data", "--samples", "40"];
    let mut child = command(folder.path(), &arguments)
        .stderr(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    common::wait_until_it_handles(child.id(), libc::SIGINT);
    // SAFETY: sends a signal to a child that is not waited for yet.
    unsafe { libc::kill(child.id() as i32, libc::SIGINT) };
    let code = child.wait().unwrap().code();
    assert!(matches!(code, Some(75) | Some(0)), "{code:?}");
    let output = run(folder.path(), &["verify", "run"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[test]
fn generalisation_counts_all_images_of_both_splits_and_the_test_error_is_the_runs() {
    let folder = trained("resnet-8");
    let found = rows(folder.path(), "generalisation", &[]);
    let of = |place: usize, key: &str| found[place][key].clone();
    assert_eq!((found.len(), of(0, "split"), of(1, "split")), (2, "train".into(), "test".into()));
    assert_eq!((of(0, "images"), of(1, "images")), (320.into(), 100.into()));
    let evaluated = std::fs::read_to_string(folder.path().join("run/eval.csv")).unwrap();
    let error = evaluated.lines().last().unwrap().split(',').nth(3).unwrap();
    assert_eq!(of(1, "error").as_f64().unwrap(), error.parse::<f64>().unwrap());
    let wrong = of(0, "wrong").as_f64().unwrap();
    assert_eq!(of(0, "error").as_f64().unwrap(), wrong * 100.0 / 320.0);
    let few = rows(folder.path(), "generalisation", &["--images", "7"]);
    assert_eq!((few[0]["images"].clone(), few[1]["images"].clone()), (7.into(), 7.into()));
    let one_split =
        ["analyze", "generalisation", "--run", "run", "--data", "data", "--split", "test"];
    refuse(folder.path(), &one_split, 2, &["--split", "generalisation"]);
}

#[test]
fn training_images_that_a_run_held_out_are_not_analysed_and_generalisation_needs_no_blocks() {
    let folder = workspace();
    let arguments = ["train", "--network", "highway-19", "--iterations", "1", "--out", "run"];
    let held_out = ["--set", "validation=64"];
    succeed(folder.path(), &[&common::small(&arguments)[..], &held_out].concat());
    let found = rows(folder.path(), "generalisation", &[]);
    assert_eq!(found[0]["images"], 320 - 64);
    // The seed of an analysis is not that of the run, which decided on the images.
    assert_eq!(found, rows(folder.path(), "generalisation", &["--seed", "5"]));
    let arguments = ["train", "--network", "plain-8", "--iterations", "1", "--out", "blocks"];
    succeed(folder.path(), &[&common::small(&arguments)[..], &held_out].concat());
    let arguments = ["analyze", "responses", "--run", "blocks", "--data", "data", "--json"];
    let found = succeed(folder.path(), &[&arguments[..], &["--split", "train"]].concat());
    let found: serde_json::Value = serde_json::from_str(&found).unwrap();
    assert_eq!(found["images"], 320 - 64);
}

#[test]
fn the_report_has_a_section_of_the_analyses_below_its_results() {
    let folder = workspace();
    for network in ["plain-14", "resnet-14"] {
        let run = format!("runs/{network}/seed-0");
        let arguments = ["train", "--network", network, "--iterations", "2", "--out", &run];
        succeed(folder.path(), &common::small(&arguments));
        let kinds = "responses,lesion,generalisation";
        succeed(folder.path(), &["analyze", kinds, "--run", &run, "--data", "data"]);
        let surface = ["analyze", "landscape,curvature", "--run", &run, "--data", "data"];
        let small = ["--images", "20", "--grid", "5", "--slices", "1"];
        let few = ["--eigenvalues", "2", "--steps", "4", "--probes", "2"];
        succeed(folder.path(), &[&surface[..], &small, &few].concat());
    }
    let text = succeed(folder.path(), &["figures"]);
    assert!(text.contains("Inside the nets: 10 analyses of 2 nets, all complete"), "{text}");
    let report = folder.path().join("runs/report");
    let page = std::fs::read_to_string(report.join("report.html")).unwrap();
    assert!(page.contains("<a href=\"#analyses\">Inside the nets</a>"));
    let lesions = ["lesion-blocks", "lesion-counts", "lesion-order"];
    let losses = ["landscape-14", "landscape-slices", "eigenvalues"];
    for name in ["figure-7"].iter().chain(&lesions).chain(&losses) {
        assert!(page.contains(&format!("id=\"analyses-{name}\"")), "{name}");
        for ending in ["svg", "png", "csv", "tex"] {
            assert!(report.join(format!("analyses/{name}.{ending}")).is_file(), "{name}.{ending}");
        }
    }
    for name in ["responses", "lesion", "generalisation", "landscape", "curvature"] {
        assert!(report.join(format!("analyses/{name}.md")).is_file(), "{name}.md");
        let is_figure = report.join(format!("analyses/{name}.svg")).exists();
        assert!(!is_figure, "{name}: the CSV of a figure would be that of a table");
    }
    let json = succeed(folder.path(), &["figures", "--json"]);
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["analyses"]["count"], "10 analyses of 2 nets");
}

/// A landscape of 25 grid points and 9 of a slice, of 60 images.
const LANDSCAPE: &[&str] = &[
    "analyze",
    "landscape",
    "--run",
    "run",
    "--data",
    "data",
    "--images",
    "60",
    "--grid",
    "5",
    "--slices",
    "1",
];

#[test]
fn a_landscape_that_was_stopped_goes_on_to_the_same_bytes() {
    let folder = trained("resnet-8");
    let whole = [LANDSCAPE, &["--out", "whole"]].concat();
    succeed(folder.path(), &whole);
    let read = |path: &str| std::fs::read_to_string(folder.path().join(path)).unwrap();
    let expected = read("whole/landscape.csv");
    assert!(expected.starts_with("slice,x,y,loss,error,wrong\n,-1.0,-1.0,"), "{expected}");
    assert_eq!(expected.lines().count(), 1 + 25 + 9);
    assert!(read("whole/landscape.toml").contains("not_convex_percent"));
    assert!(!folder.path().join("whole/landscape.points").exists());

    let points = folder.path().join("run/analysis/landscape.points");
    let mut child = command(folder.path(), LANDSCAPE)
        .stderr(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    common::wait_until("some points", || common::lines(&points) > 4);
    // SAFETY: sends a signal to a child that is not waited for yet.
    unsafe { libc::kill(child.id() as i32, libc::SIGINT) };
    assert_eq!(child.wait().unwrap().code(), Some(75));
    let stopped = read("run/analysis/landscape.csv");
    assert!(expected.starts_with(&stopped) && stopped.len() < expected.len());
    assert!(read("run/analysis/landscape.toml").contains("complete = false"));

    // Half a line, as a kill leaves it, is computed again.
    let kept = std::fs::read(&points).unwrap();
    std::fs::write(&points, &kept[..kept.len() - 7]).unwrap();
    succeed(folder.path(), LANDSCAPE);
    assert_eq!(read("run/analysis/landscape.csv"), expected);
    assert!(!points.exists());

    // Points of other settings, and changed ones, are not used.
    let kept = String::from_utf8(kept).unwrap();
    for (was, is, message) in [
        ("\"grid\":5", "\"grid\":7", "begun again"),
        (",,-1.0,", ",,-1.5,", "line 2 is not as it was written"),
    ] {
        assert!(kept.contains(was), "{kept}");
        std::fs::write(&points, kept.replacen(was, is, 1)).unwrap();
        let output = run(folder.path(), LANDSCAPE);
        assert_eq!(output.status.code(), Some(0));
        assert!(stderr(&output).contains(message), "{}", stderr(&output));
        assert_eq!(read("run/analysis/landscape.csv"), expected);
    }
    succeed(folder.path(), &["verify", "run"]);
}

#[test]
fn twins_are_looked_at_along_the_same_axes_and_grids_without_a_centre_are_refused() {
    let folder = trained("plain-8");
    let arguments = ["train", "--network", "resnet-8", "--iterations", "2", "--out", "twin"];
    succeed(folder.path(), &common::small(&arguments));
    let signs = |run: &str| {
        let path = format!("{run}.safetensors");
        let arguments = ["analyze", "landscape", "--run", run, "--data", "data", "--json"];
        let small = ["--images", "1", "--grid", "3", "--directions", &path];
        succeed(folder.path(), &[&arguments[..], &small].concat());
        let bytes = std::fs::read(folder.path().join(path)).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let numbers = file.tensor("y.layer2.0.conv1.weight").unwrap();
        let is_positive = |bytes: &[u8]| f32::from_le_bytes(bytes.try_into().unwrap()) > 0.0;
        numbers.data().chunks(4).map(is_positive).collect::<Vec<_>>()
    };
    assert_eq!(signs("run"), signs("twin"));
    let analyze = ["analyze", "landscape", "--run", "run", "--data", "data"];
    for (option, value) in
        [("--grid", "1"), ("--grid", "4"), ("--range", "0"), ("--range", "-1"), ("--range", "nan")]
    {
        let joined = format!("{option}={value}");
        refuse(folder.path(), &[&analyze[..], &[&joined]].concat(), 2, &[option]);
    }
}

#[test]
fn weights_with_nan_are_refused_by_name() {
    let folder = trained("resnet-8");
    let path = folder.path().join("run/weights.safetensors");
    let mut bytes = std::fs::read(&path).unwrap();
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(folder.path().join("nan.safetensors"), bytes).unwrap();
    for kind in ["landscape", "curvature"] {
        let arguments = [
            "analyze",
            kind,
            "--network",
            "resnet-8",
            "--weights",
            "nan.safetensors",
            "--data",
            "data",
            "--json",
        ];
        refuse(folder.path(), &arguments, 2, &["nan.safetensors", "NaN"]);
    }
}

#[test]
fn a_curvature_has_a_row_for_each_quantity_and_repeats() {
    let folder = trained("resnet-8");
    let options = ["--images", "20", "--eigenvalues", "2", "--steps", "6", "--probes", "2"];
    let found = rows(folder.path(), "curvature", &options);
    let names: Vec<&str> = found.iter().map(|row| row["quantity"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "loss",
            "gradient-norm",
            "eigenvalue",
            "eigenvalue",
            "smallest-eigenvalue",
            "central-difference",
            "trace"
        ]
    );
    assert!(found[2]["value"].as_f64().unwrap() > found[3]["value"].as_f64().unwrap());
    assert_eq!(found, rows(folder.path(), "curvature", &options));
    let record =
        std::fs::read_to_string(folder.path().join("run/analysis/curvature.toml")).unwrap();
    assert!(
        record.contains("negative_to_positive") && record.contains("complete = true"),
        "{record}"
    );
}
