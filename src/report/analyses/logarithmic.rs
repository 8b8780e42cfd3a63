//! Panels with logarithmic vertical axes.

use crate::report::draw::chart::{Panel, Series};

/// Smaller values are not drawn on a logarithmic axis: the page keeps six decimals.
const SMALLEST: f64 = 1e-5;

/// Panels of curves with logarithmic vertical axes, each from the power of ten below its curves to
/// the one above. Those without a curve are left out.
pub fn logarithmic(panels: Vec<(&str, Vec<Series>)>) -> Vec<Panel> {
    let panel = |(title, mut series): (&str, Vec<Series>)| {
        for one in &mut series {
            one.points.retain(|point| point.1.is_finite() && point.1 >= SMALLEST);
        }
        series.retain(|series| !series.points.is_empty());
        let points = || series.iter().flat_map(|series| &series.points);
        let last = points().map(|point| point.0).fold(0.0, f64::max);
        let low = points().map(|point| point.1).fold(f64::INFINITY, f64::min).log10().floor();
        let high = points().map(|point| point.1).fold(0.0, f64::max).log10().ceil();
        let y = (10f64.powf(low), 10f64.powf(high.max(low + 1.0)));
        let is_drawn = last > 0.0;
        is_drawn.then(|| Panel { title: title.to_string(), x: (0.0, last * 1.03), y, series })
    };
    panels.into_iter().filter_map(panel).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logarithmic_axis_goes_from_a_power_of_ten_to_another() {
        let series = |values: &[f64]| Series {
            network: String::new(),
            kind: String::new(),
            label: String::new(),
            colour: 0,
            bold: true,
            dashed: false,
            seeds: 1,
            points: values.iter().zip(1..).map(|(&y, x)| (f64::from(x), y, 0.0)).collect(),
            note: None,
        };
        let found = logarithmic(vec![
            ("one", vec![series(&[0.02, 0.0, 3.0]), series(&[f64::NAN, 1e-9])]),
            ("none", vec![series(&[0.0])]),
            ("flat", vec![series(&[1.0])]),
        ]);
        let drawn: Vec<(&str, usize, usize)> = found
            .iter()
            .map(|panel| (panel.title.as_str(), panel.series.len(), panel.series[0].points.len()))
            .collect();
        assert_eq!(drawn, [("one", 1, 2), ("flat", 1, 1)]);
        assert_eq!((found[0].y, found[1].y), ((0.01, 10.0), (1.0, 10.0)));
    }
}
