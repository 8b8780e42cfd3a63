//! Finished runs that are trained on: to the bytes of one that was trained at once, whatever kills
//! it; what is on record; what is refused; and sweeps of them.

use crate::common::{
    assert_same_run, command, copy_folder, edit_record, lines, refuse, run, small, stderr, stdout,
    succeed, wait_until, workspace, write_experiment,
};
use crate::image_folder;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};

use resnet_repro::records::run_toml::{RunRecord, State};
use resnet_repro::system::hash::hash_file;

/// The arguments of a run of `network` into `out`, evaluated every 20 iterations, and `more`.
fn train<'a>(network: &'a str, out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let arguments = ["train", "--network", network, "--out", out, "--checkpoint-every", "0"];
    [small(&arguments), vec!["--set", "evaluate_every=20"], more.to_vec()].concat()
}

/// The command that extends the run in `out`, of which nothing is said but where it is.
fn extend<'a>(network: &'a str, out: &'a str, to: &'a str) -> Vec<&'a str> {
    let arguments = ["train", "--network", network, "--data", "data", "--device", "cpu"];
    let where_to = ["--out", out, "--checkpoint-every", "0", "--extend-to", to];
    [&arguments[..], &where_to].concat()
}

fn read(folder: &Path, name: &str) -> Vec<u8> {
    std::fs::read(folder.join(name)).unwrap()
}

fn record(folder: &Path, run: &str) -> RunRecord {
    RunRecord::read(&folder.join(run).join("run.toml")).unwrap()
}

/// A folder with a run of 40 iterations in `run` whose state was kept.
fn kept_run() -> tempfile::TempDir {
    let folder = workspace();
    let milestones = ["--iterations", "40", "--set", "milestones=20,30", "--keep-state"];
    succeed(folder.path(), &train("resnet-8", "run", &milestones));
    folder
}

#[test]
fn a_finished_run_without_a_kept_state_says_what_leads_on() {
    let folder = workspace();
    let root = folder.path();
    refuse(root, &extend("plain-8", "run", "6"), 2, &["no run yet", "--keep-state in place of"]);
    succeed(root, &train("plain-8", "run", &["--iterations", "4"]));
    refuse(root, &extend("plain-8", "run", "6"), 2, &["--keep-state and another --out"]);
    // Asked for afterwards it is too late, which is said.
    let late = run(root, &train("plain-8", "run", &["--iterations", "4", "--keep-state"]));
    assert!(late.status.success() && stderr(&late).contains("state was not kept"), "{late:?}");
}

