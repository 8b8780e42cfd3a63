//! The learning rate along the runs.

use crate::logs::plotted::PlottedRun;
use crate::report::draw::chart::{Chart, Panel, Series};
use crate::report::figures::curves::Curves;

impl Curves<'_> {
    /// The learning rate of every iteration: one curve for each schedule that was logged.
    pub(crate) fn learning_rate(&self) -> Option<Chart> {
        let mut schedules: Vec<(&PlottedRun, Vec<String>)> = Vec::new();
        for run in self.runs.iter().filter(|run| !run.learning_rate.is_empty()) {
            let name = run.network.to_string();
            match schedules.iter_mut().find(|(other, _)| other.learning_rate == run.learning_rate) {
                Some((_, names)) if names.contains(&name) => {}
                Some((_, names)) => names.push(name),
                None => schedules.push((run, vec![name])),
            }
        }
        let series: Vec<Series> = schedules
            .iter()
            .enumerate()
            .map(|(index, (run, names))| Series {
                network: names.join(", "),
                kind: "learning rate".to_string(),
                label: names.join(", "),
                colour: index,
                bold: true,
                dashed: false,
                seeds: 1,
                // A logarithmic axis has no place for a rate of 0.
                points: run
                    .learning_rate
                    .iter()
                    .filter(|(_, rate)| rate.is_finite() && *rate > 0.0)
                    .map(|&(iteration, rate)| (iteration, rate, 0.0))
                    .collect(),
                note: None,
            })
            .collect();
        let rates = series.iter().flat_map(|series| series.points.iter().map(|point| point.1));
        let (low, high) = rates.fold((f64::INFINITY, 0.0), |(low, high): (f64, f64), rate| {
            (low.min(rate), high.max(rate))
        });
        if high <= 0.0 {
            return None;
        }
        Some(Chart {
            name: "learning-rate".to_string(),
            title: format!("Learning rate: {}", self.subject),
            note: "the rate of every iteration's update, as logged".to_string(),
            description: format!(
                "Learning rate over iterations, from {high} down to {low}, one curve for each schedule."
            ),
            x_label: self.x_label(),
            x_field: "iteration".to_string(),
            y_label: "learning rate".to_string(),
            x_scale: self.x_scale(),
            y_log: true,
            panels: vec![Panel {
                title: String::new(),
                x: (0.0, self.iterations.max(1) as f64),
                y: (low / 2.0, high * 2.0),
                series,
            }],
        })
    }
}
