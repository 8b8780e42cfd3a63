//! `figures`: tables, charts and the report from logs whose numbers are known.

use crate::common;
use crate::common::{edit_record, refuse, run, stderr, stdout, succeed};
use std::path::Path;

use resnet_repro::analysis::images::Split;
use resnet_repro::analysis::kind::Kind;
use resnet_repro::analysis::record::AnalysisRecord;
use resnet_repro::analysis::{generalisation, lesion, responses};
use resnet_repro::config::dataset_name::DatasetName;
use resnet_repro::config::network_name::NetworkName;
use resnet_repro::config::recipe::{Normalize, Recipe};
use resnet_repro::dataset::data::DataStatus;
use resnet_repro::network::architecture::cifar;
use resnet_repro::records::dataset_record::DatasetRecord;
use resnet_repro::records::directory::RunDirectory;
use resnet_repro::records::provenance::Provenance;
use resnet_repro::records::run_toml::{Progress, RunConfig, RunRecord, State};

/// Writes a run of the paper's recipe on CIFAR-10 that is `done` iterations far: its training error
/// falls evenly from 50 to 10 % (a plain net's from 60 to 20 %), its test error is `last` + 1 % but
/// at the end of the 64,000 iterations, where it is `last`.
fn write_run(results: &Path, network: &str, seed: u64, done: u64, last: f64) {
    let network: NetworkName = network.parse().unwrap();
    let directory = RunDirectory::of(&results.join("some-experiment"), network, seed);
    std::fs::create_dir_all(directory.path()).unwrap();
    let first = if network.is_plain() { 60.0 } else { 50.0 };
    let mut train = String::from("iteration,learning_rate,loss,error\n");
    for iteration in 1..=done {
        let rate = if iteration <= 32_000 {
            0.1
        } else if iteration <= 48_000 {
            0.01
        } else {
            0.001
        };
        train.push_str(&format!(
            "{iteration},{rate},1.5,{}\n",
            first - 40.0 * iteration as f64 / 64_000.0
        ));
    }
    let mut evaluations = String::from("iteration,split,loss,error,top5_error\n");
    for iteration in (1000..=done).step_by(1000) {
        evaluations.push_str(&format!(
            "{iteration},test,1.5,{},1\n",
            if iteration == 64_000 { last } else { last + 1.0 }
        ));
    }
    std::fs::write(directory.train_log(), train).unwrap();
    std::fs::write(directory.evaluation_log(), evaluations).unwrap();
    let fingerprint = "0".repeat(64);
    let dataset = DatasetRecord {
        name: DatasetName::Cifar10,
        status: DataStatus::Official,
        fingerprint,
        training_images: 50_000,
        test_images: 10_000,
        classes: 10,
        title: None,
        class_names: Vec::new(),
        test_percent: None,
    };
    let recipe = Recipe { warmup: network.depth() >= 110, ..Recipe::default() };
    let record = RunRecord {
        state: if done == 64_000 { State::Finished } else { State::Running },
        parameters: cifar::architecture(network, 10).unwrap().parameter_count(),
        differences_from_paper: Vec::new(),
        weights_sha256: None,
        kept_state_sha256: None,
        unreadable_images: Default::default(),
        mean_image_sha256: None,
        progress: Progress {
            iterations: done,
            seconds: 3600.0,
            images_per_second: 500.0,
            ..Progress::default()
        },
        files: Default::default(),
        run: RunConfig { network, seed, dataset, recipe, initial_weights: None },
        provenance: Provenance::now(tch::Device::Cpu),
        earlier_attempts: Vec::new(),
        extensions: Vec::new(),
        failures: Vec::new(),
    };
    record.write(&directory.record()).unwrap();
}

fn paper_size(folder: &Path) {
    let results = folder.join("runs");
    write_run(&results, "plain-20", 0, 64_000, 11.0);
    write_run(&results, "resnet-20", 0, 64_000, 8.6);
    write_run(&results, "resnet-20", 1, 64_000, 8.8);
    write_run(&results, "resnet-32", 0, 12_000, 7.5);
}

