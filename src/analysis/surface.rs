//! How far a surface on a square grid is from a convex one.

/// A curvature below zero counts where it is more than this share of the larger of the two at its
/// point, in magnitude.
pub const NEGATIVE_SHARE: f64 = 0.1;

/// Second differences below this, against the loss, are rounding of float32.
const ROUNDING: f64 = 1e-5;

/// How many of a surface's inner points are not convex.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Convexity {
    /// Points inside the grid whose eight neighbours have a value, as it has.
    pub judged: usize,
    /// Those at which the surface is bent downwards.
    pub bent_down: usize,
}

impl Convexity {
    /// The share of points that are not convex, in percent; none where no point can be judged.
    pub fn percent(self) -> Option<f64> {
        (self.judged > 0).then(|| self.bent_down as f64 * 100.0 / self.judged as f64)
    }
}

/// Looks at `values`, `side` in a row, row by row.
///
/// At each inner point the surface's two principal curvatures are the eigenvalues of the matrix of
/// central second differences, along both axes and both diagonals. The surface is bent downwards
/// there where the smaller one is negative, and more than [`NEGATIVE_SHARE`] of the larger in
/// magnitude. A principal curvature of a plane's surface is a weighted mean of those of the whole
/// loss (Li et al. 2018, section 6): one that is negative here shows that the loss is not convex.
pub fn convexity(values: &[Option<f64>], side: usize) -> Convexity {
    let mut found = Convexity { judged: 0, bent_down: 0 };
    let inner = 1..side.saturating_sub(1);
    for (row, column) in
        inner.clone().flat_map(|row| inner.clone().map(move |column| (row, column)))
    {
        let at = |down: usize, right: usize| values[(row + down - 1) * side + column + right - 1];
        let around: Option<Vec<f64>> = (0..9).map(|place| at(place / 3, place % 3)).collect();
        let Some(around) = around else { continue };
        found.judged += 1;
        found.bent_down += usize::from(is_bent_down(&around));
    }
    found
}

/// Of the values at a point and around it, row by row.
fn is_bent_down(around: &[f64]) -> bool {
    let middle = around[4];
    let (xx, yy) = (around[3] - 2.0 * middle + around[5], around[1] - 2.0 * middle + around[7]);
    let xy = (around[0] - around[2] - around[6] + around[8]) / 4.0;
    let (mean, radius) = ((xx + yy) / 2.0, ((xx - yy) / 2.0).hypot(xy));
    let (smaller, larger) = (mean - radius, mean + radius);
    smaller < -NEGATIVE_SHARE * larger.abs().max(smaller.abs())
        && smaller < -ROUNDING * middle.abs().max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIDE: usize = 21;

    /// A function on [-1, 1]².
    fn surface(of: impl Fn(f64, f64) -> f64) -> Vec<Option<f64>> {
        let place = |index: usize| index as f64 / 10.0 - 1.0;
        let points = (0..SIDE * SIDE).map(|at| (place(at % SIDE), place(at / SIDE)));
        points.map(|(x, y)| Some(of(x, y))).collect()
    }

    fn percent(of: impl Fn(f64, f64) -> f64) -> f64 {
        convexity(&surface(of), SIDE).percent().unwrap()
    }

    #[test]
    fn a_bowl_is_convex_everywhere_a_saddle_and_a_hill_nowhere() {
        assert_eq!(percent(|x, y| 3.0 * x * x + 0.01 * y * y + 2.0 * x - y), 0.0);
        assert_eq!(percent(|x, y| x * x + x * y + y * y), 0.0);
        assert_eq!(percent(|x, y| 7.0 + x - 2.0 * y), 0.0);
        assert_eq!(percent(|x, y| x * y), 100.0);
        assert_eq!(percent(|x, y| -x * x - 2.0 * y * y), 100.0);
        // The smaller curvature is 5 % of the larger, and then 20 %.
        assert_eq!(percent(|x, y| x * x - 0.05 * y * y), 0.0);
        assert_eq!(percent(|x, y| x * x - 0.2 * y * y), 100.0);
    }

    #[test]
    fn ripples_in_a_bowl_make_it_bend_down_at_half_of_its_points_and_rounding_nowhere() {
        let ripples = percent(|x, y| x * x + y * y + 0.3 * (9.0 * x).sin() * (9.0 * y).sin());
        assert!((50.0..100.0).contains(&ripples), "{ripples}");
        let along_one_axis = percent(|x, y| x * x + y * y + 0.3 * (9.0 * x).cos());
        assert!((30.0..60.0).contains(&along_one_axis), "{along_one_axis}");
        let rounded =
            percent(|x, y| f64::from(2.3f32 + 1e-7 * (((x * 77.0 + y * 31.0) * 1e3).sin() as f32)));
        assert_eq!(rounded, 0.0);
    }

    #[test]
    fn points_beside_a_missing_value_are_not_judged() {
        let mut values = surface(|x, y| x * y);
        values[5 * SIDE + 5] = None;
        assert_eq!(convexity(&values, SIDE), Convexity { judged: 361 - 9, bent_down: 361 - 9 });
        assert_eq!(convexity(&values[..1], 1).percent(), None);
    }
}
