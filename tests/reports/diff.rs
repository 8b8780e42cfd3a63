//! `diff`: runs beside each other, as a table, a figure and a gate.

use crate::common;
use crate::common::{edit_record, refuse, run, stderr, stdout, succeed};
use std::path::{Path, PathBuf};

/// The log of a run of 40 iterations whose training error is `error` throughout, and whose test
/// errors after 20 and 40 are `tests`; without a record.
fn write_run(folder: &Path, name: &str, error: f64, tests: [f64; 2]) -> PathBuf {
    let run = folder.join(name);
    std::fs::create_dir_all(&run).unwrap();
    let rows: String = (1..=40).map(|row| format!("{row},0.1,1,{error}\n")).collect();
    std::fs::write(run.join("train.csv"), format!("iteration,learning_rate,loss,error\n{rows}"))
        .unwrap();
    let [first, last] = tests;
    std::fs::write(
        run.join("eval.csv"),
        format!("iteration,split,loss,error,top5_error\n20,test,1,{first},5\n40,test,1,{last},5\n"),
    )
    .unwrap();
    run
}

/// Two folders of three seeds; their last test errors differ by 1, 2 and 3 points.
fn seeds(folder: &Path) {
    for seed in 0..3 {
        let value = f64::from(seed);
        write_run(folder, &format!("a/resnet-8/seed-{seed}"), 30.0, [40.0, 20.0 + value]);
        write_run(folder, &format!("b/resnet-8/seed-{seed}"), 28.0, [41.0, 21.0 + 2.0 * value]);
    }
}

