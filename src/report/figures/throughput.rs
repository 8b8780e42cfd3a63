//! How fast runs were trained, by depth: from the records, since no log says it.

use crate::config::network_name::NetworkName;
use crate::config::shortcut::Shortcut;
use crate::logs::collection::LoggedRun;
use crate::logs::statistics::MeanStd;
use crate::report::draw::chart::{Chart, Panel, Series};
use crate::report::format::counted;
use crate::report::protocol::Protocol;

/// Images per second against depth, one curve for each family and machine.
pub fn chart(protocol: &Protocol) -> Option<Chart> {
    let mut groups: Vec<(String, Vec<&LoggedRun>)> = Vec::new();
    for run in &protocol.runs {
        let Some(record) = run.record.as_ref().filter(|record| {
            record.progress.images_per_second > 0.0 && record.progress.images_per_second.is_finite()
        }) else {
            continue;
        };
        let machine = &record.provenance.machine;
        let family = match run.network {
            NetworkName::Plain { .. } => "plain nets",
            NetworkName::Residual { shortcut: Shortcut::OptionA, .. } => "residual nets",
            _ => continue,
        };
        let place = machine.gpu.clone().unwrap_or_else(|| {
            format!("{}, {}", machine.processor, counted(machine.threads as usize, "thread"))
        });
        let name = format!("{family} on {place}");
        match groups.iter_mut().find(|(other, _)| *other == name) {
            Some((_, runs)) => runs.push(run),
            None => groups.push((name, vec![run])),
        }
    }
    let series: Vec<Series> = groups
        .into_iter()
        .enumerate()
        .map(|(index, (name, runs))| Series {
            points: points(&runs),
            network: name.clone(),
            kind: "images per second".to_string(),
            label: name,
            colour: index,
            bold: true,
            dashed: false,
            seeds: 1,
            note: None,
        })
        .collect();
    let values = || series.iter().flat_map(|series| &series.points);
    let deepest = values().map(|point| point.0).fold(0.0, f64::max);
    let (low, high) = values()
        .fold((f64::INFINITY, 0.0f64), |(low, high), point| (low.min(point.1), high.max(point.1)));
    (!series.is_empty()).then(|| Chart {
        name: "throughput".to_string(),
        title: format!("Throughput: {}", protocol.title()),
        note: "training images per second of the last attempt of each run, evaluations not counted (run.toml)".to_string(),
        description: format!("Training images per second against depth, between {low:.0} and {high:.0}."),
        x_label: "weighted layers".to_string(),
        x_field: "weighted layers".to_string(),
        y_label: "images per second".to_string(),
        x_scale: 1.0,
        y_log: true,
        panels: vec![Panel { title: String::new(), x: (0.0, deepest * 1.05), y: (low / 1.5, high * 1.5), series }],
    })
}

fn points(runs: &[&LoggedRun]) -> Vec<(f64, f64, f64)> {
    let mut depths: Vec<u64> = runs.iter().map(|run| run.network.depth()).collect();
    depths.sort_unstable();
    depths.dedup();
    let speed =
        |run: &&LoggedRun| run.record.as_ref().map(|record| record.progress.images_per_second);
    depths
        .into_iter()
        .filter_map(|depth| {
            let spread =
                MeanStd::of(runs.iter().filter(|run| run.network.depth() == depth).map(speed))?;
            Some((depth as f64, spread.mean, spread.standard_deviation.unwrap_or(0.0)))
        })
        .collect()
}
