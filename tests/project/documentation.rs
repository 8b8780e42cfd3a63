//! What the documentation says: every command can be typed as it stands, every file that it names
//! is there, and nothing that the program has is left out.

use crate::common;
use crate::documents::{
    Document, anchors, blocks, commands, links, markdown, matching, paths, root,
};
use crate::image_folder;
use clap::{CommandFactory, Parser};
use resnet_repro::commands::Cli;
use resnet_repro::config::settings;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// The most lines that README may have.
const README_LINES: usize = 130;

/// The help text of each subcommand, with those of subcommands below it.
fn help_texts() -> Vec<Document> {
    fn collect(command: &mut clap::Command, name: &str, texts: &mut Vec<Document>) {
        let text = command.render_long_help().to_string();
        texts.push(Document { name: format!("{name} --help"), text });
        for inner in command.get_subcommands_mut() {
            let name = format!("{name} {}", inner.get_name());
            collect(inner, &name, texts);
        }
    }
    let mut texts = Vec::new();
    collect(&mut Cli::command().term_width(10_000), "resnet-repro", &mut texts);
    texts
}

/// Everything with commands that people copy.
fn sources() -> Vec<Document> {
    let mut sources = markdown();
    sources.extend(matching("experiments/*.toml").iter().map(|path| Document::read(path)));
    sources.extend(help_texts());
    sources
}

/// All commands, each with the text that it stands in.
fn all_commands() -> Vec<(String, Vec<String>)> {
    let of = |source: &Document| -> Vec<_> {
        commands(&source.text).into_iter().map(|words| (source.name.clone(), words)).collect()
    };
    sources().iter().flat_map(of).collect()
}

/// A folder as a user has it who has fetched all data: this repository's files, and small data.
fn workplace() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for name in ["experiments", "results", "scripts"] {
        std::os::unix::fs::symlink(root().join(name), path.join(name)).unwrap();
    }
    common::write_cifar(&path.join("data/cifar10"), 6000, 100);
    let images = image_folder::write(path, 100, 4);
    for name in ["data/imagenet", "data/imagenette-10", "data/tiny-imagenet", "my-images"] {
        std::os::unix::fs::symlink(&images, path.join(name)).unwrap();
    }
    folder
}

/// Absolute folders of data in the examples stand for those of the workplace.
fn at_hand(word: &str) -> String {
    word.replace("/data/imagenet", "data/imagenet").replace("/data/tiny", "data/tiny")
}

