//! Error curves in the paper's style: plain nets on the left, residual nets on the right, on the same axes.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use serde::Serialize;

use super::canvas::{self, Drawing};
use crate::analysis::{RunCurves, smoothed, smoothing_window};
use crate::dataset::DatasetName;
use crate::network::NetworkName;

const SIZE: (u32, u32) = (1000, 470);
const TITLE_HEIGHT: u32 = 40;
const NOTE_HEIGHT: u32 = 30;
/// One colour a depth, told apart by people who see no red or green too (Okabe and Ito's palette).
const COLOURS: [RGBColor; 6] =
    [RGBColor(0, 114, 178), RGBColor(213, 94, 0), RGBColor(0, 158, 115), RGBColor(204, 121, 167), RGBColor(230, 159, 0), RGBColor(86, 180, 233)];
const INK: RGBColor = RGBColor(40, 40, 40);
const GRID: RGBColor = RGBColor(228, 228, 228);
/// A curve is drawn with at most so many points; more cannot be seen.
const MOST_POINTS: usize = 1200;

/// A point of a curve over seeds: iteration, mean, and half the height of the band.
pub type Point = (f64, f64, f64);

/// What is drawn for one network.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NetworkCurves {
    /// The network.
    pub network: NetworkName,
    /// Smoothed training error, mean and standard deviation over seeds.
    pub training: Vec<Point>,
    /// Test error, mean and standard deviation over seeds.
    pub test: Vec<Point>,
}

/// A figure's data.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    title: String,
    note: String,
    iterations: f64,
    /// Lowest and highest error on the axis, in percent.
    errors: (f64, f64),
    networks: Vec<NetworkCurves>,
}

impl Figure {
    /// The figure of some runs that were to have `iterations` iterations.
    pub fn new(dataset: DatasetName, iterations: u64, runs: &[RunCurves]) -> Figure {
        let window = smoothing_window(iterations as usize);
        let mut names: Vec<NetworkName> = runs.iter().map(|run| run.network).collect();
        names.sort();
        names.dedup();
        let networks: Vec<NetworkCurves> = names.into_iter().map(|name| curves_of(name, runs, window)).collect();
        let seeds = runs.iter().map(|run| run.seed).collect::<std::collections::BTreeSet<_>>().len();
        let bands = if seeds > 1 { format!("; mean over {seeds} seeds, bands ± 1 standard deviation") } else { String::new() };
        let data = match dataset {
            DatasetName::Shapes => "shapes",
            DatasetName::Cifar10 => "CIFAR-10",
        };
        Figure {
            title: format!("Training and test error on {data}"),
            note: format!("thin: training error (mean of the last {window} iterations)   bold: test error{bands}"),
            iterations: iterations as f64,
            errors: error_range(&networks),
            networks,
        }
    }

    /// Writes `path`.svg and `path`.png.
    pub fn write(&self, path: &Path) -> Result<()> {
        canvas::write(self, path)
    }
}

fn curves_of(network: NetworkName, runs: &[RunCurves], window: usize) -> NetworkCurves {
    let of_network: Vec<&RunCurves> = runs.iter().filter(|run| run.network == network).collect();
    let training: Vec<(&[f64], Vec<f64>)> =
        of_network.iter().map(|run| (&run.training.iterations[..], smoothed(&run.training.errors, window))).collect();
    let test: Vec<(&[f64], Vec<f64>)> = of_network.iter().map(|run| (&run.test.iterations[..], run.test.errors.clone())).collect();
    NetworkCurves { network, training: thin(over_seeds(&training)), test: over_seeds(&test) }
}

/// Mean and standard deviation at each position that all seeds have.
fn over_seeds(curves: &[(&[f64], Vec<f64>)]) -> Vec<Point> {
    let length = curves.iter().map(|(_, errors)| errors.len()).min().unwrap_or(0);
    (0..length)
        .map(|position| {
            let spread = crate::analysis::Spread::of(curves.iter().map(|(_, errors)| Some(errors[position])));
            let (mean, deviation) = spread.map_or((f64::NAN, 0.0), |spread| (spread.mean, spread.standard_deviation.unwrap_or(0.0)));
            (curves[0].0[position], mean, deviation)
        })
        .collect()
}

/// Every so many points, and the last.
fn thin(points: Vec<Point>) -> Vec<Point> {
    let step = points.len().div_ceil(MOST_POINTS).max(1);
    let last = points.len().saturating_sub(1);
    points.into_iter().enumerate().filter(|(index, _)| index % step == 0 || *index == last).map(|(_, point)| point).collect()
}

