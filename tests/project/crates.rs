//! The crates that this program is made of: those of a committed list, each under a licence that may
//! be used. A new crate, or another licence, is a decision that shows in a change of tests/crates.txt.
//!
//! To accept what Cargo.lock holds: `RESNET_REPRO_ACCEPT_CRATES=1 scripts/test --test project -- crates`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// Licences that ask for nothing but a notice, or for nothing.
const ALLOWED: [&str; 15] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "IJG",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Crates of this repository.
const OWN: [&str; 2] = ["resnet-repro", "libtorch-check"];

fn at(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Whether a licence expression (SPDX, or with the "/" of early crates) can be met by licences that
/// are `allowed`: some part of each "OR", every part of each "AND".
fn is_met(expression: &str, allowed: &dyn Fn(&str) -> bool) -> bool {
    let expression = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = expression.split_whitespace().collect();
    let (mut rest, mut whole) = (&words[..], true);
    let met = either(&mut rest, allowed, &mut whole);
    met && whole && rest.is_empty()
}

fn either(words: &mut &[&str], allowed: &dyn Fn(&str) -> bool, whole: &mut bool) -> bool {
    let mut met = both(words, allowed, whole);
    while let Some((&"OR", rest)) = words.split_first() {
        *words = rest;
        met |= both(words, allowed, whole);
    }
    met
}

fn both(words: &mut &[&str], allowed: &dyn Fn(&str) -> bool, whole: &mut bool) -> bool {
    let mut met = one(words, allowed, whole);
    while let Some((&"AND", rest)) = words.split_first() {
        *words = rest;
        met &= one(words, allowed, whole);
    }
    met
}

fn one(words: &mut &[&str], allowed: &dyn Fn(&str) -> bool, whole: &mut bool) -> bool {
    let Some((&first, rest)) = words.split_first() else {
        *whole = false;
        return false;
    };
    *words = rest;
    if first == "(" {
        let met = either(words, allowed, whole);
        let closes = words.first() == Some(&")");
        *whole &= closes;
        *words = words.get(1..).unwrap_or_default();
        return met;
    }
    if let [with, exception, rest @ ..] = *words
        && *with == "WITH"
    {
        let name = format!("{first} WITH {exception}");
        *words = rest;
        return allowed(&name);
    }
    allowed(first)
}

/// Names in Cargo.lock, for all systems.
fn locked() -> BTreeSet<String> {
    let lock: toml::Table = std::fs::read_to_string(at("Cargo.lock")).unwrap().parse().unwrap();
    let packages = lock["package"].as_array().unwrap();
    let name = |package: &toml::Value| package["name"].as_str().unwrap().to_string();
    packages.iter().map(name).filter(|name| !OWN.contains(&name.as_str())).collect()
}

/// The licence of each crate that is built for this system.
fn licences() -> BTreeMap<String, String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_string());
    let system = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let output = Command::new(cargo)
        .args(["metadata", "--offline", "--locked", "--format-version", "1", "--filter-platform"])
        .arg(system)
        .current_dir(at(""))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let crates = metadata["packages"].as_array().unwrap().iter().map(|package| {
        let licence = package["license"].as_str().unwrap_or("none stated");
        (package["name"].as_str().unwrap().to_string(), licence.to_string())
    });
    crates.filter(|(name, _)| !OWN.contains(&name.as_str())).collect()
}

/// The committed list: a crate a line, with its licence, or "-" where no Linux build has it.
fn accepted() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(at("tests/crates.txt")).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let parts = lines.filter_map(|line| line.split_once(' '));
    parts.map(|(name, licence)| (name.to_string(), licence.to_string())).collect()
}

fn accept(names: &BTreeSet<String>, licences: &BTreeMap<String, String>) {
    let mut text = "# Crates in Cargo.lock and their licences (\"-\": not on Linux): tests/project/crates.rs says how to change it.\n".to_string();
    for name in names {
        let licence = licences.get(name).map_or("-", String::as_str);
        text.push_str(&format!("{name} {licence}\n"));
    }
    std::fs::write(at("tests/crates.txt"), text).unwrap();
}

#[test]
fn every_crate_is_on_the_committed_list_under_a_licence_that_may_be_used() {
    let (names, licences) = (locked(), licences());
    if std::env::var_os("RESNET_REPRO_ACCEPT_CRATES").is_some() {
        accept(&names, &licences);
    }
    let accepted = accepted();
    let how = "if it is wanted: RESNET_REPRO_ACCEPT_CRATES=1 scripts/test --test project -- crates";
    for name in &names {
        assert!(accepted.contains_key(name), "{name} is new in Cargo.lock; {how}");
    }
    for (name, licence) in &accepted {
        assert!(names.contains(name), "{name} is not in Cargo.lock any more; {how}");
        if let Some(stated) = licences.get(name) {
            assert_eq!(stated, licence, "the licence of {name} is another now; {how}");
        }
        let may_be_used = licence == "-" || is_met(licence, &|one| ALLOWED.contains(&one));
        assert!(
            may_be_used,
            "{name} is under {licence}, which tests/project/crates.rs does not allow"
        );
    }
}

#[test]
fn an_expression_is_met_by_one_part_of_each_or_and_all_parts_of_each_and() {
    let met = |expression: &str| is_met(expression, &|one| ["A", "B", "A WITH e"].contains(&one));
    for expression in
        ["A", "A OR X", "X/B", "A AND B", "(A OR X) AND B", "A WITH e", "X OR (A AND B)"]
    {
        assert!(met(expression), "{expression}");
    }
    for expression in [
        "X",
        "A AND X",
        "(A OR X) AND X",
        "X WITH e",
        "B WITH e",
        "A WITH X",
        "",
        "A OR",
        "(A",
        "A B",
        "none stated",
    ] {
        assert!(!met(expression), "{expression}");
    }
}
