//! Loss and error over a whole set of images.

pub mod crops;
pub mod division;
pub mod outputs;
pub mod scores;
pub mod splits;
pub mod views;

use std::sync::Arc;

use anyhow::Result;
use tch::{Device, Tensor};

use crate::config::recipe::Recipe;
use crate::dataset::data::{Images, Source};
use crate::network::forward::pass::Mode;
use crate::network::parameters::Network;
use crate::training::batches::{Normalization, upload_labels, upload_pixels};
use crate::training::evaluation::crops::ViewTest;
use crate::training::evaluation::division::Division;
use crate::training::evaluation::scores::{Evaluation, Tally, averaged, together};
use crate::training::evaluation::views::Views;

/// Images a forward pass; it changes the speed, not the result.
const BATCH: i64 = 500;

/// Images that are evaluated again and again, each seen once: as it is (CIFAR's single original
/// view), or an image's centre crop.
pub enum EvaluationSet {
    /// On the device: uint8, [images, side, side, 3], and labels, int64 [images].
    Resident(Tensor, Tensor),
    /// Decoded anew each time.
    Streamed(ViewTest),
}

impl EvaluationSet {
    /// The images of `source`, or those at `positions` in it, as `recipe` has them seen. `threads`
    /// decode images.
    pub fn new(
        source: &Source,
        positions: Option<Vec<i64>>,
        recipe: &Recipe,
        device: Device,
        threads: usize,
    ) -> EvaluationSet {
        match source {
            Source::Resident(images) => EvaluationSet::resident(images, positions, device),
            Source::Streamed(index) => EvaluationSet::Streamed(ViewTest::new(
                Arc::clone(index),
                positions,
                recipe,
                Views::Centre,
                threads,
            )),
        }
    }

    /// Puts the images of a set that is in memory on the device.
    pub fn resident(images: &Images, positions: Option<Vec<i64>>, device: Device) -> EvaluationSet {
        let (pixels, labels) =
            (upload_pixels(images, Device::Cpu), upload_labels(images, Device::Cpu));
        match positions {
            None => EvaluationSet::Resident(pixels.to_device(device), labels.to_device(device)),
            Some(positions) => {
                let positions = Tensor::from_slice(&positions);
                EvaluationSet::Resident(
                    pixels.index_select(0, &positions).to_device(device),
                    labels.index_select(0, &positions).to_device(device),
                )
            }
        }
    }

    /// Evaluates `network`. `unreadable` is told of each image that cannot be read, which counts as
    /// wrong.
    ///
    /// # Errors
    /// [`Stopped`](crate::error::Stopped) if a process of `division` is asked to stop between two
    /// batches.
    pub fn evaluate(
        &self,
        network: &Network,
        normalization: &Normalization,
        division: &Division,
        unreadable: &mut dyn FnMut(String),
    ) -> Result<Evaluation> {
        let (pixels, labels) = match self {
            EvaluationSet::Streamed(images) => {
                return images.evaluate(network, normalization, division, unreadable);
            }
            EvaluationSet::Resident(pixels, labels) => (pixels, labels),
        };
        let mut tally = Tally::new(labels.device());
        let batches = batches(labels);
        for batch in division.own(batches) {
            division.go_on()?;
            let (scores, labels) = of_batch(batch, (pixels, labels), &[(network, normalization)]);
            tally.add(&scores, &labels);
        }
        division.wait_for_others(batches)?;
        tally.shared_result(division)
    }

    /// Hands on the scores of each batch of images, in order: logarithms of the classes'
    /// probabilities averaged over views and networks, float32 [images, classes], and labels, int64
    /// [images], -1 for an image that cannot be read. An error of `take` ends it.
    pub fn scores(
        &self,
        networks: &[(&Network, &Normalization)],
        unreadable: &mut dyn FnMut(String),
        mut take: impl FnMut(&Tensor, &Tensor) -> Result<()>,
    ) -> Result<()> {
        match self {
            EvaluationSet::Streamed(images) => images.scores(networks, unreadable, take),
            EvaluationSet::Resident(pixels, labels) => (0..batches(labels)).try_for_each(|batch| {
                let (scores, labels) = of_batch(batch, (pixels, labels), networks);
                take(&scores, &labels)
            }),
        }
    }
}

/// Batches of a set of images with these labels.
fn batches(labels: &Tensor) -> usize {
    (labels.size()[0] as usize).div_ceil(BATCH as usize)
}

/// Scores and labels of a batch of the pixels and labels of a set.
fn of_batch(
    batch: usize,
    (pixels, labels): (&Tensor, &Tensor),
    networks: &[(&Network, &Normalization)],
) -> (Tensor, Tensor) {
    let start = batch as i64 * BATCH;
    let count = BATCH.min(labels.size()[0] - start);
    let pixels = pixels.narrow(0, start, count);
    let each = networks.iter().map(|(network, normalization)| {
        averaged(&network.forward(&normalization.apply(&pixels), Mode::Evaluation), 1)
    });
    let scores = tch::no_grad(|| together(each.collect()));
    (scores, labels.narrow(0, start, count))
}
