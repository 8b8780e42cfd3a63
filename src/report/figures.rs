//! The paper's figures, from the runs of one protocol.

use super::chart::{Chart, Panel, Series};
use super::protocol::Protocol;
use crate::analysis::{DrawnRun, Spread, smoothing_window};
use crate::dataset::DatasetName;
use crate::network::{NetworkName, Shortcut};
use crate::report::table::thousands;

/// The axis of the paper's Figures 1 and 6, in percent.
const PAPER_AXIS: (f64, f64) = (0.0, 20.0);
/// Runs of this length and more are drawn on the paper's axes.
const PAPER_AXIS_FROM: u64 = 32_000;
/// The axis of iterations is labelled in units of this from 20,000 on, as in the paper.
const TEN_THOUSAND: f64 = 1e4;

const TRAINING: &str = "training error";
const TEST: &str = "test error";

/// Every figure that the protocol's runs have something for.
pub fn charts(protocol: &Protocol) -> Vec<Chart> {
    let figures = Figures::of(protocol);
    [
        figures.figure_1(),
        figures.figure_6(),
        figures.shortcut_options(),
        figures.highway(),
        figures.learning_rate(),
        super::throughput::chart(protocol),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The figure of `compare`: plain nets on the left, residual nets on the right, on the same axes.
pub fn comparison(dataset: DatasetName, iterations: u64, runs: &[DrawnRun]) -> Chart {
    let data = match dataset {
        DatasetName::Shapes => "shapes",
        DatasetName::Cifar10 => "CIFAR-10",
    };
    let figures = Figures { runs: runs.iter().collect(), iterations, paper_axis: false, sections: String::new() };
    let panels = [("plain nets", figures.networks(|name| name.is_plain())), ("residual nets", figures.networks(|name| name.is_residual()))];
    figures.errors("comparison", format!("Training and test error on {data}"), &panels, &[TRAINING, TEST])
}

struct Figures<'a> {
    runs: Vec<&'a DrawnRun>,
    iterations: u64,
    paper_axis: bool,
    /// The protocol, for titles.
    sections: String,
}

impl<'a> Figures<'a> {
    fn of(protocol: &Protocol<'a>) -> Figures<'a> {
        Figures {
            runs: protocol.runs.iter().map(|run| &run.drawn).collect(),
            iterations: protocol.iterations,
            paper_axis: protocol.dataset == Some(DatasetName::Cifar10) && protocol.iterations >= PAPER_AXIS_FROM,
            sections: protocol.title(),
        }
    }

    fn networks(&self, filter: impl Fn(NetworkName) -> bool) -> Vec<NetworkName> {
        let mut networks: Vec<NetworkName> = self.runs.iter().map(|run| run.network).filter(|&name| filter(name)).collect();
        networks.sort();
        networks.dedup();
        networks
    }

    /// Training error left, test error right, of plain-20 and plain-56 or else of the shallowest and the deepest plain net.
    fn figure_1(&self) -> Option<Chart> {
        let plain = self.networks(|name| name.is_plain());
        let paper = [NetworkName::plain(20), NetworkName::plain(56)];
        let pair = match paper.iter().all(|name| plain.contains(name)) {
            true => paper.to_vec(),
            false => vec![*plain.first()?, *plain.last().filter(|last| plain.first() != Some(last))?],
        };
        let mut chart = self.errors("figure-1", format!("Figure 1: {}", self.sections), &[("training error", pair.clone())], &[TRAINING]);
        let test = self.errors("", String::new(), &[("test error", pair)], &[TEST]);
        chart.panels.extend(test.panels);
        let range = joined(&chart.panels);
        chart.panels.iter_mut().for_each(|panel| panel.y = range);
        // Each panel has one kind, so neither needs dashes or weight to tell it.
        chart.panels.iter_mut().flat_map(|panel| &mut panel.series).for_each(|series| (series.bold, series.dashed) = (series.kind == TEST, false));
        chart.note = format!("training error is the mean of the last {} iterations{}", self.window(), self.bands());
        Some(chart)
    }

    /// Plain nets left, residual nets in the middle, 110 and 1202 layers right.
    fn figure_6(&self) -> Option<Chart> {
        let plain = self.networks(|name| name.is_plain());
        let residual = self.networks(|name| name.shortcut == Shortcut::PadChannels && name.depth < 1000);
        let deep = self.networks(|name| name.shortcut == Shortcut::PadChannels && name.depth >= 110);
        if plain.len() + residual.len() + deep.len() < 2 {
            return None;
        }
        let mut panels = vec![("plain nets", plain.clone()), ("residual nets", residual)];
        if !deep.is_empty() || self.paper_axis {
            panels.push(("110 and 1202 layers", deep));
        }
        Some(self.errors("figure-6", format!("Figure 6: {}", self.sections), &panels, &[TRAINING, TEST]))
    }

    /// Options B and C beside A, one panel a depth.
    fn shortcut_options(&self) -> Option<Chart> {
        let projecting = self.networks(|name| matches!(name.shortcut, Shortcut::ProjectIncrease | Shortcut::ProjectAll));
        let mut depths: Vec<u64> = projecting.iter().map(|name| name.depth).collect();
        depths.sort_unstable();
        depths.dedup();
        let titles: Vec<String> = depths.iter().map(|depth| format!("{depth} layers, options A, B, C")).collect();
        let panels: Vec<(&str, Vec<NetworkName>)> = depths
            .iter()
            .zip(&titles)
            .take(3)
            .map(|(&depth, title)| (title.as_str(), self.networks(|name| name.is_residual() && name.depth == depth)))
            .collect();
        let mut chart = (!panels.is_empty())
            .then(|| self.errors("shortcut-options", format!("Shortcut options: {}", self.sections), &panels, &[TRAINING, TEST]))?;
        // Within a panel the option decides the colour, not the depth.
        for panel in &mut chart.panels {
            for series in &mut panel.series {
                series.colour = match series.network.as_bytes().last() {
                    Some(b'b') => 1,
                    Some(b'c') => 2,
                    _ => 0,
                };
            }
        }
        Some(chart)
    }

    /// Highway nets beside the residual nets of about their depth.
    fn highway(&self) -> Option<Chart> {
        let networks =
            self.networks(|name| name.shortcut == Shortcut::Gate || name.shortcut == Shortcut::PadChannels && [20, 32].contains(&name.depth));
        if !networks.iter().any(|name| name.shortcut == Shortcut::Gate) {
            return None;
        }
        let mut chart = self.errors(
            "highway",
            format!("Highway and residual nets: {}", self.sections),
            &[("highway and residual nets", networks.clone())],
            &[TRAINING, TEST],
        );
        for series in chart.panels.iter_mut().flat_map(|panel| &mut panel.series) {
            series.colour = networks.iter().position(|name| name.to_string() == series.network).unwrap_or(0);
        }
        Some(chart)
    }

    /// The learning rate of every iteration: one curve for each schedule that was logged.
    fn learning_rate(&self) -> Option<Chart> {
        let mut schedules: Vec<(&DrawnRun, Vec<String>)> = Vec::new();
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
                points: run.learning_rate.iter().map(|&(iteration, rate)| (iteration, rate, 0.0)).collect(),
                note: None,
            })
            .collect();
        let rates = series.iter().flat_map(|series| series.points.iter().map(|point| point.1));
        let (low, high) = rates.fold((f64::INFINITY, 0.0), |(low, high): (f64, f64), rate| (low.min(rate), high.max(rate)));
        if series.is_empty() {
            return None;
        }
        Some(Chart {
            name: "learning-rate".to_string(),
            title: format!("Learning rate: {}", self.sections),
            note: "the rate of every iteration's update, as logged".to_string(),
            description: format!("Learning rate over iterations, from {high} down to {low}, one curve for each schedule."),
            x_label: self.x_label(),
            y_label: "learning rate".to_string(),
            x_scale: self.x_scale(),
            y_log: true,
            panels: vec![Panel { title: String::new(), x: (0.0, self.iterations.max(1) as f64), y: (low / 2.0, high * 2.0), series }],
        })
    }

    /// A chart of errors: a panel for each (title, networks), all on one vertical axis.
    fn errors(&self, name: &str, title: String, panels: &[(&str, Vec<NetworkName>)], kinds: &[&str]) -> Chart {
        let mut panels: Vec<Panel> = panels
            .iter()
            .map(|(title, networks)| {
                let series = networks.iter().flat_map(|&network| kinds.iter().map(move |kind| self.series(network, kind))).flatten().collect();
                Panel { title: title.to_string(), x: (0.0, self.iterations.max(1) as f64), y: (0.0, 100.0), series }
            })
            .collect();
        let range = if self.paper_axis { PAPER_AXIS } else { joined(&panels) };
        panels.iter_mut().for_each(|panel| panel.y = range);
        let remark = above(&panels);
        Chart {
            name: name.to_string(),
            title,
            note: format!("dashed: training error (mean of the last {} iterations); bold: test error{}{remark}", self.window(), self.bands()),
            description: describe(&panels),
            x_label: self.x_label(),
            y_label: "error (%)".to_string(),
            x_scale: self.x_scale(),
            y_log: false,
            panels,
        }
    }

    fn window(&self) -> usize {
        smoothing_window(self.iterations as usize)
    }

    fn bands(&self) -> String {
        let seeds = |network: NetworkName| self.runs.iter().filter(|run| run.network == network).count();
        let counts: Vec<usize> = self.networks(|_| true).into_iter().map(seeds).collect();
        match counts.iter().max() {
            Some(1) | None => String::new(),
            Some(most) if counts.iter().all(|count| count == most) => format!("; mean over {most} seeds, bands ± 1 standard deviation"),
            Some(most) => format!("; mean over up to {most} seeds, bands ± 1 standard deviation"),
        }
    }

    fn x_scale(&self) -> f64 {
        if self.iterations >= 20_000 { TEN_THOUSAND } else { 1.0 }
    }

    fn x_label(&self) -> String {
        if self.iterations >= 20_000 { "iteration (1e4)".to_string() } else { "iteration".to_string() }
    }

    /// One network's curve: the mean over its complete runs, or over all if none is complete.
    fn series(&self, network: NetworkName, kind: &str) -> Option<Series> {
        let all: Vec<&&DrawnRun> = self.runs.iter().filter(|run| run.network == network).collect();
        let complete: Vec<&&DrawnRun> = all.iter().copied().filter(|run| run.is_complete()).collect();
        let partial = all
            .iter()
            .filter(|run| !run.is_complete())
            .map(|run| format!("seed {} at iteration {} of {}", run.seed, thousands(run.done as i64), thousands(run.planned as i64)));
        let notes: Vec<String> = partial.collect();
        let drawn = if complete.is_empty() { &all } else { &complete };
        let curves: Vec<&[(f64, f64)]> = drawn.iter().map(|run| if kind == TRAINING { &run.training[..] } else { &run.test[..] }).collect();
        let points = over_seeds(&curves);
        (!points.is_empty()).then(|| Series {
            network: network.to_string(),
            kind: kind.to_string(),
            label: format!("{network} {kind}"),
            colour: self.colour(network),
            bold: kind == TEST,
            dashed: kind == TRAINING,
            points,
            note: (!notes.is_empty()).then(|| notes.join(", ")),
        })
    }

    /// One colour a depth: a plain net and its residual twin share it.
    fn colour(&self, network: NetworkName) -> usize {
        let mut depths: Vec<u64> = self.runs.iter().map(|run| run.network.depth).collect();
        depths.sort_unstable();
        depths.dedup();
        depths.iter().position(|&depth| depth == network.depth).unwrap_or(0)
    }
}

