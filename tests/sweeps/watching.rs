//! `sweep --report`: a page that is kept fresh while the runs train.

use std::path::Path;
use std::process::{Child, Stdio};

use crate::common::{
    SMALL_SWEEP, children, command, lines, refuse, run, signal, small, stderr, succeed, wait_until,
    workspace, write_experiment,
};

/// A sweep of two small runs that keeps a page.
fn sweep<'a>(iterations: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let rest = ["--set", "evaluate_every=1000", "--out", "out", "--iterations", iterations];
    [SMALL_SWEEP, &rest, &["--report", "pages/sweep.html", "--watch", "0.2"], more].concat()
}

fn page(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("pages/sweep.html")).unwrap_or_default()
}

fn start(folder: &Path, iterations: &str) -> Child {
    let mut command = command(folder, &sweep(iterations, &["--checkpoint-every", "0"]));
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn a_page_shows_the_runs_while_they_train_and_rests_when_all_are_over() {
    let folder = workspace();
    write_experiment(folder.path(), "");
    // Another sweep's run, which is not this page's.
    let other = ["--iterations", "2", "--out", "out/other/resnet-14/seed-0"];
    succeed(folder.path(), &small(&[&["train", "--network", "resnet-14"], &other[..]].concat()));
    let mut child = start(folder.path(), "150");
    wait_until("no page of a run with rows", || {
        let page = page(folder.path());
        page.contains("0 of 2 runs done, 1 running")
            && page.contains(" of 150</td>")
            && page.contains("<img alt=")
    });
    let text = page(folder.path());
    assert!(text.contains("<meta http-equiv=\"refresh\" content=\"1\">"), "it is read again");
    assert!(text.contains("e/plain-8/seed-0") && text.contains("waiting"), "every run is there");
    assert!(!text.contains(".csv\""), "there are no files beside it");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let text = page(folder.path());
    assert!(text.contains("2 of 2 runs done") && !text.contains("http-equiv=\"refresh\""));
    assert!(!text.contains("resnet-14"), "runs of other sweeps are left out");
    // Without training: the same page of what is there, and the logs are as they were.
    let log = folder.path().join("out/e/plain-8/seed-0/train.csv");
    let before = std::fs::read(&log).unwrap();
    std::fs::remove_file(folder.path().join("pages/sweep.html")).unwrap();
    let arguments = &sweep("150", &["--status"])[..];
    let once: Vec<&str> =
        arguments.iter().copied().filter(|word| !["--watch", "0.2"].contains(word)).collect();
    succeed(folder.path(), &once);
    assert!(page(folder.path()).contains("2 of 2 runs done"));
    assert_eq!(std::fs::read(&log).unwrap(), before);
}

#[test]
fn the_page_ends_with_the_sweep_and_says_that_it_was_interrupted() {
    let folder = workspace();
    write_experiment(folder.path(), "");
    let log = folder.path().join("out/e/plain-8/seed-0/train.csv");
    let mut child = start(folder.path(), "100000");
    wait_until("no rows", || lines(&log) > 3);
    signal(child.id(), libc::SIGTERM);
    assert_eq!(child.wait().unwrap().code(), Some(75));
    let text = page(folder.path());
    assert!(text.contains("0 of 2 runs done, 1 interrupted"), "{text:.2000}");
    assert!(
        text.contains("http-equiv=\"refresh\""),
        "the same command goes on, and so may the page"
    );
    // A sweep that is killed takes the process that makes the page along.
    let mut child = start(folder.path(), "100000");
    let before = lines(&log);
    wait_until("no further rows", || lines(&log) > before);
    let processes = children(child.id());
    assert_eq!(processes.len(), 2, "a run, and the page");
    child.kill().unwrap();
    child.wait().unwrap();
    let is_gone = |process: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        !stat.contains("resnet") || stat.contains(") Z")
    };
    wait_until("a process is left", || processes.iter().all(is_gone));
}

#[test]
fn a_page_that_cannot_be_written_is_refused_before_anything_starts() {
    let folder = workspace();
    write_experiment(folder.path(), "");
    std::fs::create_dir(folder.path().join("pages")).unwrap();
    std::fs::create_dir(folder.path().join("pages/sweep.html")).unwrap();
    refuse(folder.path(), &sweep("4", &[]), 2, &["--report pages/sweep.html", "is a folder"]);
    refuse(folder.path(), &sweep("4", &["--status"]), 2, &["--report pages/sweep.html"]);
    assert!(!folder.path().join("out/e").exists());
    for other in [&["--dry-run"][..], &["--element", "0"], &["--slurm"]] {
        let output = run(folder.path(), &sweep("4", other));
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains("--report"), "{}", stderr(&output));
    }
}
