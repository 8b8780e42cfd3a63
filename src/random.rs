//! Randomness as a pure function of (seed, purpose, index).
//!
//! Nothing here keeps state between iterations: iteration 40,000 of seed 3 draws the same numbers
//! in a fresh process, in a resumed one, in a plain net and in its residual twin. The generator is
//! ChaCha8, whose 64-bit stream number holds purpose and index. The derived draws are written out
//! here because they are part of the record: a library is free to change how it shuffles.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// What a stream of random numbers is used for. The value is part of the stream's number: do not
/// renumber.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Initial weights; the index is the parameter's position in the network.
    Initialisation = 1,
    /// Order of the training images; the index is the epoch.
    Order = 2,
    /// Crop offsets and flips; the index is the iteration.
    Augmentation = 3,
    /// Which training images form the validation set; the index is 0.
    Validation = 4,
    /// The images of the synthetic shapes dataset; the index is the image.
    Shapes = 5,
    /// What an analysis draws; the index holds its kind and the draw.
    Analysis = 6,
}

/// An endless, reproducible sequence of random numbers.
pub struct Stream(ChaCha8Rng);

impl Stream {
    /// The stream of `seed` for `purpose` at `index` (below 2^56).
    pub fn new(seed: u64, purpose: Purpose, index: u64) -> Stream {
        debug_assert!(index < 1 << 56);
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        generator.set_stream((purpose as u64) << 56 | index);
        Stream(generator)
    }

    /// A number in [0, 1) with 53 random bits.
    pub fn uniform(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// An integer in `0..bound`, without bias (draws that would favour small values are rejected).
    pub fn below(&mut self, bound: u64) -> u64 {
        let limit = u64::MAX - u64::MAX % bound;
        loop {
            let draw = self.0.next_u64();
            if draw < limit {
                return draw % bound;
            }
        }
    }

    /// A standard normal number, by Box and Muller's method. `libm` gives the same bits on every
    /// machine, the system's functions do not.
    pub fn normal(&mut self) -> f64 {
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - self.uniform()));
        radius * libm::cos(std::f64::consts::TAU * self.uniform())
    }

    /// So many standard normal numbers, rounded to float32.
    pub fn normals(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.normal() as f32).collect()
    }

    /// Puts the items in random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(seed: u64, purpose: Purpose, index: u64) -> Vec<u64> {
        let mut stream = Stream::new(seed, purpose, index);
        (0..4).map(|_| stream.below(1 << 40)).collect()
    }

    #[test]
    fn the_same_seed_purpose_and_index_draw_the_same_numbers() {
        assert_eq!(first(3, Purpose::Order, 7), first(3, Purpose::Order, 7));
    }

    #[test]
    fn another_seed_purpose_or_index_draws_other_numbers() {
        let reference = first(3, Purpose::Order, 7);
        assert_ne!(reference, first(4, Purpose::Order, 7));
        assert_ne!(reference, first(3, Purpose::Augmentation, 7));
        assert_ne!(reference, first(3, Purpose::Order, 8));
    }

    #[test]
    fn normal_numbers_have_mean_0_and_variance_1() {
        let mut stream = Stream::new(0, Purpose::Initialisation, 0);
        let numbers: Vec<f64> = (0..100_000).map(|_| stream.normal()).collect();
        let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
        let variance =
            numbers.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / numbers.len() as f64;
        assert!(mean.abs() < 0.01, "mean {mean}");
        assert!((variance - 1.0).abs() < 0.02, "variance {variance}");
    }

    #[test]
    fn a_shuffle_keeps_every_item_and_below_reaches_both_ends() {
        let mut items: Vec<u32> = (0..1000).collect();
        let mut stream = Stream::new(1, Purpose::Order, 0);
        stream.shuffle(&mut items);
        assert_ne!(items, (0..1000).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..1000).collect::<Vec<_>>());
        let offsets: Vec<u64> = (0..1000).map(|_| stream.below(9)).collect();
        assert!(offsets.contains(&0) && offsets.contains(&8));
        assert!(offsets.iter().all(|&offset| offset <= 8));
    }
}
