//! Contour lines of a surface on a square grid.

use contour::ContourBuilder;

/// Levels of a figure at most.
const MOST_LEVELS: usize = 7;

/// A gap between two lines.
const GAP: (f64, f64) = (f64::NAN, f64::NAN);

/// Values on a grid of `side` by `side` points, from -range to range along both axes, row by row
/// from the lowest y.
pub struct Surface<'a> {
    /// The values; a missing one counts as the highest.
    pub values: &'a [Option<f64>],
    /// Points along each side, at least two.
    pub side: usize,
    /// The coordinates' largest.
    pub range: f64,
}

impl Surface<'_> {
    /// Lowest and highest value.
    pub fn extent(&self) -> Option<(f64, f64)> {
        let known = || self.values.iter().copied().flatten();
        Some((known().reduce(f64::min)?, known().reduce(f64::max)?))
    }

    /// The points of all lines at `level`, with a point of NaN between two lines.
    pub fn lines(&self, level: f64) -> Vec<(f64, f64)> {
        let Some((_, highest)) = self.extent() else { return Vec::new() };
        let values: Vec<f64> = self.values.iter().map(|value| value.unwrap_or(highest)).collect();
        // It refuses grids that do not fit their values alone.
        let found = ContourBuilder::new(self.side, self.side, true).lines(&values, &[level]);
        let lines = found.into_iter().flatten().flat_map(|line| line.into_inner().0.0);
        let mut points = Vec::new();
        for line in lines {
            points.extend(line.0.iter().map(|point| self.place(point.x, point.y)));
            points.push(GAP);
        }
        points.dedup_by(|one, other| one.0.is_nan() && other.0.is_nan());
        points
    }

    /// The coordinates of a point of the crate's, whose grid points stand at 0.5, 1.5, …; it closes
    /// lines outside of them, where the surface is not known: a gap.
    fn place(&self, x: f64, y: f64) -> (f64, f64) {
        let inside = 0.5..=self.side as f64 - 0.5;
        let coordinate =
            |place: f64| self.range * (2.0 * (place - 0.5) / (self.side - 1) as f64 - 1.0);
        match inside.contains(&x) && inside.contains(&y) {
            true => (coordinate(x), coordinate(y)),
            false => GAP,
        }
    }
}

/// Levels between two values that read well: 1, 2 and 5 times powers of ten, every second or third
/// where they are many.
pub fn levels((lowest, highest): (f64, f64)) -> Vec<f64> {
    let powers = lowest.max(1e-6).log10().floor() as i32..=highest.max(1e-6).log10().ceil() as i32;
    let all: Vec<f64> = powers
        .flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10f64.powi(power)))
        .filter(|level| (lowest..highest).contains(level))
        .collect();
    all.iter().copied().step_by(all.len().div_ceil(MOST_LEVELS).max(1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIDE: usize = 41;

    fn values(of: impl Fn(f64, f64) -> Option<f64>) -> Vec<Option<f64>> {
        let place = |index: usize| index as f64 / 10.0 - 2.0;
        (0..SIDE * SIDE).map(|at| of(place(at % SIDE), place(at / SIDE))).collect()
    }

    fn lines(values: &[Option<f64>], level: f64) -> Vec<(f64, f64)> {
        Surface { values, side: SIDE, range: 2.0 }.lines(level)
    }

    #[test]
    fn lines_of_a_bowl_are_closed_ellipses_and_are_cut_at_the_grids_edge() {
        let bowl = values(|x, y| Some((x - 0.5).powi(2) + 4.0 * y * y));
        let points = lines(&bowl, 1.0);
        let known: Vec<&(f64, f64)> = points.iter().filter(|point| !point.0.is_nan()).collect();
        assert!(known.len() > 40 && points.len() == known.len() + 1, "{points:?}");
        assert_eq!(known.first(), known.last());
        for (x, y) in known {
            assert!(((x - 0.5).powi(2) + 4.0 * y * y - 1.0).abs() < 0.02, "{x}, {y}");
        }
        // (2.5)² lies at x = 3, outside on the right, and at x = -2 on the left.
        let cut = lines(&bowl, 6.0);
        assert!(cut.iter().all(|(x, y)| x.is_nan() || x.abs() <= 2.0 && y.abs() <= 2.0));
        let ends = cut.iter().filter(|(x, _)| (x - 2.0).abs() < 1e-9);
        assert!(ends.clone().count() >= 2);
        for (_, y) in ends {
            assert!((4.0 * y * y - (6.0 - 2.25)).abs() < 0.05, "{y}");
        }
        assert!(lines(&bowl, 1e3).is_empty() && lines(&values(|_, _| None), 1.0).is_empty());
    }

    #[test]
    fn a_straight_line_stands_where_the_surface_has_the_level_and_a_gap_is_high() {
        let slope = values(|x, _| Some(x));
        let points = lines(&slope, 0.33);
        assert!(points.len() >= SIDE);
        assert!(points.iter().all(|(x, _)| x.is_nan() || (x - 0.33).abs() < 1e-9), "{points:?}");
        let missing = values(|x, y| (x < 1.0 || y < 1.0).then_some(x));
        let known = |points: &[(f64, f64)]| {
            points.iter().copied().filter(|point| !point.0.is_nan()).collect::<Vec<_>>()
        };
        assert_eq!(known(&lines(&missing, 0.33)), known(&points));
    }

    #[test]
    fn levels_are_few_and_round() {
        assert_eq!(levels((0.04, 3.0)), [0.05, 0.1, 0.2, 0.5, 1.0, 2.0]);
        assert!(levels((1e-3, 1e4)).len() <= MOST_LEVELS);
        assert!(levels((2.0, 2.0)).is_empty());
    }
}
