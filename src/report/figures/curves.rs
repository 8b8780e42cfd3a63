//! Error curves over iterations, from runs: what all of the paper's figures are made of.

use crate::config::dataset_name::DatasetName;
use crate::config::network_name::{Family, NetworkName};
use crate::config::paper;
use crate::config::recipe::Recipe;
use crate::logs::plotted::PlottedRun;
use crate::logs::statistics::MeanStd;
use crate::logs::windows::smoothing_window;
use crate::report::band::drawn::DrawnReference;
use crate::report::draw::chart::{Chart, Panel, Series};
use crate::report::figures::axis::{TEST, TRAINING, above, joined};
use crate::report::format::{counted, thousands};
use crate::report::protocol::Protocol;

/// From so many iterations on their axis is labelled in units of 10,000, as in the paper.
const TEN_THOUSANDS_FROM: u64 = 20_000;

/// What the paper's Figure 4 shows in place of a test error.
const VALIDATION: &str = "centre-crop validation error";

/// Runs whose curves are drawn together.
pub struct Curves<'a> {
    /// The runs.
    pub runs: Vec<&'a PlottedRun>,
    /// Iterations that each was to have.
    pub iterations: u64,
    /// The paper's axis of errors, in percent, where theirs can be compared with it.
    pub paper_axis: Option<(f64, f64)>,
    /// Which of the paper's figures they are drawn like.
    pub family: Family,
    /// What they are runs of, for titles.
    pub subject: String,
    /// The colour of a network.
    pub colour: Colouring<'a>,
    /// References whose bands are drawn behind the curves of their networks.
    pub references: &'a [&'a DrawnReference],
}

/// Colour of references: no depth of a figure of few has it.
const REFERENCE_COLOUR: usize = 7;

/// What decides the colour of a network's curves.
#[derive(Clone, Copy)]
pub enum Colouring<'a> {
    /// Its depth: a plain net and its residual twin share a colour.
    Depth,
    /// Something else.
    By(&'a dyn Fn(NetworkName) -> usize),
}

/// The axis of the paper's Figures 1 and 6, in percent.
pub(super) const CIFAR_AXIS: (f64, f64) = (0.0, 20.0);

/// The paper's axis of errors, for runs on its data of its length; on a shorter run's it would hide
/// what the run shows.
fn paper_axis(protocol: &Protocol) -> Option<(f64, f64)> {
    let axis = match protocol.dataset? {
        DatasetName::Cifar10 => CIFAR_AXIS,
        DatasetName::Imagenet => paper::imagenet().figure_4_axis,
        DatasetName::Shapes | DatasetName::TinyImagenet | DatasetName::Folder => return None,
    };
    (protocol.iterations >= Recipe::of_paper(protocol.family()).iterations).then_some(axis)
}

