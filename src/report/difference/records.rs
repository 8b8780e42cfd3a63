//! In what the records of the sides' runs differ: network, recipe, data, program and machine.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::config::keys::KEYS;
use crate::config::reference::shown;
use crate::config::seeds;
use crate::logs::collection::LoggedRun;
use crate::records::run_toml::RunRecord;
use crate::report::difference::sides::Side;

/// What a run without a record, or without such a key, has.
const NONE: &str = "–";

/// A key that is not the same on all sides.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// `run`, `recipe`, `dataset`, `program` or `machine`.
    pub group: &'static str,
    /// The key, as `run.toml` has it.
    pub key: String,
    /// Its value on each side; several with commas where the runs of a side differ.
    pub values: Vec<String>,
}

/// Every key in which the sides differ, in groups; of the recipe, what decides most first.
pub fn differences(sides: &[Side]) -> Vec<Difference> {
    let of_side = |side: &Side| side.runs.iter().map(entries).collect::<Vec<_>>();
    let sides: Vec<Vec<Vec<Entry>>> = sides.iter().map(of_side).collect();
    let mut keys: Vec<(&'static str, String)> = Vec::new();
    for entry in sides.iter().flatten().flatten() {
        let key = (entry.group, entry.key.clone());
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys.sort_by_key(|(group, key)| order(group, key));
    let differing = keys.into_iter().filter_map(|(group, key)| {
        let values: Vec<String> = sides.iter().map(|runs| value(runs, group, &key)).collect();
        let is_alike = values.windows(2).all(|pair| pair[0] == pair[1]);
        (!is_alike).then_some(Difference { group, key, values })
    });
    differing.collect()
}

struct Entry {
    group: &'static str,
    key: String,
    value: String,
}

/// What a key is for the runs of a side.
fn value(runs: &[Vec<Entry>], group: &str, key: &str) -> String {
    let of_run = |entries: &Vec<Entry>| {
        let found = entries.iter().find(|entry| entry.group == group && entry.key == key);
        found.map_or(NONE.to_string(), |entry| entry.value.clone())
    };
    if (group, key) == ("run", "seed") {
        let numbers: Vec<u64> = runs.iter().filter_map(|run| of_run(run).parse().ok()).collect();
        return seeds::shown(&numbers);
    }
    let mut values: Vec<String> = Vec::new();
    for value in runs.iter().map(of_run) {
        if !values.contains(&value) {
            values.push(value);
        }
    }
    values.join(", ")
}

/// Where a key stands in the list.
fn order(group: &str, key: &str) -> (usize, usize) {
    const GROUPS: [&str; 5] = ["run", "recipe", "dataset", "program", "machine"];
    let place = |found: Option<usize>| found.unwrap_or(usize::MAX);
    (
        place(GROUPS.iter().position(|name| *name == group)),
        place(KEYS.iter().position(|known| known.name == key)),
    )
}

fn entries(run: &LoggedRun) -> Vec<Entry> {
    let entry = |group, key: &str, value: String| Entry { group, key: key.to_string(), value };
    let mut entries = vec![
        entry("run", "network", run.network.to_string()),
        entry("run", "seed", run.seed.to_string()),
    ];
    let Some(record) = &run.record else { return entries };
    entries.push(entry("run", "parameters", record.parameters.to_string()));
    if !record.extensions.is_empty() {
        let each = record.extensions.iter().map(|one| format!("from {} to {}", one.from, one.to));
        entries.push(entry("run", "extensions", each.collect::<Vec<_>>().join(", ")));
    }
    for (group, table) in tables(record) {
        for (key, value) in table {
            entries.push(entry(group, &key, shown(Some(&value))));
        }
    }
    entries
}

/// The tables of a record that say what a run is and how it was made, flat. When it was made is no
/// difference.
fn tables(record: &RunRecord) -> Vec<(&'static str, toml::Table)> {
    const TIMES: [&str; 2] = ["started", "updated"];
    let of = |table: Option<toml::Table>| table.unwrap_or_default();
    let run = &record.run;
    let mut provenance = of(toml::Table::try_from(&record.provenance).ok());
    provenance.retain(|key, value| !value.is_table() && !TIMES.contains(&key));
    let weights =
        run.initial_weights.as_ref().and_then(|weights| toml::Table::try_from(weights).ok());
    let weights =
        of(weights).into_iter().map(|(key, value)| (format!("initial_weights.{key}"), value));
    vec![
        ("run", weights.collect()),
        ("recipe", of(toml::Table::try_from(&run.recipe).ok())),
        ("dataset", of(toml::Table::try_from(&run.dataset).ok())),
        ("program", provenance),
        ("machine", of(toml::Table::try_from(&record.provenance.machine).ok())),
    ]
}

/// The seeds that all of some runs have.
pub fn common_seeds(runs: &[&[&LoggedRun]]) -> Vec<u64> {
    let seeds = |runs: &[&LoggedRun]| runs.iter().map(|run| run.seed).collect::<BTreeSet<u64>>();
    let mut sets = runs.iter().map(|runs| seeds(runs));
    let first = sets.next().unwrap_or_default();
    sets.fold(first, |common, set| common.intersection(&set).copied().collect())
        .into_iter()
        .collect()
}