#[test]
fn table_6_has_ours_beside_the_papers_with_verdict_and_what_is_missing_partial_or_quoted() {
    let folder = tempfile::tempdir().unwrap();
    paper_size(folder.path());
    let text = succeed(folder.path(), &["figures"]);
    assert!(text.contains("CIFAR-10, 64,000 iterations: 4 runs, not complete: resnet-32 seed 0 at iteration 12,000"), "{text}");
    let table = std::fs::read_to_string(folder.path().join("runs/report/cifar10-64000/table-6.md"))
        .unwrap();
    for row in [
        "| Highway     |     19 |       2.3M | 7.54 (7.72 ± 0.16) |     – |                – |     – |         – |                           quoted |",
        "| plain-20    |     20 |    269,722 |             ≈ 9.50 |     1 |            11.00 | 11.00 |   ≈ +1.50 |                      outside ± 1 |",
        "| plain-110   |    110 |  1,727,962 |               > 60 |     – |                – |     – |         – |                          missing |",
        "| resnet-20   |     20 |    269,722 |               8.75 |     2 |      8.70 ± 0.14 |  8.70 |     -0.05 |                     inside ± 0.5 |",
        "| resnet-32   |     32 |    464,154 |               7.51 |     0 |                – |     – |         – | partial: 12,000 of 64,000 iterations |",
    ] {
        // Widths depend on the longest cell; what is in the cells does not.
        let cells =
            |line: &str| line.split('|').map(|cell| cell.trim().to_string()).collect::<Vec<_>>();
        let wanted = cells(row);
        let found = table
            .lines()
            .map(cells)
            .find(|found| found.len() > 3 && found[1] == wanted[1] && found[2] == wanted[2]);
        let found = found.unwrap_or_else(|| panic!("{}: no such row in\n{table}", wanted[1]));
        let matches = found.iter().zip(&wanted).enumerate().all(|(column, (found, wanted))| {
            found == wanted || column == 7 && found.starts_with(wanted.as_str())
        });
        assert!(matches, "{found:?}\n{wanted:?}");
    }
    let csv = std::fs::read_to_string(folder.path().join("runs/report/cifar10-64000/table-6.csv"))
        .unwrap();
    let lines: Vec<&str> = csv.lines().collect();
    for line in [
        "row,network,layers,parameters,paper,paper_mean,paper_std,paper_approximate,seeds,mean,std,best_mean,best_std,deviation,verdict",
        "quoted,Highway,19,2300000,7.54,7.72,0.16,false,,,,,,,quoted",
        "complete,plain-20,20,269722,9.5,,,true,1,11,,11,,1.5,outside ± 1",
        "complete,resnet-20,20,269722,8.75,,,false,2,8.7,0.14142,8.7,0.14142,-0.05,inside ± 0.5",
        "missing,resnet-1202,1202,19421274,7.93,,,false,,,,,,,missing",
    ] {
        assert!(lines.contains(&line), "{line}\n{csv}");
    }
}

#[test]
fn runs_in_another_precision_on_official_data_are_judged_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path().join("runs");
    for (network, last) in [("plain-20", 9.4), ("resnet-20", 8.6)] {
        write_run(&results, network, 0, 64_000, last);
        change(&results, network, 0, "precision = \"f32\"", "precision = \"bf16\"");
    }
    let text = succeed(folder.path(), &["figures"]);
    for part in [
        "CIFAR-10, 64,000 iterations, precision bf16: 2 runs",
        "the paper's but for its precision, bf16 instead of f32: training curves in bf16 agree with float32's within the spread of seeds",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let table = read(&results, "cifar10-64000-precision-bf16/table-6.csv");
    for part in ["inside ± 1 (bf16)", "inside ± 0.5 (bf16)"] {
        assert!(table.contains(part), "{part}: {table}");
    }
    change(&results, "resnet-20", 0, "momentum = 0.9", "momentum = 0.8");
    succeed(folder.path(), &["figures"]);
    let table = read(&results, "cifar10-64000-momentum-0.8-precision-bf16/table-6.csv");
    assert!(table.contains("not comparable: another recipe"), "{table}");
}