#[test]
fn every_command_can_be_typed_as_it_stands() {
    let found = all_commands();
    let mut problems = Vec::new();
    for (source, words) in &found {
        let line = words.join(" ");
        let all = std::iter::once("resnet-repro".to_string()).chain(words.iter().cloned());
        if let Err(error) = Cli::try_parse_from(all) {
            use clap::error::ErrorKind::{DisplayHelp, DisplayVersion};
            if !matches!(error.kind(), DisplayHelp | DisplayVersion) {
                problems.push(format!("{source}: {line}: {error}"));
            }
            continue;
        }
        let settings: Vec<String> = words
            .windows(2)
            .filter(|pair| pair[0] == "--set")
            .map(|pair| pair[1].clone())
            .collect();
        if let Err(error) = settings::parse_settings(&settings) {
            problems.push(format!("{source}: {line}: {error}"));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(found.len() > 50, "only {} commands were found", found.len());
    let sources: BTreeSet<&str> = found.iter().map(|(source, _)| source.as_str()).collect();
    for must in ["README.md", "docs/cluster.md", "docs/imagenet.md", "resnet-repro sweep --help"] {
        assert!(sources.contains(must), "no command was found in {must}");
    }
}

/// The command with `--dry-run`, without the options that have nothing to do with which runs are
/// trained on which data (and with devices that this machine may not have).
fn plan(words: &[String]) -> Vec<String> {
    const LEFT_OUT: [&str; 7] =
        ["--device", "--jobs", "--out", "--report", "--tensorboard", "--set", "--iterations"];
    let mut kept: Vec<String> = Vec::new();
    let mut rest = words.iter().filter(|word| *word != "--dry-run");
    while let Some(word) = rest.next() {
        match LEFT_OUT.contains(&word.as_str()) {
            true => drop(rest.next()),
            false => kept.push(at_hand(word)),
        }
    }
    kept.push("--dry-run".to_string());
    kept
}

#[test]
fn every_sweep_of_the_documentation_has_a_plan_with_the_data_that_it_names() {
    let folder = workplace();
    let plans: BTreeSet<Vec<String>> = all_commands()
        .into_iter()
        .map(|(_, words)| words)
        .filter(|words| words.first().is_some_and(|word| word == "sweep") && words.len() > 1)
        .filter(|words| !words.iter().any(|word| word == "experiments/mine.toml"))
        // What there is, is no plan; and what is extended must be there.
        .filter(|words| {
            !words.iter().any(|word| ["--status", "--extend-to"].contains(&word.as_str()))
        })
        .map(|words| plan(&words))
        .collect();
    assert!(plans.len() > 6, "{plans:?}");
    for plan in plans {
        let words: Vec<&str> = plan.iter().map(String::as_str).collect();
        let output = common::run(folder.path(), &words);
        let message = common::stderr(&output);
        assert_eq!(output.status.code(), Some(0), "{words:?}\n{message}");
        assert!(!message.contains("note: "), "{words:?}\n{message}");
    }
}

#[test]
fn the_short_commands_of_readme_run() {
    let folder = workplace();
    let short = |words: &[String]| {
        let first = words.first().map(String::as_str).unwrap_or_default();
        match first {
            "doctor" | "describe" | "completions" | "manual" | "verify" => true,
            "data" => words.get(1).is_some_and(|action| action == "check" || action == "picture"),
            _ => false,
        }
    };
    let chosen: BTreeSet<Vec<String>> = all_commands()
        .into_iter()
        .filter(|(source, words)| short(words) && !source.starts_with("results/"))
        .map(|(_, words)| words.iter().map(|word| at_hand(word)).collect())
        .collect();
    // What "verify" and "figures" look at without an argument.
    std::os::unix::fs::symlink(root().join("results/2026-11-24-demo"), folder.path().join("runs"))
        .unwrap();
    for words in chosen {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let output = common::run(folder.path(), &words);
        assert_eq!(output.status.code(), Some(0), "{words:?}\n{}", common::stderr(&output));
    }
}

#[test]
fn every_file_that_the_documentation_names_is_there() {
    let mut problems = Vec::new();
    for source in sources().iter().filter(|source| source.name != "CHANGELOG.md") {
        for path in paths(&source.text) {
            // A file that the reader is told to write.
            if path.starts_with("experiments/mine") {
                continue;
            }
            if !root().join(&path).exists() && matching(&path).is_empty() {
                problems.push(format!("{}: there is no {path}", source.name));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn every_test_that_the_documentation_names_is_there() {
    let files = ["tests/**/*.rs", "src/**/*.rs"].map(matching).concat();
    let tests: String = files.iter().map(|path| Document::read(path).text).collect();
    let mut found = 0;
    for source in markdown() {
        for name in
            source.text.split('`').skip(1).step_by(2).filter_map(|code| code.strip_suffix('…'))
        {
            if name.ends_with('_') && name.starts_with(|first: char| first.is_ascii_lowercase()) {
                assert!(tests.contains(&format!("fn {name}")), "{}: no test {name}…", source.name);
                found += 1;
            }
        }
    }
    assert!(found > 10, "{found}");
}

#[test]
fn every_relative_link_resolves() {
    let mut problems = Vec::new();
    for source in markdown() {
        let folder = root().join(&source.name).parent().unwrap().to_path_buf();
        for link in links(&source.text) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let path = if file.is_empty() { root().join(&source.name) } else { folder.join(file) };
            if !path.exists() {
                problems.push(format!("{}: {link}: no such file", source.name));
            } else if !anchor.is_empty()
                && !anchors(&Document::read(&path).text).contains(&anchor.to_string())
            {
                problems.push(format!("{}: {link}: no such heading", source.name));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn every_recipe_key_and_subcommand_is_documented() {
    let protocol = Document::read(&root().join("docs/protocol.md")).text;
    let help = help_texts().into_iter().find(|text| text.name == "resnet-repro train --help");
    let help = help.expect("train has a help text").text;
    for key in settings::keys() {
        assert!(protocol.contains(&format!("\n| `{key}` |")), "docs/protocol.md: no row for {key}");
        assert!(help.contains(&key), "train --help does not name {key}");
    }
    let readme = Document::read(&root().join("README.md")).text;
    let program = Cli::command();
    for command in program.get_subcommands().filter(|command| !command.is_hide_set()) {
        let name = command.get_name();
        assert!(
            readme.contains(&format!("`{name}`")) || readme.contains(&format!("`{name} ")),
            "README.md does not name `{name}`"
        );
        for inner in command.get_subcommands().map(clap::Command::get_name) {
            let name = format!("`{name} {inner}`");
            assert!(inner == "help" || readme.contains(&name), "README.md does not name {name}");
        }
    }
}

#[test]
fn the_table_of_recipe_keys_is_the_programs() {
    let protocol = Document::read(&root().join("docs/protocol.md")).text;
    let table: Vec<&str> = protocol
        .lines()
        .skip_while(|line| !line.starts_with("| key | default"))
        .take_while(|line| line.starts_with('|'))
        .collect();
    assert_eq!(table.join("\n"), resnet_repro::config::reference::markdown());
}

#[test]
fn every_column_of_the_logs_is_documented() {
    let files = Document::read(&root().join("docs/files.md")).text;
    for log in ["train.csv", "eval.csv", "tests.csv"] {
        let path = matching(&format!("results/2026-11-24-tiny-imagenet/*/*/*/{log}")).remove(0);
        let header = Document::read(&path).text.lines().next().unwrap().to_string();
        for column in header.split(',') {
            assert!(files.contains(&format!("`{column}`")), "docs/files.md: no {column} of {log}");
        }
    }
}

#[test]
fn every_column_of_the_report_is_documented() {
    let files = Document::read(&root().join("docs/files.md")).text;
    let tables = matching("results/report/*/*.csv");
    assert!(!tables.is_empty());
    let mut missing = BTreeSet::new();
    for table in tables {
        let header = csv::Reader::from_path(&table).unwrap().headers().unwrap().clone();
        let columns = header.iter().filter(|column| !files.contains(&format!("`{column}`")));
        missing.extend(columns.map(|column| format!("{column} of {}", table.display())));
    }
    assert!(missing.is_empty(), "docs/files.md does not name {missing:#?}");
}

#[test]
fn runs_and_reports_of_a_user_are_in_a_folder_that_git_ignores() {
    let program = Cli::command();
    let default = |command: &str, argument: &str| {
        let command = program.find_subcommand(command).unwrap();
        let argument = command.get_arguments().find(|other| other.get_id() == argument).unwrap();
        argument.get_default_values()[0].to_str().unwrap().to_string()
    };
    for (command, argument) in
        [("sweep", "out"), ("figures", "results"), ("verify", "results"), ("claims", "results")]
    {
        assert_eq!(default(command, argument), "runs", "{command}");
    }
    let ignored = |path: &str| {
        Command::new("git").args(["check-ignore", "--quiet", path]).current_dir(root()).status()
    };
    match ignored("runs/report/report.html").map(|status| status.code()) {
        Ok(Some(code @ (0 | 1))) => {
            assert_eq!(code, 0, "git does not ignore runs/");
            let published = ignored("results/report/report.html").unwrap();
            assert_eq!(published.code(), Some(1), "git ignores what is published");
        }
        _ => eprintln!("not tested: this is no git repository"),
    }
}

#[test]
fn readme_is_short() {
    let lines = Document::read(&root().join("README.md")).text.lines().count();
    assert!(
        lines <= README_LINES,
        "README.md has {lines} lines, at most {README_LINES} are wanted"
    );
}

/// A Python with pandas and polars: RESNET_REPRO_TABLES, else `python3`.
fn python() -> Option<String> {
    let python = std::env::var("RESNET_REPRO_TABLES").unwrap_or_else(|_| "python3".to_string());
    let output = Command::new(&python).args(["-c", "import pandas, polars"]).output();
    output.is_ok_and(|output| output.status.success()).then_some(python)
}

#[test]
fn the_pandas_and_polars_examples_run() {
    let examples = blocks(&Document::read(Path::new(&root().join("docs/files.md"))).text, "python");
    assert!(examples.iter().any(|example| example.contains("import pandas")));
    assert!(examples.iter().any(|example| example.contains("import polars")));
    let Some(python) = python() else {
        eprintln!("skipped: RESNET_REPRO_TABLES must name a Python with pandas and polars");
        return;
    };
    for example in examples {
        let output =
            Command::new(&python).args(["-c", &example]).current_dir(root()).output().unwrap();
        assert!(output.status.success(), "{example}\n{}", String::from_utf8_lossy(&output.stderr));
        assert!(!output.stdout.is_empty(), "{example}\nprints nothing");
    }
}

#[test]
fn the_notebook_is_committed_without_outputs() {
    let text = Document::read(&root().join("examples/results.ipynb")).text;
    let notebook: serde_json::Value = serde_json::from_str(&text).unwrap();
    let cells = notebook["cells"].as_array().unwrap();
    let code: Vec<_> = cells.iter().filter(|cell| cell["cell_type"] == "code").collect();
    assert!(!code.is_empty());
    for cell in code {
        assert!(cell["outputs"].as_array().unwrap().is_empty(), "{}", cell["source"]);
        assert!(cell["execution_count"].is_null(), "{}", cell["source"]);
    }
}
