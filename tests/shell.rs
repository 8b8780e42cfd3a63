//! What a shell and `man` get.

mod common;

use common::succeed;
use std::process::Command;

#[test]
fn bash_completes_subcommands_and_their_options() {
    let folder = tempfile::tempdir().unwrap();
    let script = succeed(folder.path(), &["completions", "bash"]);
    std::fs::write(folder.path().join("completion.bash"), script).unwrap();
    let complete = |words: &str| {
        let script = format!(
            "source completion.bash
             words=({words}); COMP_WORDS=(\"${{words[@]}}\"); COMP_CWORD=$((${{#words[@]}} - 1))
             function=$(complete -p resnet-repro | sed 's/.*-F \\([^ ]*\\).*/\\1/')
             $function resnet-repro \"${{words[-1]}}\" \"${{words[-2]}}\"
             echo \"${{COMPREPLY[@]}}\""
        );
        let output =
            Command::new("bash").args(["-c", &script]).current_dir(folder.path()).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_string()
    };
    assert_eq!(complete("resnet-repro sw"), "sweep");
    assert_eq!(complete("resnet-repro sweep --dr"), "--dry-run");
    assert_eq!(complete("resnet-repro data fetch --ht"), "");
    assert!(complete("resnet-repro evaluate --normalize p").contains("pixel-mean"));
}

#[test]
fn zsh_and_fish_know_the_options_of_subcommands() {
    let folder = tempfile::tempdir().unwrap();
    for (shell, parts) in [
        ("zsh", &["#compdef resnet-repro", "--dry-run["][..]),
        ("fish", &["subcommand sweep", "-l dry-run"]),
    ] {
        let script = succeed(folder.path(), &["completions", shell]);
        for part in parts {
            assert!(script.contains(part), "{shell}: no \"{part}\"");
        }
    }
}
