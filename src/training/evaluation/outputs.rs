//! Every output of a network over a whole set of images, to compare two networks image by image.

use anyhow::Result;
use tch::{Device, Kind, Tensor};

use crate::network::forward::pass::Mode;
use crate::network::parameters::Network;
use crate::training::batches::Normalization;
use crate::training::evaluation::EvaluationSet;
use crate::training::evaluation::scores::{Evaluation, Tally, averaged};

/// Images a forward pass; it changes the speed, not the result.
const BATCH: i64 = 500;

/// What a network says of each image, on the CPU.
pub struct Outputs {
    /// Class scores, float32 [images, classes]: logits of images in memory, logarithms of the
    /// classes' probabilities of images that are decoded.
    pub scores: Tensor,
    /// int64, [images]; -1 for an image that could not be read.
    pub labels: Tensor,
}

impl Outputs {
    /// Those of `network`. `unreadable` is told of each image that cannot be read.
    pub fn of(
        network: &Network,
        set: &EvaluationSet,
        normalization: &Normalization,
        unreadable: &mut dyn FnMut(String),
    ) -> Result<Outputs> {
        let mut parts = Vec::new();
        match set {
            EvaluationSet::Resident(pixels, labels) => tch::no_grad(|| {
                let images = labels.size()[0];
                for start in (0..images).step_by(BATCH as usize) {
                    let count = BATCH.min(images - start);
                    let batch = normalization.apply(&pixels.narrow(0, start, count));
                    let logits = network.forward(&batch, Mode::Evaluation);
                    let labels = labels.narrow(0, start, count);
                    parts.push((logits.to_device(Device::Cpu), labels.to_device(Device::Cpu)));
                }
            }),
            EvaluationSet::Streamed(test) => {
                test.scores(&[(network, normalization)], unreadable, |scores, labels| {
                    parts.push((scores.to_device(Device::Cpu), labels.to_device(Device::Cpu)));
                    Ok(())
                })?;
            }
        }
        let (scores, labels): (Vec<Tensor>, Vec<Tensor>) = parts.into_iter().unzip();
        Ok(Outputs { scores: Tensor::cat(&scores, 0), labels: Tensor::cat(&labels, 0) })
    }

    /// Loss and errors.
    pub fn evaluation(&self) -> Evaluation {
        let mut tally = Tally::new(Device::Cpu);
        tally.add(&averaged(&self.scores, 1), &self.labels);
        tally.result()
    }

    /// Largest difference of a score.
    pub fn largest_difference(&self, other: &Outputs) -> f64 {
        (&self.scores - &other.scores).abs().max().double_value(&[])
    }

    /// Largest score, by its absolute value.
    pub fn largest(&self) -> f64 {
        self.scores.abs().max().double_value(&[])
    }

    /// Images that one of the two has wrong and the other has not.
    pub fn disagreements(&self, other: &Outputs) -> i64 {
        let wrong = |one: &Outputs| {
            one.scores.argmax(-1, false).ne_tensor(&one.labels).to_kind(Kind::Int64)
        };
        wrong(self).ne_tensor(&wrong(other)).sum(Kind::Int64).int64_value(&[])
    }
}