#[test]
fn the_best_evidence_comes_first_official_then_long_then_many_seeds() {
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path().join("runs");
    let short = |run: &str, network: &str, seed: u64, iterations: u64| {
        write_run(&results.join(run), network, seed, iterations, 30.0);
        change(
            &results.join(run),
            network,
            seed,
            "iterations = 64000",
            &format!("iterations = {iterations}"),
        );
    };
    for seed in 0..2 {
        short("bands", "resnet-20", seed, 2000);
    }
    short("more-recipes", "resnet-20", 0, 2000);
    change(&results.join("more-recipes"), "resnet-20", 0, "momentum = 0.9", "momentum = 0.8");
    short("longer-on-other-data", "resnet-20", 0, 3000);
    change(
        &results.join("longer-on-other-data"),
        "resnet-20",
        0,
        "status = \"official\"",
        "status = \"other\"",
    );
    change(
        &results.join("longer-on-other-data"),
        "resnet-20",
        0,
        "fingerprint = \"0",
        "fingerprint = \"1",
    );
    // Official and longest, but nothing is complete yet.
    write_run(&results.join("begun"), "resnet-20", 0, 500, 30.0);
    let text = succeed(folder.path(), &["figures", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let titles: Vec<&str> = json["protocols"]
        .as_array()
        .unwrap()
        .iter()
        .map(|protocol| protocol["title"].as_str().unwrap())
        .collect();
    let milestones = "milestones [32000, 48000]";
    assert_eq!(
        titles,
        [
            format!("CIFAR-10, 2,000 iterations, {milestones}"),
            format!("CIFAR-10, 2,000 iterations, {milestones}, momentum 0.8"),
            format!("CIFAR-10 (unofficial copy), 3,000 iterations, {milestones}"),
            "CIFAR-10, 64,000 iterations".to_string(),
        ]
    );
}

#[test]
fn bands_of_five_seeds_name_n_and_pairs_have_their_interval() {
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path().join("runs");
    for seed in 0..5 {
        for (network, last) in [("plain-20", 30.0), ("resnet-20", 27.0)] {
            // Differences of 3.0, 3.1, … 3.4 points.
            let last = if network == "resnet-20" { last - 0.1 * seed as f64 } else { last };
            write_run(&results, network, seed, 2000, last);
            change(&results, network, seed, "iterations = 64000", "iterations = 2000");
        }
    }
    succeed(folder.path(), &["figures"]);
    let slug = "cifar10-2000-milestones-32000-48000";
    let svg = read(&results, &format!("{slug}/figure-6.svg"));
    for part in ["plain-20 (n = 5)", "resnet-20 (n = 5)", "mean of n = 5 seeds, bands ± 1 standard"]
    {
        assert!(svg.contains(part), "{part}");
    }
    let curves = read(&results, &format!("{slug}/figure-6.csv"));
    assert!(curves.contains("residual nets,resnet-20,test error,2000,27.8,0.15811,5"), "{curves}");
    // The mean of five, ± 2.776 · 0.1581 / √5 = 0.196.
    let pairs = read(&results, &format!("{slug}/pairs.csv"));
    assert!(pairs.contains(",-3.2,-3.39"), "{pairs}");
    let markdown = read(&results, &format!("{slug}/pairs.md"));
    assert!(markdown.contains("-3.20 \\[-3.40, -3.00\\]"), "{markdown}");
}

#[test]
fn the_same_run_twice_is_shown_once_and_the_report_says_which_and_why() {
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path().join("runs");
    write_run(&results, "plain-20", 0, 64_000, 9.5);
    write_run(&results.join("mine"), "plain-20", 0, 1000, 9.5);
    let text = succeed(folder.path(), &["figures"]);
    assert!(
        text.contains(
            "plain-20 seed 0 is there more than once: some-experiment/plain-20/seed-0 is shown, since it has more iterations; mine/some-experiment/plain-20/seed-0 is left out, at iteration 1,000."
        ),
        "{text}"
    );
    let runs = read(&results, "cifar10-64000/runs.csv");
    assert!(
        runs.contains("\nleft-out,mine/some-experiment/plain-20/seed-0,")
            && runs.contains("\ncomplete,some-experiment/plain-20/seed-0,"),
        "{runs}"
    );
}

#[test]
fn a_bad_run_is_named_and_the_others_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path().join("runs");
    write_run(&results, "plain-20", 0, 2000, 9.5);
    let log = |run: &str| {
        write_run(&results.join(run), "plain-20", 0, 2000, 9.5);
        results.join(run).join("some-experiment/plain-20/seed-0/train.csv")
    };
    let replace = |run: &str, from: &str, to: &str| {
        let path = log(run);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from}");
        std::fs::write(path, text.replacen(from, to, 1)).unwrap();
    };
    replace("doubled", "\n7,0.1", "\n7,0.1,1.5,50\n7,0.1");
    replace("falling", "\n7,0.1", "\n3,0.1");
    replace("lost", "\n7,0.1", "\n97,0.1");
    replace("rate", "\n7,0.1", "\n7,1e-300");
    replace("rates", "\n7,0.1", "\n7,1e308");
    replace("error", "\n7,0.1,1.5,", "\n7,0.1,1.5,9");
    log("overflow");
    change(
        &results.join("overflow"),
        "plain-20",
        0,
        "validation = 0",
        "validation = 18446744073709551615",
    );
    // A recipe that is valid, but of a rate that no log has.
    replace("tiny-rate", ",0.1,", ",1e-300,");
    let output = run(folder.path(), &["figures"]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    for part in [
        "doubled/some-experiment/plain-20/seed-0/train.csv: line 9: iteration 7 after iteration 7",
        "falling/some-experiment/plain-20/seed-0/train.csv: line 8: iteration 3 after iteration 6",
        "lost/some-experiment/plain-20/seed-0/train.csv: line 9: iteration 8 after iteration 97",
        "rate/some-experiment/plain-20/seed-0/train.csv: row 7: a learning rate of 1e-300 is out of range",
        "rates/some-experiment/plain-20/seed-0/train.csv: row 7: a learning rate of 1e308 is out of range",
        "error/some-experiment/plain-20/seed-0/train.csv: an error of",
        "overflow/some-experiment/plain-20/seed-0/run.toml",
        "tiny-rate/some-experiment/plain-20/seed-0/train.csv: row 1: ",
    ] {
        assert!(stderr(&output).contains(part), "{part}\n{}", stderr(&output));
    }
    assert_eq!(stderr(&output).lines().count(), 8, "one line each: {}", stderr(&output));
    assert!(stdout(&output).contains("CIFAR-10, 64,000 iterations: 1 run, not complete"));
}

#[test]
fn a_run_of_many_other_keys_has_a_folder_with_a_name_that_fits() {
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path().join("runs");
    write_run(&results, "plain-20", 0, 2000, 9.5);
    for (from, to) in [
        (
            "milestones = [32000, 48000]",
            "milestones = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63, 64, 65, 66, 67, 68, 69, 70]",
        ),
        ("momentum = 0.9", "momentum = 0.8"),
        ("batch_size = 128", "batch_size = 64"),
    ] {
        change(&results, "plain-20", 0, from, to);
    }
    let text = succeed(folder.path(), &["figures", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let slug = json["protocols"][0]["folder"].as_str().unwrap().rsplit('/').next().unwrap();
    assert!(slug.len() <= 120 && slug.starts_with("cifar10-64000-batch-size-64-"), "{slug}");
    assert!(!slug.contains("--") && results.join("report").join(slug).join("runs.csv").exists());
}

#[test]
fn what_a_bench_file_says_is_text_in_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path().join("runs");
    write_run(&results, "plain-20", 0, 1000, 9.5);
    let measured = r#"{"device": "=HYPERLINK(\"http://x\")|<script>alert(1)</script>", "threads": 1, "kernels": "avx2",
        "peaks": {"f32_operations_per_second": 1e12, "tf32_operations_per_second": 1e12, "bf16_operations_per_second": 1e12, "copy_bytes_per_second": 1e10},
        "rows": [{"network": "resnet-20", "precision": "f32", "width": 1, "path": "fused", "graph": false, "batch": 128, "segments": 1, "iterations": 3,
        "images_per_second": 640, "milliseconds": 200, "quartiles": [199, 201], "peak_memory_bytes": 1073741824, "flops_per_second": 3e11,
        "convolution_milliseconds": 150, "outside_convolutions_percent": 25, "operations_limit_milliseconds": 100, "bytes_limit_milliseconds": 50}]}"#;
    std::fs::write(results.join("bench-x.json"), measured).unwrap();
    succeed(folder.path(), &["figures"]);
    let csv = read(&results, "cost/cost.csv");
    let header = "row,network,machine,precision,batch,images_per_second,milliseconds,gflops_per_second,percent_of_peak,percent_outside_convolutions,peak_memory_bytes";
    assert!(csv.starts_with(header), "{csv}");
    assert!(
        csv.contains(",\"'=HYPERLINK(\"\"http")
            && csv.contains(",f32,128,640,200,300,30.00,25.00,1073741824"),
        "{csv}"
    );
    let markdown = read(&results, "cost/cost.md");
    assert!(!markdown.contains("<script") && markdown.contains(")\\|&lt;script"), "{markdown}");
    assert!(!read(&results, "report.html").contains("<script>alert"));
}

#[test]
fn on_the_synthetic_shapes_nothing_is_compared_with_the_papers_length() {
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path().join("runs");
    write_run(&results, "plain-20", 0, 130, 9.5);
    for (from, to) in [
        ("name = \"cifar10\"", "name = \"shapes\""),
        ("iterations = 64000", "iterations = 130"),
        ("milestones = [32000, 48000]", "milestones = [65, 97]"),
        ("learning_rate = 0.1", "learning_rate = 0.02"),
    ] {
        change(&results, "plain-20", 0, from, to);
    }
    let text = succeed(folder.path(), &["figures"]);
    assert!(text.contains("Synthetic shapes, 130 iterations: 1 run"), "{text}");
    assert!(!text.contains("64,000") && !text.contains("64000"), "{text}");
    assert!(text.contains("runs/report/shapes-130"), "{text}");
}

/// Replaces what is written in a run's record.
fn change(results: &Path, network: &str, seed: u64, from: &str, to: &str) {
    let path = results.join("some-experiment").join(network).join(format!("seed-{seed}/run.toml"));
    edit_record(&path, &[(from, to)]);
}

fn read(results: &Path, file: &str) -> String {
    let path = results.join("report").join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn runs_of_another_warm_up_or_on_a_subset_are_not_judged_with_the_papers() {
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path().join("runs");
    write_run(&results, "resnet-110", 0, 64_000, 6.5);
    write_run(&results, "resnet-110", 1, 64_000, 20.0);
    write_run(&results, "resnet-20", 0, 64_000, 8.7);
    let change = |run: &str, from: &str, to: &str| {
        let path = results.join("some-experiment").join(run).join("run.toml");
        edit_record(&path, &[(from, to)]);
    };
    change("resnet-110/seed-1", "warmup = true", "warmup = false");
    change("resnet-20/seed-0", "fingerprint = \"0", "fingerprint = \"1");
    change("resnet-20/seed-0", "status = \"official\"", "status = \"subset\"");
    let text = succeed(folder.path(), &["figures"]);
    for title in
        ["CIFAR-10, 64,000 iterations: 1 run", "CIFAR-10, 64,000 iterations, warmup false: 1 run"]
    {
        assert!(text.contains(title), "{title}: {text}");
    }
    let table = |slug: &str| {
        std::fs::read_to_string(results.join("report").join(slug).join("table-6.csv")).unwrap()
    };
    let tables =
        [table("cifar10-64000"), table("cifar10-64000-2"), table("cifar10-64000-warmup-false")]
            .concat();
    assert_eq!(tables.matches("inside ± 0.5").count(), 1, "{tables}");
    assert!(
        tables.contains("not comparable: a subset of the data")
            && tables.contains("not comparable: another recipe"),
        "{tables}"
    );
}

#[test]
fn odd_logs_make_no_figure_hang_or_fail() {
    let folder = tempfile::tempdir().unwrap();
    let write = |run: &str, text: &str| {
        let directory = folder.path().join("runs").join(run);
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("train.csv"), text).unwrap();
    };
    let header = "iteration,learning_rate,loss,error\n";
    write("empty/plain-20/seed-0", "");
    write("header/plain-20/seed-0", header);
    write("half/plain-20/seed-0", &header[..10]);
    write("one/plain-20/seed-0", &format!("{header}1,0.1,2.3,90\n"));
    write("no-rate/plain-20/seed-0", &format!("{header}1,,2.3,90\n2,,2.2,80\n"));
    write("zero-rate/plain-20/seed-0", &format!("{header}1,0.1,2.3,90\n2,0,2.2,80\n"));
    write("not-a-number/plain-20/seed-0", &format!("{header}1,0.1,NaN,NaN\n2,0.1,NaN,NaN\n"));
    write("all-wrong/plain-20/seed-0", &format!("{header}1,0.1,2.3,100\n2,0.1,2.2,100\n"));
    let text = succeed(folder.path(), &["figures"]);
    assert_eq!(text.matches("1 run,").count(), 8, "{text}");
    assert!(text.contains("plain-20 seed 0 at iteration 0"), "{text}");
}

#[test]
fn differences_are_paired_and_training_errors_are_taken_along_the_run() {
    let folder = tempfile::tempdir().unwrap();
    paper_size(folder.path());
    write_run(&folder.path().join("runs"), "plain-20", 1, 64_000, 11.4);
    succeed(folder.path(), &["figures", "runs", "--out", "out"]);
    let pairs = std::fs::read_to_string(folder.path().join("out/cifar10-64000/pairs.csv")).unwrap();
    // -2.4 and -2.6: mean -2.5, deviation 0.1414, times 12.706 / √2: ± 1.27.
    assert!(
        pairs.contains("complete,resnet-20 – plain-20,2,-10,-10,-10,-2.5,-3.7706,-1.2294"),
        "{pairs}"
    );
    let curves =
        std::fs::read_to_string(folder.path().join("out/cifar10-64000/pair-curves.csv")).unwrap();
    assert!(
        curves.contains(
            "\n\"residual minus plain, same depth\",resnet-20 – plain-20,difference,64000,-10,0,2"
        ),
        "{}",
        &curves[..300]
    );
    let training =
        std::fs::read_to_string(folder.path().join("out/cifar10-64000/training-errors.csv"))
            .unwrap();
    // The mean over 391 iterations lies half a window, 0.12 points, above the error at the quarter.
    assert!(
        training.contains("complete,resnet-20,2,40.12187,0,30.12187,0,20.12188,0,10.12187,0"),
        "{training}"
    );
    assert!(training.contains("partial,resnet-32,1,,,,,,,,"), "{training}");
}

#[test]
fn figure_6_has_the_papers_axes_and_its_data_are_the_smoothed_logs() {
    let folder = tempfile::tempdir().unwrap();
    paper_size(folder.path());
    succeed(folder.path(), &["figures", "--json"]);
    let report = folder.path().join("runs/report");
    let data = std::fs::read_to_string(report.join("cifar10-64000/figure-6.csv")).unwrap();
    assert!(
        data.starts_with("panel,network,series,iteration,error (%),deviation,seeds\n"),
        "{}",
        &data[..200]
    );
    let last = data
        .lines()
        .rfind(|line| line.starts_with("residual nets,resnet-20,training error,"))
        .unwrap();
    let values: Vec<f64> = last.split(',').skip(3).map(|value| value.parse().unwrap()).collect();
    // A trailing mean over 391 iterations of a line that falls by 40 / 64,000 an iteration.
    assert_eq!(values[0], 64_000.0);
    assert!((values[1] - (10.0 + 195.0 * 40.0 / 64_000.0)).abs() < 1e-4, "{values:?}");
    let page = std::fs::read_to_string(report.join("report.html")).unwrap();
    let json = common::page_data(&page);
    let chart = &json["charts"]["cifar10-64000-figure-6"];
    assert_eq!(
        (chart["x_scale"].as_f64(), chart["panels"].as_array().unwrap().len()),
        (Some(10_000.0), 3)
    );
    assert_eq!(chart["panels"][0]["y"], serde_json::json!([0.0, 20.0]));
    assert_eq!(chart["panels"][1]["series"][2]["note"], "seed 0 at iteration 12,000 of 64,000");
    for name in ["figure-6", "learning-rate", "throughput"] {
        assert!(
            report.join(format!("cifar10-64000/{name}.svg")).exists()
                && report.join(format!("cifar10-64000/{name}.png")).exists(),
            "{name}"
        );
    }
    let svg = std::fs::read_to_string(report.join("cifar10-64000/figure-6.svg")).unwrap();
    assert!(
        svg.contains("110 and 1202 layers")
            && svg.contains("no runs yet")
            && svg.contains("iteration (1e4)")
    );
}

#[test]
fn the_report_is_one_file_without_a_word_from_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    paper_size(folder.path());
    succeed(folder.path(), &["figures"]);
    let page = std::fs::read_to_string(folder.path().join("runs/report/report.html")).unwrap();
    for part in
        ["src=\"http", "<link rel=\"stylesheet", "@import", "fetch(", "XMLHttpRequest", "{{"]
    {
        assert!(!page.contains(part), "{part}");
    }
    assert_eq!(
        page.matches("<img alt=\"").count(),
        page.matches("<img").count(),
        "every picture has a description"
    );
    assert!(
        page.contains("resnet-20 test error 8.7 % at iteration 64,000"),
        "what the picture shows, in words"
    );
    assert!(
        page.contains("<code>resnet-repro figures runs</code>")
            && page.contains("style-src 'sha256-")
            && page.contains("script-src 'sha256-")
            && !page.contains("unsafe-inline")
            && page.contains("class=\"verdict inside\"")
            && page.contains("class=\"quoted\"")
    );
}

