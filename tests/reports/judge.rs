//! `judge`: logs of any program beside the band of a reference's seeds.

use crate::common;
use crate::common::{copy_folder, edit_record, refuse, run, stderr, stdout, succeed};
use resnet_repro::records::event_file::Event;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The committed reference of a network: five seeds of 2,000 iterations.
fn committed(network: &str) -> PathBuf {
    let folder = "results/2026-11-24-reference-bands/11-reference-bands";
    Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(network)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// What `judge` says of a log, with the exit code that goes with it.
fn judge(folder: &Path, log: &str, more: &[&str]) -> Value {
    let output = run(folder, &[&["judge", log, "--json"], more].concat());
    let code = output.status.code();
    assert!(matches!(code, Some(0 | 1)), "{log} {more:?}: {}", stderr(&output));
    let judged: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(judged["inside"], code == Some(0), "{judged}");
    judged
}

/// (iteration, value, low, high) of what is compared under a name.
fn compared(judged: &Value, quantity: &str) -> Vec<[f64; 4]> {
    let rows = judged["compared"].as_array().unwrap().iter();
    let number = |row: &Value, key: &str| row[key].as_f64().unwrap();
    rows.filter(|row| row["quantity"] == quantity)
        .map(|row| ["iteration", "value", "low", "high"].map(|key| number(row, key)))
        .collect()
}

fn is_near(found: [f64; 4], expected: [f64; 4]) {
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 5e-4, "{found}, not {expected}");
    }
}

/// (iteration, error) of a committed run's training, and its last test error.
fn errors_of(network: &str, seed: u64) -> (Vec<(u64, f64)>, f64) {
    let run = committed(network).join(format!("seed-{seed}"));
    let rows = |name: &str| -> Vec<Vec<String>> {
        let text = std::fs::read_to_string(run.join(name)).unwrap();
        let row = |line: &str| line.split(',').map(str::to_string).collect();
        text.lines().skip(1).map(row).collect()
    };
    let training = rows("train.csv");
    let training = training.iter().map(|row| (row[0].parse().unwrap(), row[3].parse().unwrap()));
    (training.collect(), rows("eval.csv").last().unwrap()[3].parse().unwrap())
}

/// A log as PyTorch's examples write it: fractions, and the accuracy of tests where there is one.
fn write_log(path: &Path, network: &str, seed: u64, worse: f64) {
    let (training, test) = errors_of(network, seed);
    let mut text = String::from("step,train_err,loss,val_acc\n");
    for (iteration, error) in &training {
        let last = if *iteration == 2000 {
            format!("{}", 1.0 - (test + worse) / 100.0)
        } else {
            String::new()
        };
        text.push_str(&format!("{iteration},{},0.5,{last}\n", error / 100.0));
    }
    std::fs::write(path, text).unwrap();
}

#[test]
fn every_committed_seed_lies_inside_of_the_band_of_the_other_four() {
    for network in ["plain-20", "resnet-20"] {
        for seed in 0..5 {
            let log = committed(network).join(format!("seed-{seed}"));
            // As a run, which its record tells, and as a CSV file.
            for (log, count) in [(log.clone(), 9), (log.join("train.csv"), 7)] {
                let columns = ["--training-column", "error"];
                let columns = if count == 9 { &[][..] } else { &columns[..] };
                let root = Path::new(env!("CARGO_MANIFEST_DIR"));
                let judged = judge(root, text(&log), &[&["--network", network], columns].concat());
                assert_eq!(judged["inside"], true, "{judged}");
                assert_eq!(judged["seeds"].as_array().unwrap().len(), 4, "{judged}");
                assert!(!judged["seeds"].as_array().unwrap().contains(&seed.into()), "{judged}");
                assert_eq!(judged["compared"].as_array().unwrap().len(), count, "{judged}");
            }
        }
    }
}

