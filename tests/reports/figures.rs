//! Figures, their data, and the page that they are on.

use crate::common;
use crate::common::{refuse, succeed};
use crate::paper_runs::{change, paper_size, read, write_run};

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
    let links = page.split("<a href=\"").skip(1).filter_map(|rest| rest.split('"').next());
    let files: Vec<&str> = links.filter(|link| !link.starts_with(['#', 'h'])).collect();
    for file in &files {
        assert!(folder.path().join("runs/report").join(file).is_file(), "{file}");
    }
    for file in ["cifar10-64000/table-6.tex", "cifar10-64000/figure-6.csv", "claims/claims.md"] {
        assert!(files.contains(&file), "{file} is not among {files:?}");
    }
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
