//! Analyses in a results folder, each with the run that it is of.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use crate::analysis::images::Split;
use crate::analysis::record::{Analysis, toml_name, verify};
use crate::config::network_name::{Family, NetworkName};
use crate::logs::collection::LoggedRun;
use crate::records::verify::ANALYSIS_FOLDER;
use crate::report::format::thousands;
use crate::report::protocol::Protocol;

/// An analysis, and what it is of.
#[derive(Clone)]
pub struct Analysed<'a> {
    /// The analysis.
    pub analysis: Analysis,
    /// Its folder, relative to the results folder.
    pub path: PathBuf,
    /// The run whose `analysis/` it lies in; without one it is of given weights.
    pub origin: Option<Origin<'a>>,
}

/// A run with its protocol.
#[derive(Clone, Copy)]
pub struct Origin<'a> {
    /// The run.
    pub run: &'a LoggedRun,
    /// Its protocol.
    pub protocol: &'a Protocol<'a>,
    /// The protocol's place, the best evidence first.
    pub place: usize,
}

/// An analysis with its rows.
#[derive(Clone)]
pub struct Found<'a, Row> {
    /// What it is of.
    pub of: &'a Analysed<'a>,
    /// Lines of its CSV file.
    pub rows: Vec<Row>,
}

/// The analyses of `found`, which lie below `results`, paired with the runs of `protocols`. Those
/// whose files are not as they were, or that are of other weights than their run's, are named in
/// `problems` instead.
pub fn paired<'a>(
    protocols: &'a [Protocol<'a>],
    results: &Path,
    found: Vec<Analysis>,
    problems: &mut Vec<String>,
) -> Vec<Analysed<'a>> {
    let mut analysed = Vec::new();
    for analysis in found {
        let mut wrong = Vec::new();
        verify(&analysis, &mut wrong);
        problems.extend(wrong.iter().map(|problem| format!("not shown: {problem}")));
        let path = analysis.folder.strip_prefix(results).unwrap_or(&analysis.folder).to_path_buf();
        let origin = origin(protocols, &path);
        if let Some(reason) = origin.and_then(|origin| contradiction(&analysis, origin)) {
            let file = analysis.folder.join(toml_name(analysis.record.kind));
            problems.push(format!("not shown: {}: {reason}", file.display()));
        } else if wrong.is_empty() {
            analysed.push(Analysed { analysis, path, origin });
        }
    }
    analysed
}

/// The run in whose `analysis/` the folder `path` is, both relative to the results folder.
fn origin<'a>(protocols: &'a [Protocol<'a>], path: &Path) -> Option<Origin<'a>> {
    let folder = path.parent().filter(|_| path.ends_with(ANALYSIS_FOLDER))?;
    protocols.iter().enumerate().find_map(|(place, protocol)| {
        let others = protocol.left_out.iter().map(|one| one.run);
        let mut runs = protocol.runs.iter().copied().chain(others);
        let run = runs.find(|run| run.path == folder)?;
        Some(Origin { run, protocol, place })
    })
}

/// Why an analysis is not of the run that it lies in.
fn contradiction(analysis: &Analysis, origin: Origin) -> Option<String> {
    if analysis.record.network != origin.run.network {
        return Some(format!(
            "is of {}, the run of {}",
            analysis.record.network, origin.run.network
        ));
    }
    let weights = origin.run.record.as_ref()?.weights_sha256.as_ref()?;
    (*weights != analysis.record.weights_sha256)
        .then(|| "is of other weights than the run's".to_string())
}

impl Analysed<'_> {
    /// The network.
    pub fn network(&self) -> NetworkName {
        self.analysis.record.network
    }

    /// Which of the paper's nets it belongs to.
    pub fn family(&self) -> Family {
        self.analysis.record.dataset.name.family()
    }

    /// Whether it came to its end.
    pub fn is_complete(&self) -> bool {
        self.analysis.record.complete
    }

    /// Whether it is of a run of the same protocol and seed as another's, on as many images.
    pub fn is_comparable_with(&self, other: &Analysed) -> bool {
        let of = |origin: &Origin| (origin.place, origin.run.seed);
        let (ours, theirs) = (self.origin.as_ref().map(of), other.origin.as_ref().map(of));
        ours.is_some() && ours == theirs && self.images() == other.images()
    }

    /// A number of its summary.
    pub fn summary(&self, key: &str) -> Option<f64> {
        let value = self.analysis.record.summary.get(key)?;
        value.as_float().or(value.as_integer().map(|whole| whole as f64))
    }

    /// What its curves are called: the network, with the folder of given weights; says if it is not
    /// complete.
    pub fn label(&self) -> String {
        let network = self.network();
        let whose = match (&self.origin, self.path.file_name()) {
            (None, Some(folder)) => format!(" ({})", folder.to_string_lossy()),
            _ => String::new(),
        };
        let state = if self.is_complete() { "" } else { ", not complete" };
        format!("{network}{whose}{state}")
    }

    /// "CIFAR-10, 2,000 iterations, seed 0", or the folder of given weights.
    pub fn source(&self) -> String {
        match &self.origin {
            Some(Origin { run, protocol, .. }) => {
                format!("{}, seed {}", protocol.title(), run.seed)
            }
            None => {
                let data = self.analysis.record.dataset.title();
                format!("given weights, {data} ({})", self.path.display())
            }
        }
    }

    /// "1,000 test images".
    pub fn images(&self) -> String {
        let record = &self.analysis.record;
        let split = match record.split {
            Split::Train => "training".to_string(),
            split => split.to_string(),
        };
        format!("{} {split} images", thousands(record.images as i64))
    }
}

