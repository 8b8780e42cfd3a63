//! What is analysed: a network with its weights, and the data that it is looked at with.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Result;
use tch::Device;

use crate::analysis::images::{ImageSet, Split};
use crate::analysis::kind::Kind;
use crate::config::dataset_name::IMAGE_SIDE;
use crate::config::recipe::Recipe;
use crate::console::output::say;
use crate::dataset::data::{Dataset, Source};
use crate::error::{BadInput, bad_input};
use crate::network::architecture::body::Body;
use crate::network::parameters::Network;
use crate::training::batches::{Normalization, sampler};

/// Pixels of the images that go through a network at once: 128 of CIFAR's. This bounds the memory.
const PIXELS_AT_ONCE: i64 = 128 * IMAGE_SIDE * IMAGE_SIDE;

/// Fewest images at once: batch statistics of fewer mean little.
const FEWEST_AT_ONCE: i64 = 16;

/// A network with its weights and its data.
pub struct Subject<'a> {
    /// The network, float32.
    pub network: Network,
    /// The data.
    pub data: &'a Dataset,
    /// How images are seen.
    pub recipe: Recipe,
    /// How pixels are normalised.
    pub normalization: Normalization,
    /// Of the draws of an analysis, and of weights that it initialises.
    pub seed: u64,
    /// Of the training, which decides what images the run held out for validation.
    pub run_seed: u64,
    /// The split that is looked at, if the user named one.
    pub split: Option<Split>,
    /// The most images that are looked at, if the user said so.
    pub images: Option<usize>,
    /// Threads that decode images.
    pub loaders: usize,
    /// Whether a signal asked for an end.
    pub stop: Arc<AtomicBool>,
}

impl Subject<'_> {
    /// Refuses networks that are not made of blocks.
    pub fn check_blocks(&self, kind: Kind) -> Result<(), BadInput> {
        let architecture = self.network.architecture();
        match architecture.body {
            Body::Blocks { .. } => Ok(()),
            _ => Err(bad_input(format!(
                "{}: {kind} looks at nets of blocks (plain-N, resnet-N, preact-resnet-N), and this one has none",
                architecture.name
            ))),
        }
    }

    /// The device of the network.
    pub fn device(&self) -> Device {
        self.network.device()
    }

    /// The split that `kind` looks at, and how many of its images.
    pub fn chosen(&self, kind: Kind) -> (Split, usize) {
        let (split, most) = kind.default_images();
        (self.split.unwrap_or(split), self.images.unwrap_or(most))
    }

    /// The images that `kind` looks at; refused where the data has none of that split.
    pub fn images(&self, kind: Kind) -> Result<ImageSet<'_>, BadInput> {
        let (split, count) = self.chosen(kind);
        self.images_of(split, count)
    }

    /// At most `count` images of `split`; of the training images, none that the run held out for
    /// validation.
    pub fn images_of(&self, split: Split, count: usize) -> Result<ImageSet<'_>, BadInput> {
        let source: &Source = match split {
            Split::Test => &self.data.test,
            Split::Train => &self.data.train,
            Split::Both => return Err(bad_input("--split: one split at a time")),
        };
        if source.is_empty() {
            let folder = if split == Split::Test { "val" } else { "train" };
            return Err(bad_input(format!(
                "--split {split}: the data has no such images (no {folder}/<class>/ in the folder of --data)"
            )));
        }
        let set = |count| {
            ImageSet::new(
                (source, count),
                &self.recipe,
                (&self.normalization, self.device()),
                self.loaders,
                Arc::clone(&self.stop),
            )
        };
        let held_out = self.recipe.validation as usize;
        if split == Split::Test || held_out == 0 {
            return Ok(set(count));
        }
        let (members, _) = sampler::split(self.run_seed, source.len(), held_out.min(source.len()));
        Ok(set(usize::MAX).among(&members, count))
    }

    /// Images that go through the network at once.
    pub fn at_once(&self) -> usize {
        let side = self.recipe.image_side();
        (PIXELS_AT_ONCE / (side * side)).max(FEWEST_AT_ONCE) as usize
    }
}

/// Tells of an image that cannot be read.
pub fn leave_out(reason: String) {
    say(&format!("{reason}; it is left out"));
}
