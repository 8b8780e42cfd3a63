//! One run trained by several processes: the same bytes whatever their number, and one line and an
//! end where one of them fails.

use crate::common;
use crate::common::{assert_same_run, lines, refuse, run, stderr, succeed, wait_until};
use crate::image_folder;
use crate::ports::free_port;
use crate::rank_processes::{
    MPICH, OPEN_MPI, SLURM, Scheme, TORCHRUN, TWO_MACHINES, codes, rank, signal, start, wait,
};
use resnet_repro::records::directory::RunDirectory;
use std::path::Path;
use std::process::Output;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Four groups of eight images, twelve iterations, two evaluations of three batches of images.
const TRAIN: &[&str] = &[
    "train",
    "--network",
    "resnet-8",
    "--data",
    "data",
    "--iterations",
    "12",
    "--set",
    "batch_size=32",
    "--set",
    "group_size=8",
    "--set",
    "evaluate_every=6",
    "--set",
    "gradient_norms_every=5",
    "--checkpoint-every",
    "0",
];

/// A folder with `data/`: CIFAR-10's files with few images.
fn workplace() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    common::write_cifar(&folder.path().join("data"), 320, 1100);
    folder
}

fn arguments<'a>(more: &[&'a str]) -> Vec<&'a str> {
    TRAIN.iter().chain(more).copied().collect()
}

/// The run of a process alone, trained once.
fn alone() -> &'static Path {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = workplace();
        succeed(folder.path(), &arguments(&["--device", "cpu", "--out", "run"]));
        folder
    });
    folder.path()
}

fn assert_same_as_alone(folder: &Path) {
    assert_same_run(&alone().join("run"), folder);
    let gradients = |folder: &Path| std::fs::read(folder.join("gradients.csv")).unwrap();
    assert!(gradients(&alone().join("run")) == gradients(folder), "gradients.csv differs");
}

fn train_with(folder: &Path, scheme: Scheme, world: usize, more: &[&str]) -> Vec<Output> {
    wait(start(folder, scheme, world, &arguments(more)))
}

fn assert_all(outputs: &[Output], code: i32) {
    let said: Vec<String> = outputs.iter().map(stderr).collect();
    assert!(
        codes(outputs).iter().all(|found| *found == Some(code)),
        "{:?} {said:#?}",
        codes(outputs)
    );
}

/// The one line with the error.
fn error(output: &Output) -> String {
    let text = stderr(output);
    let found: Vec<&str> = text.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(found.len(), 1, "{text}");
    found[0].to_string()
}

#[test]
fn two_and_four_ranks_write_the_same_bytes_as_one_process() {
    let folder = workplace();
    let out = folder.path();
    succeed(out, &arguments(&["--device", "cpu,cpu", "--out", "launched"]));
    assert_same_as_alone(&out.join("launched"));
    let outputs = train_with(out, TORCHRUN, 4, &["--out", "four"]);
    assert_all(&outputs, 0);
    assert_same_as_alone(&out.join("four"));
    let said: Vec<String> =
        outputs[1..].iter().map(|output| stderr(output) + &common::stdout(output)).collect();
    assert!(said.iter().all(String::is_empty), "only rank 0 speaks: {said:?}");
    let (record, _) = RunDirectory::at(&out.join("four")).recorded().unwrap().unwrap();
    let machine = record.provenance.machine;
    assert_eq!((machine.world, machine.hosts.len()), (Some(4), 1));
    assert_eq!(machine.exchange.as_deref(), Some("Gloo"));
}

#[test]
fn ranks_on_two_machines_add_up_in_two_levels_and_write_the_same_bytes() {
    let folder = workplace();
    let outputs = train_with(folder.path(), TWO_MACHINES, 4, &["--out", "run"]);
    assert_all(&outputs, 0);
    let said = stderr(&outputs[0]);
    assert!(said.contains("within each machine, then between machines"), "{said}");
    assert_same_as_alone(&folder.path().join("run"));
}

#[test]
fn mpirun_and_srun_start_ranks_too() {
    let folder = workplace();
    for (name, scheme) in [("open-mpi", OPEN_MPI), ("mpich", MPICH), ("slurm", SLURM)] {
        assert_all(&train_with(folder.path(), scheme, 2, &["--out", name]), 0);
        assert_same_as_alone(&folder.path().join(name));
    }
}

