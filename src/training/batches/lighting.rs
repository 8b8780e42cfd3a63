//! The colour augmentation of section 3.4 (reference 21, Krizhevsky et al. 2012, section 4.1),
//! called lighting: each image is shifted by one colour, along the principal components of
//! ImageNet's colours.

use crate::random::Stream;

/// Square roots of the eigenvalues of the covariance of colours in [0, 1], over ImageNet's training
/// images, as the public implementation of the paper's authors has them (fb.resnet.torch,
/// `datasets/imagenet.lua`).
const DEVIATIONS: [f64; 3] = [0.2175, 0.0188, 0.0045];

/// The eigenvectors: one row for red, green and blue each, one column a component.
const COMPONENTS: [[f64; 3]; 3] =
    [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]];

/// What is added to the red, green and blue of every pixel of an image, in [0, 1] units: each
/// component times a normal number with the given `deviation` (0.1 in the paper's reference) and
/// the component's own.
pub fn shift(stream: &mut Stream, deviation: f64) -> [f32; 3] {
    colour([0; 3].map(|_| deviation * stream.normal()))
}

fn colour(factors: [f64; 3]) -> [f32; 3] {
    COMPONENTS.map(|row| {
        (0..3)
            .map(|component| row[component] * factors[component] * DEVIATIONS[component])
            .sum::<f64>() as f32
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Purpose;

    #[test]
    fn a_shift_is_the_sum_of_components_computed_by_hand() {
        let found = colour([0.1, -0.2, 0.3]);
        // red: -0.5675·0.02175 - 0.7192·0.00376 + 0.4009·0.00135
        let expected = [
            -0.012343125 - 0.002704192 + 0.000541215,
            -0.0126324 + 0.00001692 - 0.0010989,
            -0.0126933 + 0.002612448 + 0.000567405,
        ];
        for (found, expected) in found.into_iter().zip(expected) {
            assert!((f64::from(found) - expected).abs() < 1e-7, "{found} {expected}");
        }
    }

    #[test]
    fn shifts_have_the_variance_of_the_components() {
        let mut stream = Stream::new(1, Purpose::Augmentation, 7);
        let reds: Vec<f64> = (0..20_000).map(|_| f64::from(shift(&mut stream, 0.1)[0])).collect();
        let variance = reds.iter().map(|red| red * red).sum::<f64>() / reds.len() as f64;
        let expected: f64 = (0..3)
            .map(|component| (0.1 * COMPONENTS[0][component] * DEVIATIONS[component]).powi(2))
            .sum();
        assert!((variance / expected - 1.0).abs() < 0.05, "{variance} {expected}");
    }
}