#[test]
fn errors_are_paired_over_seeds_at_the_same_iterations() {
    let folder = tempfile::tempdir().unwrap();
    seeds(folder.path());
    let json = succeed(folder.path(), &["diff", "a", "b", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let rows = json["errors"].as_array().unwrap();
    let of = |error: &str| rows.iter().filter(|row| row["error"] == error).collect::<Vec<_>>();
    let iterations: Vec<u64> =
        of("training error").iter().map(|row| row["iteration"].as_u64().unwrap()).collect();
    assert_eq!(iterations, [10, 20, 30, 40]);
    let last = of("test error")[1];
    assert_eq!(last["iteration"], 40);
    // By hand: mean 2, sample standard deviation 1 of the differences 1, 2, 3.
    assert_eq!(
        last["difference"],
        serde_json::json!({"mean": 2.0, "standard_deviation": 1.0, "count": 3})
    );
    assert_eq!(
        (&last["reference_error"]["mean"], &last["other_error"]["mean"]),
        (&21.0.into(), &23.0.into())
    );
    let text = succeed(folder.path(), &["diff", "a", "b"]);
    // Student's t of two degrees of freedom: 4.303 / √3 = 2.484.
    assert!(text.contains("+2.00 [-0.48, +4.48]"), "{text}");
    assert!(text.contains("not distinguishable from chance: paired t, n = 3"), "{text}");
    assert!(text.contains("-2.00 [-2.00, -2.00]"), "{text}");
}

#[test]
fn records_are_set_side_by_side_and_only_what_differs_is_listed() {
    let folder = common::workspace();
    let path = folder.path();
    for (out, more) in [("a", ""), ("b", "lr=0.05"), ("c", "")] {
        let mut train =
            common::small(&["train", "--network", "resnet-8", "--iterations", "6", "--out", out]);
        if !more.is_empty() {
            train.extend(["--set", more]);
        }
        succeed(path, &train);
    }
    let lines = |others: &[&str]| {
        let text = succeed(path, &[&["diff", "a"], others].concat());
        let line = |line: &str| line.split_whitespace().map(str::to_string).collect::<Vec<_>>();
        text.lines().map(line).filter(|line| !line.is_empty()).collect::<Vec<_>>()
    };
    let found = lines(&["b"]);
    assert!(
        found.contains(&["learning_rate", "recipe", "0.1", "0.05"].map(String::from).to_vec()),
        "{found:?}"
    );
    assert!(
        found.iter().all(|line| line[0] != "momentum" && line[0] != "fingerprint"),
        "{found:?}"
    );
    let same = succeed(path, &["diff", "a", "c"]);
    assert!(same.contains("the records differ in nothing"), "{same}");
    assert!(same.contains("+0.00"), "the same seed and recipe train the same run: {same}");
    edit_record(&path.join("c/run.toml"), &[("seed = 0", "seed = 7")]);
    let found = lines(&["c"]);
    assert!(found.contains(&["seed", "run", "0", "7"].map(String::from).to_vec()), "{found:?}");
}

#[test]
fn a_figure_and_tables_are_written() {
    let folder = tempfile::tempdir().unwrap();
    seeds(folder.path());
    let text = succeed(folder.path(), &["diff", "a", "b", "--out", "out"]);
    assert!(text.contains("out/difference.svg"), "{text}");
    for file in [
        "difference.svg",
        "difference.png",
        "difference-errors.csv",
        "difference-errors.md",
        "difference-errors.tex",
        "difference.tex",
        "difference-records.csv",
    ] {
        assert!(folder.path().join("out").join(file).exists(), "{file}");
    }
    let csv = std::fs::read_to_string(folder.path().join("out/difference.csv")).unwrap();
    assert!(csv.contains("resnet-8,a,test error,40,21,1,3\n"), "{csv}");
    assert!(csv.contains("resnet-8,b,test error,40,23,2,3\n"), "{csv}");
}

#[test]
fn networks_of_one_folder_each_are_compared_whatever_they_are_and_experiments_by_network() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for (name, error) in
        [("x/plain-8", 50.0), ("x/resnet-8", 40.0), ("y/resnet-8", 45.0), ("y/resnet-14", 1.0)]
    {
        write_run(path, &format!("{name}/seed-0"), error, [error, error]);
    }
    let text = succeed(path, &["diff", "x/plain-8", "x/resnet-8"]);
    assert!(text.contains("plain-8 / resnet-8") && text.contains("10.00 points below"), "{text}");
    let text = succeed(path, &["diff", "x", "y"]);
    assert!(text.contains("5.00 points above x's"), "{text}");
    assert!(text.contains("plain-8 is not compared: only in x."), "{text}");
    refuse(path, &["diff", "x/plain-8", "y"], 2, &["no network of it"]);
}

#[test]
fn the_gate_fails_above_its_limit_and_where_nothing_can_be_judged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    seeds(path);
    let gate = |sides: [&str; 2], limit: &str| {
        let output = run(path, &["diff", sides[0], sides[1], "--fail-above", limit]);
        (output.status.code(), stderr(&output), stdout(&output))
    };
    assert_eq!(gate(["a", "b"], "2").0, Some(0));
    let (code, message, _) = gate(["a", "b"], "1.9");
    assert_eq!(code, Some(1));
    assert!(
        message.contains("2.00 points above a's") && message.contains("more than 1.9"),
        "{message}"
    );
    assert_eq!(gate(["b", "a"], "0").0, Some(0), "what became better passes");
    // Without evaluations, or cut short, nothing is judged.
    let eval = path.join("b/resnet-8/seed-1/eval.csv");
    std::fs::write(&eval, "iteration,split,loss,error,top5_error\n").unwrap();
    let (code, message, _) = gate(["a", "b"], "50");
    assert_eq!(code, Some(1));
    assert!(message.contains("no evaluation on the test set at the same iteration"), "{message}");
    std::fs::write(&eval, "no log\n").unwrap();
    assert_eq!(gate(["a", "b"], "50").0, Some(1), "a run that cannot be read");
    assert_eq!(run(path, &["diff", "a", "b"]).status.code(), Some(3));
}

#[test]
fn bad_input_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    seeds(path);
    std::fs::create_dir(path.join("empty")).unwrap();
    refuse(path, &["diff", "a", "none"], 2, &["none: "]);
    refuse(path, &["diff", "a", "empty"], 2, &["empty: no run there"]);
    refuse(
        path,
        &["diff", "a", "b", "--fail-above", "NaN"],
        2,
        &["--fail-above", "percentage points"],
    );
    refuse(path, &["diff", "a", "b", "--fail-above=-1"], 2, &["--fail-above", "percentage points"]);
    refuse(path, &["diff", ".", "b"], 2, &["holds resnet-8 seed 0 twice"]);
    assert_eq!(run(path, &["diff", "a"]).status.code(), Some(2));
    std::fs::write(path.join("file"), "").unwrap();
    refuse(path, &["diff", "a", "b", "--out", "file"], 2, &["--out file"]);
}
