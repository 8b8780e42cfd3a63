//! Pairs of networks: twins of one depth, and deeper nets against the shallowest of their family. Differences are paired over seeds, which share
//! batches, and twins initial weights too.

use super::chart::{Chart, Panel, Series};
use super::findings::paired;
use super::protocol::Protocol;
use super::table::{Row, RowKind, Table};
use crate::analysis::{DrawnRun, Spread, smoothing_window};
use crate::network::NetworkName;

const NONE: &str = "–";

/// (network, reference) of every pair: residual against plain of each depth, then each deeper net against the shallowest of its family.
struct Pairs {
    twins: Vec<(NetworkName, NetworkName)>,
    depths: Vec<(NetworkName, NetworkName)>,
}

impl Pairs {
    fn of(protocol: &Protocol) -> Pairs {
        let networks = protocol.networks();
        let of = |twin: fn(u64) -> NetworkName| networks.iter().copied().filter(move |name| *name == twin(name.depth)).collect::<Vec<_>>();
        let (plain, residual) = (of(NetworkName::plain), of(NetworkName::residual));
        let twins = plain.iter().map(|name| (NetworkName::residual(name.depth), *name)).filter(|(twin, _)| residual.contains(twin)).collect();
        let deeper = |family: &Vec<NetworkName>| family.iter().skip(1).map(|deeper| (*deeper, family[0])).collect::<Vec<_>>();
        Pairs { twins, depths: [deeper(&plain), deeper(&residual)].concat() }
    }
}

/// The differences at the end of the runs.
pub fn table(protocol: &Protocol) -> Table {
    let summaries = protocol.summaries();
    let pairs = Pairs::of(protocol);
    let rows = pairs.twins.iter().chain(&pairs.depths).filter_map(|&(network, reference)| {
        let training = paired(&summaries, network, reference, |summary| summary.training_error)?;
        let test = paired(&summaries, network, reference, |summary| summary.final_test_error);
        let cells = vec![format!("{network} – {reference}"), training.count.to_string(), difference(Some(training)), difference(test)];
        Some(Row { kind: RowKind::Whole, cells })
    });
    Table {
        name: "pairs".to_string(),
        title: "Pairs: differences in percentage points".to_string(),
        caption: "Error of the first network minus that of the second, paired over the seeds that both have (same initial weights where the depths are equal, same \
                  batches), with the 95 % confidence interval of the mean (Student's t) from two seeds on. Negative: the first is better."
            .to_string(),
        header: ["pair", "seeds", "training error", "final test error"].map(str::to_string).to_vec(),
        rows: rows.collect(),
    }
}

/// "-1.42 [-1.90, -0.94]".
fn difference(spread: Option<Spread>) -> String {
    let Some(spread) = spread else { return NONE.to_string() };
    let interval = spread.confidence().map_or(String::new(), |half| format!(" [{:+.2}, {:+.2}]", spread.mean - half, spread.mean + half));
    format!("{:+.2}{interval}", spread.mean)
}

/// The difference of training errors along the runs: twins on the left, depths on the right.
pub fn chart(protocol: &Protocol) -> Option<Chart> {
    let pairs = Pairs::of(protocol);
    let runs: Vec<&DrawnRun> = protocol.runs.iter().map(|run| &run.drawn).filter(|run| run.is_complete()).collect();
    let mut panels: Vec<Panel> = [("residual minus plain, same depth", pairs.twins), ("deeper minus shallowest, same family", pairs.depths)]
        .into_iter()
        .map(|(title, pairs)| {
            let series = pairs.iter().enumerate().filter_map(|(index, &pair)| series(&runs, pair, index)).collect();
            Panel { title: title.to_string(), x: (0.0, protocol.iterations.max(1) as f64), y: (0.0, 0.0), series }
        })
        .filter(|panel: &Panel| !panel.series.is_empty())
        .collect();
    let range = range(&panels)?;
    panels.iter_mut().for_each(|panel| panel.y = range);
    let window = smoothing_window(protocol.iterations as usize);
    Some(Chart {
        name: "pair-curves".to_string(),
        title: format!("Pairs: {}", protocol.title()),
        note: format!(
            "training error (mean of the last {window} iterations) of the first network minus that of the second, paired over seeds; bands: 95 % confidence \
             intervals, from two seeds on; below zero the first is better"
        ),
        description: description(&panels),
        x_label: "iteration".to_string(),
        y_label: "difference (points)".to_string(),
        x_scale: 1.0,
        y_log: false,
        panels,
    })
}

fn series(runs: &[&DrawnRun], (network, reference): (NetworkName, NetworkName), colour: usize) -> Option<Series> {
    let of = |name: NetworkName| runs.iter().filter(move |run| run.network == name);
    let both: Vec<(&DrawnRun, &DrawnRun)> =
        of(network).filter_map(|run| Some((*run, *of(reference).find(|other| other.seed == run.seed)?))).collect();
    let (first, _) = both.first()?;
    let points = first.training.iter().enumerate().map(|(position, &(iteration, _))| {
        let differences = both.iter().map(|(run, other)| Some(run.training.get(position)?.1 - other.training.get(position)?.1));
        let spread = Spread::of(differences);
        (iteration, spread.map_or(f64::NAN, |spread| spread.mean), spread.and_then(|spread| spread.confidence()).unwrap_or(0.0))
    });
    let name = format!("{network} – {reference}");
    Some(Series {
        points: points.collect(),
        label: name.clone(),
        network: name,
        kind: "difference".to_string(),
        colour,
        bold: false,
        dashed: false,
        note: None,
    })
}

/// All curves and zero, in tens.
fn range(panels: &[Panel]) -> Option<(f64, f64)> {
    let values =
        panels.iter().flat_map(|panel| &panel.series).flat_map(|series| &series.points).map(|point| point.1).filter(|value| value.is_finite());
    let (low, high) = values.fold((0.0, 0.0), |(low, high): (f64, f64), value| (low.min(value), high.max(value)));
    let range = ((low / 10.0).floor() * 10.0, (high / 10.0).ceil() * 10.0);
    (!panels.is_empty() && range.0 < range.1).then_some(range)
}

fn description(panels: &[Panel]) -> String {
    let panels = panels.iter().map(|panel| {
        let last = panel.series.iter().filter_map(|series| Some(format!("{} {:+.1}", series.label, series.points.last()?.1)));
        format!("{}: {}", panel.title, last.collect::<Vec<_>>().join(", "))
    });
    format!("Differences of training errors over iterations, at the end in points. {}.", panels.collect::<Vec<_>>().join(". "))
}