#[test]
fn readme_gets_its_results_between_the_markers() {
    let folder = tempfile::tempdir().unwrap();
    paper_size(folder.path());
    let readme = folder.path().join("README.md");
    refuse(folder.path(), &["figures", "--readme", "README.md"], 2, &["--readme README.md"]);
    std::fs::write(&readme, "# Mine\n<!-- results: made by \"resnet-repro figures --readme\" -->\n<!-- end of results -->\nThe end.\n").unwrap();
    for _ in ["at first", "and again"] {
        succeed(folder.path(), &["figures", "--readme", "README.md"]);
        let text = std::fs::read_to_string(&readme).unwrap();
        assert!(
            text.starts_with("# Mine\n") && text.ends_with("<!-- end of results -->\nThe end.\n"),
            "{text}"
        );
        assert_eq!(text.matches("(runs/report/cifar10-64000/figure-6.svg)").count(), 1, "{text}");
        assert!(text.lines().count() < 45 && text.matches("| network").count() == 1, "{text}");
        assert!(!text.contains("Also in the report"), "{text}");
    }
    // Fourteen others, of which twelve have a line.
    let results = folder.path().join("runs");
    for more in 0..14 {
        let other = results.join(format!("other-{more}"));
        write_run(&other, "plain-20", 0, 1000, 30.0);
        change(&other, "plain-20", 0, "momentum = 0.9", &format!("momentum = 0.{}", 10 + more));
    }
    succeed(folder.path(), &["figures", "--readme", "README.md"]);
    let text = std::fs::read_to_string(&readme).unwrap();
    let (_, links) = text.split_once("Also in the report:\n\n").unwrap();
    assert_eq!(links.matches("- [CIFAR-10, 64,000 iterations, momentum 0.").count(), 12, "{text}");
    assert!(
        links.contains("\n- 2 more in [report.html](runs/report/report.html)\n\n<!--"),
        "{text}"
    );
}

