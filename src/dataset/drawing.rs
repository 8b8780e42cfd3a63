//! The outlines of the ten shapes, and the colour arithmetic to draw them.

use libm::{atan2, cos, fabs, sqrt};

/// Names of the classes, in label order.
pub const CLASSES: [&str; 10] =
    ["disc", "square", "triangle", "ring", "cross", "star", "bar", "crescent", "trefoil", "frame"];

/// Whether the point (u, v) lies inside the shape of a class. The shape fills about the unit disc;
/// v points down.
pub fn inside(class: usize, u: f64, v: f64) -> bool {
    let radius = sqrt(u * u + v * v);
    let (across, along) = (fabs(u), fabs(v));
    let square = across.max(along);
    match class {
        0 => radius < 0.85,
        1 => square < 0.75,
        2 => v < 0.65 && across < 0.62 * (v + 0.85),
        3 => radius < 0.9 && radius > 0.5,
        4 => square < 0.9 && across.min(along) < 0.28,
        5 => radius < 0.62 + 0.33 * cos(5.0 * atan2(u, -v)),
        6 => across < 0.95 && along < 0.3,
        7 => radius < 0.9 && sqrt((u - 0.42) * (u - 0.42) + v * v) > 0.68,
        8 => radius < 0.58 + 0.36 * cos(3.0 * atan2(u, -v)),
        _ => square < 0.85 && square > 0.5,
    }
}

/// Red, green and blue in [0, 1] of a hue in turns, a saturation and a brightness.
pub fn colour(hue: f64, saturation: f64, brightness: f64) -> [f64; 3] {
    [5.0, 3.0, 1.0].map(|offset| {
        let position = (offset + 6.0 * (hue - libm::floor(hue))) % 6.0;
        brightness * (1.0 - saturation * position.min(4.0 - position).clamp(0.0, 1.0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hues_of_0_a_third_and_two_thirds_are_red_green_and_blue() {
        for (turns, expected) in [
            (0.0, [1.0, 0.0, 0.0]),
            (1.0 / 3.0, [0.0, 1.0, 0.0]),
            (2.0 / 3.0, [0.0, 0.0, 1.0]),
            (-1.0, [1.0, 0.0, 0.0]),
        ] {
            let found = colour(turns, 1.0, 1.0);
            assert!(
                found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9),
                "{turns}: {found:?}"
            );
        }
        assert_eq!(colour(0.3, 0.0, 0.5), [0.5; 3]);
    }

    #[test]
    fn every_shape_covers_a_part_of_the_unit_square_and_no_two_are_alike() {
        let grid = || {
            (0..40).flat_map(|row| {
                (0..40).map(move |column| (column as f64 / 20.0 - 0.975, row as f64 / 20.0 - 0.975))
            })
        };
        let masks: Vec<Vec<bool>> =
            (0..10).map(|class| grid().map(|(u, v)| inside(class, u, v)).collect()).collect();
        for (class, mask) in masks.iter().enumerate() {
            let covered = mask.iter().filter(|&&inside| inside).count() as f64 / mask.len() as f64;
            assert!((0.15..0.65).contains(&covered), "{}: {covered}", CLASSES[class]);
            for other in &masks[class + 1..] {
                let different = mask.iter().zip(other).filter(|(a, b)| a != b).count();
                assert!(different > 80, "{} is like another shape", CLASSES[class]);
            }
        }
    }
}