#[test]
fn bands_are_those_computed_apart_from_the_same_logs() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log.csv");
    let reference = committed("resnet-20");
    let options = ["--network", "resnet-20", "--reference", text(&reference)];
    // By Python and mpmath: mean ± t · s · √(1 + 1/5), t of 4 degrees at 1 - 0.05 / 9.
    write_log(&log, "resnet-20", 0, 0.0);
    let judged = judge(folder.path(), "log.csv", &options);
    let training = compared(&judged, "training error");
    is_near(training[0], [500.0, 51.11674, 28.83946, 71.63914]);
    is_near(training[3], [2000.0, 24.82404, 13.69091, 34.23608]);
    let falls = compared(&judged, "fall of training error");
    assert_eq!(falls.len(), 3);
    is_near(falls[2], [2000.0, falls[2][1], 0.51885, 2.46350]);
    let gap = compared(&judged, "test minus training error")[0];
    is_near(gap, [2000.0, -0.41404, -2.00280, 1.73981]);
    // A test error alone is one comparison.
    std::fs::write(&log, "step,test error\n2000,28.1\n").unwrap();
    let judged = judge(folder.path(), "log.csv", &options);
    is_near(compared(&judged, "test error")[0], [2000.0, 28.1, 19.45743, 28.20657]);
    std::fs::write(&log, "step,test error\n2000,28.3\n").unwrap();
    assert_eq!(judge(folder.path(), "log.csv", &options)["inside"], false);
}

#[test]
fn a_log_of_epochs_is_held_against_the_references_means_over_its_epochs() {
    let folder = tempfile::tempdir().unwrap();
    let (training, test) = errors_of("resnet-20", 3);
    let mut rows = String::from("Epoch\ttrainAcc\tvalAcc\n");
    for epoch in 1..=5 {
        let of_epoch = &training[391 * (epoch - 1)..391 * epoch];
        let mean = of_epoch.iter().map(|row| row.1).sum::<f64>() / 391.0;
        let last = if epoch == 5 { format!("{}", 100.0 - test) } else { String::new() };
        rows.push_str(&format!("{}\t{}\t{last}\n", epoch - 1, 100.0 - mean));
    }
    std::fs::write(folder.path().join("log.tsv"), rows).unwrap();
    let reference = committed("resnet-20");
    let options = ["--network", "resnet-20", "--reference", text(&reference)];
    let judged = judge(folder.path(), "log.tsv", &options);
    assert_eq!(judged["inside"], true);
    let found = compared(&judged, "training error");
    // Of the epochs that end in the windows before a quarter's end: 391, 782, 1,173, 1,955.
    is_near(found[0], [500.0, found[0][1], 39.41450, 79.68157]);
    is_near(found[1], [1000.0, found[1][1], 22.16342, 58.56229]);
    is_near(found[2], [1500.0, found[2][1], 18.07384, 43.22412]);
    is_near(found[3], [2000.0, found[3][1], 14.29645, 33.92206]);
    let notes = judged["notes"].to_string();
    for part in [
        "an epoch has 391 iterations",
        "the first is called 0",
        "valAcc is taken for accuracies in percent",
    ] {
        assert!(notes.contains(part), "{part}: {notes}");
    }
}

#[test]
fn a_run_its_csv_and_its_event_files_are_judged_alike() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write_log(&path.join("log.csv"), "plain-20", 1, 0.0);
    let (training, test) = errors_of("plain-20", 1);
    let events = path.join("events");
    std::fs::create_dir(&events).unwrap();
    // Resumed once: the second file begins again before the first one's end.
    for (name, range) in [("a", 0..1000), ("b", 900..2000)] {
        let mut bytes = Vec::new();
        Event::version().write(&mut bytes).unwrap();
        for (iteration, error) in &training[range] {
            let values = [("loss/train", 1.0), ("error/train", *error as f32)];
            Event::scalars(*iteration as i64, &values).write(&mut bytes).unwrap();
        }
        Event::scalars(2000, &[("error/test", test as f32)]).write(&mut bytes).unwrap();
        std::fs::write(events.join(format!("events.out.tfevents.{name}")), bytes).unwrap();
    }
    // All but the seed itself.
    let reference = path.join("reference");
    for seed in [0, 2, 3, 4] {
        let name = format!("seed-{seed}");
        copy_folder(&committed("plain-20").join(&name), &reference.join("plain-20").join(&name));
    }
    let options = ["--network", "plain-20", "--reference", "reference"];
    let run = committed("plain-20").join("seed-1");
    let [own, csv, events] =
        [text(&run), "log.csv", "events"].map(|log| judge(path, log, &options));
    let rows = own["compared"].as_array().unwrap();
    assert_eq!(rows.len(), 9);
    for other in [&csv, &events] {
        for (one, other) in rows.iter().zip(other["compared"].as_array().unwrap()) {
            let [value, same] = [one, other].map(|row| row["value"].as_f64().unwrap());
            assert!((value - same).abs() < 1e-4, "{one} {other}");
            assert_eq!((&one["low"], &one["place"]), (&other["low"], &other["place"]));
        }
    }
    let (csv, options) =
        ("log.csv", ["judge", "log.csv", "--network", "plain-20", "--reference", "reference"]);
    let text = succeed(path, &options);
    assert!(
        text.contains(
            "inside the band of 4 seeds (0,2-4) of plain-20: none of 9 comparisons is outside"
        ),
        "{csv}: {text}"
    );
}

