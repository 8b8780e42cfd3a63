//! Figure 6: plain and residual nets on CIFAR-10, training and test error over the iterations.

use crate::config::shortcut::Shortcut;
use crate::report::draw::chart::Chart;
use crate::report::figures::axis::{TEST, TRAINING};
use crate::report::figures::curves::Curves;

impl Curves<'_> {
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::network_name::{Family, NetworkName};
    use crate::logs::plotted::PlottedRun;
    use crate::report::figures::curves::{CIFAR_AXIS, Colouring};

    fn curves(runs: &[PlottedRun]) -> Curves<'_> {
        Curves {
            runs: runs.iter().collect(),
            iterations: 60,
            paper_axis: None,
            family: Family::Cifar,
            subject: String::new(),
            colour: Colouring::Depth,
            references: &[],
        }
    }

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
        let chart = curves(&runs).figure_6().unwrap();
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
        let chart = curves(&runs).figure_6().unwrap();
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
        let curves = Curves { paper_axis: Some(CIFAR_AXIS), ..curves(&runs) };
        assert!(curves.figure_6().unwrap().note.ends_with("; above the axis: plain-110"));
    }

    #[test]
    fn svg_png_and_csv_are_written_and_the_svg_names_the_networks() {
        let folder = tempfile::tempdir().unwrap();
        let runs =
            [run(NetworkName::plain(20), 0, 50.0, 60), run(NetworkName::residual(20), 0, 40.0, 60)];
        let svg = curves(&runs).figure_6().unwrap().write(folder.path()).unwrap();
        for text in
            ["plain-20", "resnet-20", "error (%)", "iteration", "plain nets", "residual nets"]
        {
            assert!(svg.contains(text), "{text}");
        }
        let png = std::fs::read(folder.path().join("figure-6.png")).unwrap();
        assert_eq!(&png[1..4], b"PNG");
        assert_eq!(
            u32::from_be_bytes(png[16..20].try_into().unwrap()),
            2000,
            "two panels of 500 units, two pixels a unit"
        );
        let csv = std::fs::read_to_string(folder.path().join("figure-6.csv")).unwrap();
        assert!(csv.starts_with("panel,network,series,iteration,error (%),deviation,seeds\nplain nets,plain-20,training error,1,80,0,1\n"), "{csv}");
    }
}
