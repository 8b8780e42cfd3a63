//! Quantiles of Student's t distribution, for any probability: intervals that are corrected for the
//! number of comparisons need others than those of 95 %.

use std::f64::consts::{FRAC_2_PI, FRAC_PI_2};

/// Halvings of the interval that holds a quantile: to the precision of a double.
const HALVINGS: usize = 100;

/// The value that Student's t of so many `degrees` of freedom lies within, on both sides of zero,
/// with the `probability` (above 0, below 1).
pub fn two_sided_quantile(probability: f64, degrees: usize) -> f64 {
    let (mut low, mut high) = (0.0, FRAC_PI_2);
    for _ in 0..HALVINGS {
        let middle = (low + high) / 2.0;
        match within(middle, degrees) < probability {
            true => low = middle,
            false => high = middle,
        }
    }
    (degrees as f64).sqrt() * low.tan()
}

/// The probability within ± t, where `angle` is the arc tangent of t / √degrees: the finite sums of
/// Abramowitz and Stegun, 26.7.3 and 26.7.4.
fn within(angle: f64, degrees: usize) -> f64 {
    let (sine, cosine) = angle.sin_cos();
    let odd = degrees % 2;
    // 1 + 1/2 cos² + (1·3)/(2·4) cos⁴ + …, for odd degrees cos + 2/3 cos³ + (2·4)/(3·5) cos⁵ + …
    let (mut term, mut sum) = (if odd == 1 { cosine } else { 1.0 }, 0.0);
    for index in (2 + odd..=degrees).step_by(2) {
        sum += term;
        term *= (index - 1) as f64 / index as f64 * cosine * cosine;
    }
    match odd {
        1 => FRAC_2_PI * (angle + sine * sum),
        _ => sine * sum,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::statistics::T_QUANTILES;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (index, &known) in T_QUANTILES.iter().enumerate() {
            let found = two_sided_quantile(0.95, index + 1);
            assert!((found - known).abs() < 6e-4, "{} degrees: {found}", index + 1);
        }
        // By the incomplete beta function, to 50 digits (mpmath).
        for (probability, degrees, known) in [
            (0.99, 2, 9.924843200918293),
            (0.9916666666666667, 4, 4.85100844309786),
            (0.9916666666666667, 3, 6.231543473366494),
            (0.99, 9, 3.2498355415921263),
            (0.999, 1, 636.6192487687197),
            (0.95, 200, 1.9718962236339095),
        ] {
            let found = two_sided_quantile(probability, degrees);
            assert!((found / known - 1.0).abs() < 1e-9, "{degrees} degrees: {found}, not {known}");
        }
    }
}
