//! The synthetic shapes dataset: ten classes of 32×32 images, for a demonstration and for tests
//! without a download.
//!
//! Shape, colours and stripes each say something about the class, and none says it all, so that the
//! error falls over hundreds of iterations and depth matters. Image `i` is a pure function of
//! (seed, i), with `libm`'s arithmetic: the bytes are the same on every machine.

use std::f64::consts::{PI, TAU};

use crate::config::dataset_name::DatasetName;
use crate::dataset::data::{DataStatus, Dataset, Images, Source};
use crate::dataset::drawing::{CLASSES, colour, inside};
use crate::random::{Purpose, Stream};
use crate::system::hash::sha256;
use crate::system::parallel;

/// The seed of the dataset that all runs share.
pub const SEED: u64 = 0;

/// Training images.
pub const TRAINING_IMAGES: usize = 10_000;

/// Test images.
pub const TEST_IMAGES: usize = 2_000;

/// SHA-256 over the labels and pixels of training and test set, for [`SEED`].
pub const FINGERPRINT: &str = "d0e9c60d5b69a92f05ce95d219c7bd759a6d4d33e34c0b9323189f08de35d860";

const SIDE: usize = 32;

/// Standard deviation of the hues around the class's, as a part of the hue circle.
const HUE_SPREAD: f64 = 0.17;

/// Standard deviation of the tilt.
const TILT_SPREAD: f64 = 20.0 * PI / 180.0;

/// Height of the colour noise that both shape and ground have, on a grid of so many points a side.
const CLOUD: f64 = 0.25;

const CLOUD_POINTS: usize = 5;

/// Height of the stripes and of the noise of each pixel.
const STRIPES: f64 = 0.12;

const GRAIN: f64 = 0.1;

/// Draws the dataset of `seed`.
pub fn generate(seed: u64) -> Dataset {
    let train = draw_all(seed, 0..TRAINING_IMAGES);
    let test = draw_all(seed, TRAINING_IMAGES..TRAINING_IMAGES + TEST_IMAGES);
    let fingerprint =
        sha256(&[&train.labels[..], &train.pixels, &test.labels, &test.pixels].concat());
    let status = if fingerprint == FINGERPRINT { DataStatus::Official } else { DataStatus::Other };
    Dataset {
        name: DatasetName::Shapes,
        classes: CLASSES.map(str::to_string).to_vec(),
        train: Source::Resident(train),
        test: Source::Resident(test),
        fingerprint,
        status,
        own: None,
    }
}