#[test]
fn a_log_that_is_better_than_the_band_is_outside_too() {
    let folder = tempfile::tempdir().unwrap();
    let reference = committed("plain-20");
    let options = ["--network", "plain-20", "--reference", text(&reference)];
    for (worse, place) in [(5.0, "above"), (-5.0, "below")] {
        write_log(&folder.path().join("log.csv"), "plain-20", 1, worse);
        let judged = judge(folder.path(), "log.csv", &options);
        assert_eq!(judged["inside"], false);
        let rows = judged["compared"].as_array().unwrap().iter();
        let outside: Vec<&Value> = rows.filter(|row| row["place"] != "inside").collect();
        assert!(!outside.is_empty() && outside.iter().all(|row| row["place"] == place), "{judged}");
        let verdict = judged["verdict"].as_str().unwrap();
        assert!(
            verdict.starts_with("outside the band of 5 seeds (0-4) of plain-20: test ")
                && verdict.contains(place),
            "{verdict}"
        );
    }
}

#[test]
fn a_log_that_ends_early_is_compared_only_as_partial_and_a_longer_one_never() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let reference = committed("plain-20");
    let options = ["judge", "log.csv", "--network", "plain-20", "--reference", text(&reference)];
    write_log(&path.join("log.csv"), "plain-20", 2, 0.0);
    let whole = std::fs::read_to_string(path.join("log.csv")).unwrap();
    let lines: Vec<&str> = whole.lines().take(1051).collect();
    std::fs::write(path.join("log.csv"), lines.join("\n")).unwrap();
    // Its column of tests is empty.
    let named = [&options[..], &["--test-column", "val_acc"]].concat();
    refuse(path, &named, 2, &["val_acc has no value"]);
    refuse(path, &options, 2, &["log.csv: has 1,050 iterations", "--partial"]);
    let without: Vec<String> =
        lines.iter().map(|line| line.rsplit_once(',').unwrap().0.to_string()).collect();
    std::fs::write(path.join("log.csv"), without.join("\n")).unwrap();
    refuse(path, &options, 2, &["log.csv: has 1,050 iterations", "have 2,000", "--partial"]);
    let text = succeed(path, &[&options[..], &["--partial"]].concat());
    assert!(
        text.contains(
            "of plain-20, as far as it goes (iteration 1,050 of 2,000): none of 3 comparisons"
        ),
        "{text}"
    );
    let mut longer = without.join("\n").replace("train_err,loss", "test_err,loss");
    longer.push_str("\n4000,0.2,0.5\n");
    std::fs::write(path.join("log.csv"), longer).unwrap();
    refuse(path, &options, 2, &["has 4,000 iterations", "another schedule"]);
}