/// Mean and standard deviation at each position that all seeds have.
fn over_seeds(curves: &[&[(f64, f64)]]) -> Vec<(f64, f64, f64)> {
    let length = curves.iter().map(|curve| curve.len()).min().unwrap_or(0);
    (0..length)
        .map(|position| {
            let spread = Spread::of(curves.iter().map(|curve| Some(curve[position].1)));
            let (mean, deviation) = spread.map_or((f64::NAN, 0.0), |spread| (spread.mean, spread.standard_deviation.unwrap_or(0.0)));
            (curves[0][position].0, mean, deviation)
        })
        .collect()
}

/// From below the lowest error to above nine tenths of all training errors and every final test error, in tens: what the first iterations add
/// says nothing.
fn joined(panels: &[Panel]) -> (f64, f64) {
    let series = || panels.iter().flat_map(|panel| &panel.series);
    let mut training: Vec<f64> = series()
        .filter(|series| series.kind == TRAINING)
        .flat_map(|series| series.points.iter().map(|point| point.1))
        .filter(|error| error.is_finite())
        .collect();
    training.sort_by(f64::total_cmp);
    let final_tests = series().filter(|series| series.kind == TEST).filter_map(|series| series.points.last()).map(|point| point.1);
    let high = final_tests.filter(|error| error.is_finite()).fold(training.get(training.len() * 9 / 10).copied().unwrap_or(0.0), f64::max);
    let high = if high > 0.0 { high } else { 100.0 };
    let lowest = series().flat_map(|series| &series.points).map(|point| point.1 - point.2).filter(|error| error.is_finite()).fold(high, f64::min);
    // A curve that stays just below a line of tens (chance is 90 %) needs the room above it.
    let (low, high) = ((lowest / 10.0).floor() * 10.0, ((high + 1.0) / 10.0).ceil() * 10.0);
    (low.max(0.0).min(high - 10.0), high.min(100.0))
}