#[test]
fn images_are_decoded_and_tested_by_all_ranks_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let images = image_folder::write(folder.path(), 6, 9);
    // A training image and a test image that cannot be read.
    for split in ["train", "val"] {
        std::fs::write(image_folder::file(&images, split, 1, 2), b"no image").unwrap();
    }
    let train = |more: &[&str]| {
        let mut all = vec![
            "train",
            "--network",
            "resnet-18",
            "--dataset",
            "tiny-imagenet",
            "--data",
            "images",
            "--iterations",
            "5",
            "--loaders",
            "1",
        ];
        for setting in [
            "batch_size=8",
            "group_size=2",
            "evaluate_every=3",
            "crop=32",
            "scale=[36, 48]",
            "test_scale=36",
        ] {
            all.extend(["--set", setting]);
        }
        all.extend(more);
        all.into_iter().map(str::to_string).collect::<Vec<_>>()
    };
    let words = |all: &[String]| all.iter().map(|word| word.to_string()).collect::<Vec<_>>();
    let one = words(&train(&["--device", "cpu", "--out", "one"]));
    succeed(folder.path(), &one.iter().map(String::as_str).collect::<Vec<_>>());
    let four = words(&train(&["--out", "four"]));
    let four: Vec<&str> = four.iter().map(String::as_str).collect();
    assert_all(&wait(start(folder.path(), TORCHRUN, 4, &four)), 0);
    let [one, four] = ["one", "four"].map(|name| folder.path().join(name));
    assert_same_run(&one, &four);
    let tests = [&one, &four].map(|run| std::fs::read(run.join("tests.csv")).unwrap());
    assert!(tests[0] == tests[1], "tests.csv differs");
    let unreadable = [&one, &four]
        .map(|run| RunDirectory::at(run).recorded().unwrap().unwrap().0.unreadable_images);
    assert!(!unreadable[0].is_empty());
    assert_eq!(unreadable[0], unreadable[1], "rank 0 records what any rank could not read");
}

#[test]
fn a_number_of_ranks_that_does_not_divide_the_groups_is_refused_before_anything_starts() {
    let folder = workplace();
    let out = folder.path();
    let three = arguments(&["--device", "cpu,cpu,cpu", "--out", "run"]);
    refuse(out, &three, 2, &["3 ranks", "4 groups", "group_size"]);
    let mut whole = arguments(&["--device", "cpu,cpu", "--out", "run"]);
    let position = whole.iter().position(|word| *word == "group_size=8").unwrap();
    whole.drain(position - 1..=position);
    refuse(out, &whole, 2, &["2 ranks", "1 group ", "--set group_size=16"]);
    for output in train_with(out, TORCHRUN, 3, &["--out", "run"]) {
        assert_eq!(output.status.code(), Some(2));
        assert!(error(&output).contains("3 ranks cannot share the 4 groups"), "{}", error(&output));
    }
    let compare = ["compare", "8", "--data", "data", "--device", "cpu,cpu"];
    refuse(out, &compare, 2, &["--device cpu,cpu", "compare"]);
    assert!(!out.join("run").exists());
}

#[test]
fn a_signal_to_one_of_four_ranks_stops_all_and_one_process_or_two_finish_the_run() {
    let folder = workplace();
    let [run, copy] = ["run", "copy"].map(|name| folder.path().join(name));
    let started = start(folder.path(), TORCHRUN, 4, &arguments(&["--out", "run"]));
    wait_until("no iteration", || lines(&run.join("train.csv")) > 3);
    signal(&started[2], libc::SIGUSR1);
    assert_all(&wait(started), 75);
    let trained = lines(&run.join("train.csv"));
    assert!(trained < 13, "it was to stop before its end");
    common::copy_folder(&run, &copy);
    succeed(folder.path(), &arguments(&["--device", "cpu", "--out", "copy"]));
    assert_same_as_alone(&copy);
    assert_all(&train_with(folder.path(), TORCHRUN, 2, &["--out", "run"]), 0);
    assert_same_as_alone(&run);
    // There is nothing left to do, on two ranks as on one.
    assert_all(&train_with(folder.path(), TORCHRUN, 2, &["--out", "run"]), 0);
}

#[test]
fn a_signal_to_the_launcher_saves_and_the_run_goes_on() {
    let folder = workplace();
    let run = folder.path().join("run");
    let both = arguments(&["--device", "cpu,cpu", "--out", "run"]);
    let mut launcher = common::command(folder.path(), &both)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    wait_until("no iteration", || lines(&run.join("train.csv")) > 2);
    signal(&launcher, libc::SIGTERM);
    assert_eq!(launcher.wait().unwrap().code(), Some(75));
    succeed(folder.path(), &both);
    assert_same_as_alone(&run);
}

