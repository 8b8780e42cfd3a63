//! Means, deviations and slopes.

/// Mean and sample standard deviation of `values`, as far as they are finite numbers.
pub fn moments(values: &[f64]) -> (Option<f64>, Option<f64>) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let finite = |value: f64| value.is_finite().then_some(value);
    let deviation = (count > 1.0).then(|| (squares / (count - 1.0)).sqrt());
    (finite(mean), deviation.and_then(finite))
}

/// Least squares; `None` of fewer than two points.
pub fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let count = points.len() as f64;
    let mean = |value: fn(&(f64, f64)) -> f64| points.iter().map(value).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let product: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    let square: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    let slope = product / square;
    slope.is_finite().then_some(slope)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slope_is_that_of_the_straight_line_through_the_points() {
        let points = [(1.0, 2.0), (2.0, 1.0), (3.0, 3.0), (5.0, 2.0)];
        // numpy.polyfit([1, 2, 3, 5], [2, 1, 3, 2], 1).
        assert!((slope(&points).unwrap() - 0.114_285_714_285_714).abs() < 1e-12);
        assert_eq!(slope(&points[..1]), None);
        assert_eq!(slope(&[]), None);
    }

    #[test]
    fn moments_are_those_of_the_sample_and_empty_where_there_is_none() {
        assert_eq!(moments(&[1.0, 2.0, 3.0]), (Some(2.0), Some(1.0)));
        assert_eq!(moments(&[4.0]), (Some(4.0), None));
        assert_eq!(moments(&[1.0, f64::INFINITY]), (None, None));
        assert_eq!(moments(&[]), (None, None));
    }
}
