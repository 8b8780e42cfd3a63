//! Images on the device, and batches made of them there.

pub mod lighting;
pub mod resident;
pub mod sampler;
pub mod source;
pub mod streamed;

use anyhow::Result;
use tch::{Device, Kind, Tensor};

use crate::config::recipe::Normalize;
use crate::dataset::data::Images;
use crate::kernels::launch::Launch;

/// ImageNet's mean colour and the standard deviation of its colours, of pixels in [0, 1] (what
/// torchvision and public CIFAR nets use).
pub const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];

/// See [`IMAGENET_MEAN`].
pub const IMAGENET_DEVIATION: [f32; 3] = [0.229, 0.224, 0.225];

/// How many iterations' plans are uploaded at once.
const UPLOAD: u64 = 256;

/// What the training loop needs of its data.
pub trait Batches {
    /// Turns to `iteration`, counted from 1: its images will be on the device.
    fn load(&mut self, iteration: u64) -> Result<()>;

    /// Images `start..start + count` of the iteration's batch, counted over the whole batch, of
    /// which a process that trains with others makes only its share: normalised, float32 [count, 3,
    /// side, side], channels-last, and labels, int64 [count]. Always the same operations on the
    /// same tensors, so that a GPU can repeat a captured step.
    fn micro_batch(&self, start: i64, count: i64) -> (Tensor, Tensor);

    /// Has the project's own kernels make the batches, where they can.
    fn use_kernels(&mut self, _launcher: &'static dyn Launch) {}

    /// What is wrong with images that could not be read since the last call; others stand in their
    /// place.
    fn replacements(&mut self) -> Vec<String> {
        Vec::new()
    }
}

/// What is subtracted from pixels in [0, 1], and what they are divided by.
pub struct Normalization {
    /// float32, [side, side, 3].
    mean: Tensor,
    /// float32, [3].
    deviation: Tensor,
}

impl Normalization {
    /// The normalisation `how` of images of `side` pixels. `mean` gives the mean image of all
    /// training images ([side, side, 3], in [0, 1]), and is asked only where one is needed.
    pub fn new(
        how: Normalize,
        side: i64,
        mean: impl FnOnce() -> Result<Vec<f32>>,
        device: Device,
    ) -> Result<Normalization> {
        let (mean, deviation) = match how {
            Normalize::PixelMean => (
                Tensor::from_slice(&mean()?).view([side, side, 3]),
                Tensor::ones([3], (Kind::Float, Device::Cpu)),
            ),
            Normalize::Imagenet => {
                let mean =
                    Tensor::from_slice(&IMAGENET_MEAN).expand([side, side, 3], false).contiguous();
                (mean, Tensor::from_slice(&IMAGENET_DEVIATION))
            }
        };
        Ok(Normalization { mean: mean.to_device(device), deviation: deviation.to_device(device) })
    }

    /// The same normalisation again, of the same tensors.
    pub fn share(&self) -> Normalization {
        Normalization { mean: self.mean.shallow_clone(), deviation: self.deviation.shallow_clone() }
    }

    /// Bytes [n, side, side, 3] to normalised float32 [n, 3, side, side] in channels-last layout.
    pub fn apply(&self, pixels: &Tensor) -> Tensor {
        self.apply_with(pixels, &self.mean)
    }

    /// The same of training images to whose pixels, in [0, 1], a colour is added each: `shifts`,
    /// float32 [n, 3].
    pub fn apply_shifted(&self, pixels: &Tensor, shifts: &Tensor) -> Tensor {
        self.apply_with(pixels, &(&self.mean - shifts.view([-1, 1, 1, 3])))
    }

    /// The same of images of any size: where there is a mean image, its mean colour is subtracted.
    pub fn apply_any_size(&self, pixels: &Tensor) -> Tensor {
        self.apply_with(pixels, &self.mean.mean_dim([0i64, 1].as_slice(), false, Kind::Float))
    }