#[test]
fn columns_that_are_not_there_and_values_that_are_none_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let reference = committed("plain-20");
    let refused = |text: &str, more: &[&str], parts: &[&str]| {
        std::fs::write(path.join("log.csv"), text).unwrap();
        let options =
            ["judge", "log.csv", "--network", "plain-20", "--reference", self::text(&reference)];
        refuse(path, &[&options, more].concat(), 2, &[&["log.csv"], parts].concat());
    };
    let log = "step,err_a,b\n1,50,1\n2,40,1\n";
    refused(log, &[], &["--training-column or --test-column", "step, err_a, b"]);
    refused(log, &["--training-column", "x"], &["--training-column x", "step, err_a, b"]);
    // Such as train.csv of this program.
    let own = "iteration,learning_rate,loss,error\n1,0.1,2.3,50\n";
    refused(own, &[], &["error may hold training or test errors", "name the folder"]);
    refused(log, &["--iteration-column", "n", "--training-column", "b"], &["--iteration-column n"]);
    refused("n,train_err\n1,50\n", &[], &["--iteration-column", "n, train_err"]);
    refused("step,train_err\n1,50\n2,101\n", &[], &["line 3", "train_err is 101", "from 0 to 100"]);
    refused("step,train_err\n1,50\n2,-1\n", &[], &["line 3", "train_err is -1"]);
    refused("step,train_err\n1,50\n2,NaN\n", &[], &["line 3", "train_err is NaN"]);
    refused("step,train_err\n1,50\n2,x\n", &[], &["line 3", "train_err is \"x\", no number"]);
    refused(
        "step,train_err\n1,50\n",
        &["--unit", "fraction"],
        &["line 2", "train_err is 50", "from 0 to 1"],
    );
    refused(
        "step,train_err\n2,50\n2,40\n",
        &[],
        &["line 3", "2 comes after 2: iterations must rise"],
    );
    refused("step,train_err\n1.5,50\n", &[], &["line 2", "1.5 is no number of iterations"]);
    refused("step,train_err\n-1,50\n", &[], &["line 2", "-1 is no number of iterations"]);
    refused("step,train_err\n1,50,3\n", &[], &["line 2", "has 3 cells, the header 2"]);
    refused("step,train_err\n", &[], &["--training-column or --test-column"]);
    refused("step,train_err\n", &["--training-column", "train_err"], &["has no value"]);
    refused("", &[], &["no CSV file with a header"]);
    refused("step,test_err\n100,50\n", &["--partial"], &["has no error where one is compared"]);
    let long = format!("step,train_err\n1,{}\n", "5".repeat(3 << 20));
    refused(&long, &[], &["a line is too long"]);
    // Event files.
    let events = path.join("log.csv.tfevents");
    let mut bytes = Vec::new();
    Event::scalars(1, &[("error/train", 50.0)]).write(&mut bytes).unwrap();
    std::fs::write(&events, &bytes).unwrap();
    let options =
        ["judge", "log.csv.tfevents", "--network", "plain-20", "--reference", text(&reference)];
    refuse(
        path,
        &[&options[..], &["--test-tag", "error/val"]].concat(),
        2,
        &["--test-column error/val", "no such tag (there are: error/train)"],
    );
    bytes[20] ^= 1;
    std::fs::write(&events, &bytes).unwrap();
    refuse(path, &options, 2, &["log.csv.tfevents: record 1 its checksum is another"]);
    std::fs::create_dir(path.join("empty")).unwrap();
    let options = ["judge", "empty", "--network", "plain-20", "--reference", text(&reference)];
    refuse(path, &options, 2, &["empty: there is no run in this folder", "no event file"]);
    let options =
        ["judge", "missing.csv", "--network", "plain-20", "--reference", text(&reference)];
    refuse(path, &options, 2, &["missing.csv: cannot be read"]);
}

