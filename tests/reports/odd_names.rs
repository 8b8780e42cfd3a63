//! Names and values with line breaks, and with what would command a terminal, are shown in one line.

use crate::common::{command, stderr, workspace};
use std::process::Command;

/// The line with the error.
fn error_line(message: &str) -> &str {
    message.lines().find(|line| line.starts_with("error: ")).expect(message)
}

#[test]
fn a_line_break_in_a_value_does_not_split_the_message() {
    let folder = workspace();
    let refused = [
        (vec!["train", "--network", "resnet\n-20"], "resnet\\n-20"),
        (vec!["train", "--network", "plain-8", "--set", "epsilon=1\n2\u{1b}[31m"], "epsilon=1"),
        (vec!["train", "--network", "plain-8", "--iterations", "1\n2"], "1\\n2"),
        (vec!["data", "fetch", "cifar10", "--from", "no\nfile"], "no\\nfile"),
        (vec!["data", "fetch", "cifar10", "--sha256", "z\nz"], "z\\nz"),
        (vec!["sweep", "no\nfile.toml"], "no\\nfile.toml"),
        (vec!["figures", "no\nfolder"], "no\\nfolder"),
    ];
    for (arguments, part) in refused {
        let output = command(folder.path(), &arguments).output().unwrap();
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
        assert!(error_line(&message).contains(part), "{arguments:?}: {message}");
        assert!(!message.contains('\u{1b}'), "{arguments:?}: {message}");
    }
}

#[test]
fn the_starter_shows_the_name_of_its_folder_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let odd = folder.path().join("a\nb\u{1b}[31m");
    std::fs::create_dir(&odd).unwrap();
    // Without the engine beside it.
    let program = odd.join("resnet-repro");
    std::fs::copy(env!("CARGO_BIN_EXE_resnet-repro"), &program).unwrap();
    let output = Command::new(&program).arg("--version").output().unwrap();
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.lines().count() == 1 && message.contains("a\\nb\\u001b[31m"), "{message}");
}