    fn apply_with(&self, pixels: &Tensor, mean: &Tensor) -> Tensor {
        // A pixel is divided by 255, not multiplied by its inverse: padding must come out as
        // exactly 0 - 0.
        ((pixels.to_kind(Kind::Float) / 255.0 - mean) / &self.deviation).permute([0, 3, 1, 2])
    }
}

/// uint8, [images, side, side, 3].
pub(crate) fn upload_pixels(images: &Images, device: Device) -> Tensor {
    let side = images.side as i64;
    Tensor::from_slice(&images.pixels).view([-1, side, side, 3]).to_device(device)
}

/// int64, [images].
pub(crate) fn upload_labels(images: &Images, device: Device) -> Tensor {
    Tensor::from_slice(&images.labels).to_kind(Kind::Int64).to_device(device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::launcher::launcher;
    use crate::training::batches::resident::ResidentBatches;
    use crate::training::batches::sampler::Sampler;

    fn images(count: usize) -> Images {
        let pixels = (0..count * 32 * 32 * 3).map(|index| (index * 7 % 251) as u8).collect();
        Images { side: 32, pixels, labels: (0..count).map(|index| (index % 10) as u8).collect() }
    }

    /// The batch computed pixel by pixel: mean subtracted, then padded with zeros, then cropped,
    /// then flipped.
    fn by_hand(images: &Images, mean: &[f32], deviation: [f32; 3], draws: &[[i64; 4]]) -> Vec<f32> {
        let mut values = Vec::new();
        for &[image, top, left, flip] in draws {
            for channel in 0..3 {
                for row in 0..32 {
                    for column in 0..32 {
                        let column = if flip == 1 { 31 - column } else { column };
                        let (row, column) = (row + top - 4, column + left - 4);
                        let inside = (0..32).contains(&row) && (0..32).contains(&column);
                        let position = ((row * 32 + column) * 3 + channel) as usize;
                        values.push(if inside {
                            let pixel =
                                images.pixels[image as usize * images.image_bytes() + position];
                            (f32::from(pixel) / 255.0 - mean[position])
                                / deviation[channel as usize]
                        } else {
                            0.0
                        });
                    }
                }
            }
        }
        values
    }

    #[test]
    fn the_own_kernel_makes_the_same_batches_to_the_last_bit() {
        let images = images(40);
        for how in [Normalize::PixelMean, Normalize::Imagenet] {
            let normalization =
                Normalization::new(how, 32, || Ok(images.mean()), Device::Cpu).unwrap();
            let plan = Sampler::new(9, 40, 0, 16, true);
            let mut batches = ResidentBatches::new(plan, &images, normalization, 300, Device::Cpu);
            for (iteration, start, count) in [(1, 0, 16), (2, 8, 4), (270, 3, 1)] {
                batches.load(iteration).unwrap();
                let (expected, labels) = batches.micro_batch(start, count);
                batches.use_kernels(launcher(Device::Cpu).unwrap());
                let (found, picked) = batches.micro_batch(start, count);
                assert_eq!(found.stride(), expected.stride());
                assert!(found.equal(&expected) && picked.equal(&labels), "{how:?} {iteration}");
            }
        }
    }

    #[test]
    fn a_batch_equals_the_one_computed_pixel_by_pixel() {
        let images = images(40);
        let plan = || Sampler::new(9, 40, 0, 16, true);
        for how in [Normalize::PixelMean, Normalize::Imagenet] {
            let normalization =
                Normalization::new(how, 32, || Ok(images.mean()), Device::Cpu).unwrap();
            let mut batches =
                ResidentBatches::new(plan(), &images, normalization, 300, Device::Cpu);
            for iteration in [1, 2, 299] {
                batches.load(iteration).unwrap();
                let (batch, labels) = batches.micro_batch(0, 16);
                let draws = plan().batch(iteration);
                let (mean, deviation) = match how {
                    Normalize::PixelMean => (images.mean(), [1.0; 3]),
                    Normalize::Imagenet => (IMAGENET_MEAN.repeat(32 * 32), IMAGENET_DEVIATION),
                };
                let found = Vec::<f32>::try_from(batch.contiguous().view(-1)).unwrap();
                let expected = by_hand(&images, &mean, deviation, &draws);
                assert!(
                    found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6),
                    "{how:?}, iteration {iteration}"
                );
                let expected: Vec<i64> =
                    draws.iter().map(|draw| i64::from(images.labels[draw[0] as usize])).collect();
                assert_eq!(Vec::<i64>::try_from(labels).unwrap(), expected);
            }
        }
    }
}
