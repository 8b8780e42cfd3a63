//! What a shell and `man` get.

use crate::common::{refuse, succeed};
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
    assert_eq!(complete("resnet-repro data fetch --sh"), "--sha256");
    assert_eq!(complete("resnet-repro data fetch --ht"), "");
    assert!(complete("resnet-repro evaluate --normalize p").contains("pixel-mean"));
}

/// Whether `shell` is installed. A machine without it passes, and says so.
fn is_installed(shell: &str) -> bool {
    let found = Command::new(shell).args(["-c", "true"]).output();
    let found = found.is_ok_and(|output| output.status.success());
    if !found {
        eprintln!("not tested: {shell} is not installed");
    }
    found
}

#[test]
fn fish_completes_subcommands_their_options_and_values() {
    if !is_installed("fish") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let script = succeed(folder.path(), &["completions", "fish"]);
    std::fs::write(folder.path().join("completion.fish"), script).unwrap();
    let complete = |line: &str| {
        let script = format!("source completion.fish; complete -C '{line}'");
        let output = Command::new("fish")
            .args(["--no-config", "-c", &script])
            .current_dir(folder.path())
            .output()
            .unwrap();
        // Each line is a word, a tab and what it means.
        let text = String::from_utf8(output.stdout).unwrap();
        let words = text.lines().filter_map(|line| line.split('\t').next());
        words.map(str::to_string).collect::<Vec<_>>()
    };
    assert_eq!(complete("resnet-repro sw"), ["sweep"]);
    assert_eq!(complete("resnet-repro sweep --dr"), ["--dry-run"]);
    assert_eq!(complete("resnet-repro data fetch --ht"), [""; 0]);
    assert!(complete("resnet-repro data fetch --sh").contains(&"--sha256".to_string()));
    assert!(
        complete("resnet-repro evaluate --normalize p").contains(&"pixel-mean".to_string()),
        "values of an option"
    );
}

/// Types a line and Tab in an interactive zsh and writes what the line has become to `line.txt`.
const TYPE_IN_ZSH: &str = r#"
zmodload zsh/zpty || exit 90
zpty shell zsh -f -i
zpty -w shell 'PS1=; fpath=($PWD $fpath); autoload -Uz compinit && compinit -D -u'
zpty -w shell 'keep() { print -r -- "$BUFFER" > kept.txt && mv kept.txt line.txt; BUFFER= }; zle -N keep; bindkey "^T" keep'
zpty -w shell 'print ready > ready.txt'
for try in {1..600}; do zpty -r -t shell drop; [[ -e ready.txt ]] && break; sleep 0.05; done
zpty -w -n shell "$1"$'	'
for try in {1..600}; do zpty -r -t shell drop; [[ -e line.txt ]] && break; sleep 0.05; done
zpty -d shell"#;

#[test]
fn zsh_completes_subcommands_their_options_and_values() {
    if !is_installed("zsh") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let script = succeed(folder.path(), &["completions", "zsh"]);
    assert!(script.starts_with("#compdef resnet-repro"));
    let complete = |line: &str| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("_resnet-repro"), &script).unwrap();
        let output = Command::new("zsh")
            .args(["-f", "-c", TYPE_IN_ZSH, "zsh", line])
            .current_dir(folder.path())
            .output()
            .unwrap();
        std::fs::read_to_string(folder.path().join("line.txt"))
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
            .trim_end()
            .to_string()
    };
    assert_eq!(complete("resnet-repro sw"), "resnet-repro sweep");
    assert_eq!(complete("resnet-repro sweep --dr"), "resnet-repro sweep --dry-run");
    assert_eq!(complete("resnet-repro data pi"), "resnet-repro data picture");
    assert_eq!(
        complete("resnet-repro evaluate --normalize im"),
        "resnet-repro evaluate --normalize imagenet"
    );
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