/// From below the lowest error to above nine tenths of all training errors and every final test error, in tens: what the first
/// iterations add says nothing.
fn error_range(networks: &[NetworkCurves]) -> (f64, f64) {
    let mut training: Vec<f64> =
        networks.iter().flat_map(|curves| curves.training.iter().map(|point| point.1)).filter(|error| error.is_finite()).collect();
    training.sort_by(f64::total_cmp);
    let final_tests = networks.iter().filter_map(|curves| curves.test.last()).map(|point| point.1);
    let high = final_tests.fold(training.get(training.len() * 9 / 10).copied().unwrap_or(100.0), f64::max);
    let points = networks.iter().flat_map(|curves| curves.training.iter().chain(&curves.test));
    let low = points.map(|point| point.1 - point.2).filter(|error| error.is_finite()).fold(high, f64::min);
    let (low, high) = ((low / 10.0).floor() * 10.0, (high / 10.0).ceil() * 10.0);
    (low.max(0.0).min(high - 10.0), high.min(100.0))
}

/// The pieces of a curve that lie between two heights, cut where they cross.
fn clip(points: &[(f64, f64)], (low, high): (f64, f64)) -> Vec<Vec<(f64, f64)>> {
    let mut pieces: Vec<Vec<(f64, f64)>> = Vec::new();
    for pair in points.windows(2) {
        let [start, end] = [pair[0], pair[1]];
        if !(start.1.is_finite() && end.1.is_finite()) || start.1.min(end.1) > high || start.1.max(end.1) < low {
            continue;
        }
        let on_line = |y: f64| (start.0 + (end.0 - start.0) * (y - start.1) / (end.1 - start.1), y);
        let [start_inside, end_inside] =
            [start, end].map(|point| if (low..=high).contains(&point.1) { point } else { on_line(point.1.clamp(low, high)) });
        match pieces.last_mut() {
            Some(piece) if piece.last() == Some(&start_inside) => piece.push(end_inside),
            _ => pieces.push(vec![start_inside, end_inside]),
        }
    }
    pieces
}

impl Drawing for Figure {
    fn size(&self) -> (u32, u32) {
        SIZE
    }

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>, scale: u32) -> Result<()>
    where
        B::ErrorType: 'static,
    {
        let failed = |error: DrawingAreaErrorKind<B::ErrorType>| anyhow!("drawing failed: {error}");
        area.fill(&WHITE).map_err(failed)?;
        let (title, rest) = area.split_vertically(TITLE_HEIGHT * scale);
        let (panels, note) = rest.split_vertically((SIZE.1 - TITLE_HEIGHT - NOTE_HEIGHT) * scale);
        let centred = |size: u32| ("sans-serif", size * scale).into_font().color(&INK).pos(Pos::new(HPos::Center, VPos::Center));
        let middle = (SIZE.0 * scale / 2) as i32;
        title.draw(&Text::new(self.title.clone(), (middle, (TITLE_HEIGHT * scale / 2) as i32), centred(20))).map_err(failed)?;
        note.draw(&Text::new(self.note.clone(), (middle, (NOTE_HEIGHT * scale / 3) as i32), centred(14))).map_err(failed)?;
        let (left, right) = panels.split_horizontally(SIZE.0 * scale / 2);
        self.panel(&left, "plain nets", false, scale)?;
        self.panel(&right, "residual nets", true, scale)
    }
}

impl Figure {
    fn panel<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>, caption: &str, residual: bool, scale: u32) -> Result<()>
    where
        B::ErrorType: 'static,
    {
        let failed = |error: DrawingAreaErrorKind<B::ErrorType>| anyhow!("drawing failed: {error}");
        let font = |size: u32| ("sans-serif", size * scale).into_font().color(&INK);
        let (low, high) = self.errors;
        let mut chart = ChartBuilder::on(area)
            .margin(8 * scale)
            .margin_right(16 * scale)
            .caption(caption, font(17))
            .x_label_area_size(40 * scale)
            .y_label_area_size(44 * scale)
            .build_cartesian_2d(0.0..self.iterations.max(1.0), low..high)
            .map_err(failed)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .bold_line_style(GRID.stroke_width(scale))
            .light_line_style(TRANSPARENT)
            .axis_style(INK.stroke_width(scale))
            .set_all_tick_mark_size((4 * scale) as i32)
            .x_labels(6)
            .y_labels(8)
            .x_desc("iteration")
            .y_desc("error (%)")
            .label_style(font(13))
            .axis_desc_style(font(15))
            .x_label_formatter(&|iteration| super::table::thousands(*iteration as i64))
            .y_label_formatter(&|error| format!("{error:.0}"))
            .draw()
            .map_err(failed)?;
        for (curves, colour) in self.of_panel(residual) {
            for points in [&curves.training, &curves.test] {
                for band in bands(points, self.errors) {
                    chart.draw_series(std::iter::once(Polygon::new(band, colour.mix(0.15)))).map_err(failed)?;
                }
            }
            for (points, width) in [(&curves.training, 1), (&curves.test, 3)] {
                let line: Vec<(f64, f64)> = points.iter().map(|point| (point.0, point.1)).collect();
                for piece in clip(&line, self.errors) {
                    chart.draw_series(LineSeries::new(piece, colour.stroke_width(width * scale))).map_err(failed)?;
                }
            }
            let marks = curves.test.iter().filter(|point| curves.test.len() <= 25 && point.1 >= low && point.1 <= high);
            chart.draw_series(marks.map(|point| Circle::new((point.0, point.1), 4 * scale, colour.filled()))).map_err(failed)?;
            // An entry for the legend: the network's name beside a bold line.
            chart
                .draw_series(std::iter::empty::<Circle<(f64, f64), u32>>())
                .map_err(failed)?
                .label(curves.network.to_string())
                .legend(move |(x, y)| Rectangle::new([(x, y - scale as i32), (x + 20 * scale as i32, y + 2 * scale as i32)], colour.filled()));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::LowerLeft)
            .margin(12 * scale)
            .legend_area_size(26 * scale)
            .label_font(font(15))
            .background_style(WHITE.mix(0.85))
            .draw()
            .map_err(failed)
    }

    /// The networks of a panel with their colours: a plain net and its residual twin share one.
    fn of_panel(&self, residual: bool) -> impl Iterator<Item = (&NetworkCurves, RGBColor)> {
        let mut depths: Vec<u64> = self.networks.iter().map(|curves| curves.network.depth).collect();
        depths.sort_unstable();
        depths.dedup();
        self.networks.iter().filter(move |curves| curves.network.is_residual() == residual).map(move |curves| {
            let position = depths.iter().position(|&depth| depth == curves.network.depth).unwrap_or(0);
            (curves, COLOURS[position % COLOURS.len()])
        })
    }
}

