//! The band of a reference as it is drawn behind the curves of other runs.

use std::path::Path;

use anyhow::Result;

use crate::config::dataset_name::DatasetName;
use crate::config::network_name::NetworkName;
use crate::error::bad_input;
use crate::logs::collection::{Collection, LoggedRun};
use crate::logs::statistics::MeanStd;
use crate::report::band::reference::{FEWEST_SEEDS, is_finished};
use crate::report::band::rule::half_width;
use crate::report::protocol::Protocol;

/// (iteration, mean, half the height of the band).
type Points = Vec<(f64, f64, f64)>;

/// The curves of one network's seeds.
#[derive(Debug)]
pub struct DrawnReference {
    /// The network.
    pub network: NetworkName,
    /// What it was trained on.
    pub dataset: Option<DatasetName>,
    /// Iterations of each run.
    pub iterations: u64,
    /// What they are runs of: data, length, and in what the recipe differs from the paper's.
    pub title: String,
    /// How many seeds it is of.
    pub seeds: usize,
    /// Training error.
    pub training: Points,
    /// Test error.
    pub test: Points,
}

/// Every network below `folder` that has enough finished seeds of one recipe; and what could not be
/// read, one line each.
pub fn read(folder: &Path) -> Result<(Vec<DrawnReference>, Vec<String>)> {
    let Collection { mut runs, problems } = Collection::read(folder)?;
    runs.retain(is_finished);
    let protocols = Protocol::of(&runs);
    let of = |protocol: &Protocol| {
        let networks = protocol.networks().into_iter();
        networks.filter_map(|network| of_network(protocol, network)).collect::<Vec<_>>()
    };
    let found: Vec<DrawnReference> = protocols.iter().flat_map(of).collect();
    if found.is_empty() {
        return Err(bad_input(format!(
            "--reference {}: no network there has finished runs of {FEWEST_SEEDS} seeds or more of one recipe",
            folder.display()
        ))
        .into());
    }
    Ok((found, problems))
}

fn of_network(protocol: &Protocol, network: NetworkName) -> Option<DrawnReference> {
    let runs: Vec<&LoggedRun> = protocol.of_network(network).collect();
    (runs.len() >= FEWEST_SEEDS).then(|| DrawnReference {
        network,
        dataset: protocol.dataset,
        iterations: protocol.iterations,
        title: protocol.title(),
        seeds: runs.len(),
        training: points(runs.iter().map(|run| &run.drawn.training[..]).collect()),
        test: points(runs.iter().map(|run| &run.drawn.test[..]).collect()),
    })
}

/// The mean at each place that all curves have, and half the interval that one new run lies in with
/// 95 %.
fn points(curves: Vec<&[(f64, f64)]>) -> Points {
    let length = curves.iter().map(|curve| curve.len()).min().unwrap_or(0);
    let at = |position: usize| {
        let spread = MeanStd::of(curves.iter().map(|curve| Some(curve[position].1)))?;
        Some((curves[0][position].0, spread.mean, half_width(&spread, 1)?))
    };
    (0..length).filter_map(at).collect()
}

/// Those of a protocol's data and length, one a network.
pub fn fitting<'a>(all: &'a [DrawnReference], protocol: &Protocol) -> Vec<&'a DrawnReference> {
    let fits = |one: &&DrawnReference| {
        (one.dataset, one.iterations) == (protocol.dataset, protocol.iterations)
    };
    let mut found: Vec<&DrawnReference> = all.iter().filter(fits).collect();
    // The same recipe first, where there is one.
    found.sort_by_key(|one| (one.network, one.title != protocol.title()));
    found.dedup_by_key(|one| one.network);
    found
}
