//! Differences between pairs of networks, drawn.

use crate::config::network_name::NetworkName;
use crate::logs::plotted::PlottedRun;
use crate::logs::statistics::MeanStd;
use crate::logs::windows::smoothing_window;
use crate::report::draw::chart::{Chart, Panel, Series};
use crate::report::pairing::Pairs;
use crate::report::protocol::Protocol;

/// The difference of training errors along the runs: twins on the left, depths on the right.
pub fn chart(protocol: &Protocol) -> Option<Chart> {
    let pairs = Pairs::of(protocol);
    let runs: Vec<&PlottedRun> =
        protocol.runs.iter().map(|run| &run.drawn).filter(|run| run.is_complete()).collect();
    let mut panels: Vec<Panel> = [
        ("residual minus plain, same depth", pairs.twins),
        ("deeper minus shallowest, same family", pairs.depths),
    ]
    .into_iter()
    .map(|(title, pairs)| {
        let series = pairs
            .iter()
            .enumerate()
            .filter_map(|(index, &pair)| series(&runs, pair, index))
            .collect();
        Panel {
            title: title.to_string(),
            x: (0.0, protocol.iterations.max(1) as f64),
            y: (0.0, 0.0),
            series,
        }
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
        x_field: "iteration".to_string(),
        y_label: "difference (points)".to_string(),
        x_scale: 1.0,
        y_log: false,
        panels,
    })
}

pub fn series(
    runs: &[&PlottedRun],
    (network, reference): (NetworkName, NetworkName),
    colour: usize,
) -> Option<Series> {
    let of = |name: NetworkName| runs.iter().filter(move |run| run.network == name);
    let both: Vec<(&PlottedRun, &PlottedRun)> = of(network)
        .filter_map(|run| Some((*run, *of(reference).find(|other| other.seed == run.seed)?)))
        .collect();
    let (first, _) = both.first()?;
    let points = first.training.iter().enumerate().map(|(position, &(iteration, _))| {
        let differences = both.iter().map(|(run, other)| {
            Some(run.training.get(position)?.1 - other.training.get(position)?.1)
        });
        let spread = MeanStd::of(differences);
        (
            iteration,
            spread.map_or(f64::NAN, |spread| spread.mean),
            spread.and_then(|spread| spread.confidence()).unwrap_or(0.0),
        )
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
        seeds: both.len(),
        note: None,
    })
}

/// All curves and zero, in tens.
pub fn range(panels: &[Panel]) -> Option<(f64, f64)> {
    let values = panels
        .iter()
        .flat_map(|panel| &panel.series)
        .flat_map(|series| &series.points)
        .map(|point| point.1)
        .filter(|value| value.is_finite());
    let (low, high) =
        values.fold((0.0, 0.0), |(low, high): (f64, f64), value| (low.min(value), high.max(value)));
    let range = ((low / 10.0).floor() * 10.0, (high / 10.0).ceil() * 10.0);
    (!panels.is_empty() && range.0 < range.1).then_some(range)
}

pub fn description(panels: &[Panel]) -> String {
    let panels = panels.iter().map(|panel| {
        let last = panel
            .series
            .iter()
            .filter_map(|series| Some(format!("{} {:+.1}", series.label, series.points.last()?.1)));
        format!("{}: {}", panel.title, last.collect::<Vec<_>>().join(", "))
    });
    format!(
        "Differences of training errors over iterations, at the end in points. {}.",
        panels.collect::<Vec<_>>().join(". ")
    )
}
