//! What `sweep` plans, and what it refuses before anything starts.

use crate::common::{
    command, lines, refuse, run, stderr, stdout, succeed, workspace, write_experiment,
};
use crate::sweep::sweep;
use std::path::Path;

#[test]
fn mistakes_are_refused_before_anything_starts() {
    let folder = workspace();
    write_experiment(folder.path(), "[recipe]\nlearning_rat = 0.1");
    refuse(folder.path(), &sweep("out", &[]), 2, &["e.toml:5", "learning_rat", "no such key"]);
    write_experiment(folder.path(), "[check]\nplain-8 = { parameters = 75_291 }");
    refuse(
        folder.path(),
        &sweep("out", &["--dry-run"]),
        2,
        &["e.toml:5", "stated as 75291", "75290"],
    );
    write_experiment(folder.path(), "");
    refuse(
        folder.path(),
        &sweep("out", &["--only", "vgg*"]),
        2,
        &["--only vgg*", "e/plain-8/seed-0"],
    );
    refuse(
        folder.path(),
        &[sweep("out", &[]), vec!["e.toml"]].concat(),
        2,
        &["e.toml", "both would write"],
    );
    refuse(
        folder.path(),
        &sweep("out", &["--set", "validation=400"]),
        2,
        &["e/plain-8/seed-0", "validation = 400"],
    );
    refuse(folder.path(), &["sweep", "none.toml"], 2, &["none.toml", "No such file"]);
    std::fs::create_dir_all(folder.path().join("out/e/resnet-8/seed-0")).unwrap();
    std::fs::write(folder.path().join("out/e/resnet-8/seed-0/notes.txt"), "mine").unwrap();
    refuse(folder.path(), &sweep("out", &[]), 2, &["out/e/resnet-8/seed-0", "no run.toml"]);
    assert!(!folder.path().join("out/e/plain-8").exists(), "nothing was started");
}

#[test]
fn a_directory_of_another_recipe_is_refused_with_the_key() {
    let folder = workspace();
    write_experiment(folder.path(), "");
    succeed(folder.path(), &sweep("out", &["--iterations", "4"]));
    refuse(
        folder.path(),
        &sweep("out", &["--iterations", "5"]),
        2,
        &["out/e/plain-8/seed-0", "recipe.iterations is 4 there, 5 here"],
    );
    refuse(
        folder.path(),
        &sweep("out", &["--iterations", "4", "--set", "momentum=0.8"]),
        2,
        &["recipe.momentum is 0.9 there"],
    );
    // A record of a version that had another key.
    let record = folder.path().join("out/e/plain-8/seed-0/run.toml");
    let text = std::fs::read_to_string(&record).unwrap();
    std::fs::write(&record, text.replace("momentum = 0.9", "momentum = 0.9\nnesterov = true"))
        .unwrap();
    refuse(folder.path(), &sweep("out", &["--iterations", "4"]), 2, &["run.toml", "nesterov"]);
}

/// Writes experiments `c.toml` on CIFAR-10 and `i.toml` on ImageNet.
fn write_two_experiments(folder: &Path) {
    for (name, dataset, network) in [("c", "cifar10", "plain-8"), ("i", "imagenet", "plain-18")] {
        let text = format!(
            "title = \"t\"\npaper = \"p\"\ndataset = \"{dataset}\"\n[[runs]]\nnetworks = [\"{network}\"]\nseeds = [0]\n"
        );
        std::fs::write(folder.join(format!("{name}.toml")), text).unwrap();
    }
}

#[test]
fn experiments_without_data_are_refused_by_name_or_left_out_if_asked_for() {
    let folder = workspace();
    write_two_experiments(folder.path());
    let sweep = |data: &'static str, more: &[&'static str]| {
        let common = ["sweep", "c.toml", "i.toml", "--data", data, "--iterations", "2"];
        [&common[..], &["--device", "cpu", "--set", "batch_size=32"], more].concat()
    };
    for data in ["data", "cifar10=data"] {
        refuse(
            folder.path(),
            &sweep(data, &[]),
            2,
            &["i (imagenet: no data/imagenet)", "--data imagenet=DIR", "--skip-missing-data"],
        );
    }
    assert!(!folder.path().join("runs").exists(), "nothing was started");
    let output = run(folder.path(), &sweep("data", &["--skip-missing-data"]));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("skipped, no data: i (imagenet"), "{}", stderr(&output));
    assert_eq!(lines(&folder.path().join("runs/c/plain-8/seed-0/train.csv")), 3, "default folder");
    assert!(!folder.path().join("runs/i").exists());
}

