//! Loss and error over a whole set of images, each seen once, as it is (the paper's single original view).

use tch::{Device, Kind, Tensor};

use super::batches::{Normalization, upload_labels, upload_pixels};
use crate::dataset::Images;
use crate::network::{Mode, Network};

/// Images a forward pass; it changes the speed, not the result.
const BATCH: i64 = 500;

/// The result of an evaluation.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Evaluation {
    /// Images.
    pub images: u64,
    /// Mean cross-entropy, in nats.
    pub loss: f64,
    /// Wrongly classified images.
    pub wrong: u64,
    /// Images whose class is not among the five with the highest scores.
    pub top5_wrong: u64,
}

impl Evaluation {
    /// Top-1 error in percent.
    pub fn error(&self) -> f64 {
        percent(self.wrong, self.images)
    }

    /// Top-5 error in percent.
    pub fn top5_error(&self) -> f64 {
        percent(self.top5_wrong, self.images)
    }
}

fn percent(part: u64, whole: u64) -> f64 {
    part as f64 * 100.0 / whole as f64
}

/// Images on the device that are evaluated again and again.
pub struct EvaluationSet {
    /// uint8, [images, side, side, 3].
    pixels: Tensor,
    /// int64, [images].
    labels: Tensor,
}

impl EvaluationSet {
    /// Puts all images on the device.
    pub fn new(images: &Images, device: Device) -> EvaluationSet {
        EvaluationSet { pixels: upload_pixels(images, device), labels: upload_labels(images, device) }
    }

    /// Puts the images at `positions` on the device.
    pub fn of_positions(images: &Images, positions: &[i64], device: Device) -> EvaluationSet {
        let EvaluationSet { pixels, labels } = EvaluationSet::new(images, Device::Cpu);
        let positions = Tensor::from_slice(positions);
        EvaluationSet { pixels: pixels.index_select(0, &positions).to_device(device), labels: labels.index_select(0, &positions).to_device(device) }
    }

    /// Evaluates `network`. Waits for the device once, at the end.
    pub fn evaluate(&self, network: &Network, normalization: &Normalization) -> Evaluation {
        tch::no_grad(|| {
            let images = self.labels.size()[0];
            let mut sums = Tensor::zeros([3], (Kind::Double, self.labels.device()));
            for start in (0..images).step_by(BATCH as usize) {
                let count = BATCH.min(images - start);
                let labels = self.labels.narrow(0, start, count);
                let logits = network.forward(&normalization.apply(&self.pixels.narrow(0, start, count)), Mode::Evaluation);
                let loss = logits.log_softmax(-1, Kind::Float).gather(1, &labels.unsqueeze(1), false).sum(Kind::Double).neg();
                let wrong = logits.argmax(-1, false).ne_tensor(&labels).sum(Kind::Double);
                let best_five = logits.topk(5, -1, true, false).1;
                let top5_right = best_five.eq_tensor(&labels.unsqueeze(1)).sum(Kind::Double);
                sums += Tensor::stack(&[loss, wrong, top5_right], 0);
            }
            let sums = Vec::<f64>::try_from(sums.to_device(Device::Cpu)).expect("three numbers");
            Evaluation { images: images as u64, loss: sums[0] / images as f64, wrong: sums[1] as u64, top5_wrong: images as u64 - sums[2] as u64 }
        })
    }
}
