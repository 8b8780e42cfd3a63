//! Loss and error of each iteration, kept on the device until a whole window is read at once.

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

/// Iterations whose metrics fit on the device; reading them waits for the device, so it must be
/// rare.
pub const CAPACITY: usize = 256;

/// A window of (loss, wrong images) pairs.
pub struct MetricsWindow {
    /// float32, [CAPACITY, 2].
    values: Tensor,
    /// Where the next pair goes: int64, [1], on the device, so that a captured step can be repeated
    /// for another row.
    row: Tensor,
    filled: usize,
    batch_size: f64,
}

impl MetricsWindow {
    /// An empty window for batches of `batch_size`.
    pub fn new(batch_size: u64, device: Device) -> MetricsWindow {
        let values = Tensor::zeros([CAPACITY as i64, 2], (Kind::Float, device));
        MetricsWindow {
            values,
            row: Tensor::zeros([1], (Kind::Int64, device)),
            filled: 0,
            batch_size: batch_size as f64,
        }
    }

    /// Makes room for an iteration's pair, which [`write`](Self::write) fills.
    pub fn advance(&mut self) {
        let _ = self.row.fill_(self.filled as i64);
        self.filled += 1;
    }

    /// Writes an iteration's loss and the number of its wrong images: float32 scalars. Does not
    /// wait for the device.
    pub fn write(&mut self, loss: &Tensor, wrong: &Tensor) {
        let _ = self.values.index_copy_(
            0,
            &self.row,
            &Tensor::stack(&[loss.detach(), wrong.shallow_clone()], 0).unsqueeze(0),
        );
    }

    /// Whether it must be read before another iteration fits.
    pub fn is_full(&self) -> bool {
        self.filled == CAPACITY
    }

    /// Reads and empties the window: (loss, error in percent) of each iteration since the last
    /// call. Waits for the device.
    pub fn take(&mut self) -> Vec<(f32, f32)> {
        let mut flat = vec![0f32; 2 * self.filled];
        self.values
            .narrow(0, 0, self.filled as i64)
            .to_device(Device::Cpu)
            .contiguous()
            .copy_data(&mut flat, 2 * self.filled);
        self.filled = 0;
        flat.chunks_exact(2)
            .map(|pair| (pair[0], (f64::from(pair[1]) * 100.0 / self.batch_size) as f32))
            .collect()
    }
}

/// How many of the logits [images, classes] have another class in front than the labels [images]
/// say: a float32 scalar.
pub fn wrong(logits: &Tensor, labels: &Tensor) -> Tensor {
    logits.argmax(-1, false).ne_tensor(labels).sum(Kind::Float)
}

/// One line of the training log, `train.csv`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TrainingRow {
    /// Counted from 1.
    pub iteration: u64,
    /// Learning rate of this iteration's update. Single precision, so that 0.1 × 0.1 reads 0.01.
    pub learning_rate: f32,
    /// Mean cross-entropy over the batch, before the update, in nats.
    pub loss: f32,
    /// Wrongly classified images of the batch, before the update, in percent.
    pub error: f32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_percentages_of_wrong_images_and_come_back_in_order() {
        let mut window = MetricsWindow::new(4, Device::Cpu);
        let logits = Tensor::from_slice2(&[[0.0f32, 1.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]);
        window.advance();
        let labels = Tensor::from_slice(&[1i64, 0, 1, 1]);
        window.write(&Tensor::from(1.5f32), &wrong(&logits, &labels));
        window.advance();
        let labels = Tensor::from_slice(&[0i64, 0, 1, 0]);
        window.write(&Tensor::from(0.5f32), &wrong(&logits, &labels));
        assert_eq!(window.take(), [(1.5, 0.0), (0.5, 50.0)]);
        assert_eq!(window.take(), []);
    }
}