/// The rows of each; one whose rows cannot be read is named in `problems`.
pub fn read<'a, Row: DeserializeOwned>(
    analysed: &[&'a Analysed<'a>],
    problems: &mut Vec<String>,
) -> Vec<Found<'a, Row>> {
    let mut found = Vec::new();
    for &of in analysed {
        match of.analysis.rows() {
            Ok(rows) => found.push(Found { of, rows }),
            Err(error) => problems.push(format!("not shown: {error:#}")),
        }
    }
    found
}

/// One analysis a network for a figure, plain nets first, shallow before deep: complete ones before
/// others, those of the protocol that has most networks, then of the better evidence, then the
/// lowest seed. Of given weights all are taken.
pub fn one_a_network<'b, 'a, Row>(found: &'b [Found<'a, Row>]) -> Vec<&'b Found<'a, Row>> {
    let preferred = preferred_protocol(found);
    let mut of_runs: BTreeMap<NetworkName, (_, &Found<'a, Row>)> = BTreeMap::new();
    let mut given = Vec::new();
    for one in found {
        let Some(origin) = one.of.origin else {
            given.push(one);
            continue;
        };
        let rank = (
            !one.of.is_complete(),
            Some(origin.place) != preferred,
            origin.place,
            origin.run.seed,
            &origin.run.path,
        );
        let best = of_runs.entry(one.of.network()).or_insert((rank, one));
        if rank < best.0 {
            *best = (rank, one);
        }
    }
    let mut chosen: Vec<&Found<Row>> = of_runs.into_values().map(|(_, one)| one).collect();
    chosen.extend(given);
    chosen.sort_by_key(|one| (one.of.network(), one.of.origin.is_none(), &one.of.path));
    chosen
}

/// The place of the protocol of which most networks have a complete analysis.
fn preferred_protocol<Row>(found: &[Found<Row>]) -> Option<usize> {
    let mut networks: BTreeMap<usize, BTreeSet<NetworkName>> = BTreeMap::new();
    for one in found.iter().filter(|one| one.of.is_complete()) {
        if let Some(origin) = one.of.origin {
            networks.entry(origin.place).or_default().insert(one.of.network());
        }
    }
    networks
        .into_iter()
        .max_by_key(|(place, networks)| (networks.len(), Reverse(*place)))
        .map(|(place, _)| place)
}

/// Where the analyses of a figure are from, for its note: "plain-20, resnet-20: CIFAR-10, 2,000
/// iterations, seed 0, 1,000 test images".
pub fn sources<Row>(chosen: &[&Found<Row>]) -> String {
    let mut sources: Vec<(String, Vec<String>)> = Vec::new();
    for one in chosen {
        // The label names the folder of given weights.
        let source = match one.of.origin {
            Some(_) => one.of.source(),
            None => format!("given weights, {}", one.of.analysis.record.dataset.title()),
        };
        let (source, label) = (format!("{source}, {}", one.of.images()), one.of.label());
        match sources.iter_mut().find(|(other, _)| *other == source) {
            Some((_, labels)) => labels.push(label),
            None => sources.push((source, vec![label])),
        }
    }
    let alone = sources.len() == 1;
    let text = sources.into_iter().map(|(source, labels)| match alone {
        true => source,
        false => format!("{}: {source}", labels.join(", ")),
    });
    text.collect::<Vec<_>>().join("; ")
}