/// Which networks cannot be seen because all of their curves are above the axis, as the end of a sentence.
fn above(panels: &[Panel]) -> String {
    let mut hidden: Vec<&str> = Vec::new();
    for panel in panels {
        for network in panel.series.iter().map(|series| series.network.as_str()) {
            let mut points = panel.series.iter().filter(|series| series.network == network).flat_map(|series| &series.points);
            if points.all(|point| point.1 > panel.y.1) && !hidden.contains(&network) {
                hidden.push(network);
            }
        }
    }
    if hidden.is_empty() { String::new() } else { format!("; above the axis: {}", hidden.join(", ")) }
}

/// The last value of every curve, for a reader who cannot see the picture.
fn describe(panels: &[Panel]) -> String {
    let panels = panels.iter().map(|panel| {
        let curves: Vec<String> = panel
            .series
            .iter()
            .filter_map(|series| {
                let last = series.points.last()?;
                Some(format!("{} {:.1} % at iteration {}", series.label, last.1, thousands(last.0 as i64)))
            })
            .collect();
        format!("{}: {}", panel.title, if curves.is_empty() { "no runs yet".to_string() } else { curves.join(", ") })
    });
    format!("Error curves over iterations. {}.", panels.collect::<Vec<_>>().join(". "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(network: NetworkName, seed: u64, error: f64, done: u64) -> DrawnRun {
        DrawnRun {
            network,
            seed,
            training: (1..=done).map(|iteration| (iteration as f64, error + 30.0 / iteration as f64)).collect(),
            test: [30.0, 60.0].iter().filter(|&&iteration| iteration <= done as f64).map(|&iteration| (iteration, error + 1.0)).collect(),
            learning_rate: vec![(1.0, 0.1), (done as f64, 0.1)],
            done,
            planned: 60,
        }
    }

    #[test]
    fn curves_are_means_over_seeds_with_their_deviation() {
        let runs = [run(NetworkName::plain(20), 0, 50.0, 60), run(NetworkName::plain(20), 1, 54.0, 60), run(NetworkName::residual(20), 0, 40.0, 60)];
        let chart = comparison(DatasetName::Cifar10, 60, &runs);
        let [plain, residual] = &chart.panels[..] else { panic!("{chart:?}") };
        assert_eq!((plain.series.len(), residual.series.len()), (2, 2));
        assert_eq!(plain.series[1].points, [(30.0, 53.0, 8f64.sqrt()), (60.0, 53.0, 8f64.sqrt())]);
        assert_eq!(plain.series[0].points.last().unwrap(), &(60.0, 52.5, 8f64.sqrt()));
        assert!(plain.series[0].dashed && plain.series[1].bold && plain.series[0].colour == residual.series[0].colour);
        assert!(chart.note.contains("last 2 iterations") && chart.note.contains("bands"), "{}", chart.note);
        assert_eq!(plain.y, (40.0, 60.0));
        assert!(chart.description.contains("plain-20 test error 53.0 % at iteration 60"), "{}", chart.description);
    }

    #[test]
    fn a_partial_seed_does_not_shorten_the_mean_of_the_complete_ones_and_is_named() {
        let runs = [run(NetworkName::plain(20), 0, 50.0, 60), run(NetworkName::plain(20), 1, 90.0, 20), run(NetworkName::plain(32), 0, 50.0, 20)];
        let chart = comparison(DatasetName::Cifar10, 60, &runs);
        let series = &chart.panels[0].series;
        assert_eq!((series[0].points.len(), series[0].points[59].1), (60, 50.5));
        assert_eq!(series[0].note.as_deref(), Some("seed 1 at iteration 20 of 60"));
        let only = series.iter().find(|series| series.network == "plain-32").unwrap();
        assert_eq!((only.points.len(), only.note.as_deref()), (20, Some("seed 0 at iteration 20 of 60")));
    }

    #[test]
    fn a_network_that_is_above_the_axis_throughout_is_named() {
        let runs = [run(NetworkName::plain(110), 0, 80.0, 60), run(NetworkName::plain(20), 0, 10.0, 60)];
        let figures = Figures { runs: runs.iter().collect(), iterations: 60, paper_axis: true, sections: String::new() };
        assert!(figures.figure_6().unwrap().note.ends_with("; above the axis: plain-110"));
    }

    #[test]
    fn svg_png_and_csv_are_written_and_the_svg_names_the_networks() {
        let folder = tempfile::tempdir().unwrap();
        let runs = [run(NetworkName::plain(20), 0, 50.0, 60), run(NetworkName::residual(20), 0, 40.0, 60)];
        let svg = comparison(DatasetName::Cifar10, 60, &runs).write(folder.path()).unwrap();
        for text in ["plain-20", "resnet-20", "error (%)", "iteration", "plain nets", "residual nets"] {
            assert!(svg.contains(text), "{text}");
        }
        let png = std::fs::read(folder.path().join("comparison.png")).unwrap();
        assert_eq!(&png[1..4], b"PNG");
        assert_eq!(u32::from_be_bytes(png[16..20].try_into().unwrap()), 2000, "two panels of 500 units, two pixels a unit");
        let csv = std::fs::read_to_string(folder.path().join("comparison.csv")).unwrap();
        assert!(csv.starts_with("panel,network,series,iteration,error (%),deviation\nplain nets,plain-20,training error,1,80,0\n"), "{csv}");
    }
}