impl<'a> Curves<'a> {
    /// Those of a protocol.
    pub(crate) fn of(protocol: &Protocol<'a>) -> Curves<'a> {
        Curves {
            runs: protocol.runs.iter().map(|run| &run.drawn).collect(),
            iterations: protocol.iterations,
            paper_axis: paper_axis(protocol),
            family: protocol.family(),
            subject: protocol.title(),
            colour: Colouring::Depth,
            references: &[],
        }
    }

    /// The same curves in other colours.
    pub fn coloured<'b>(&'b self, colour: &'b dyn Fn(NetworkName) -> usize) -> Curves<'b> {
        Curves {
            runs: self.runs.clone(),
            subject: self.subject.clone(),
            colour: Colouring::By(colour),
            ..*self
        }
    }

    /// The networks that pass `filter`, plain before residual, shallow before deep.
    pub fn networks(&self, filter: impl Fn(NetworkName) -> bool) -> Vec<NetworkName> {
        let mut networks: Vec<NetworkName> =
            self.runs.iter().map(|run| run.network).filter(|&name| filter(name)).collect();
        networks.sort();
        networks.dedup();
        networks
    }

    /// A panel of the curves of `networks`, on an axis of 0 to 100 %.
    pub fn panel(&self, title: &str, networks: &[NetworkName], kinds: &[&str]) -> Panel {
        let series = networks
            .iter()
            .flat_map(|&network| kinds.iter().map(move |kind| self.series(network, kind)))
            .flatten()
            .collect();
        Panel {
            title: title.to_string(),
            x: (0.0, self.iterations.max(1) as f64),
            y: (0.0, 100.0),
            series,
        }
    }

    /// A chart of errors: a panel for each (title, networks), all on one vertical axis.
    pub fn errors(
        &self,
        name: &str,
        title: String,
        panels: &[(&str, Vec<NetworkName>)],
        kinds: &[&str],
    ) -> Chart {
        let networks: Vec<&[NetworkName]> =
            panels.iter().map(|(_, networks)| &networks[..]).collect();
        let mut panels: Vec<Panel> =
            panels.iter().map(|(title, networks)| self.panel(title, networks, kinds)).collect();
        let range = self.paper_axis.unwrap_or_else(|| joined(&panels));
        panels.iter_mut().for_each(|panel| panel.y = range);
        let above = above(&panels);
        for (panel, networks) in panels.iter_mut().zip(&networks) {
            self.add_references(panel, networks, kinds);
        }
        let note = format!(
            "{}: training error (mean of the last {}); bold: {}{}{above}{}",
            if self.dashes() { "dashed" } else { "thin" },
            counted(self.window(), "iteration"),
            self.test(),
            self.bands(),
            self.reference_note(&networks.concat())
        );
        self.chart(name, title, note, panels)
    }

    /// A chart of errors over iterations.
    pub fn chart(&self, name: &str, title: String, note: String, panels: Vec<Panel>) -> Chart {
        Chart {
            name: name.to_string(),
            title,
            note,
            description: describe(&panels),
            x_label: self.x_label(),
            x_field: "iteration".to_string(),
            y_label: "error (%)".to_string(),
            x_scale: self.x_scale(),
            y_log: false,
            panels,
        }
    }

    /// Whether training errors are dashed, as in Figure 6; they are thin lines in Figure 4.
    fn dashes(&self) -> bool {
        self.family == Family::Cifar
    }

    /// What the evaluations along a run are of.
    pub fn test(&self) -> &'static str {
        match self.family {
            Family::Cifar => TEST,
            Family::Imagenet => VALIDATION,
        }
    }

    /// How many iterations a training error is averaged over.
    pub fn window(&self) -> usize {
        smoothing_window(self.iterations as usize)
    }

    /// What the bands are, as the end of a sentence; empty for one seed.
    pub fn bands(&self) -> String {
        let seeds =
            |network: NetworkName| self.runs.iter().filter(|run| run.network == network).count();
        let counts: Vec<usize> = self.networks(|_| true).into_iter().map(seeds).collect();
        match counts.iter().max() {
            Some(1) | None => String::new(),
            Some(most) if counts.iter().all(|count| count == most) => {
                format!("; mean of n = {most} seeds, bands ± 1 standard deviation")
            }
            Some(_) => {
                "; mean over seeds (n in the legend), bands ± 1 standard deviation".to_string()
            }
        }
    }

    /// What ticks of the axis of iterations are divided by.
    pub fn x_scale(&self) -> f64 {
        if self.iterations >= TEN_THOUSANDS_FROM { 1e4 } else { 1.0 }
    }

    /// Label of the axis of iterations.
    pub fn x_label(&self) -> String {
        if self.iterations >= TEN_THOUSANDS_FROM {
            "iteration (1e4)".to_string()
        } else {
            "iteration".to_string()
        }
    }

    /// One network's curve: the mean over its complete runs, or over all if none is complete.
    fn series(&self, network: NetworkName, kind: &str) -> Option<Series> {
        let all: Vec<&&PlottedRun> =
            self.runs.iter().filter(|run| run.network == network).collect();
        let complete: Vec<&&PlottedRun> =
            all.iter().copied().filter(|run| run.is_complete()).collect();
        let partial = all.iter().filter(|run| !run.is_complete()).map(|run| {
            format!(
                "seed {} at iteration {} of {}",
                run.seed,
                thousands(run.done as i64),
                thousands(run.planned as i64)
            )
        });
        let notes: Vec<String> = partial.collect();
        let drawn = if complete.is_empty() { &all } else { &complete };
        let curves: Vec<&[(f64, f64)]> = drawn
            .iter()
            .map(|run| if kind == TRAINING { &run.training[..] } else { &run.test[..] })
            .collect();
        let points = over_seeds(&curves);
        let shown = if kind == TRAINING { kind } else { self.test() };
        (!points.is_empty()).then(|| Series {
            network: network.to_string(),
            kind: shown.to_string(),
            label: format!("{network} {shown}"),
            colour: self.colour(network),
            bold: kind == TEST,
            dashed: kind == TRAINING && self.dashes(),
            seeds: drawn.len(),
            points,
            note: (!notes.is_empty()).then(|| notes.join(", ")),
        })
    }