/// The area within a standard deviation of a curve, if there is one to show; cut at the figure's edges.
fn bands(points: &[Point], (low, high): (f64, f64)) -> Vec<Vec<(f64, f64)>> {
    let shown: Vec<&Point> = points.iter().filter(|point| point.1.is_finite() && point.1 - point.2 <= high).collect();
    if shown.len() < 2 || shown.iter().all(|point| point.2 == 0.0) {
        return Vec::new();
    }
    let upper = shown.iter().map(|point| (point.0, (point.1 + point.2).clamp(low, high)));
    let lower = shown.iter().rev().map(|point| (point.0, (point.1 - point.2).clamp(low, high)));
    vec![upper.chain(lower).collect()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::{EvaluationCurve, TrainingCurve};

    fn run(network: NetworkName, seed: u64, error: f64) -> RunCurves {
        let iterations: Vec<f64> = (1..=60).map(f64::from).collect();
        let errors = iterations.iter().map(|iteration| error + 30.0 / iteration).collect();
        RunCurves {
            network,
            seed,
            training: TrainingCurve { losses: vec![1.0; iterations.len()], iterations, errors },
            test: EvaluationCurve { iterations: vec![30.0, 60.0], errors: vec![error + 2.0, error + 1.0] },
            validation: EvaluationCurve::default(),
        }
    }

    fn figure() -> Figure {
        let runs = [run(NetworkName::plain(20), 0, 50.0), run(NetworkName::plain(20), 1, 54.0), run(NetworkName::residual(20), 0, 40.0)];
        Figure::new(DatasetName::Cifar10, 60, &runs)
    }

    #[test]
    fn the_figures_data_are_smoothed_training_errors_and_means_over_seeds() {
        let figure = figure();
        assert_eq!(figure.networks.len(), 2);
        let plain = &figure.networks[0];
        assert_eq!(plain.network, NetworkName::plain(20));
        assert_eq!(plain.test, [(30.0, 54.0, 8f64.sqrt()), (60.0, 53.0, 8f64.sqrt())]);
        // Window 2: the mean of the last two iterations, and of both seeds.
        let last = plain.training.last().unwrap();
        assert!((last.1 - (52.0 + 15.0 * (1.0 / 59.0 + 1.0 / 60.0))).abs() < 1e-9 && last.0 == 60.0, "{last:?}");
        assert!(figure.note.contains("last 2 iterations") && figure.note.contains("2 seeds"), "{}", figure.note);
        assert_eq!(figure.errors, (40.0, 60.0));
    }

    #[test]
    fn curves_are_cut_where_they_leave_the_figure() {
        let pieces = clip(&[(0.0, 90.0), (1.0, 70.0), (2.0, 70.0), (3.0, 110.0), (4.0, 70.0)], (60.0, 80.0));
        assert_eq!(pieces, [vec![(0.5, 80.0), (1.0, 70.0), (2.0, 70.0), (2.25, 80.0)], vec![(3.75, 80.0), (4.0, 70.0)]]);
    }

    #[test]
    fn svg_and_png_are_written_and_the_svg_names_the_networks() {
        let folder = tempfile::tempdir().unwrap();
        figure().write(&folder.path().join("figure")).unwrap();
        let svg = std::fs::read_to_string(folder.path().join("figure.svg")).unwrap();
        for text in ["plain-20", "resnet-20", "error (%)", "iteration", "plain nets", "residual nets"] {
            assert!(svg.contains(text), "{text}");
        }
        let png = std::fs::read(folder.path().join("figure.png")).unwrap();
        assert_eq!(&png[1..4], b"PNG");
        assert_eq!(png[16..24], [0, 0, 7, 208, 0, 0, 3, 172], "2000 × 940 pixels");
    }
}
