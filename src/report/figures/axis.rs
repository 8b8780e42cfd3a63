//! The axis of errors: from where to where, and what is beyond it.

use crate::report::draw::chart::Panel;

/// The kinds of curves.
pub const TRAINING: &str = "training error";

/// See [`TRAINING`].
pub const TEST: &str = "test error";

/// From below the lowest error to above nine tenths of all training errors and every final test
/// error, in tens: what the first iterations add says nothing.
pub fn joined(panels: &[Panel]) -> (f64, f64) {
    let series = || panels.iter().flat_map(|panel| &panel.series);
    let mut training: Vec<f64> = series()
        .filter(|series| series.kind == TRAINING)
        .flat_map(|series| series.points.iter().map(|point| point.1))
        .filter(|error| error.is_finite())
        .collect();
    training.sort_by(f64::total_cmp);
    let final_tests = series()
        .filter(|series| series.kind != TRAINING)
        .filter_map(|series| series.points.last())
        .map(|point| point.1);
    let high = final_tests
        .filter(|error| error.is_finite())
        .fold(training.get(training.len() * 9 / 10).copied().unwrap_or(0.0), f64::max);
    let high = if high > 0.0 { high } else { 100.0 };
    let lowest = series()
        .flat_map(|series| &series.points)
        .map(|point| point.1 - point.2)
        .filter(|error| error.is_finite())
        .fold(high, f64::min);
    // A curve that stays just below a line of tens (chance is 90 %) needs the room above it.
    let (low, high) =
        ((lowest / 10.0).floor() * 10.0, (((high + 1.0) / 10.0).ceil() * 10.0).min(100.0));
    (low.max(0.0).min(high - 10.0), high)
}

/// Which networks cannot be seen because all of their curves are above the axis, as the end of a
/// sentence.
pub fn above(panels: &[Panel]) -> String {
    let mut hidden: Vec<&str> = Vec::new();
    for panel in panels {
        for network in panel.series.iter().map(|series| series.network.as_str()) {
            let mut points = panel
                .series
                .iter()
                .filter(|series| series.network == network)
                .flat_map(|series| &series.points);
            if points.all(|point| point.1 > panel.y.1) && !hidden.contains(&network) {
                hidden.push(network);
            }
        }
    }
    if hidden.is_empty() {
        String::new()
    } else {
        format!("; above the axis: {}", hidden.join(", "))
    }
}
