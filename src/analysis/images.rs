//! The images that an analysis looks at: each seen once, as in a test, a batch at a time, so that
//! memory does not grow with their number.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

use crate::config::recipe::Recipe;
use crate::dataset::data::{Images, Source};
use crate::training::batches::Normalization;
use crate::training::evaluation::crops::ViewTest;
use crate::training::evaluation::views::Views;

/// Which of a dataset's images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Test images.
    Test,
    /// Training images, as they are: without crops and flips.
    Train,
    /// Both, of an analysis that compares them.
    #[value(skip)]
    Both,
}

impl fmt::Display for Split {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Split::Test => "test",
            Split::Train => "train",
            Split::Both => "training and test",
        })
    }
}

/// Images that go through a network one after the other.
pub struct ImageSet<'a> {
    source: &'a Source,
    /// Positions among the images of `source`.
    positions: Vec<i64>,
    recipe: &'a Recipe,
    normalization: &'a Normalization,
    device: Device,
    loaders: usize,
    stop: Arc<AtomicBool>,
}

/// Images and their labels.
pub struct Batch {
    /// Normalised, float32 [images, 3, side, side].
    pub images: Tensor,
    /// int64 [images].
    pub labels: Tensor,
}

/// Ends a walk through the images before its end.
#[derive(Debug)]
struct Ended;

impl fmt::Display for Ended {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ended")
    }
}

impl std::error::Error for Ended {}

/// At most `count` of the numbers below `all`, spread evenly. Folders of images are listed class by
/// class: the first ones would be of one class.
fn spread(all: usize, count: usize) -> impl Iterator<Item = usize> {
    let count = count.min(all);
    (0..count).map(move |index| index * all / count)
}

impl<'a> ImageSet<'a> {
    /// At most `count` images of `source`, spread evenly over it.
    pub fn new(
        (source, count): (&'a Source, usize),
        recipe: &'a Recipe,
        (normalization, device): (&'a Normalization, Device),
        loaders: usize,
        stop: Arc<AtomicBool>,
    ) -> ImageSet<'a> {
        let positions = spread(source.len(), count).map(|index| index as i64).collect();
        ImageSet { source, positions, recipe, normalization, device, loaders, stop }
    }

    /// At most `count` images of those at `positions` in the same source, spread evenly over them.
    pub fn among(self, positions: &[i64], count: usize) -> ImageSet<'a> {
        let positions = spread(positions.len(), count).map(|index| positions[index]).collect();
        ImageSet { positions, ..self }
    }

    /// How many they are.
    pub fn len(&self) -> usize {
        self.positions.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }

    /// Bytes that all of them take as float32 pixels.
    pub fn bytes(&self) -> i64 {
        let side = self.recipe.image_side();
        self.len() as i64 * 3 * side * side * 4
    }

    /// Whether a signal asked for an end.
    pub fn stop(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// Hands on the images in order, at most `at_once` at a time, until `take` breaks or a signal
    /// asks for an end. Returns whether all were taken. Images that cannot be read are told to
    /// `unreadable` and left out.
    pub fn for_each(
        &self,
        at_once: usize,
        unreadable: &mut dyn FnMut(String),
        mut take: impl FnMut(Batch) -> Result<ControlFlow<()>>,
    ) -> Result<bool> {
        let mut take = |batch: Batch| {
            if self.stop.load(Ordering::Relaxed) || take(batch)?.is_break() {
                return Err(Ended.into());
            }
            Ok(())
        };
        let result = match self.source {
            Source::Resident(images) => self.resident(images, at_once, take),
            Source::Streamed(index) => {
                let positions = Some(self.positions.clone());
                ViewTest::new(
                    Arc::clone(index),
                    positions,
                    self.recipe,
                    Views::Centre,
                    self.loaders,
                )
                .centre_crops(
                    (self.normalization, self.device),
                    at_once,
                    unreadable,
                    |images, labels| take(Batch { images, labels }),
                )
            }
        };
        match result {
            Ok(()) => Ok(true),
            Err(error) if error.is::<Ended>() => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn resident(
        &self,
        images: &Images,
        at_once: usize,
        mut take: impl FnMut(Batch) -> Result<()>,
    ) -> Result<()> {
        let (side, bytes) = (images.side as i64, images.image_bytes());
        for positions in self.positions.chunks(at_once) {
            let pixels: Vec<u8> = positions
                .iter()
                .flat_map(|&position| &images.pixels[position as usize * bytes..][..bytes])
                .copied()
                .collect();
            let labels: Vec<i64> = positions
                .iter()
                .map(|&position| i64::from(images.labels[position as usize]))
                .collect();
            let pixels =
                Tensor::from_slice(&pixels).view([-1, side, side, 3]).to_device(self.device);
            take(Batch {
                images: self.normalization.apply(&pixels),
                labels: Tensor::from_slice(&labels).to_device(self.device),
            })?;
        }
        Ok(())
    }
}
