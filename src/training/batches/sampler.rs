//! Which training images each iteration sees, and how each is cropped and flipped: a pure function
//! of seed and iteration.

use std::ops::Range;

use crate::random::{Purpose, Stream};

/// Zero padding on each side before the random crop, in pixels (section 4.2).
pub const PADDING: i64 = 4;

/// The plan of a run. Two runs of one seed, batch size and training set follow the same plan,
/// whatever their networks.
#[derive(Debug, Clone)]
pub struct Sampler {
    seed: u64,
    batch_size: u64,
    /// Which images of a batch this process makes.
    share: Range<usize>,
    augment: bool,
    /// Positions of the training images in the dataset; the validation images are not among them.
    members: Vec<i64>,
    /// Positions of the validation images, in rising order.
    held_out: Vec<i64>,
    /// The order of the epoch that was asked for last.
    order: (u64, Vec<i64>),
}

/// One image of a batch: (position in the dataset, crop row 0..=8, crop column 0..=8, 1 if
/// flipped).
pub type CropFlip = [i64; 4];

impl Sampler {
    /// The plan for a dataset of `images`, of which `validation` are held out (see [`split`]).
    pub fn new(
        seed: u64,
        images: usize,
        validation: usize,
        batch_size: u64,
        augment: bool,
    ) -> Sampler {
        let (members, held_out) = split(seed, images, validation);
        let order = (0, shuffled(seed, 0, &members));
        let share = 0..batch_size as usize;
        Sampler { seed, batch_size, share, augment, members, held_out, order }
    }

    /// The same plan where this process makes only some images of each batch, counted from 0.
    pub fn only(self, share: Range<usize>) -> Sampler {
        Sampler { share, ..self }
    }

    /// Which images of a batch this process makes.
    pub fn share(&self) -> Range<usize> {
        self.share.clone()
    }

    /// Images a batch.
    pub fn batch_size(&self) -> u64 {
        self.batch_size
    }

    /// Positions of the validation images, in rising order.
    pub fn held_out(&self) -> &[i64] {
        &self.held_out
    }

    /// Positions in the dataset of the images of `iteration`, counted from 1.
    ///
    /// The epochs' random orders follow each other without a gap, and a batch may reach from one
    /// into the next: every batch is whole and every image is seen once an epoch.
    pub fn positions(&mut self, iteration: u64) -> Vec<i64> {
        let first = (iteration - 1) * self.batch_size;
        (first..first + self.batch_size).map(|position| self.image_at(position)).collect()
    }

    /// The images of `iteration`, and how each of them is cropped and flipped.
    pub fn batch(&mut self, iteration: u64) -> Vec<CropFlip> {
        let mut stream = Stream::new(self.seed, Purpose::Augmentation, iteration);
        self.positions(iteration)
            .into_iter()
            .map(|image| {
                if !self.augment {
                    return [image, PADDING, PADDING, 0];
                }
                let mut offset = || stream.below(2 * PADDING as u64 + 1) as i64;
                [image, offset(), offset(), stream.below(2) as i64]
            })
            .collect()
    }

    fn image_at(&mut self, position: u64) -> i64 {
        let images = self.members.len() as u64;
        let epoch = position / images;
        if self.order.0 != epoch {
            self.order = (epoch, shuffled(self.seed, epoch, &self.members));
        }
        self.order.1[(position % images) as usize]
    }
}

fn shuffled(seed: u64, epoch: u64, members: &[i64]) -> Vec<i64> {
    let mut order = members.to_vec();
    Stream::new(seed, Purpose::Order, epoch).shuffle(&mut order);
    order
}

/// Positions of the training images and of the `validation` held-out images of a dataset of
/// `images`, each in rising order.
pub fn split(seed: u64, images: usize, validation: usize) -> (Vec<i64>, Vec<i64>) {
    let mut positions: Vec<i64> = (0..images as i64).collect();
    if validation > 0 {
        Stream::new(seed, Purpose::Validation, 0).shuffle(&mut positions);
    }
    let (held_out, training) = positions.split_at_mut(validation);
    held_out.sort_unstable();
    training.sort_unstable();
    (training.to_vec(), held_out.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_image_is_seen_once_an_epoch_and_batches_cross_the_border_between_epochs() {
        let mut plan = Sampler::new(0, 10, 0, 4, true);
        let seen: Vec<i64> =
            (1..=5).flat_map(|iteration| plan.batch(iteration)).map(|draw| draw[0]).collect();
        for epoch in seen.chunks(10) {
            let mut images = epoch.to_vec();
            images.sort_unstable();
            assert_eq!(images, (0..10).collect::<Vec<_>>());
        }
        assert_ne!(seen[..10], seen[10..], "each epoch has its own order");
    }

    #[test]
    fn a_batch_does_not_depend_on_which_batches_were_asked_for_before() {
        let mut in_order = Sampler::new(5, 1000, 100, 128, true);
        let batches: Vec<_> = (1..=20).map(|iteration| in_order.batch(iteration)).collect();
        let mut resumed = Sampler::new(5, 1000, 100, 128, true);
        assert_eq!(resumed.batch(20), batches[19]);
        assert_eq!(resumed.batch(3), batches[2]);
        assert_ne!(Sampler::new(6, 1000, 100, 128, true).batch(3), batches[2]);
    }

    #[test]
    fn crops_reach_every_offset_from_0_to_8_and_half_of_the_images_are_flipped() {
        let mut plan = Sampler::new(0, 50_000, 0, 128, true);
        let draws: Vec<CropFlip> = (1..=100).flat_map(|iteration| plan.batch(iteration)).collect();
        for part in [1, 2] {
            for offset in 0..=8 {
                let share = draws.iter().filter(|draw| draw[part] == offset).count() as f64
                    / draws.len() as f64;
                assert!((share - 1.0 / 9.0).abs() < 0.015, "offset {offset}: {share}");
            }
        }
        let flipped = draws.iter().filter(|draw| draw[3] == 1).count() as f64 / draws.len() as f64;
        assert!((flipped - 0.5).abs() < 0.02, "{flipped}");
        assert!(
            Sampler::new(0, 100, 0, 10, false).batch(1).iter().all(|draw| draw[1..] == [4, 4, 0])
        );
    }

    #[test]
    fn validation_images_are_never_trained_on() {
        let (training, held_out) = split(3, 1000, 200);
        assert_eq!((training.len(), held_out.len()), (800, 200));
        let mut plan = Sampler::new(3, 1000, 200, 100, true);
        let seen: Vec<i64> =
            (1..=8).flat_map(|iteration| plan.batch(iteration)).map(|draw| draw[0]).collect();
        assert!(held_out.iter().all(|image| !seen.contains(image)));
        assert!(training.iter().all(|image| seen.contains(image)));
    }
}