#[test]
fn logs_that_cannot_be_read_are_named_and_the_others_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    refuse(folder.path(), &["figures", "nowhere"], 2, &["nowhere", "no such folder", "sweep"]);
    std::fs::create_dir(folder.path().join("runs")).unwrap();
    refuse(folder.path(), &["figures"], 2, &["runs", "no runs found", "sweep"]);
    write_run(&folder.path().join("runs"), "plain-20", 0, 64_000, 9.5);
    let broken = folder.path().join("runs/other/plain-32/seed-0");
    std::fs::create_dir_all(&broken).unwrap();
    std::fs::write(broken.join("train.csv"), "step,acc\n1,2\n").unwrap();
    let output = run(folder.path(), &["figures"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(
        stderr(&output).contains("not read: ")
            && stderr(&output).contains("plain-32/seed-0/train.csv"),
        "{}",
        stderr(&output)
    );
    assert!(stdout(&output).contains("CIFAR-10, 64,000 iterations: 1 run,"), "{}", stdout(&output));
}

/// Writes an analysis of 1,000 test images into `folder`, which is made.
fn write_analysis<Row: serde::Serialize>(
    folder: &Path,
    (kind, network): (Kind, &str),
    (rows, complete): (&[Row], bool),
    summary: &[(&str, f64)],
) {
    std::fs::create_dir_all(folder).unwrap();
    let float = |(key, value): &(&str, f64)| (key.to_string(), toml::Value::Float(*value));
    let mut record = AnalysisRecord {
        kind,
        complete,
        network: network.parse().unwrap(),
        weights_sha256: format!("{network}'s"),
        normalize: Normalize::PixelMean,
        split: Split::Test,
        images: 1000,
        seed: 0,
        seconds: 1.0,
        settings: toml::Table::from_iter([("within_points".into(), toml::Value::Float(1.0))]),
        summary: summary.iter().map(float).collect(),
        files: Default::default(),
        dataset: DatasetRecord {
            name: DatasetName::Cifar10,
            status: DataStatus::Official,
            fingerprint: "0".repeat(64),
            training_images: 50_000,
            test_images: 10_000,
            classes: 10,
            title: None,
            class_names: Vec::new(),
            test_percent: None,
        },
        provenance: Provenance::now(tch::Device::Cpu),
    };
    record.write(folder, rows).unwrap();
}

/// The folder for analyses of a run that [`write_run`] wrote.
fn analysis_of(results: &Path, network: &str, seed: u64) -> std::path::PathBuf {
    let network: NetworkName = network.parse().unwrap();
    let run = RunDirectory::of(&results.join("some-experiment"), network, seed);
    run.path().join("analysis")
}

fn response(layer: &str, kernel: i64, std: f64) -> responses::Row {
    responses::Row { layer: layer.to_string(), kernel, std, mean: 0.0 }
}

#[test]
fn figure_7_shows_the_3_by_3_layers_in_order_and_sorted_of_one_run_a_network() {
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path().join("runs");
    for (network, seed) in [("plain-20", 0), ("resnet-20", 0), ("resnet-20", 1)] {
        write_run(&results, network, seed, 64_000, 10.0);
    }
    let of = |network, seed, rows: &[responses::Row]| {
        let folder = analysis_of(&results, network, seed);
        write_analysis(&folder, (Kind::Responses, network), (rows, true), &[]);
    };
    // A kernel of 1×1 is not the paper's.
    let plain = [response("bn1", 3, 0.5), response("a", 1, 9.0), response("b", 3, 1.25)];
    of("plain-20", 0, &plain);
    of("resnet-20", 1, &[response("bn1", 3, 7.0)]);
    of("resnet-20", 0, &[response("bn1", 3, 0.25), response("b", 3, 0.5)]);
    let given = [response("bn1", 3, 0.125)];
    let public = folder.path().join("runs/public");
    write_analysis(&public, (Kind::Responses, "resnet-20"), (&given[..], false), &[]);
    let text = succeed(folder.path(), &["figures"]);
    for part in [
        "Inside the nets: 4 analyses of 2 nets, not complete: responses of resnet-20 (public)",
        "resnet-20 respond less than those of plain-20: their standard deviations are 0.38 and 0.88",
        "sorted by size, 2 of 2 are lower",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let expected = "\
        panel,network,series,layer,standard deviation,deviation,seeds\n\
        in order of layers,plain-20,standard deviation,1,0.5,0,1\n\
        in order of layers,plain-20,standard deviation,2,1.25,0,1\n\
        in order of layers,resnet-20,standard deviation,1,0.25,0,1\n\
        in order of layers,resnet-20,standard deviation,2,0.5,0,1\n\
        in order of layers,\"resnet-20 (public), not complete\",standard deviation,1,0.125,0,1\n\
        sorted by size,plain-20,standard deviation,1,1.25,0,1\n\
        sorted by size,plain-20,standard deviation,2,0.5,0,1\n\
        sorted by size,resnet-20,standard deviation,1,0.5,0,1\n\
        sorted by size,resnet-20,standard deviation,2,0.25,0,1\n\
        sorted by size,\"resnet-20 (public), not complete\",standard deviation,1,0.125,0,1\n";
    assert_eq!(read(&results, "analyses/figure-7.csv"), expected);
    let table = read(&results, "analyses/responses.csv");
    assert!(table.contains("\npartial,\"resnet-20 (public), not complete\","), "{table}");
    let row = "complete,plain-20,\"CIFAR-10, 64,000 iterations, seed 0\",\"1,000 test images\",2,";
    assert!(table.contains(&format!("{row}0.875,1.25,0.5\n")), "{table}");
}

fn lesioned(test: lesion::Test, block: &str, count: usize, error: f64) -> lesion::Row {
    let tau = (test == lesion::Test::Exchange).then_some(1.0 - count as f64 / 10.0);
    let (block, sample) = (block.to_string(), None);
    lesion::Row { test, block, count, sample, tau, wrong: (error * 10.0) as u64, error, loss: 1.0 }
}

#[test]
fn lesions_are_drawn_by_block_by_number_and_by_order() {
    use lesion::Test::{Exchange, Random, Ranked, Single, Whole};
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path().join("runs");
    write_run(&results, "plain-14", 0, 64_000, 10.0);
    let rows = [
        lesioned(Whole, "", 0, 10.0),
        lesioned(Single, "layer1.0", 1, 30.0),
        lesioned(Single, "layer1.1", 1, 20.0),
        // The third block changes the shape of its maps.
        lesioned(Single, "layer2.1", 1, 90.0),
        lesioned(Random, "", 1, 20.0),
        lesioned(Random, "", 1, 30.0),
        lesioned(Random, "", 2, 60.0),
        lesioned(Ranked, "layer1.1", 1, 20.0),
        lesioned(Exchange, "", 1, 40.0),
        lesioned(Exchange, "", 1, 42.0),
        lesioned(Exchange, "", 2, 50.0),
    ];
    let summary = [("blocks", 6.0), ("blocks_needed", 5.0)];
    let analysis = analysis_of(&results, "plain-14", 0);
    write_analysis(&analysis, (Kind::Lesion, "plain-14"), (&rows[..], true), &summary);
    let text = succeed(folder.path(), &["figures"]);
    let sentence = "plain-14: without one block the error rises from 10.00 % to 30.00 % in the median \
                    (20.00 % without layer1.1, 90.00 % without layer2.1); 5 of 6 blocks are enough";
    assert!(text.contains(sentence), "{text}");
    let lines = |name: &str| {
        let text = read(&results, &format!("analyses/{name}.csv"));
        let begin = "plain nets,plain-14,";
        let rest = |line: &str| line.strip_prefix(begin).unwrap_or(line).to_string();
        text.lines().skip(1).map(rest).collect::<Vec<_>>()
    };
    assert_eq!(
        lines("lesion-blocks"),
        [
            "without the block,1,30,0,1",
            "without the block,2,20,0,1",
            "without the block,4,90,0,1",
            "whole,1,10,0,1",
            "whole,4,10,0,1"
        ]
    );
    assert_eq!(
        lines("lesion-counts"),
        [
            "at random,0,10,0,1",
            "at random,1,25,7.07107,1",
            "at random,2,60,0,1",
            "cheapest first,0,10,0,1",
            "cheapest first,1,20,0,1"
        ]
    );
    assert_eq!(
        lines("lesion-order"),
        ["exchanged,0.8,50,0,1", "exchanged,0.9,41,1.41421,1", "exchanged,1,10,0,1"]
    );
    let table = read(&results, "analyses/lesion.csv");
    assert!(table.ends_with("10,30,20,90,layer2.1,6,5,1\n"), "{table}");
}

#[test]
fn training_and_test_errors_are_drawn_by_depth_and_the_larger_part_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path().join("runs");
    let row = |split, images: u64, wrong: u64| generalisation::Row {
        split,
        images,
        wrong,
        error: wrong as f64 * 100.0 / images as f64,
        loss: 0.5,
    };
    let nets = [("resnet-20", 10_000, 2200), ("resnet-110", 25, 643), ("resnet-1202", 20, 793)];
    for (network, train, test) in nets {
        write_run(&results, network, 0, 64_000, 10.0);
        let rows = [row(Split::Train, 50_000, train), row(Split::Test, 10_000, test)];
        let parameters = [("parameters", 1e6 * train as f64)];
        let analysis = analysis_of(&results, network, 0);
        write_analysis(&analysis, (Kind::Generalisation, network), (&rows[..], true), &parameters);
    }
    let text = succeed(folder.path(), &["figures"]);
    for part in [
        "Bias: the training error is the larger part of the test error: resnet-20 (training 20.00 %, gap 2.00 points).",
        "resnet-110 (training 0.05 %, gap 6.38 points) and resnet-1202 (training 0.04 %, gap 7.89 points).",
        "Of 110 and 1202 layers, the net of 1202 layers overfits: both are fitted, and its test error is higher (training 0.050 and 0.040 %, test 6.43 and 7.93 %).",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let figure = read(&results, "analyses/generalisation-depth.csv");
    let deep: Vec<&str> = figure.lines().filter(|line| line.starts_with("all nets,")).collect();
    assert_eq!(
        deep,
        [
            "all nets,resnet-n,test error,20,22,0,1",
            "all nets,resnet-n,test error,110,6.43,0,1",
            "all nets,resnet-n,test error,1202,7.93,0,1",
            "all nets,resnet-n,training error,20,20,0,1",
            "all nets,resnet-n,training error,110,0.05,0,1",
            "all nets,resnet-n,training error,1202,0.04,0,1"
        ]
    );
    assert_eq!(figure.lines().filter(|line| line.starts_with("up to 110 layers,")).count(), 4);
    let claims = read(&results, "claims/claims.csv");
    let overfits = claims.lines().find(|line| line.contains("overfitting-not-optimisation"));
    assert!(overfits.unwrap().contains(",confirmed,"), "{overfits:?}");
}

#[test]
fn an_analysis_that_was_changed_or_is_of_other_weights_is_named_and_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path().join("runs");
    for network in ["plain-20", "resnet-20", "resnet-32"] {
        write_run(&results, network, 0, 64_000, 10.0);
        let (rows, analysis) = ([response("bn1", 3, 0.5)], analysis_of(&results, network, 0));
        write_analysis(&analysis, (Kind::Responses, network), (&rows[..], true), &[]);
    }
    let changed = analysis_of(&results, "plain-20", 0).join("responses.csv");
    std::fs::write(&changed, "layer,kernel,std,mean\nbn1,3,9.5,0\n").unwrap();
    change(&results, "resnet-20", 0, "state =", "weights_sha256 = \"another's\"\nstate =");
    std::fs::write(analysis_of(&results, "resnet-32", 0).join("lesion.toml"), "kind = 3").unwrap();
    let output = run(folder.path(), &["figures"]);
    assert_eq!(output.status.code(), Some(3));
    let problems = stderr(&output);
    for part in ["plain-20/seed-0/analysis/responses.csv", "of other weights", "lesion.toml"] {
        assert!(problems.contains(part), "{part}: {problems}");
    }
    let figure = read(&results, "analyses/figure-7.csv");
    let nets: Vec<&str> =
        figure.lines().skip(1).map(|line| line.split(',').nth(1).unwrap()).collect();
    assert_eq!(nets, ["resnet-32", "resnet-32"]);
}
