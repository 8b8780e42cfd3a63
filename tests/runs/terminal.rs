//! What a person sees in a terminal: progress lines that fit, what Ctrl-C is answered, and signs that
//! the locale has.

use crate::common::{SMALL_SWEEP, command, lines, wait_until, workspace, write_experiment};
use crate::pseudo_terminal::{OnTerminal, drawn_lines};
use std::path::Path;

/// A sweep of two small runs into `out`, of which each is evaluated thrice.
fn sweep(out: &str) -> Vec<&str> {
    let rest = ["--set", "evaluate_every=20", "--iterations", "60", "--jobs", "2", "--out", out];
    [SMALL_SWEEP, &rest].concat()
}

/// The program with `arguments` on a terminal of so many columns.
fn start(folder: &Path, columns: u16, locale: &str, arguments: &[&str]) -> OnTerminal {
    let mut command = command(folder, arguments);
    command.env("LC_ALL", locale);
    OnTerminal::start(command, columns)
}

/// Whether a progress line ends with a whole word of those that it can end with.
fn is_whole(line: &str) -> bool {
    let last = line.split_whitespace().last().unwrap_or_default();
    let is_duration = last.len() > 1
        && last.ends_with(['s', 'm', 'h', 'd'])
        && last[..last.len() - 1].bytes().all(|digit| digit.is_ascii_digit());
    let is_count = line.split_whitespace().count() <= 3 && last.contains('/');
    let has_no_text = last.ends_with(['━', '─']);
    let endings = [
        "%",
        "images/s",
        "left",
        "waiting",
        "evaluating",
        "finished",
        "second",
        "seconds",
        "minute",
        "minutes",
        "progress",
        "done",
    ];
    has_no_text || is_duration || is_count || endings.contains(&last)
}

#[test]
fn progress_lines_are_whole_in_terminals_of_60_and_110_columns() {
    let folder = workspace();
    write_experiment(folder.path(), "");
    for columns in [60, 110] {
        let out = format!("out-{columns}");
        let arguments = sweep(&out);
        let (status, text) = start(folder.path(), columns, "C.UTF-8", &arguments).finish();
        assert!(status.success(), "{text}");
        let bars: Vec<String> = drawn_lines(&text, columns)
            .into_iter()
            .filter(|line| line.starts_with("e/") || line.starts_with("sweep "))
            // The table at the end is a result, which is never shortened.
            .filter(|line| line.contains(['━', '─']))
            .collect();
        assert!(bars.len() > 10, "{columns} columns: {text:?}");
        for line in &bars {
            assert!(is_whole(line), "{columns} columns: {line:?} is cut");
        }
        for what in ["e/plain-8/seed-0", "e/resnet-8/seed-0", "sweep"] {
            assert!(bars.iter().any(|line| line.starts_with(what)), "{columns}: no line of {what}");
        }
        // Where there is room it is used.
        let whole = "test error";
        assert!(columns < 110 || bars.iter().any(|line| line.contains(whole)), "{bars:#?}");
    }
}

#[test]
fn a_sweep_that_ctrl_c_stops_says_so_until_it_is_over() {
    let folder = workspace();
    write_experiment(folder.path(), "");
    // Iterations of about a second: the bars are drawn again and again before one is over.
    let text = std::fs::read_to_string(folder.path().join("e.toml")).unwrap();
    std::fs::write(folder.path().join("e.toml"), text.replace("-8\"", "-20\"")).unwrap();
    let arguments = [
        "sweep",
        "e.toml",
        "--data",
        "data",
        "--device",
        "cpu",
        "--set",
        "batch_size=320",
        "--iterations",
        "1000",
        "--out",
        "out",
    ];
    let sweep = start(folder.path(), 100, "C.UTF-8", &arguments);
    let log = folder.path().join("out/e/plain-20/seed-0/train.csv");
    wait_until("the sweep does not log", || lines(&log) > 1);
    // SAFETY: a signal to a process that this test started.
    unsafe { libc::kill(sweep.child.id() as libc::pid_t, libc::SIGINT) };
    let (status, text) = sweep.finish();
    assert_eq!(status.code(), Some(75), "{text}");
    let drawn = drawn_lines(&text, 100);
    let told = drawn
        .iter()
        .position(|line| line.contains("press again in a second to stop without saving"));
    let told = told.unwrap_or_else(|| panic!("Ctrl-C has no answer: {text:?}"));
    let after: Vec<&String> =
        drawn[told + 1..].iter().filter(|line| line.starts_with("sweep ")).collect();
    // A line may be drawn before the signal is looked at, a fraction of a second later.
    let stopping = after.iter().position(|line| line.contains("stopping"));
    let stopping = stopping.unwrap_or_else(|| panic!("the answer is drawn over: {after:?}"));
    assert!(stopping < 10, "the answer is late: {after:?}");
    for line in &after[stopping..] {
        assert!(line.contains("stopping"), "the answer is drawn over: {line:?}");
    }
}

#[test]
fn a_terminal_whose_locale_is_c_gets_ascii_and_one_of_utf_8_the_signs() {
    let folder = workspace();
    write_experiment(folder.path(), "");
    let sweep = sweep("out");
    let table = ["describe", "--network", "resnet-20"];
    // "×", "→", "✓" and "–" (of a run that was not evaluated) stand in these.
    for (arguments, sign) in [(&table[..], "3×3"), (&["doctor"], "✓"), (&sweep, "━")] {
        let (_, text) = start(folder.path(), 110, "C.UTF-8", arguments).finish();
        assert!(text.contains(sign), "{arguments:?}: no {sign}: {text}");
    }
    std::fs::remove_dir_all(folder.path().join("out")).unwrap();
    for arguments in [&table[..], &["doctor"], &sweep, &["compare", "57"]] {
        let (_, text) = start(folder.path(), 110, "C", arguments).finish();
        assert!(text.len() > 40, "{arguments:?}: {text}");
        assert!(text.is_ascii(), "{arguments:?}: {text}");
    }
}