#[test]
fn an_extended_run_has_the_bytes_of_one_that_was_trained_at_once() {
    let folder = kept_run();
    let root = folder.path();
    let (train_log, evaluations) = (read(root, "run/train.csv"), read(root, "run/eval.csv"));
    let first = record(root, "run");
    assert_eq!(succeed(root, &["verify", "run"]).lines().count(), 1);
    succeed(root, &extend("resnet-8", "run", "60"));
    let whole = ["--iterations", "60", "--set", "milestones=[20, 30]"];
    succeed(root, &train("resnet-8", "whole", &whole));
    assert_same_run(&root.join("whole"), &root.join("run"));
    assert!(read(root, "run/train.csv").starts_with(&train_log));
    assert!(read(root, "run/eval.csv").starts_with(&evaluations));

    let extended = record(root, "run");
    let [extension] = &extended.extensions[..] else { panic!("{extended:?}") };
    assert_eq!((extension.from, extension.to, &extension.milestones_before), (40, 60, &None));
    assert_eq!(extension.git_revision, extended.provenance.git_revision);
    assert_eq!(extended.run.recipe, record(root, "whole").run.recipe);
    let differences = &extended.differences_from_paper;
    assert!(differences.contains(&"extended after iteration 40".to_string()), "{differences:?}");
    assert_eq!(extended.earlier_attempts.len(), 1);
    assert!(extended.progress.seconds > first.progress.seconds);
    for (name, hash) in &extended.files {
        assert_eq!(hash_file(&root.join("run").join(name)).unwrap(), *hash, "{name}");
    }
    succeed(root, &["verify", "."]);

    // What has the same learning rates and evaluations is of one protocol, and says so.
    std::fs::create_dir(root.join("both")).unwrap();
    std::fs::rename(root.join("whole"), root.join("both/whole")).unwrap();
    copy_folder(&root.join("run"), &root.join("both/run"));
    edit_record(&root.join("both/run/run.toml"), &[("\nseed = 0\n", "\nseed = 1\n")]);
    let page = succeed(root, &["figures", "both", "--out", "report"]);
    assert!(page.contains("2 runs"), "{page}");
    let page = std::fs::read_to_string(root.join("report/report.html")).unwrap();
    assert!(page.contains("Extended: resnet-8 seed 1 after iteration 40."), "the note is missing");
    let difference = succeed(root, &["diff", "both/whole", "both/run"]);
    assert!(difference.contains("extensions") && difference.contains("from 40 to 60"));

    // The same command is done; a longer one goes on once more, with other milestones from there.
    let again = run(root, &extend("resnet-8", "run", "60"));
    assert!(stderr(&again).contains("already complete"), "{}", stderr(&again));
    let later = [&extend("resnet-8", "run", "80")[..], &["--set", "milestones=70"]].concat();
    succeed(root, &later);
    let whole = ["--iterations", "80", "--set", "milestones=20,30,70"];
    succeed(root, &train("resnet-8", "longest", &whole));
    assert_same_run(&root.join("longest"), &root.join("run"));
    let extended = record(root, "run");
    assert_eq!(extended.extensions[1].milestones_before, Some(vec![20, 30]));
    assert_eq!(extended.run.recipe.milestones, [20, 30, 70]);
    assert_eq!(extended.extensions.len(), 2);
}

#[test]
fn an_evaluation_at_the_old_end_that_is_none_of_the_usual_sets_a_run_apart() {
    let folder = workspace();
    let root = folder.path();
    let first = ["--iterations", "10", "--set", "milestones=[]", "--keep-state", "--seed", "1"];
    succeed(root, &train("plain-8", "both/run", &first));
    succeed(root, &[&extend("plain-8", "both/run", "20")[..], &["--seed", "1"]].concat());
    let whole = ["--iterations", "20", "--set", "milestones=[]"];
    succeed(root, &train("plain-8", "both/whole", &whole));
    let rows = |run: &str| lines(&root.join(run).join("eval.csv"));
    assert_eq!((rows("both/run"), rows("both/whole")), (3, 2));
    let said = succeed(root, &["figures", "both", "--out", "report"]);
    assert!(said.contains("extended after iteration 10"), "{said}");
    let plain = [&train("plain-8", "both/run", &whole)[..], &["--seed", "1"]].concat();
    refuse(root, &plain, 2, &["it was extended after iteration 10", "add --extend-to 20"]);
}

#[test]
fn an_extension_that_is_stopped_or_killed_resumes_to_the_same_bytes() {
    let folder = kept_run();
    let root = folder.path();
    succeed(
        root,
        &train("resnet-8", "whole", &["--iterations", "120", "--set", "milestones=20,30"]),
    );
    for signal in [libc::SIGKILL, libc::SIGTERM] {
        copy_folder(&root.join("run"), &root.join("cut"));
        let mut child = command(root, &extend("resnet-8", "cut", "120"))
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        wait_until("it does not log", || lines(&root.join("cut/train.csv")) > 50);
        // SAFETY: a signal to a child that has not been waited for.
        unsafe { libc::kill(child.id() as libc::pid_t, signal) };
        child.wait().unwrap();
        let stopped = record(root, "cut");
        if stopped.state == State::Finished {
            // This test had no core in the time that the run took.
            assert_same_run(&root.join("whole"), &root.join("cut"));
            continue;
        }
        refuse(root, &extend("resnet-8", "cut", "130"), 2, &["it is being extended to 120"]);
        succeed(root, &["verify", "cut"]);
        succeed(root, &extend("resnet-8", "cut", "120"));
        assert_same_run(&root.join("whole"), &root.join("cut"));
        assert_eq!(record(root, "cut").extensions.len(), 1);
        std::fs::remove_dir_all(root.join("cut")).unwrap();
    }
}

