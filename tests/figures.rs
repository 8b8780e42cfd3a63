//! `figures`: tables, charts and the report from logs whose numbers are known.

mod common;

use common::{refuse, run, stderr, stdout, succeed};
use std::path::Path;

use resnet_repro::config::dataset_name::DatasetName;
use resnet_repro::config::network_name::NetworkName;
use resnet_repro::config::recipe::Recipe;
use resnet_repro::dataset::data::DataStatus;
use resnet_repro::network::architecture::cifar;
use resnet_repro::records::directory::RunDirectory;
use resnet_repro::records::provenance::Provenance;
use resnet_repro::records::run_toml::{DatasetRecord, Progress, RunConfig, RunRecord, State};

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
    };
    let recipe = Recipe { warmup: network.depth() >= 110, ..Recipe::default() };
    let record = RunRecord {
        state: if done == 64_000 { State::Finished } else { State::Running },
        parameters: cifar::architecture(network, 10).unwrap().parameter_count(),
        differences_from_paper: Vec::new(),
        weights_sha256: None,
        unreadable_images: Default::default(),
        mean_image_sha256: None,
        progress: Progress {
            iterations: done,
            seconds: 3600.0,
            images_per_second: 500.0,
            ..Progress::default()
        },
        files: Default::default(),
        run: RunConfig { network, seed, dataset, recipe },
        provenance: Provenance::now(tch::Device::Cpu),
        earlier_attempts: Vec::new(),
        failures: Vec::new(),
    };
    record.write(&directory.record()).unwrap();
}

fn paper_size(folder: &Path) {
    let results = folder.join("results");
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
    let table =
        std::fs::read_to_string(folder.path().join("results/report/cifar10-64000/table-6.md"))
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
    let csv =
        std::fs::read_to_string(folder.path().join("results/report/cifar10-64000/table-6.csv"))
            .unwrap();
    assert!(
        csv.contains("partial,resnet-32,")
            && csv.contains("quoted,Maxout,")
            && csv.contains("missing,resnet-1202,"),
        "{csv}"
    );
}

#[test]
fn runs_of_another_warm_up_or_on_a_subset_are_not_judged_with_the_papers() {
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path().join("results");
    write_run(&results, "resnet-110", 0, 64_000, 6.5);
    write_run(&results, "resnet-110", 1, 64_000, 20.0);
    write_run(&results, "resnet-20", 0, 64_000, 8.7);
    let change = |run: &str, from: &str, to: &str| {
        let path = results.join("some-experiment").join(run).join("run.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from));
        std::fs::write(&path, text.replace(from, to)).unwrap();
    };
    change("resnet-110/seed-1", "warmup = true", "warmup = false");
    change("resnet-20/seed-0", "fingerprint = \"0", "fingerprint = \"1");
    change("resnet-20/seed-0", "status = \"official\"", "status = \"subset\"");
    let text = succeed(folder.path(), &["figures"]);
    for title in
        ["CIFAR-10, 64,000 iterations: 1 runs", "CIFAR-10, 64,000 iterations, warmup false: 1 runs"]
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
        let directory = folder.path().join("results").join(run);
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
    assert_eq!(text.matches("1 runs").count(), 8, "{text}");
    assert!(text.contains("plain-20 seed 0 at iteration 0"), "{text}");
}

#[test]
fn differences_are_paired_and_training_errors_are_taken_along_the_run() {
    let folder = tempfile::tempdir().unwrap();
    paper_size(folder.path());
    write_run(&folder.path().join("results"), "plain-20", 1, 64_000, 11.4);
    succeed(folder.path(), &["figures", "results", "--out", "out"]);
    let pairs = std::fs::read_to_string(folder.path().join("out/cifar10-64000/pairs.csv")).unwrap();
    // -2.4 and -2.6: mean -2.5, deviation 0.1414, times 12.706 / √2: ± 1.27.
    assert!(
        pairs.contains(
            "complete,resnet-20 – plain-20,2,\"-10.00 [-10.00, -10.00]\",\"-2.50 [-3.77, -1.23]\""
        ),
        "{pairs}"
    );
    let curves =
        std::fs::read_to_string(folder.path().join("out/cifar10-64000/pair-curves.csv")).unwrap();
    assert!(
        curves.contains(
            "\n\"residual minus plain, same depth\",resnet-20 – plain-20,difference,64000,-10,0"
        ),
        "{}",
        &curves[..300]
    );
    let training =
        std::fs::read_to_string(folder.path().join("out/cifar10-64000/training-errors.csv"))
            .unwrap();
    // The mean over 391 iterations lies half a window, 0.12 points, above the error at the quarter.
    assert!(
        training
            .contains("complete,resnet-20,2,40.12 ± 0.00,30.12 ± 0.00,20.12 ± 0.00,10.12 ± 0.00"),
        "{training}"
    );
    assert!(training.contains("partial,resnet-32,1,–,–,–,–"), "{training}");
}

#[test]
fn figure_6_has_the_papers_axes_and_its_data_are_the_smoothed_logs() {
    let folder = tempfile::tempdir().unwrap();
    paper_size(folder.path());
    succeed(folder.path(), &["figures", "--json"]);
    let report = folder.path().join("results/report");
    let data = std::fs::read_to_string(report.join("cifar10-64000/figure-6.csv")).unwrap();
    assert!(
        data.starts_with("panel,network,series,iteration (1e4),error (%),deviation\n"),
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
    let json = page.split_once("id=\"report-data\">").unwrap().1.split_once("</script>").unwrap().0;
    let json: serde_json::Value = serde_json::from_str(json).unwrap();
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
    let page = std::fs::read_to_string(folder.path().join("results/report/report.html")).unwrap();
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
        page.contains("<code>resnet-repro figures results</code>")
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
        assert_eq!(
            text.matches("(results/report/cifar10-64000/figure-6.svg)").count(),
            1,
            "{text}"
        );
    }
}

#[test]
fn logs_that_cannot_be_read_are_named_and_the_others_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    refuse(folder.path(), &["figures", "nowhere"], 2, &["nowhere", "No such file"]);
    std::fs::create_dir(folder.path().join("results")).unwrap();
    refuse(folder.path(), &["figures"], 2, &["results", "no run there", "sweep"]);
    write_run(&folder.path().join("results"), "plain-20", 0, 64_000, 9.5);
    let broken = folder.path().join("results/other/plain-32/seed-0");
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
    assert!(stdout(&output).contains("CIFAR-10, 64,000 iterations: 1 runs"), "{}", stdout(&output));
}

#[test]
fn completions_and_manual_know_the_commands() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let script = succeed(folder.path(), &["completions", shell]);
        assert!(script.contains("sweep") && script.contains("checkpoint-every"), "{shell}");
    }
    assert!(succeed(folder.path(), &["manual"]).contains(".TH resnet-repro"));
    assert!(succeed(folder.path(), &["manual", "sweep"]).contains("dry\\-run"));
    refuse(folder.path(), &["manual", "dance"], 2, &["dance", "no such command"]);
}
