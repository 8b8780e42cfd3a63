//! Figures 1 and 6: training and test error over the iterations.

use crate::config::dataset_name::DatasetName;
use crate::config::network_name::NetworkName;
use crate::config::paper;
use crate::config::recipe::Recipe;
use crate::config::shortcut::Shortcut;
use crate::logs::plotted::PlottedRun;
use crate::report::draw::chart::{Chart, Panel, Series};
use crate::report::figures::curves::{Curves, TEST, TRAINING, joined};
use crate::report::protocol::Protocol;

/// The axis of the paper's Figures 1 and 6, in percent.
const CIFAR_AXIS: (f64, f64) = (0.0, 20.0);

/// The paper's axis of errors, for runs on its data of its length; on a shorter run's it would hide
/// what the run shows.
fn paper_axis(protocol: &Protocol) -> Option<(f64, f64)> {
    let axis = match protocol.dataset? {
        DatasetName::Cifar10 => CIFAR_AXIS,
        DatasetName::Imagenet => paper::imagenet().figure_4_axis,
        DatasetName::Shapes | DatasetName::TinyImagenet => return None,
    };
    (protocol.iterations >= Recipe::of_paper(protocol.family()).iterations).then_some(axis)
}

impl<'a> Curves<'a> {
    pub(crate) fn of(protocol: &Protocol<'a>) -> Curves<'a> {
        Curves {
            runs: protocol.runs.iter().map(|run| &run.drawn).collect(),
            iterations: protocol.iterations,
            paper_axis: paper_axis(protocol),
            family: protocol.family(),
            subject: protocol.title(),
        }
    }

    /// Training error left, test error right, of plain-20 and plain-56 or else of the shallowest
    /// and the deepest plain net.
    pub(crate) fn figure_1(&self) -> Option<Chart> {
        let plain = self.networks(|name| name.is_plain());
        let paper = [NetworkName::plain(20), NetworkName::plain(56)];
        let pair = match paper.iter().all(|name| plain.contains(name)) {
            true => paper.to_vec(),
            false => {
                vec![*plain.first()?, *plain.last().filter(|last| plain.first() != Some(last))?]
            }
        };
        let mut chart = self.errors(
            "figure-1",
            format!("Figure 1: {}", self.subject),
            &[("training error", pair.clone())],
            &[TRAINING],
        );
        let test = self.errors("", String::new(), &[("test error", pair)], &[TEST]);
        chart.panels.extend(test.panels);
        let range = joined(&chart.panels);
        chart.panels.iter_mut().for_each(|panel| panel.y = range);
        // Each panel has one kind, so neither needs dashes or weight to tell it.
        chart
            .panels
            .iter_mut()
            .flat_map(|panel| &mut panel.series)
            .for_each(|series| (series.bold, series.dashed) = (series.kind == TEST, false));
        chart.note = format!(
            "training error is the mean of the last {} iterations{}",
            self.window(),
            self.bands()
        );
        Some(chart)
    }

    /// Plain nets left, residual nets in the middle, 110 and 1202 layers right.
    pub(crate) fn figure_6(&self) -> Option<Chart> {
        let plain = self.networks(|name| name.is_plain());
        let residual =
            self.networks(|name| name.shortcut() == Some(Shortcut::OptionA) && name.depth() < 1000);
        let deep =
            self.networks(|name| name.shortcut() == Some(Shortcut::OptionA) && name.depth() >= 110);
        if plain.len() + residual.len() + deep.len() < 2 {
            return None;
        }
        let mut panels = vec![("plain nets", plain.clone()), ("residual nets", residual)];
        if !deep.is_empty() || self.paper_axis.is_some() {
            panels.push(("110 and 1202 layers", deep));
        }
        Some(self.errors(
            "figure-6",
            format!("Figure 6: {}", self.subject),
            &panels,
            &[TRAINING, TEST],
        ))
    }

    /// Options B and C beside A, one panel a depth.
    pub(crate) fn shortcut_options(&self) -> Option<Chart> {
        let projecting = self.networks(|name| {
            matches!(name.shortcut(), Some(Shortcut::OptionB | Shortcut::OptionC))
        });
        let mut depths: Vec<u64> = projecting.iter().map(|name| name.depth()).collect();
        depths.sort_unstable();
        depths.dedup();
        let titles: Vec<String> =
            depths.iter().map(|depth| format!("{depth} layers, options A, B, C")).collect();
        let panels: Vec<(&str, Vec<NetworkName>)> = depths
            .iter()
            .zip(&titles)
            .take(3)
            .map(|(&depth, title)| {
                (title.as_str(), self.networks(|name| name.is_residual() && name.depth() == depth))
            })
            .collect();
        let mut chart = (!panels.is_empty()).then(|| {
            self.errors(
                "shortcut-options",
                format!("Shortcut options: {}", self.subject),
                &panels,
                &[TRAINING, TEST],
            )
        })?;
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
    pub(crate) fn highway(&self) -> Option<Chart> {
        let networks = self.networks(|name| {
            matches!(name, NetworkName::Highway { .. })
                || name.shortcut() == Some(Shortcut::OptionA) && [20, 32].contains(&name.depth())
        });
        if !networks.iter().any(|name| matches!(name, NetworkName::Highway { .. })) {
            return None;
        }
        let mut chart = self.errors(
            "highway",
            format!("Highway and residual nets: {}", self.subject),
            &[("highway and residual nets", networks.clone())],
            &[TRAINING, TEST],
        );
        for series in chart.panels.iter_mut().flat_map(|panel| &mut panel.series) {
            series.colour =
                networks.iter().position(|name| name.to_string() == series.network).unwrap_or(0);
        }
        Some(chart)
    }

    /// Pre-activation nets, and the residual nets of their depths.
    pub(crate) fn preactivation(&self) -> Option<Chart> {
        let nets = self.networks(|name| matches!(name, NetworkName::PreActivation { .. }));
        if nets.is_empty() {
            return None;
        }
        let originals = self.networks(|name| {
            name.shortcut() == Some(Shortcut::OptionA)
                && nets.iter().any(|net| net.depth() == name.depth())
        });
        let panels = [("residual nets of these depths", originals), ("pre-activation nets", nets)];
        Some(self.errors(
            "pre-activation",
            format!("Pre-activation: {}", self.subject),
            &panels.into_iter().filter(|(_, nets)| !nets.is_empty()).collect::<Vec<_>>(),
            &[TRAINING, TEST],
        ))
    }

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::network_name::Family;
    use crate::report::figures::comparison;

    fn run(network: NetworkName, seed: u64, error: f64, done: u64) -> PlottedRun {
        PlottedRun {
            network,
            seed,
            training: (1..=done)
                .map(|iteration| (iteration as f64, error + 30.0 / iteration as f64))
                .collect(),
            test: [30.0, 60.0]
                .iter()
                .filter(|&&iteration| iteration <= done as f64)
                .map(|&iteration| (iteration, error + 1.0))
                .collect(),
            learning_rate: vec![(1.0, 0.1), (done as f64, 0.1)],
            done,
            planned: 60,
        }
    }

    #[test]
    fn curves_are_means_over_seeds_with_their_deviation() {
        let runs = [
            run(NetworkName::plain(20), 0, 50.0, 60),
            run(NetworkName::plain(20), 1, 54.0, 60),
            run(NetworkName::residual(20), 0, 40.0, 60),
        ];
        let chart = comparison(DatasetName::Cifar10, 60, &runs);
        let [plain, residual] = &chart.panels[..] else { panic!("{chart:?}") };
        assert_eq!((plain.series.len(), residual.series.len()), (2, 2));
        assert_eq!(plain.series[1].points, [(30.0, 53.0, 8f64.sqrt()), (60.0, 53.0, 8f64.sqrt())]);
        assert_eq!(plain.series[0].points.last().unwrap(), &(60.0, 52.5, 8f64.sqrt()));
        assert!(
            plain.series[0].dashed
                && plain.series[1].bold
                && plain.series[0].colour == residual.series[0].colour
        );
        assert!(
            chart.note.contains("last 2 iterations") && chart.note.contains("bands"),
            "{}",
            chart.note
        );
        assert_eq!(plain.y, (40.0, 60.0));
        assert!(
            chart.description.contains("plain-20 test error 53.0 % at iteration 60"),
            "{}",
            chart.description
        );
    }

    #[test]
    fn a_partial_seed_does_not_shorten_the_mean_of_the_complete_ones_and_is_named() {
        let runs = [
            run(NetworkName::plain(20), 0, 50.0, 60),
            run(NetworkName::plain(20), 1, 90.0, 20),
            run(NetworkName::plain(32), 0, 50.0, 20),
        ];
        let chart = comparison(DatasetName::Cifar10, 60, &runs);
        let series = &chart.panels[0].series;
        assert_eq!((series[0].points.len(), series[0].points[59].1), (60, 50.5));
        assert_eq!(series[0].note.as_deref(), Some("seed 1 at iteration 20 of 60"));
        let only = series.iter().find(|series| series.network == "plain-32").unwrap();
        assert_eq!(
            (only.points.len(), only.note.as_deref()),
            (20, Some("seed 0 at iteration 20 of 60"))
        );
    }

    #[test]
    fn a_network_that_is_above_the_axis_throughout_is_named() {
        let runs =
            [run(NetworkName::plain(110), 0, 80.0, 60), run(NetworkName::plain(20), 0, 10.0, 60)];
        let curves = Curves {
            runs: runs.iter().collect(),
            iterations: 60,
            paper_axis: Some(CIFAR_AXIS),
            family: Family::Cifar,
            subject: String::new(),
        };
        assert!(curves.figure_6().unwrap().note.ends_with("; above the axis: plain-110"));
    }

    #[test]
    fn svg_png_and_csv_are_written_and_the_svg_names_the_networks() {
        let folder = tempfile::tempdir().unwrap();
        let runs =
            [run(NetworkName::plain(20), 0, 50.0, 60), run(NetworkName::residual(20), 0, 40.0, 60)];
        let svg = comparison(DatasetName::Cifar10, 60, &runs).write(folder.path()).unwrap();
        for text in
            ["plain-20", "resnet-20", "error (%)", "iteration", "plain nets", "residual nets"]
        {
            assert!(svg.contains(text), "{text}");
        }
        let png = std::fs::read(folder.path().join("comparison.png")).unwrap();
        assert_eq!(&png[1..4], b"PNG");
        assert_eq!(
            u32::from_be_bytes(png[16..20].try_into().unwrap()),
            2000,
            "two panels of 500 units, two pixels a unit"
        );
        let csv = std::fs::read_to_string(folder.path().join("comparison.csv")).unwrap();
        assert!(csv.starts_with("panel,network,series,iteration,error (%),deviation\nplain nets,plain-20,training error,1,80,0\n"), "{csv}");
    }
}