#[test]
fn a_reference_that_cannot_judge_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write_log(&path.join("log.csv"), "plain-20", 2, 0.0);
    let refused = |log: &str, network: &str, reference: &str, parts: &[&str]| {
        refuse(path, &["judge", log, "--network", network, "--reference", reference], 2, parts);
    };
    let committed_seeds = committed("plain-20");
    // The published reference is found above the program, wherever the command is given.
    let by_default = ["judge", "log.csv", "--network", "plain-20"];
    match env!("CARGO_BIN_EXE_resnet-repro").starts_with(env!("CARGO_MANIFEST_DIR")) {
        true => assert_eq!(run(path, &by_default).status.code(), Some(0)),
        false => refuse(path, &by_default, 2, &["the reference results/2026", "--reference"]),
    }
    refused(
        "log.csv",
        "plain-56",
        text(&committed_seeds),
        &["no finished run of plain-56", "networks there: plain-20"],
    );
    // Two seeds; and three, of which one is the log itself.
    let few = path.join("few/plain-20");
    for seed in [0, 3] {
        copy_folder(
            &committed_seeds.join(format!("seed-{seed}")),
            &few.join(format!("seed-{seed}")),
        );
    }
    refused("log.csv", "plain-20", "few", &["has 2 seeds (0,3) of plain-20", "3 or more"]);
    copy_folder(&committed_seeds.join("seed-2"), &few.join("seed-2"));
    succeed(path, &["judge", "log.csv", "--network", "plain-20", "--reference", "few"]);
    let beside = ["has 2 seeds (0,3) of plain-20 beside the one that is judged"];
    refused("few/plain-20/seed-2", "plain-20", "few", &beside);
    // A run that is not finished is not in the band.
    edit_record(
        &few.join("seed-0/run.toml"),
        &[("iterations = 2000\nbatch_size", "iterations = 3000\nbatch_size")],
    );
    refused("log.csv", "plain-20", "few", &["has 2 seeds (2,3) of plain-20"]);
    // Runs of two recipes.
    edit_record(&few.join("seed-3/run.toml"), &[("weight_decay = 0.0001", "weight_decay = 0.001")]);
    refused(
        "log.csv",
        "plain-20",
        "few",
        &["holds plain-20 under 2 recipes", "weight decay 0.001"],
    );
    // A run of ours says what it is.
    let other = path.join("other/plain-20/seed-9");
    copy_folder(&committed_seeds.join("seed-2"), &other);
    let run = "other/plain-20/seed-9";
    refused(
        run,
        "resnet-20",
        text(&committed("resnet-20")),
        &["--network resnet-20", "is a run of plain-20"],
    );
    edit_record(
        &other.join("run.toml"),
        &[("seed = 2", "seed = 9"), ("evaluate_every = 400", "evaluate_every = 50")],
    );
    let options = ["judge", run, "--network", "plain-20", "--reference", text(&committed_seeds)];
    succeed(path, &options);
    refuse(path, &[&options[..], &["--unit", "percent"]].concat(), 2, &["--unit", "leave it out"]);
    edit_record(&other.join("run.toml"), &[("weight_decay = 0.0001", "weight_decay = 0.001")]);
    refused(
        run,
        "plain-20",
        text(&committed_seeds),
        &["recipe.weight_decay is 0.0001 there, 0.001 here"],
    );
    let changes = [("fingerprint = \"", "fingerprint = \"0"), ("\"official\"", "\"other\"")];
    edit_record(&other.join("run.toml"), &changes);
    let data = "it was trained on other data, CIFAR-10 (other) against CIFAR-10 (official)";
    refused(run, "plain-20", text(&committed_seeds), &[data, "dataset.fingerprint"]);
}

/// Options of the trainings below: resnet-8 on images that a colour tells, a second or two each.
const TRAINING: [&str; 9] = [
    "train",
    "--network",
    "resnet-8",
    "--dataset",
    "cifar10",
    "--data",
    "data",
    "--iterations",
    "40",
];

/// Trains one run.
fn train(folder: &Path, seed: u64, out: &str, more: &[&str]) {
    let seed = seed.to_string();
    let own = ["--seed", &seed, "--out", out, "--set", "batch_size=16", "--device", "cpu"];
    succeed(folder, &[&TRAINING[..], &own, more].concat());
}

/// A folder with `data/`, and a `reference/` of five seeds that was trained here.
fn trained() -> &'static Path {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let made = FOLDER.get_or_init(|| {
        let folder = common::workspace();
        for seed in 0..5 {
            train(folder.path(), seed, &format!("reference/resnet-8/seed-{seed}"), &[]);
        }
        folder
    });
    made.path()
}

