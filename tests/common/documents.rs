//! Commands, paths and links out of Markdown files, experiment headers and help texts.
#![allow(dead_code)]

use std::path::{Path, PathBuf};

/// The root of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A text with commands in it, and what to call it in a message.
pub struct Document {
    pub name: String,
    pub text: String,
}

impl Document {
    pub fn read(path: &Path) -> Document {
        let name = path.strip_prefix(root()).unwrap_or(path).display().to_string();
        let text = std::fs::read_to_string(path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Document { name, text }
    }
}

/// The Markdown files that people read.
pub fn markdown() -> Vec<Document> {
    let files = ["README.md", "METHODOLOGY.md", "CONTRIBUTING.md", "CHANGELOG.md"];
    let paths = files.map(|name| root().join(name)).into_iter();
    let found = ["docs/*.md", "results/README.md", "results/*/README.md"].map(matching);
    paths.chain(found.into_iter().flatten()).map(|path| Document::read(&path)).collect()
}

/// Files of the repository whose path fits `pattern`.
pub fn matching(pattern: &str) -> Vec<PathBuf> {
    let pattern = format!("{}/{pattern}", glob::Pattern::escape(root().to_str().unwrap()));
    glob::glob(&pattern).unwrap().map(Result::unwrap).collect()
}

/// The arguments of every command of the program in a text, as a shell would split them: of lines
/// in code blocks, comments and help texts that begin with it, and of code within a line.
pub fn commands(text: &str) -> Vec<Vec<String>> {
    let joined = text.replace("\\\n", " ");
    let mut found = Vec::new();
    for line in joined.lines() {
        found.extend(after_program(line.trim_start_matches(['#', '/', '!', ' ']), false));
        // Every second part stands between backticks.
        found.extend(
            line.split('`')
                .skip(1)
                .step_by(2)
                .filter_map(|code| after_program(code, true).filter(|words| !words.is_empty())),
        );
    }
    // Sentences about commands have placeholders.
    found.retain(|words| {
        !words.iter().any(|word| word.contains('…') || ["NAME", "DIR"].contains(&word.as_str()))
    });
    found
}

/// The words behind the program's name, if `code` begins with it. In a line of a help text or a
/// code block an explanation may follow two spaces or more.
fn after_program(code: &str, inline: bool) -> Option<Vec<String>> {
    let rest = ["resnet-repro ", "cargo run --release -- ", "target/release/resnet-repro "]
        .iter()
        .find_map(|program| code.strip_prefix(program))?;
    // "resnet-repro completions" in a sentence is no command line: those begin in lower case, and
    // have a subcommand.
    if !rest.starts_with(|first: char| first.is_ascii_lowercase() || first == '-') {
        return None;
    }
    let end = rest.find("  ").filter(|_| !inline).unwrap_or(rest.len());
    Some(words(&rest[..end]))
}

/// Words as a shell splits them, up to a comment, a redirection or another command; quotes removed,
/// and globs that name files of this repository expanded.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote, mut quoted) = (Vec::new(), String::new(), None, false);
    let mut finish = |word: &mut String, quoted: &mut bool| {
        if !word.is_empty() || *quoted {
            let globs = !*quoted && word.contains(['*', '?', '[']);
            let files = if globs { matching(word) } else { Vec::new() };
            match files.is_empty() {
                true => words.push(std::mem::take(word)),
                false => words.extend(
                    files
                        .iter()
                        .map(|file| file.strip_prefix(root()).unwrap().display().to_string()),
                ),
            }
        }
        word.clear();
        *quoted = false;
    };
    for letter in line.chars() {
        match (letter, quote) {
            (_, Some(open)) if letter == open => quote = None,
            (_, Some(_)) => word.push(letter),
            ('\'' | '"', None) => (quote, quoted) = (Some(letter), true),
            ('#', None) if word.is_empty() => break,
            ('>' | '|' | '&' | ';', None) => break,
            (' ', None) => finish(&mut word, &mut quoted),
            (_, None) => word.push(letter),
        }
    }
    finish(&mut word, &mut quoted);
    words
}

/// Paths of the repository that a text names: words that begin with one of its folders.
pub fn paths(text: &str) -> Vec<String> {
    let folders = ["src/", "tests/", "scripts/", "experiments/", "docs/", ".ci/", "results/2"];
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || "_-./*?[]".contains(letter);
    text.split(|letter: char| !is_part(letter))
        .map(|word| word.trim_start_matches('[').trim_end_matches(['.', ']', '[']))
        .filter(|word| folders.iter().any(|folder| word.starts_with(folder)))
        .map(str::to_string)
        .collect()
}

/// Targets of the links and images of a Markdown text.
pub fn links(text: &str) -> Vec<String> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.map(str::to_string).collect()
}

/// The anchors of a Markdown text's headings, as GitHub makes them.
pub fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| -> String {
        let letters = heading.trim_start_matches('#').trim().to_lowercase();
        let kept =
            letters.chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
        kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
    };
    headings.map(anchor).collect()
}

/// The code blocks of a Markdown text in `language`.
pub fn blocks(text: &str, language: &str) -> Vec<String> {
    let start = format!("```{language}\n");
    text.split(&start).skip(1).map(|rest| rest.split("```").next().unwrap().to_string()).collect()
}