#[test]
fn a_rank_that_is_killed_ends_the_others_and_the_run_goes_on_from_its_checkpoint() {
    let folder = workplace();
    let run = folder.path().join("run");
    let mut started = start(folder.path(), TORCHRUN, 2, &arguments(&["--out", "run"]));
    wait_until("no iteration", || lines(&run.join("train.csv")) > 3);
    signal(&started[1], libc::SIGKILL);
    let killed = Instant::now();
    started[1].wait().unwrap();
    let first = started.remove(0).wait_with_output().unwrap();
    assert!(killed.elapsed() < Duration::from_secs(60), "{:?}", killed.elapsed());
    assert_eq!(first.status.code(), Some(1));
    let host = resnet_repro::system::host::name();
    let told = error(&first);
    assert!(told.contains(&format!("rank 1 of 2 (host {host}) has ended unexpectedly")), "{told}");
    let (record, _) = RunDirectory::at(&run).recorded().unwrap().unwrap();
    assert!(record.failures.iter().any(|failure| failure.reason.contains("rank 1 of 2")));
    succeed(folder.path(), &arguments(&["--device", "cpu", "--out", "run"]));
    assert_same_as_alone(&run);
}

#[test]
fn a_rank_that_stands_still_ends_the_others_after_the_time_limit() {
    let folder = workplace();
    let run = folder.path().join("run");
    let all = arguments(&["--out", "run", "--rank-timeout", "4"]);
    for standing in [1, 0] {
        let started = start(folder.path(), TORCHRUN, 2, &all);
        let before = lines(&run.join("train.csv"));
        wait_until("no iteration", || lines(&run.join("train.csv")) > before.max(1));
        signal(&started[standing], libc::SIGSTOP);
        let stopped = Instant::now();
        let mut outputs = Vec::new();
        for (number, rank) in started.into_iter().enumerate() {
            if number == standing {
                outputs.push(rank);
            } else {
                let output = rank.wait_with_output().unwrap();
                let told = error(&output);
                let named = format!("rank {standing} of 2 (host ");
                assert!(told.contains(&named) && told.contains("not answered for 4 s"), "{told}");
                assert_eq!(output.status.code(), Some(1));
                assert!(stopped.elapsed() < Duration::from_secs(60), "{:?}", stopped.elapsed());
            }
        }
        for mut rank in outputs {
            signal(&rank, libc::SIGKILL);
            rank.wait().unwrap();
        }
    }
    succeed(folder.path(), &arguments(&["--device", "cpu", "--out", "run"]));
    assert_same_as_alone(&run);
}

#[test]
fn a_rank_that_does_not_come_is_named_after_the_time_limit() {
    let folder = workplace();
    let all = arguments(&["--out", "run", "--rank-timeout", "2"]);
    let port = free_port();
    let first = rank(folder.path(), TORCHRUN, (0, 2), &port, &all).wait_with_output().unwrap();
    assert_eq!(first.status.code(), Some(1));
    assert!(error(&first).contains("rank 1 did not come within 2 s"), "{}", error(&first));
    let other = rank(folder.path(), TORCHRUN, (1, 2), &port, &all).wait_with_output().unwrap();
    assert_eq!(other.status.code(), Some(1));
    let told = error(&other);
    assert!(told.contains(&format!("no rank 0 at 127.0.0.1 port {port}")), "{told}");
    assert!(!folder.path().join("run").exists());
}

#[test]
fn ranks_with_two_recipes_are_refused_by_the_key_on_all_of_them() {
    let folder = workplace();
    let port = free_port();
    let other = arguments(&["--out", "run", "--set", "lr=0.5"]);
    let ranks = vec![
        rank(folder.path(), TORCHRUN, (0, 2), &port, &arguments(&["--out", "run"])),
        rank(folder.path(), TORCHRUN, (1, 2), &port, &other),
    ];
    let outputs = wait(ranks);
    assert_all(&outputs, 2);
    for output in &outputs {
        let told = error(output);
        assert!(told.contains("has learning_rate 0.5, and rank 0 (host "), "{told}");
    }
    assert!(!folder.path().join("run").exists());
}

#[test]
fn what_fails_on_one_rank_is_told_by_the_others() {
    let folder = workplace();
    std::fs::create_dir(folder.path().join("run")).unwrap();
    std::fs::write(folder.path().join("run/else"), "no run").unwrap();
    // Rank 0 alone looks into the folder.
    let outputs = train_with(folder.path(), TORCHRUN, 2, &["--out", "run"]);
    assert_eq!(codes(&outputs), [Some(2), Some(1)]);
    let told = error(&outputs[1]);
    assert!(told.contains("rank 0 of 2 (host ") && told.contains("holds no run"), "{told}");
    let both = arguments(&["--device", "cpu,cpu", "--out", "run"]);
    let output = run(folder.path(), &both);
    assert_eq!(output.status.code(), Some(2), "the refusal counts: {}", stderr(&output));
    assert!(error(&output).contains("holds no run"));
}
