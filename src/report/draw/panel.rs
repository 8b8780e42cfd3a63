//! Draws one panel of a chart with plotters.

use anyhow::{Result, anyhow, bail};
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::report::draw::chart::{Chart, Panel, Series};
use crate::report::format;

/// Width of a panel, in units.
pub const PANEL_WIDTH: u32 = 500;

/// Height of a panel, in units.
pub const PANEL_HEIGHT: u32 = 400;

/// Colours told apart by people who see no red or green too (Okabe and Ito's palette, and two
/// darker ones).
pub const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(95, 56, 24),
    RGBColor(67, 72, 79),
];

/// Colour of text and axes.
pub const INK: RGBColor = RGBColor(40, 40, 40);

const GRID: RGBColor = RGBColor(228, 228, 228);

/// A curve of so few points shows each of them.
pub const FEW_POINTS: usize = 25;

/// Widths of lines, in units.
pub const BOLD: f64 = 2.5;

/// See [`BOLD`].
pub const THIN: f64 = 1.25;

/// Length and gap of a dash.
const DASH: (u32, u32) = (5, 3);

/// A panel's axes, to draw on.
type Axes<'a, B> = ChartContext<'a, B, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

fn font(size: u32, scale: u32) -> TextStyle<'static> {
    ("sans-serif", size * scale).into_font().color(&INK)
}

fn failed<E: std::error::Error + Send + Sync>(error: DrawingAreaErrorKind<E>) -> anyhow::Error {
    anyhow!("drawing failed: {error}")
}

impl Chart {
    /// Height of a value on the axis as it is drawn.
    pub fn height(&self, value: f64) -> f64 {
        if self.y_log { value.log10() } else { value }
    }

    /// Draws a panel into `area`: axes, curves with their bands, and the legend.
    pub fn panel<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, Shift>,
        panel: &Panel,
        scale: u32,
    ) -> Result<()>
    where
        B::ErrorType: 'static,
    {
        let range = (self.height(panel.y.0), self.height(panel.y.1));
        if !(range.0 < range.1
            && range.0.is_finite()
            && range.1.is_finite()
            && panel.x.0 < panel.x.1)
        {
            bail!("{}: the axis from {} to {} cannot be drawn", self.name, panel.y.0, panel.y.1);
        }
        let mut axes = ChartBuilder::on(area)
            .margin(8 * scale)
            .margin_right(16 * scale)
            .caption(&panel.title, font(17, scale))
            .x_label_area_size(40 * scale)
            .y_label_area_size(58 * scale)
            .build_cartesian_2d(panel.x.0..panel.x.1, range.0..range.1)
            .map_err(failed)?;
        self.mesh(&mut axes, scale)?;
        for series in &panel.series {
            self.series(&mut axes, series, range, scale)?;
        }
        if panel.series.is_empty() {
            let middle = Pos::new(HPos::Center, VPos::Center);
            let style = font(15, scale).pos(middle);
            let centre = ((panel.x.0 + panel.x.1) / 2.0, (range.0 + range.1) / 2.0);
            let text = Text::new("no runs yet", centre, style);
            axes.draw_series(std::iter::once(text)).map_err(failed)?;
            return Ok(());
        }
        self.legend(&mut axes, panel, scale)
    }

    /// The axes with their ticks and labels, and the horizontal lines.
    fn mesh<B: DrawingBackend>(&self, axes: &mut Axes<'_, B>, scale: u32) -> Result<()>
    where
        B::ErrorType: 'static,
    {
        axes.configure_mesh()
            .disable_x_mesh()
            .bold_line_style(GRID.stroke_width(scale))
            .light_line_style(TRANSPARENT)
            .axis_style(INK.stroke_width(scale))
            .set_all_tick_mark_size((4 * scale) as i32)
            .x_labels(7)
            .y_labels(if self.y_log { 5 } else { 8 })
            .x_desc(&self.x_label)
            .y_desc(&self.y_label)
            .label_style(font(13, scale))
            .axis_desc_style(font(15, scale))
            .x_label_formatter(&|x| grouped(x / self.x_scale))
            .y_label_formatter(&|y| {
                if self.y_log { significant(10f64.powf(*y)) } else { grouped(*y) }
            })
            .draw()
            .map_err(failed)
    }

    /// One curve: its band, its line, and its points where they are few.
    fn series<B: DrawingBackend>(
        &self,
        axes: &mut Axes<'_, B>,
        series: &Series,
        range: (f64, f64),
        scale: u32,
    ) -> Result<()>
    where
        B::ErrorType: 'static,
    {
        let colour = COLOURS[series.colour % COLOURS.len()];
        let points = series.drawn();
        if let Some(band) = self.band(&points, range) {
            let band = Polygon::new(band, colour.mix(0.15));
            axes.draw_series(std::iter::once(band)).map_err(failed)?;
        }
        let line: Vec<(f64, f64)> =
            points.iter().map(|point| (point.0, self.height(point.1))).collect();
        let width = if series.bold { BOLD } else { THIN } * f64::from(scale);
        let style = colour.stroke_width(width as u32);
        for piece in clip(&line, range) {
            if series.dashed {
                let (dash, gap) = (DASH.0 * scale, DASH.1 * scale);
                axes.draw_series(DashedLineSeries::new(piece, dash, gap, style)).map_err(failed)?;
            } else {
                axes.draw_series(LineSeries::new(piece, style)).map_err(failed)?;
            }
        }
        let marked = line
            .iter()
            .filter(|point| line.len() <= FEW_POINTS && (range.0..=range.1).contains(&point.1));
        let marks = marked.map(|&point| Circle::new(point, 4 * scale, colour.filled()));
        axes.draw_series(marks).map_err(failed)?;
        Ok(())
    }

    /// An entry a network: its name beside a bold line, in the corner that is emptiest.
    fn legend<'a, B: DrawingBackend + 'a>(
        &self,
        axes: &mut Axes<'a, B>,
        panel: &Panel,
        scale: u32,
    ) -> Result<()>
    where
        B::ErrorType: 'static,
    {
        for (network, colour) in panel.networks() {
            let colour = COLOURS[colour % COLOURS.len()];
            axes.draw_series(std::iter::empty::<Circle<(f64, f64), u32>>())
                .map_err(failed)?
                .label(network)
                .legend(move |(x, y)| {
                    Rectangle::new(
                        [(x, y - scale as i32), (x + 20 * scale as i32, y + 2 * scale as i32)],
                        colour.filled(),
                    )
                });
        }
        axes.configure_series_labels()
            .position(position(self, panel))
            .margin(12 * scale)
            .legend_area_size(26 * scale)
            .label_font(font(14, scale))
            .background_style(WHITE.mix(0.8))
            .draw()
            .map_err(failed)
    }

    /// The area within a standard deviation of a curve, if there is one to show; cut at the
    /// figure's edges.
    fn band(&self, points: &[(f64, f64, f64)], (low, high): (f64, f64)) -> Option<Vec<(f64, f64)>> {
        let edge = |x: f64, value: f64| (x, self.height(value).clamp(low, high));
        let shown: Vec<&(f64, f64, f64)> = points
            .iter()
            .filter(|point| point.1.is_finite() && self.height(point.1 - point.2) <= high)
            .collect();
        if shown.len() < 2 || shown.iter().all(|point| point.2 == 0.0) {
            return None;
        }
        let upper = shown.iter().map(|point| edge(point.0, point.1 + point.2));
        let lower = shown.iter().rev().map(|point| edge(point.0, point.1 - point.2));
        Some(upper.chain(lower).collect())
    }
}