fn draw_all(seed: u64, range: std::ops::Range<usize>) -> Images {
    let labels: Vec<u8> = range.clone().map(|index| (index % CLASSES.len()) as u8).collect();
    let indices: Vec<usize> = range.collect();
    let threads = parallel::available_threads();
    // Each image is a function of its index alone, so that they can be drawn in any order.
    let drawn: Vec<Vec<u8>> = std::thread::scope(|scope| {
        let chunks = indices.chunks(indices.len().div_ceil(threads));
        let workers: Vec<_> = chunks
            .map(|chunk| {
                scope.spawn(move || chunk.iter().flat_map(|&index| draw(seed, index)).collect())
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().expect("drawing does not fail")).collect()
    });
    Images { side: SIDE, pixels: drawn.concat(), labels }
}

/// What varies between two images of one class.
struct Drawing {
    class: usize,
    centre: (f64, f64),
    radius: f64,
    /// Cosine and sine of the tilt.
    tilt: (f64, f64),
    shape_colour: [f64; 3],
    ground_colour: [f64; 3],
    /// Cosine and sine of the direction across the stripes.
    stripe_direction: (f64, f64),
    stripe_period: f64,
    stripe_phase: f64,
    shape_cloud: Cloud,
    ground_cloud: Cloud,
}

impl Drawing {
    fn random(class: usize, stream: &mut Stream) -> Drawing {
        let hue = class as f64 / CLASSES.len() as f64;
        let mut between = |low: f64, high: f64| low + (high - low) * stream.uniform();
        let centre = (between(11.0, 21.0), between(11.0, 21.0));
        let radius = between(7.0, 12.0);
        let (stripe_period, stripe_phase) = (between(3.0, 6.0), between(0.0, TAU));
        let tone = |hue: f64, stream: &mut Stream| {
            let (saturation, brightness) =
                (0.3 + 0.5 * stream.uniform(), 0.35 + 0.5 * stream.uniform());
            colour(hue + HUE_SPREAD * stream.normal(), saturation, brightness)
        };
        Drawing {
            class,
            centre,
            radius,
            tilt: direction(TILT_SPREAD * stream.normal()),
            shape_colour: tone(hue, stream),
            // Ground hues run through the circle in another order, so that the two together say
            // more than one alone.
            ground_colour: tone(3.0 * hue + 0.5, stream),
            stripe_direction: direction(PI * hue + 0.25 * stream.normal()),
            stripe_period,
            stripe_phase,
            shape_cloud: Cloud::random(stream),
            ground_cloud: Cloud::random(stream),
        }
    }

    /// The colour at a point, in pixels from the upper left corner.
    fn at(&self, x: f64, y: f64) -> [f64; 3] {
        let (dx, dy) = ((x - self.centre.0) / self.radius, (y - self.centre.1) / self.radius);
        let (cosine, sine) = self.tilt;
        if !inside(self.class, cosine * dx + sine * dy, cosine * dy - sine * dx) {
            let cloud = self.ground_cloud.at(x, y);
            return std::array::from_fn(|channel| self.ground_colour[channel] + cloud[channel]);
        }
        let along = x * self.stripe_direction.0 + y * self.stripe_direction.1;
        let stripe = STRIPES * libm::sin(TAU * along / self.stripe_period + self.stripe_phase);
        let cloud = self.shape_cloud.at(x, y);
        std::array::from_fn(|channel| self.shape_colour[channel] + cloud[channel] + stripe)
    }
}

/// The unit vector at an angle.
fn direction(angle: f64) -> (f64, f64) {
    (libm::cos(angle), libm::sin(angle))
}

/// Image `index` of the dataset of `seed`, [side, side, 3]: the mean of four points a pixel, and
/// grain.
fn draw(seed: u64, index: usize) -> Vec<u8> {
    let mut stream = Stream::new(seed, Purpose::Shapes, index as u64);
    let drawing = Drawing::random(index % CLASSES.len(), &mut stream);
    let mut pixels = Vec::with_capacity(SIDE * SIDE * 3);
    for row in 0..SIDE {
        for column in 0..SIDE {
            let points = [(0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)]
                .map(|(x, y)| drawing.at(column as f64 + x, row as f64 + y));
            for channel in 0..3 {
                let mean = points.iter().map(|point| point[channel]).sum::<f64>() / 4.0;
                let grain = GRAIN * (stream.uniform() + stream.uniform() - 1.0);
                pixels.push(libm::round((mean + grain).clamp(0.0, 1.0) * 255.0) as u8);
            }
        }
    }
    pixels
}

/// Smooth colour noise: random colours on a coarse grid, interpolated.
struct Cloud([[[f64; 3]; CLOUD_POINTS]; CLOUD_POINTS]);

impl Cloud {
    fn random(stream: &mut Stream) -> Cloud {
        Cloud(std::array::from_fn(|_| {
            std::array::from_fn(|_| std::array::from_fn(|_| CLOUD * (stream.uniform() - 0.5)))
        }))
    }

    fn at(&self, x: f64, y: f64) -> [f64; 3] {
        let scale = (CLOUD_POINTS - 1) as f64 / SIDE as f64;
        let (x, y) = (x * scale, y * scale);
        let (column, row) = (x as usize, y as usize);
        let (right, down) = (x - column as f64, y - row as f64);
        std::array::from_fn(|channel| {
            let point = |row: usize, column: usize| self.0[row][column][channel];
            let upper = point(row, column) * (1.0 - right) + point(row, column + 1) * right;
            let lower = point(row + 1, column) * (1.0 - right) + point(row + 1, column + 1) * right;
            upper * (1.0 - down) + lower * down
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_the_same_on_every_machine() {
        assert_eq!(generate(SEED).fingerprint, FINGERPRINT);
    }

    #[test]
    fn there_are_as_many_images_of_every_class_and_another_seed_draws_others() {
        let data = generate(1);
        assert_eq!((data.train.len(), data.test.len()), (TRAINING_IMAGES, TEST_IMAGES));
        for class in 0..10 {
            assert_eq!(
                data.train.labels().iter().filter(|&&label| label == class).count(),
                TRAINING_IMAGES / 10
            );
            assert_eq!(
                data.test.labels().iter().filter(|&&label| label == class).count(),
                TEST_IMAGES / 10
            );
        }
        assert_ne!(data.fingerprint, FINGERPRINT);
        assert_eq!(data.status, DataStatus::Other);
    }
}