    /// Puts the bands of references of `networks` behind the curves of a panel, whose axes stay.
    pub fn add_references(&self, panel: &mut Panel, networks: &[NetworkName], kinds: &[&str]) {
        let of = |reference: &DrawnReference, kind: &str| {
            let is_training = kind == TRAINING;
            let shown = if is_training { kind } else { self.test() };
            let network = format!("{} reference", reference.network);
            let points = if is_training { &reference.training } else { &reference.test };
            (!points.is_empty()).then(|| Series {
                label: format!("{network} {shown}"),
                network,
                kind: shown.to_string(),
                colour: REFERENCE_COLOUR,
                bold: false,
                dashed: is_training && self.dashes(),
                seeds: reference.seeds,
                points: points.clone(),
                note: None,
            })
        };
        let behind: Vec<Series> = self
            .references_of(networks)
            .flat_map(|reference| kinds.iter().filter_map(move |kind| of(reference, kind)))
            .collect();
        panel.series.splice(0..0, behind);
    }

    fn references_of(&self, networks: &[NetworkName]) -> impl Iterator<Item = &'a DrawnReference> {
        self.references.iter().copied().filter(move |one| networks.contains(&one.network))
    }

    /// What the bands of references of `networks` are, as the end of a sentence; empty without one.
    pub fn reference_note(&self, networks: &[NetworkName]) -> String {
        let mut others: Vec<&str> =
            self.references_of(networks).map(|one| one.title.as_str()).collect();
        if others.is_empty() {
            return String::new();
        }
        others.retain(|title| *title != self.subject);
        others.dedup();
        let of = match others.is_empty() {
            true => String::new(),
            false => format!(" ({})", others.join("; ")),
        };
        format!(
            "; grey: mean over the reference's seeds{of}, bands: 95 % prediction interval of one new run at each iteration"
        )
    }

    fn colour(&self, network: NetworkName) -> usize {
        if let Colouring::By(colour) = self.colour {
            return colour(network);
        }
        let mut depths: Vec<u64> = self.runs.iter().map(|run| run.network.depth()).collect();
        depths.sort_unstable();
        depths.dedup();
        depths.iter().position(|&depth| depth == network.depth()).unwrap_or(0)
    }
}

/// Mean and standard deviation at each position that all seeds have.
pub fn over_seeds(curves: &[&[(f64, f64)]]) -> Vec<(f64, f64, f64)> {
    let length = curves.iter().map(|curve| curve.len()).min().unwrap_or(0);
    (0..length)
        .map(|position| {
            let spread = MeanStd::of(curves.iter().map(|curve| Some(curve[position].1)));
            let (mean, deviation) = spread.map_or((f64::NAN, 0.0), |spread| {
                (spread.mean, spread.standard_deviation.unwrap_or(0.0))
            });
            (curves[0][position].0, mean, deviation)
        })
        .collect()
}

/// The last value of every curve, for a reader who cannot see the picture.
fn describe(panels: &[Panel]) -> String {
    let panels = panels.iter().map(|panel| {
        let curves: Vec<String> = panel
            .series
            .iter()
            .filter_map(|series| {
                let last = series.points.last()?;
                Some(format!(
                    "{} {:.1} % at iteration {}",
                    series.label,
                    last.1,
                    thousands(last.0 as i64)
                ))
            })
            .collect();
        format!(
            "{}: {}",
            panel.title,
            if curves.is_empty() { "no runs yet".to_string() } else { curves.join(", ") }
        )
    });
    format!("Error curves over iterations. {}.", panels.collect::<Vec<_>>().join(". "))
}
