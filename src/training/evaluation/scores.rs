//! How scores are counted: loss, top-1 and top-5 error.

use anyhow::Result;
use tch::{Device, Kind, Tensor};

use crate::training::evaluation::division::Division;

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

/// Sums over the batches of an evaluation, kept on the device.
pub struct Tally {
    /// Of each batch loss, wrong images, right images among the best five, and images: float64,
    /// [4].
    batches: Vec<Tensor>,
    device: Device,
}

/// Numbers that are summed over a batch.
const SUMS: usize = 4;

impl Tally {
    /// Nothing yet.
    pub fn new(device: Device) -> Tally {
        Tally { batches: Vec::new(), device }
    }

    /// Counts a batch: logarithms of the classes' probabilities, float32 [images, classes], and
    /// labels, int64 [images]. A label of -1 is that of an image that could not be read: it is
    /// wrong whatever the scores, with the loss of a guess.
    pub fn add(&mut self, log_probabilities: &Tensor, labels: &Tensor) {
        let classes = log_probabilities.size()[1];
        let unread = labels.lt(0);
        let own = log_probabilities
            .gather(1, &labels.clamp_min(0).unsqueeze(1), false)
            .squeeze_dim(1)
            .neg();
        let loss =
            own.where_scalarother(&unread.logical_not(), (classes as f64).ln()).sum(Kind::Double);
        let wrong = log_probabilities.argmax(-1, false).ne_tensor(labels).sum(Kind::Double);
        let best_five = log_probabilities.topk(classes.min(5), -1, true, false).1;
        let top5_right = best_five.eq_tensor(&labels.unsqueeze(1)).sum(Kind::Double);
        let images = Tensor::full([], labels.size()[0], (Kind::Double, self.device));
        self.batches.push(Tensor::stack(&[loss, wrong, top5_right, images], 0));
    }

    /// The result. Waits for the device.
    pub fn result(&self) -> Evaluation {
        evaluation(&self.sums())
    }

    /// The result over the batches of all processes.
    pub fn shared_result(&self, division: &Division) -> Result<Evaluation> {
        Ok(evaluation(&division.sums(&self.sums())?))
    }

    /// The sums of one batch after the other.
    fn sums(&self) -> Vec<f64> {
        let mut sums = vec![0f64; SUMS * self.batches.len()];
        if !self.batches.is_empty() {
            let all = Tensor::cat(&self.batches, 0).to_device(Device::Cpu);
            all.copy_data(&mut sums, SUMS * self.batches.len());
        }
        sums
    }
}

/// Of batches, whose sums are added in their order.
fn evaluation(sums: &[f64]) -> Evaluation {
    let mut total = [0f64; SUMS];
    for batch in sums.as_chunks::<SUMS>().0 {
        total.iter_mut().zip(batch).for_each(|(sum, more)| *sum += more);
    }
    let [loss, wrong, top5_right, images] = total;
    Evaluation {
        images: images as u64,
        loss: loss / images,
        wrong: wrong as u64,
        top5_wrong: images as u64 - top5_right as u64,
    }
}

/// Logarithms of the mean of the classes' probabilities over several views of each image: logits
/// [images × views, classes], the views of an image one after the other, to [images, classes]. One
/// view's are its own.
pub fn averaged(logits: &Tensor, views: i64) -> Tensor {
    let log_probabilities = logits.log_softmax(-1, Kind::Float);
    if views == 1 {
        return log_probabilities;
    }
    log_probabilities.view([-1, views, logits.size()[1]]).logsumexp([1i64].as_slice(), false)
        - (views as f64).ln()
}

/// Logarithms of the mean of the classes' probabilities over several networks, from those of each,
/// [images, classes]. One network's are its own.
pub fn together(mut each: Vec<Tensor>) -> Tensor {
    if each.len() == 1 {
        return each.remove(0);
    }
    Tensor::stack(&each, 0).logsumexp([0i64].as_slice(), false) - (each.len() as f64).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_are_averaged_as_probabilities_and_an_unread_image_is_wrong() {
        let logits = Tensor::from_slice(&[0.0f32, 2.0f32.ln(), 6.0f32.ln(), 0.0]).view([2, 2]);
        let found = averaged(&logits, 2);
        // Probabilities 1/3, 2/3 and 6/7, 1/7: their mean is 25/42, 17/42.
        let expected =
            Tensor::from_slice(&[(25.0f32 / 42.0).ln(), (17.0f32 / 42.0).ln()]).view([1, 2]);
        assert!((&found - &expected).abs().max().double_value(&[]) < 1e-6);
        let mut tally = Tally::new(Device::Cpu);
        tally.add(&found, &Tensor::from_slice(&[0i64]));
        tally.add(&found, &Tensor::from_slice(&[1i64]));
        tally.add(&found, &Tensor::from_slice(&[-1i64]));
        let result = tally.result();
        assert_eq!((result.images, result.wrong, result.top5_wrong), (3, 2, 1));
        let loss = -((25.0f64 / 42.0).ln() + (17.0f64 / 42.0).ln() + 0.5f64.ln()) / 3.0;
        assert!((result.loss - loss).abs() < 1e-6);
    }
}