#[test]
fn a_new_seed_is_inside_and_trainings_that_are_broken_are_outside() {
    let folder = trained();
    let verdict = |out: &str, tests: &str| {
        let options = ["--network", "resnet-8", "--reference", "reference", "--test-log", tests];
        judge(folder, &format!("{out}/train.csv"), &options)
    };
    train(folder, 5, "right", &[]);
    let right = verdict("right", "right/eval.csv");
    assert_eq!(right["inside"], true, "{right}");
    assert_eq!(right["compared"].as_array().unwrap().len(), 9, "{right}");
    // Images of other colours than it was trained on.
    let weights = ["--network", "resnet-8", "--weights", "right/weights.safetensors", "--json"];
    let data =
        ["--dataset", "cifar10", "--data", "data", "--normalize", "imagenet", "--device", "cpu"];
    let evaluated = succeed(folder, &[&["evaluate"], &weights[..], &data].concat());
    let evaluated: Value = serde_json::from_str(&evaluated).unwrap();
    let text = format!("step,test_error\n40,{}\n", evaluated["error"]);
    std::fs::write(folder.join("wrong.csv"), text).unwrap();
    let judged = verdict("right", "wrong.csv");
    assert_eq!(judged["inside"], false, "{judged}");
    assert!(
        judged["verdict"].as_str().unwrap().contains("test minus training error at 40 is "),
        "{judged}"
    );
    for (key, value) in [("learning_rate", "0.001"), ("weight_decay", "1")] {
        train(folder, 6, key, &["--no-weights", "--set", &format!("{key}={value}")]);
        let judged = verdict(key, &format!("{key}/eval.csv"));
        assert_eq!(judged["inside"], false, "{key}: {judged}");
        assert!(judged["verdict"].as_str().unwrap().contains(": training error at "), "{judged}");
        // As a run of ours it is not even of the recipe.
        let options = ["judge", key, "--network", "resnet-8", "--reference", "reference"];
        refuse(folder, &options, 2, &[&format!("recipe.{key} is")]);
    }
}

#[test]
fn figures_draw_the_band_of_a_reference_only_where_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for network in ["plain-20", "resnet-20"] {
        for seed in [1, 2] {
            let name = format!("{network}/seed-{seed}");
            copy_folder(
                &committed(network).join(format!("seed-{seed}")),
                &path.join("runs").join(name),
            );
        }
    }
    let reference = committed("");
    succeed(path, &["figures", "--out", "without"]);
    succeed(path, &["figures", "--out", "with", "--reference", text(&reference)]);
    let read = |out: &str, name: &str| {
        let file = format!("{out}/cifar10-2000-precision-bf16/{name}");
        std::fs::read_to_string(path.join(file)).unwrap()
    };
    for name in ["figure-6.csv", "figure-6.svg", "figure-6.tex"] {
        let [without, with] = ["without", "with"].map(|out| read(out, name));
        assert!(!without.contains("reference") && with.contains("reference"), "{name}");
    }
    // The curves of the runs are the same ones.
    let [without, with] = ["without", "with"].map(|out| read(out, "figure-6.csv"));
    let own: Vec<&str> = with.lines().filter(|line| !line.contains(" reference,")).collect();
    assert_eq!(own, without.lines().collect::<Vec<_>>());
    // Test error at the end, of five seeds, by Python: 23.832, 2.776 · 1.43832 · √(1 + 1/5).
    let last = with
        .lines()
        .rfind(|line| line.starts_with("residual nets,resnet-20 reference,test error,2000"));
    let cells: Vec<&str> = last.unwrap().split(',').collect();
    assert_eq!((cells[4], cells[6]), ("23.832", "5"));
    assert!((cells[5].parse::<f64>().unwrap() - 4.37457).abs() < 1e-4, "{last:?}");
    let svg = read("with", "figure-6.svg");
    assert!(
        svg.contains("resnet-20 reference (n = 5)") && svg.contains("95 % prediction interval")
    );
    // What is no training curve is as it was.
    assert_eq!(read("without", "learning-rate.svg"), read("with", "learning-rate.svg"));
    let few = path.join("runs");
    refuse(
        path,
        &["figures", "--reference", text(&few)],
        2,
        &["no network there has finished runs of 3 seeds"],
    );
    let other = committed("plain-20");
    let other = text(&other);
    let runs = path.join("runs/resnet-20");
    refuse(
        path,
        &["figures", text(&runs), "--reference", other],
        2,
        &["no run has the network, data and length", "plain-20 on CIFAR-10, 2,000 iterations"],
    );
    refuse(path, &["figures", "--reference", "missing"], 2, &["missing: there is no such folder"]);
}