/// The library that ends a process in the middle of an operation on files.
fn fault_library(folder: &Path) -> PathBuf {
    let library = folder.join("write_faults.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/torturing/write_faults.c");
    let built = std::process::Command::new("cc")
        .args(["-O2", "-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .arg("-ldl")
        .status();
    assert!(built.unwrap().success());
    library
}

#[test]
fn a_kill_at_any_write_up_to_the_first_checkpoint_leaves_a_finished_run_or_one_that_resumes() {
    let folder = workspace();
    let root = folder.path();
    let more = ["--set", "milestones=[]", "--keep-state"];
    let first = [&["--iterations", "4"][..], &more].concat();
    succeed(root, &train("plain-8", "run", &first));
    let whole = ["--iterations", "6", "--set", "milestones=[]"];
    succeed(root, &train("plain-8", "whole", &whole));
    let finished = read(root, "run/run.toml");
    let log = read(root, "run/train.csv");
    let (library, counter) = (fault_library(root), root.join("counter"));
    let (mut as_before, mut begun) = (0, 0);
    for at in 1.. {
        copy_folder(&root.join("run"), &root.join("cut"));
        std::fs::write(&counter, [0; 8]).unwrap();
        let _ = std::fs::remove_file(root.join("fault"));
        let status = command(root, &extend("plain-8", "cut", "6"))
            .env("LD_PRELOAD", &library)
            .env("FAULT_FOLDER", root.canonicalize().unwrap().join("cut"))
            .env("FAULT_COUNTER", &counter)
            .env("FAULT_AT", at.to_string())
            .env("FAULT_HOW", "killed")
            .env("FAULT_LOG", root.join("fault"))
            .stderr(std::process::Stdio::null())
            .status()
            .unwrap();
        assert_eq!(status.signal(), Some(libc::SIGKILL), "operation {at}: {status}");
        assert!(read(root, "cut/train.csv").starts_with(&log), "operation {at}");
        match read(root, "cut/run.toml") == finished {
            true => as_before += 1,
            false => {
                assert_eq!(record(root, "cut").state, State::Running, "operation {at}");
                begun += 1;
            }
        }
        succeed(root, &["verify", "cut"]);
        let resumed = run(root, &extend("plain-8", "cut", "6"));
        assert_eq!(resumed.status.code(), Some(0), "operation {at}: {}", stderr(&resumed));
        let [trained, expected] =
            ["cut", "whole"].map(|run| read(root, &format!("{run}/train.csv")));
        assert!(trained == expected, "operation {at}");
        let [ended, expected] = ["cut", "whole"].map(|run| record(root, run));
        assert_eq!(ended.weights_sha256, expected.weights_sha256, "operation {at}");
        std::fs::remove_dir_all(root.join("cut")).unwrap();
        let fault = std::fs::read_to_string(root.join("fault")).unwrap();
        if fault.contains("rename") && fault.contains("checkpoint/000000005-") {
            break;
        }
    }
    assert!(as_before >= 3 && begun >= 3, "{as_before} {begun}");
}

#[test]
fn what_cannot_be_extended_is_refused_in_one_line_and_left_as_it_is() {
    let folder = workspace();
    let root = folder.path();
    let first = ["--iterations", "4", "--set", "milestones=[2]"];
    succeed(root, &train("plain-8", "bare", &first));
    succeed(root, &train("plain-8", "run", &[&first[..], &["--keep-state"]].concat()));
    let before = read(root, "run/run.toml");
    let on = |to, more: &[&'static str]| [&extend("plain-8", "run", to)[..], more].concat();

    let advice = ["bare: ", "state", "was not kept", "--keep-state", "--weights"];
    refuse(root, &extend("plain-8", "bare", "6"), 2, &advice);
    refuse(root, &extend("plain-8", "none", "6"), 2, &["none: there is no run yet"]);
    refuse(root, &on("4", &[]), 2, &["run: it has 4 iterations: --extend-to takes more"]);
    refuse(root, &on("3", &[]), 2, &["run: it has 4 iterations"]);
    let past = ["milestones = [3]", "from iteration 4", "give those from 4 on"];
    refuse(root, &on("6", &["--set", "milestones=3"]), 2, &past);
    refuse(root, &on("6", &["--set", "milestones=5,4"]), 2, &["milestones = [2, 5, 4]"]);
    let other = ["another run is there (recipe.learning_rate is 0.1 there, 0.5 here)"];
    refuse(root, &on("6", &["--set", "lr=0.5"]), 2, &other);
    refuse(root, &on("6", &["--seed", "3"]), 2, &["seed is 0 there, 3 here"]);
    refuse(root, &on("6", &["--iterations", "5"]), 2, &["iterations is 4 there, 5 here"]);
    refuse(root, &extend("plain-14", "run", "6"), 2, &["network is \"plain-8\" there"]);
    refuse(root, &on("6", &["--weights", "run/weights.safetensors"]), 2, &["cannot be used with"]);

    // Without the flag a longer run is told of it, whatever follows from its length.
    let longer = small(&["train", "--network", "plain-8", "--iterations", "6", "--out", "run"]);
    let told = ["iterations is 4 there, 6 here", "to train that one on, use --extend-to 6"];
    refuse(root, &[&longer[..], &["--set", "evaluate_every=20"]].concat(), 2, &told);

    succeed(root, &train("plain-8", "grown", &[&first[..], &["--keep-state"]].concat()));
    succeed(root, &extend("plain-8", "grown", "6"));
    let named = small(&["train", "--network", "plain-8", "--iterations", "6", "--out", "grown"]);
    refuse(root, &named, 2, &["grown: holds another run", "was extended to 6", "--extend-to"]);

    let state = std::fs::read_dir(root.join("run/checkpoint")).unwrap().next().unwrap().unwrap();
    let whole = std::fs::read(state.path()).unwrap();
    let mut damaged = whole.clone();
    *damaged.last_mut().unwrap() ^= 1;
    std::fs::write(state.path(), damaged).unwrap();
    refuse(root, &on("6", &[]), 2, &["changed: run/checkpoint/000000004-"]);
    let verified = run(root, &["verify", "run"]);
    assert!(stdout(&verified).contains("changed: run/checkpoint/000000004-"));
    std::fs::remove_file(state.path()).unwrap();
    refuse(root, &on("6", &[]), 2, &["missing: run/checkpoint/000000004-"]);
    std::fs::write(state.path(), whole).unwrap();
    assert_eq!(read(root, "run/run.toml"), before);
    succeed(root, &["verify", "run"]);
    // A record names no file elsewhere.
    let hash = record(root, "run").kept_state_sha256.unwrap();
    edit_record(&root.join("run/run.toml"), &[(&hash, "../../data")]);
    refuse(root, &on("6", &[]), 2, &["run/run.toml: kept_state_sha256 is no SHA-256"]);
    assert_eq!(run(root, &["verify", "run"]).status.code(), Some(1));
    std::fs::write(root.join("run/run.toml"), before).unwrap();
    // The plain command leaves the state where it is.
    succeed(root, &train("plain-8", "run", &first));
    assert!(state.path().exists());
}

#[test]
fn a_sweep_extends_all_of_its_runs_or_none() {
    let folder = workspace();
    let root = folder.path();
    write_experiment(root, "recipe.iterations = 4\nrecipe.milestones = [2]\n");
    let sweep = |more: &[&'static str]| [&small(&["sweep", "e.toml"])[..], more].concat();
    let plain = ["--only", "plain-8"];
    let all = ["--extend-to", "6", "--set", "milestones=5"];

    succeed(root, &sweep(&[&plain[..], &["--keep-state"]].concat()));
    let before = read(root, "runs/e/plain-8/seed-0/run.toml");
    let refused = ["1 of 2 runs cannot be extended", "e/resnet-8/seed-0: there is no run yet"];
    refuse(root, &sweep(&all), 2, &refused);
    let plan = run(root, &sweep(&[&all[..], &["--dry-run"]].concat()));
    assert!(plan.status.success() && stderr(&plan).contains(refused[0]), "{}", stderr(&plan));
    succeed(root, &sweep(&[]));
    let refused = ["1 of 2 runs cannot be extended", "e/resnet-8/seed-0: its state"];
    refuse(root, &sweep(&all), 2, &refused);
    assert_eq!(read(root, "runs/e/plain-8/seed-0/run.toml"), before, "nothing was trained");

    std::fs::remove_dir_all(root.join("runs/e/resnet-8")).unwrap();
    succeed(root, &sweep(&["--keep-state"]));
    let status = succeed(root, &sweep(&[&all[..], &["--status"]].concat()));
    assert!(status.contains("4 of 6") && status.contains("to be extended"), "{status}");
    let plan = succeed(root, &sweep(&[&all[..], &["--dry-run"]].concat()));
    assert!(plan.contains("2 runs, 2 to do"), "{plan}");
    succeed(root, &sweep(&all));
    let whole = ["--iterations", "6", "--set", "milestones=[2, 5]", "--out", "whole"];
    succeed(root, &sweep(&whole));
    for network in ["plain-8", "resnet-8"] {
        let [extended, whole] =
            ["runs", "whole"].map(|runs| root.join(format!("{runs}/e/{network}/seed-0")));
        // Evaluated every iteration or two, as is usual for a run of that length.
        for name in ["train.csv", "weights.safetensors"] {
            assert!(read(&extended, name) == read(&whole, name), "{network} {name}");
        }
    }
    let again = run(root, &sweep(&all));
    assert!(stdout(&again).contains("finished") && again.status.success());
    for more in [&["--status"][..], &["--status", "--extend-to", "6"]] {
        let status = succeed(root, &sweep(more));
        assert!(status.contains("2 finished") && status.contains("6 of 6"), "{status}");
    }
    refuse(root, &sweep(&[]), 2, &["it was extended", "add --extend-to 6"]);
    succeed(root, &["verify", "runs"]);
}

#[test]
fn two_ranks_extend_the_run_of_one_process() {
    let folder = workspace();
    let root = folder.path();
    let shared = ["--set", "milestones=5", "--set", "group_size=16"];
    let first = [&["--iterations", "4", "--keep-state"], &shared[..]].concat();
    succeed(root, &train("plain-8", "run", &first));
    let extend = ["train", "--network", "plain-8", "--data", "data", "--out", "run"];
    succeed(root, &[&extend[..], &["--device", "cpu,cpu", "--extend-to", "6"]].concat());
    succeed(root, &train("plain-8", "whole", &[&["--iterations", "6"], &shared[..]].concat()));
    // Evaluated after 4 and 6 iterations, not after 6 alone.
    for name in ["train.csv", "weights.safetensors"] {
        assert!(read(root, &format!("run/{name}")) == read(root, &format!("whole/{name}")));
    }
    assert_eq!(record(root, "run").provenance.machine.world, Some(2));
}

#[test]
fn the_tests_of_an_extended_run_on_images_are_of_its_last_weights() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    image_folder::write(root, 4, 4);
    let done = |arguments: &[&str]| {
        let cache = root.join("cache");
        let output = command(root, arguments).env("RESNET_REPRO_CACHE", cache).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}\n{}", stderr(&output));
    };
    let data = ["--dataset", "tiny-imagenet", "--data", "images"];
    let network = ["train", "--network", "resnet-18", "--device", "cpu"];
    let settings = ["crop=32", "scale=[36, 48]", "test_scale=36", "batch_size=4"];
    let schedule = ["evaluate_every=1", "milestones=[]", "lower_rate=milestones"];
    let keys: Vec<&str> = settings.iter().chain(&schedule).flat_map(|key| ["--set", key]).collect();
    let train = |more: &[&str]| done(&[&network[..], &data, &keys, more].concat());
    train(&["--iterations", "2", "--out", "run", "--keep-state"]);
    done(&["evaluate", "--run", "run", "--data", "images", "--views", "centre"]);
    assert_eq!(lines(&root.join("run/tests.csv")), 3);
    let extended = ["--out", "run", "--extend-to", "3"];
    done(&[&network[..], &data, &extended].concat());
    train(&["--iterations", "3", "--out", "whole"]);
    assert_same_run(&root.join("whole"), &root.join("run"));
    assert!(read(root, "run/tests.csv") == read(root, "whole/tests.csv"));
    done(&["verify", "run"]);
}
