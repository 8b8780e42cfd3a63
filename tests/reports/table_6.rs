//! Table 6: ours beside the paper's, and what is judged.

use crate::common::{edit_record, succeed};
use crate::paper_runs::{change, paper_size, read, write_run};

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