#[test]
fn folders_of_several_data_sets_are_told_apart_by_name_or_by_content() {
    let folder = workspace();
    write_two_experiments(folder.path());
    std::fs::create_dir_all(folder.path().join("images/train/a")).unwrap();
    let plan = |data: &[&'static str]| {
        let common = ["sweep", "--dry-run", "c.toml", "i.toml"];
        run(folder.path(), &[&common[..], data].concat())
    };
    for data in [
        &["--data", "cifar10=data,imagenet=images"][..],
        &["--data", "cifar10=data", "--data", "imagenet=images"],
        &["--data", "images", "--data", "data"],
        &["--data", "cifar10=data", "--data", "images"],
    ] {
        let output = plan(data);
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(0), "{told}");
        // The plan has both; nothing is begun, so the data itself is not read.
        let shown = stdout(&output);
        assert!(shown.contains("c/plain-8") && shown.contains("i/"), "{data:?}: {shown}");
        assert!(!told.contains("no data for") && !told.contains("data_batch"), "{data:?}: {told}");
    }
    for (data, parts) in [
        (&["--data", "cifar=data"][..], &["cifar: no such dataset", "cifar10"][..]),
        (&["--data", "cifar10="], &["a folder is missing"]),
        (&["--data", "cifar10=data,cifar10=other"], &["data and other are both for cifar10"]),
        (&["--data", "nowhere"], &["nowhere", "cifar10=DIR"]),
    ] {
        let common = ["sweep", "--dry-run", "c.toml", "i.toml"];
        refuse(folder.path(), &[&common[..], data].concat(), 2, parts);
    }
}

#[test]
fn a_folder_that_is_no_text_is_refused_before_anything_starts() {
    use std::os::unix::ffi::OsStrExt;
    let folder = workspace();
    write_experiment(folder.path(), "");
    let output = command(folder.path(), &["sweep", "e.toml", "--data", "data", "--out"])
        .arg(std::ffi::OsStr::from_bytes(b"\xff"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("--out") && stderr(&output).contains("UTF-8"));
}

/// Plans so many runs; returns the seconds of a core that it took, the largest memory in MB, and the
/// plan.
// It is waited for by wait4, which tells what it used.
#[allow(clippy::zombie_processes)]
fn planned(folder: &Path, runs: u32) -> (f64, i64, String) {
    let seeds: Vec<String> = (0..runs).map(|seed| seed.to_string()).collect();
    let text = format!(
        "title = \"t\"\npaper = \"p\"\ndataset = \"cifar10\"\n[[runs]]\nnetworks = [\"resnet-110\"]\nseeds = [{}]\n",
        seeds.join(",")
    );
    std::fs::write(folder.join("e.toml"), text).unwrap();
    let plan = folder.join("plan.json");
    let child = command(folder, &["sweep", "e.toml", "--dry-run", "--data", "data", "--json"])
        .stdout(std::fs::File::create(&plan).unwrap())
        .spawn()
        .unwrap();
    // SAFETY: waits for a child that nothing else waits for, and writes to values that live.
    let (status, usage) = unsafe {
        let (mut status, mut usage) = (0, std::mem::zeroed::<libc::rusage>());
        assert_eq!(
            libc::wait4(child.id() as libc::pid_t, &mut status, 0, &mut usage),
            child.id() as libc::pid_t
        );
        (status, usage)
    };
    assert_eq!(status, 0);
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    let used = seconds(usage.ru_utime) + seconds(usage.ru_stime);
    (used, usage.ru_maxrss / 1024, std::fs::read_to_string(plan).unwrap())
}

#[test]
fn a_plan_of_ten_thousand_runs_takes_little_more_than_one_of_a_single_run() {
    let folder = workspace();
    let (one, of_one, _) = planned(folder.path(), 1);
    let (all, of_all, plan) = planned(folder.path(), 10_000);
    assert!(plan.contains("resnet-110/seed-9999"));
    assert!(plan.matches("resnet-110/seed-").count() >= 10_000);
    eprintln!("1 run: {one:.2} s, {of_one} MB; 10,000 runs: {all:.2} s, {of_all} MB");
    // What both take is libtorch, and the measurement of the speed.
    assert!(all - one < 2.5, "{one:.2} s and {all:.2} s");
    assert!(of_all - of_one < 60, "{of_one} MB and {of_all} MB");
}