/// Where plotters puts a legend.
fn position(chart: &Chart, panel: &Panel) -> SeriesLabelPosition {
    let corner = chart.emptiest_corner(panel, 1.0);
    match (corner.left, corner.low) {
        (true, true) => SeriesLabelPosition::LowerLeft,
        (false, false) => SeriesLabelPosition::UpperRight,
        (false, true) => SeriesLabelPosition::LowerRight,
        (true, false) => SeriesLabelPosition::UpperLeft,
    }
}

/// The pieces of a curve that lie between two heights, cut where they cross.
fn clip(points: &[(f64, f64)], (low, high): (f64, f64)) -> Vec<Vec<(f64, f64)>> {
    let mut pieces: Vec<Vec<(f64, f64)>> = Vec::new();
    for pair in points.windows(2) {
        let [start, end] = [pair[0], pair[1]];
        if !(start.1.is_finite() && end.1.is_finite())
            || start.1.min(end.1) > high
            || start.1.max(end.1) < low
        {
            continue;
        }
        let on_line = |y: f64| (start.0 + (end.0 - start.0) * (y - start.1) / (end.1 - start.1), y);
        let [start_inside, end_inside] = [start, end].map(|point| {
            if (low..=high).contains(&point.1) { point } else { on_line(point.1.clamp(low, high)) }
        });
        match pieces.last_mut() {
            Some(piece) if piece.last() == Some(&start_inside) => piece.push(end_inside),
            _ => pieces.push(vec![start_inside, end_inside]),
        }
    }
    pieces
}

/// A tick's value: whole numbers with separators, others with the decimals they need.
fn grouped(value: f64) -> String {
    let rounded = (value * 1000.0).round() / 1000.0;
    if rounded.fract() == 0.0 { format::thousands(rounded as i64) } else { rounded.to_string() }
}

/// Two significant digits.
fn significant(value: f64) -> String {
    let digits = (1.0 - value.abs().log10().floor()).max(0.0) as usize;
    let text = format!("{value:.digits$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_string()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_are_cut_where_they_leave_the_figure() {
        let pieces =
            clip(&[(0.0, 90.0), (1.0, 70.0), (2.0, 70.0), (3.0, 110.0), (4.0, 70.0)], (60.0, 80.0));
        assert_eq!(
            pieces,
            [
                vec![(0.5, 80.0), (1.0, 70.0), (2.0, 70.0), (2.25, 80.0)],
                vec![(3.75, 80.0), (4.0, 70.0)]
            ]
        );
    }

    #[test]
    fn ticks_are_written_as_people_write_them() {
        assert_eq!(
            (grouped(64_000.0), grouped(0.5), grouped(20.0)),
            ("64,000".into(), "0.5".into(), "20".into())
        );
        assert_eq!(
            (significant(0.1), significant(0.001), significant(158.4), significant(1000.0)),
            ("0.1".into(), "0.001".into(), "158".into(), "1000".into())
        );
    }
}
