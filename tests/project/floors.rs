//! The floors of the source: imports go down only, and never in a circle between files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The folders of `src/`, from the top floor down. A file imports from its own floor and those
/// below.
const FLOORS: [&str; 18] = [
    "commands",
    "sweep",
    "bench",
    "report",
    "logs",
    "run",
    "analysis",
    "records",
    "training",
    "dataset",
    "network",
    "config",
    "distributed",
    "console",
    "kernels",
    "system",
    "error",
    "random",
];
/// No file is longer, in lines.
const LONGEST_FILE: usize = 400;

/// A module's path below the crate, `["network", "forward", "pass"]`.
type Module = Vec<String>;

/// Every file of the library with what it holds: without comments, and without its tests.
fn modules() -> BTreeMap<Module, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeMap::new();
    for file in rust_files(&root) {
        let below = file.strip_prefix(&root).unwrap().with_extension("");
        let mut module: Module =
            below.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        if module.last().is_some_and(|name| name == "mod") {
            module.pop();
        }
        // The crate's root, the program and the starter are above all floors; a file of tests may
        // look anywhere.
        let is_root = matches!(module[0].as_str(), "lib" | "engine" | "main");
        if is_root || module.last().is_some_and(|name| name == "tests") {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        let code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
        found.insert(module, code.collect::<Vec<_>>().join("\n"));
    }
    found
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| match path.is_dir() {
            true => rust_files(&path),
            false => vec![path],
        })
        .filter(|path| path.extension().is_some_and(|ending| ending == "rs"))
        .collect()
}

/// The paths that a tree of imports stands for: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn expanded(tree: &str) -> Vec<String> {
    let Some(open) = tree.find('{') else { return vec![tree.trim().to_string()] };
    let (before, inner) = (tree[..open].trim(), &tree[open + 1..tree.rfind('}').unwrap()]);
    let (mut parts, mut depth) = (vec![String::new()], 0);
    for letter in inner.chars() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut().unwrap().push(letter);
    }
    let parts = parts.iter().filter(|part| !part.trim().is_empty());
    parts.flat_map(|part| expanded(&format!("{before}{}", part.trim()))).collect()
}

/// The paths from the crate's root that `code` names, in imports and on the spot.
fn named_paths(code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    let mut rest = code.to_string();
    while let Some(start) = rest.find("use crate::") {
        let end = start + rest[start..].find(';').unwrap();
        paths.extend(expanded(&rest[start + "use crate::".len()..end]));
        rest.replace_range(start..=end, "");
    }
    let is_path = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == ':';
    for (start, prefix) in rest.match_indices("crate::") {
        let after = &rest[start + prefix.len()..];
        paths.push(after.split(|letter| !is_path(letter)).next().unwrap().to_string());
    }
    paths
}

/// For every module the modules that it imports from.
fn imports() -> BTreeMap<Module, BTreeSet<Module>> {
    let modules = modules();
    let target = |path: &str| {
        let parts: Module = path
            .split("::")
            .map(|part| part.split_whitespace().next().unwrap_or_default().to_string())
            .collect();
        // The longest beginning of the path that is a module.
        (1..=parts.len())
            .rev()
            .map(|length| parts[..length].to_vec())
            .find(|module| modules.contains_key(module))
    };
    modules
        .iter()
        .map(|(module, code)| {
            assert!(!code.contains("super::"), "{module:?}: paths begin at the crate");
            let targets = named_paths(code).iter().filter_map(|path| target(path)).collect();
            (module.clone(), targets)
        })
        .map(|(module, mut targets): (Module, BTreeSet<Module>)| {
            targets.remove(&module);
            (module, targets)
        })
        .collect()
}

fn name(module: &Module) -> String {
    module.join("::")
}

#[test]
fn imports_go_down_the_floors_only() {
    let floor = |module: &Module| {
        let position = FLOORS.iter().position(|floor| *floor == module[0]);
        position.unwrap_or_else(|| panic!("{}: on no floor", name(module)))
    };
    let imports = imports();
    assert!(imports.len() > 100 && imports.values().map(BTreeSet::len).sum::<usize>() > 400);
    let up: Vec<String> = imports
        .iter()
        .flat_map(|(from, targets)| targets.iter().map(move |to| (from, to)))
        .filter(|(from, to)| floor(to) < floor(from))
        .map(|(from, to)| format!("{} imports {}", name(from), name(to)))
        .collect();
    assert!(up.is_empty(), "these imports go up: {up:#?}");
}

#[test]
fn no_import_circle_between_files() {
    let mut left = imports();
    // Whatever imports nothing that is left cannot be in a circle.
    loop {
        let free: Vec<Module> = left
            .iter()
            .filter(|(_, targets)| !targets.iter().any(|target| left.contains_key(target)))
            .map(|(module, _)| module.clone())
            .collect();
        if free.is_empty() {
            break;
        }
        free.iter().for_each(|module| {
            left.remove(module);
        });
    }
    let circle: Vec<String> = left.keys().map(name).collect();
    assert!(
        circle.is_empty(),
        "these import each other in a circle, or one that does: {circle:#?}"
    );
}

#[test]
fn no_file_is_so_long_that_it_must_have_two_purposes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let length = |path: &PathBuf| std::fs::read_to_string(path).unwrap().lines().count();
    let long: Vec<String> = rust_files(&root)
        .iter()
        .filter(|path| length(path) > LONGEST_FILE)
        .map(|path| format!("{}: {} lines", path.display(), length(path)))
        .collect();
    assert!(long.is_empty(), "split these: {long:#?}");
}

#[test]
fn a_tree_of_imports_is_expanded() {
    assert_eq!(expanded("a::{b, c::{d, e}}"), ["a::b", "a::c::d", "a::c::e"]);
    assert_eq!(
        named_paths("use crate::a::{b,\n c};\nlet x = crate::d::e(1);"),
        ["a::b", "a::c", "d::e"]
    );
}
