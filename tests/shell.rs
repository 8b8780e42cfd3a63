//! What a shell and `man` get.

mod common;

use common::{refuse, succeed};
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

#[test]
fn manual_pages_keep_the_lines_of_examples() {
    let folder = tempfile::tempdir().unwrap();
    let page = succeed(folder.path(), &["manual", "sweep"]);
    assert!(page.starts_with(".ie") || page.contains(".TH resnet-repro-sweep 1"), "{page}");
    assert!(page.contains("dry\\-run"), "{page}");
    let (_, examples) = page.split_once(".SH EXAMPLES\n.nf\n").expect("literal examples");
    let (examples, _) = examples.split_once("\n.fi\n").expect("an end of the examples");
    assert!(examples.lines().all(|line| line.starts_with("resnet\\-repro ")), "{examples}");
    refuse(folder.path(), &["manual", "dance"], 2, &["dance", "no such command"]);
    refuse(folder.path(), &["manual", "data", "dance"], 2, &["dance", "no such command"]);
}

#[test]
fn every_cross_reference_of_a_manual_page_has_its_page() {
    let folder = tempfile::tempdir().unwrap();
    succeed(folder.path(), &["manual", "--out", "man1"]);
    let names: Vec<String> = std::fs::read_dir(folder.path().join("man1"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    for name in ["resnet-repro.1", "resnet-repro-sweep.1", "resnet-repro-data-fetch.1"] {
        assert!(names.iter().any(|other| other == name), "{name} in {names:?}");
    }
    for name in &names {
        let page = std::fs::read_to_string(folder.path().join("man1").join(name)).unwrap();
        assert!(page.contains(&format!(".TH {} 1", name.trim_end_matches(".1"))), "{name}");
        let (_, references) = page.split_once(".SH \"SEE ALSO\"").expect("references");
        let plain = page.replace("\\fB", "").replace("\\fR", "").replace("\\-", "-");
        assert!(references.lines().count() > 1);
        let words = plain.split([' ', '\n', ',']).filter_map(|word| word.strip_suffix("(1)"));
        let mut found = 0;
        for reference in words {
            assert!(names.contains(&format!("{reference}.1")), "{name}: {reference}(1)");
            found += 1;
        }
        assert!(found >= names.len() - 1, "{name} names {found} others");
    }
}
