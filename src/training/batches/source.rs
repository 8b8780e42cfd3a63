//! Training batches of a dataset, be it in memory or decoded.

use std::ops::Range;

use tch::Device;

use crate::config::recipe::Recipe;
use crate::dataset::data::{Dataset, Source};
use crate::training::batches::resident::ResidentBatches;
use crate::training::batches::sampler::Sampler;
use crate::training::batches::streamed::StreamedBatches;
use crate::training::batches::{Batches, Normalization};

/// The batches of a run with `seed` on `data`, of each only the images in `share`, counted from 0.
/// `threads` decode images.
pub fn batches(
    data: &Dataset,
    seed: u64,
    recipe: &Recipe,
    share: Range<usize>,
    normalization: Normalization,
    device: Device,
    threads: usize,
) -> Box<dyn Batches> {
    let plan = Sampler::new(
        seed,
        data.train.len(),
        recipe.validation as usize,
        recipe.batch_size,
        recipe.augment,
    )
    .only(share);
    match &data.train {
        Source::Resident(images) => {
            Box::new(ResidentBatches::new(plan, images, normalization, recipe.iterations, device))
        }
        Source::Streamed(index) => Box::new(StreamedBatches::new(
            plan,
            index.clone(),
            recipe,
            seed,
            normalization,
            device,
            threads,
        )),
    }
}
