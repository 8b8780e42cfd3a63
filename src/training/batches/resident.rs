//! Training batches of images that are in memory.

use std::ops::Range;

use anyhow::Result;
use tch::{Device, Kind, Tensor};

use crate::dataset::data::Images;
use crate::kernels::launch::Launch;
use crate::kernels::list::{BATCH, THREADS};
use crate::kernels::parameters::{Address, Batch};
use crate::training::batches::sampler::{PADDING, Sampler};
use crate::training::batches::{Batches, Normalization, UPLOAD, upload_labels, upload_pixels};

/// Makes the training batches of a run, on the device.
pub struct ResidentBatches {
    plan: Sampler,
    side: i64,
    /// uint8, [images, side + 8, side + 8, 3]: padded once, with zeros.
    pixels: Tensor,
    /// int64, [images].
    labels: Tensor,
    /// The mean image, padded with zeros like the images, so that a normalised padding pixel is 0,
    /// as if padding came after the subtraction (the paper's order).
    padded_mean: Tensor,
    normalization: Normalization,
    /// 0, 1, …, side - 1 as int64.
    steps: Tensor,
    /// Plans of [`UPLOAD`] iterations: int64, [iterations, images, 4], always in one place, so that
    /// a captured step finds them.
    plans: Tensor,
    /// Which of them is next: int64, [1], on the device.
    row: Tensor,
    /// The iterations whose plans are there.
    uploaded: Range<u64>,
    /// No iteration past this one is planned.
    iterations: u64,
    /// Takes the project's own kernel, which makes the same.
    launcher: Option<&'static dyn Launch>,
}

impl ResidentBatches {
    /// Puts the images on the device. `iterations` is where the run ends.
    pub fn new(
        plan: Sampler,
        images: &Images,
        normalization: Normalization,
        iterations: u64,
        device: Device,
    ) -> ResidentBatches {
        let side = images.side as i64;
        let batch_size = plan.batch_size() as i64;
        let padded =
            |tensor: &Tensor| tensor.constant_pad_nd([0, 0, PADDING, PADDING, PADDING, PADDING]);
        ResidentBatches {
            plan,
            side,
            pixels: padded(&upload_pixels(images, device)).contiguous(),
            labels: upload_labels(images, device),
            padded_mean: padded(&normalization.mean).contiguous(),
            normalization,
            steps: Tensor::arange(side, (Kind::Int64, device)),
            plans: Tensor::zeros([UPLOAD as i64, batch_size, 4], (Kind::Int64, device)),
            row: Tensor::zeros([1], (Kind::Int64, device)),
            uploaded: 0..0,
            iterations,
            launcher: None,
        }
    }
}

impl ResidentBatches {
    fn launch(&self, launcher: &dyn Launch, start: i64, count: i64) -> (Tensor, Tensor) {
        let (side, device) = (self.side, self.pixels.device());
        let images = Tensor::empty([count, side, side, 3], (Kind::Float, device));
        let picked = Tensor::empty([count], (Kind::Int64, device));
        let parameter = Batch {
            pixels: Address::of(&self.pixels),
            labels: Address::of(&self.labels),
            mean: Address::of(&self.padded_mean),
            deviation: Address::of(&self.normalization.deviation),
            plans: Address::of(&self.plans),
            row: Address::of(&self.row),
            images: Address::of(&images),
            picked: Address::of(&picked),
            start: start as i32,
            count: count as i32,
            batch_size: self.plan.batch_size() as i32,
            side: side as i32,
            padded_side: self.padded_mean.size()[0] as i32,
        };
        let blocks = (count * side * side) as u32;
        // SAFETY: all addresses are of contiguous tensors of this batch and of `self`.
        let launched =
            unsafe { launcher.launch(&BATCH, (blocks.div_ceil(THREADS), 1), &parameter) };
        // As libtorch's errors, which are panics everywhere in tch.
        launched.unwrap_or_else(|error| panic!("{error:#}"));
        (images.permute([0, 3, 1, 2]), picked)
    }
}

impl Batches for ResidentBatches {
    fn load(&mut self, iteration: u64) -> Result<()> {
        if !self.uploaded.contains(&iteration) {
            self.uploaded = iteration..(iteration + UPLOAD).min(self.iterations.max(iteration) + 1);
            let flat: Vec<i64> = self
                .uploaded
                .clone()
                .flat_map(|iteration| self.plan.batch(iteration))
                .flatten()
                .collect();
            let count = (self.uploaded.end - iteration) as i64;
            self.plans.narrow(0, 0, count).copy_(&Tensor::from_slice(&flat).view([count, -1, 4]));
        }
        let _ = self.row.fill_((iteration - self.uploaded.start) as i64);
        Ok(())
    }

    fn use_kernels(&mut self, launcher: &'static dyn Launch) {
        self.launcher = Some(launcher);
    }

    fn micro_batch(&self, start: i64, count: i64) -> (Tensor, Tensor) {
        if let Some(launcher) = self.launcher {
            return self.launch(launcher, start, count);
        }
        let draws = self.plans.index_select(0, &self.row).squeeze_dim(0).narrow(0, start, count);
        let column = |part: i64| draws.select(1, part);
        let image = column(0);
        let rows = (column(1).unsqueeze(1) + &self.steps).unsqueeze(2);
        // A flipped image takes the same columns from right to left.
        let flip = column(3).unsqueeze(1);
        let steps: Tensor = &self.steps + flip * (self.side - 1 - 2 * &self.steps);
        let columns = (column(2).unsqueeze(1) + steps).unsqueeze(1);
        let pixels = self.pixels.index(&[
            Some(image.view([-1, 1, 1])),
            Some(rows.shallow_clone()),
            Some(columns.shallow_clone()),
        ]);
        let mean = self.padded_mean.index(&[Some(rows), Some(columns)]);
        (self.normalization.apply_with(&pixels, &mean), self.labels.index_select(0, &image))
    }
}
