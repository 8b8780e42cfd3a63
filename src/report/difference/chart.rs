//! The curves of the sides over one another.

use crate::logs::plotted::PlottedRun;
use crate::logs::windows::smoothing_window;
use crate::report::difference::errors::Curves;
use crate::report::difference::sides::Side;
use crate::report::draw::chart::{Chart, Panel, Series};
use crate::report::figures::axis::{TEST, TRAINING, joined};
use crate::report::figures::curves::over_seeds;

/// Most panels of one figure.
const MOST_PANELS: usize = 3;

/// Figures with a panel a network, a colour a side.
pub fn charts(all: &[Curves], sides: &[Side]) -> Vec<Chart> {
    all.chunks(MOST_PANELS)
        .enumerate()
        .map(|(index, curves)| {
            let name = match index {
                0 => "difference".to_string(),
                index => format!("difference-{}", index + 1),
            };
            chart(name, curves, sides)
        })
        .collect()
}

fn chart(name: String, all: &[Curves], sides: &[Side]) -> Chart {
    let mut panels: Vec<Panel> = all.iter().map(|curves| panel(curves, sides)).collect();
    let range = joined(&panels);
    panels.iter_mut().for_each(|panel| panel.y = range);
    let windows: Vec<String> =
        all.iter().map(|curves| smoothing_window(curves.iterations as usize).to_string()).collect();
    let labels: Vec<&str> = sides.iter().map(|side| side.label.as_str()).collect();
    Chart {
        name,
        title: format!("Difference: {}", labels.join(", ")),
        note: format!(
            "dashed: training error (mean of the last {} iterations); bold: test error; over \
             several seeds mean, bands ± 1 standard deviation",
            windows.join(", ")
        ),
        description: format!("Error curves over iterations of {}.", labels.join(", ")),
        x_label: "iteration".to_string(),
        x_field: "iteration".to_string(),
        y_label: "error (%)".to_string(),
        x_scale: 1.0,
        y_log: false,
        panels,
    }
}

fn panel(curves: &Curves, sides: &[Side]) -> Panel {
    let (mut series, mut longest) = (Vec::new(), 1);
    for (index, side) in sides.iter().enumerate() {
        let runs = curves.drawn(index);
        longest = longest.max(runs.iter().map(|run| run.done).max().unwrap_or(0));
        for kind in [TRAINING, TEST] {
            let of = |run: &PlottedRun| match kind {
                TRAINING => run.training.clone(),
                _ => run.test.clone(),
            };
            let all: Vec<Vec<(f64, f64)>> = runs.iter().map(of).collect();
            let points = over_seeds(&all.iter().map(Vec::as_slice).collect::<Vec<_>>());
            if points.is_empty() {
                continue;
            }
            series.push(Series {
                network: side.label.clone(),
                kind: kind.to_string(),
                label: format!("{} {kind}", side.label),
                colour: index,
                bold: kind == TEST,
                dashed: kind == TRAINING,
                seeds: runs.len(),
                points,
                note: None,
            });
        }
    }
    Panel { title: curves.network.clone(), x: (0.0, longest as f64), y: (0.0, 100.0), series }
}
