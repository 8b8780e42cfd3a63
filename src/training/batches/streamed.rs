//! Training batches of images, which threads make ahead of the device.

use std::collections::VecDeque;
use std::sync::Arc;

use anyhow::{Result, bail};
use tch::{Device, Kind, Tensor};

use crate::config::recipe::Recipe;
use crate::dataset::imagenet::decoder::crop::RandomCrop;
use crate::dataset::imagenet::listing::index::Index;
use crate::dataset::imagenet::loader::{Buffer, Filling, Loader, Replacement, Sample};
use crate::dataset::imagenet::view::View;
use crate::network::forward::fused::copy_ahead;
use crate::random::{Purpose, Stream};
use crate::training::batches::sampler::Sampler;
use crate::training::batches::{Batches, Normalization, lighting};

/// Batches that are made ahead of the one that the device is at.
const AHEAD: usize = 4;

/// A GPU copies a batch when its turn comes. After so many the host waits for it, and their buffers
/// can be filled again.
const IN_FLIGHT: usize = 4;

/// How each image of an iteration is seen: a pure function of seed and iteration.
pub struct ViewPlan {
    seed: u64,
    /// Bounds of the shorter side; none without augmentation.
    scale: Option<[u64; 2]>,
    test_scale: u32,
    lighting: f64,
}

impl ViewPlan {
    /// The plan of a recipe for images.
    pub fn new(seed: u64, recipe: &Recipe) -> ViewPlan {
        ViewPlan {
            seed,
            scale: recipe.scale.filter(|_| recipe.augment),
            test_scale: recipe.test_scale.unwrap_or_default() as u32,
            lighting: recipe.lighting.filter(|_| recipe.augment).unwrap_or_default(),
        }
    }

    /// The view of each of `count` images of `iteration`, and the colour that is added to it.
    pub fn views(&self, iteration: u64, count: usize) -> Vec<(View, [f32; 3])> {
        let mut stream = Stream::new(self.seed, Purpose::Augmentation, iteration);
        let mut draw = || {
            let Some([least, most]) = self.scale else {
                return (View::Centre { shorter_side: self.test_scale }, [0.0; 3]);
            };
            let draw = RandomCrop {
                shorter_side: (least + stream.below(most - least + 1)) as u32,
                row: stream.uniform(),
                column: stream.uniform(),
                flipped: stream.below(2) == 1,
            };
            let shift = if self.lighting > 0.0 {
                lighting::shift(&mut stream, self.lighting)
            } else {
                [0.0; 3]
            };
            (View::Random(draw), shift)
        };
        (0..count).map(|_| draw()).collect()
    }
}

/// Makes the training batches of a run.
pub struct StreamedBatches {
    loader: Loader,
    index: Arc<Index>,
    plan: Sampler,
    views: ViewPlan,
    normalization: Normalization,
    device: Device,
    /// No iteration past this one is planned.
    iterations: u64,
    /// Batches in the making, the next first.
    ahead: VecDeque<Planned>,
    free: Vec<Buffer>,
    in_flight: Vec<Buffer>,
    /// The current batch (this process's share of it) on the device, always in one place: uint8,
    /// [batch, crop, crop, 3]; float32, [batch, 3]; int64, [batch].
    pixels: Tensor,
    shifts: Tensor,
    labels: Tensor,
    replacements: Vec<Replacement>,
}

struct Planned {
    iteration: u64,
    filling: Filling,
    positions: Vec<i64>,
    shifts: Vec<f32>,
}

impl StreamedBatches {
    /// Batches of the images in `index` on `threads` threads. `iterations` is where the run
    /// ends.
    pub fn new(
        plan: Sampler,
        index: Arc<Index>,
        recipe: &Recipe,
        seed: u64,
        normalization: Normalization,
        device: Device,
        threads: usize,
    ) -> StreamedBatches {
        let crop = recipe.image_side();
        let batch = plan.share().len() as i64;
        let buffers = if device.is_cuda() { AHEAD + IN_FLIGHT } else { AHEAD };
        StreamedBatches {
            loader: Loader::new(index.clone(), plan.held_out().to_vec(), crop as u32, threads),
            index,
            views: ViewPlan::new(seed, recipe),
            normalization,
            device,
            iterations: recipe.iterations,
            ahead: VecDeque::new(),
            free: (0..buffers).map(|_| Buffer::new(batch as usize, crop as u32, device)).collect(),
            in_flight: Vec::new(),
            pixels: Tensor::zeros([batch, crop, crop, 3], (Kind::Uint8, device)),
            shifts: Tensor::zeros([batch, 3], (Kind::Float, device)),
            labels: Tensor::zeros([batch], (Kind::Int64, device)),
            replacements: Vec::new(),
            plan,
        }
    }

    fn plan_ahead(&mut self, iteration: u64) {
        let mut next = self.ahead.back().map_or(iteration, |planned| planned.iteration + 1);
        while next <= self.iterations.max(iteration)
            && let Some(buffer) = self.free.pop()
        {
            // Views are drawn for all images of the batch, whoever makes them.
            let positions = self.plan.positions(next);
            let views = self.views.views(next, positions.len());
            let (positions, views) = (&positions[self.plan.share()], &views[self.plan.share()]);
            let shifts = views.iter().flat_map(|(_, shift)| *shift).collect();
            let samples = positions
                .iter()
                .zip(views)
                .map(|(&position, (view, _))| Sample { position: position as usize, view: *view })
                .collect();
            self.ahead.push_back(Planned {
                iteration: next,
                filling: self.loader.fill(samples, buffer),
                positions: positions.to_vec(),
                shifts,
            });
            next += 1;
        }
    }
}

impl Batches for StreamedBatches {
    fn load(&mut self, iteration: u64) -> Result<()> {
        while self.ahead.front().is_some_and(|planned| planned.iteration != iteration) {
            // Another order of iterations than the one after the other: what was made for it is of
            // no use.
            self.free.extend(self.ahead.pop_front().map(|planned| planned.filling.wait().0));
        }
        self.plan_ahead(iteration);
        let Some(Planned { filling, mut positions, shifts, .. }) = self.ahead.pop_front() else {
            bail!("no buffer for a batch is left")
        };
        let (buffer, replacements) = filling.wait();
        for Replacement { row, by, reason } in &replacements {
            let Some(by) = by else {
                bail!(
                    "{reason}; the images that follow in the list cannot be read either: is this the right folder?"
                )
            };
            positions[*row] = *by as i64;
        }
        self.replacements.extend(replacements);
        let labels: Vec<i64> =
            positions.iter().map(|&position| self.index.label(position as usize)).collect();
        copy_ahead(&mut self.pixels, &buffer.pixels);
        // These are small: a copy from ordinary memory has read its source when it returns.
        copy_ahead(&mut self.shifts, &Tensor::from_slice(&shifts).view([-1, 3]));
        copy_ahead(&mut self.labels, &Tensor::from_slice(&labels));
        if let Device::Cuda(index) = self.device {
            self.in_flight.push(buffer);
            if self.in_flight.len() == IN_FLIGHT {
                tch::Cuda::synchronize(index as i64);
                self.free.append(&mut self.in_flight);
            }
        } else {
            self.free.push(buffer);
        }
        if iteration < self.iterations {
            self.plan_ahead(iteration + 1);
        }
        Ok(())
    }

    fn micro_batch(&self, start: i64, count: i64) -> (Tensor, Tensor) {
        let start = start - self.plan.share().start as i64;
        let [pixels, shifts, labels] =
            [&self.pixels, &self.shifts, &self.labels].map(|tensor| tensor.narrow(0, start, count));
        (self.normalization.apply_shifted(&pixels, &shifts), labels)
    }

    fn replacements(&mut self) -> Vec<String> {
        std::mem::take(&mut self.replacements)
            .into_iter()
            .map(|replacement| replacement.reason)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::dataset_name::DatasetName;
    use crate::config::recipe::Normalize;
    use jpeg_encoder::ColorType;
    use jpeg_encoder::Encoder;

    /// Three classes of two images each in one colour a class; the last of the second class is
    /// damaged.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for class in 0..3 {
            let path = folder.path().join(format!("train/n{class}"));
            std::fs::create_dir_all(&path).unwrap();
            for number in 0..2 {
                let mut bytes = Vec::new();
                let pixels: Vec<u8> = (0..40 * 40).flat_map(|_| [60 * class as u8; 3]).collect();
                Encoder::new(&mut bytes, 95).encode(&pixels, 40, 40, ColorType::Rgb).unwrap();
                if (class, number) == (1, 1) {
                    bytes.truncate(bytes.len() / 2);
                }
                std::fs::write(path.join(format!("{number}.jpg")), bytes).unwrap();
            }
        }
        folder
    }

    #[test]
    fn an_image_that_stands_in_anothers_place_has_its_own_class_and_pixels_and_is_never_a_held_out_one()
     {
        let folder = folder();
        for validation in [0, 1] {
            let index = Arc::new(Index::open(folder.path(), "train", None).unwrap());
            let recipe = Recipe {
                crop: Some(32),
                scale: Some([34, 40]),
                test_scale: Some(36),
                batch_size: 5,
                ..Recipe::for_dataset(DatasetName::TinyImagenet)
            };
            // The image after the damaged one, position 3, is the one that would stand in its
            // place.
            let seed = (0..1000)
                .find(|&seed| {
                    validation == 0 || Sampler::new(seed, 6, 1, 5, true).held_out() == [4]
                })
                .unwrap();
            let plan = Sampler::new(seed, 6, validation, 5, true);
            let normalization = Normalization::new(
                Normalize::PixelMean,
                32,
                || Ok(vec![0.0; 32 * 32 * 3]),
                Device::Cpu,
            )
            .unwrap();
            let mut batches = StreamedBatches::new(
                plan,
                index,
                &Recipe { lighting: Some(0.0), ..recipe },
                seed,
                normalization,
                Device::Cpu,
                2,
            );
            let (mut labels_seen, mut reasons) = (Vec::new(), Vec::new());
            for iteration in 1..=6 {
                batches.load(iteration).unwrap();
                let (images, labels) = batches.micro_batch(0, 5);
                let labels = Vec::<i64>::try_from(labels).unwrap();
                let brightness = Vec::<f32>::try_from(
                    images.mean_dim([1i64, 2, 3].as_slice(), false, Kind::Float) * 255.0 / 60.0,
                )
                .unwrap();
                for (label, brightness) in labels.iter().zip(brightness) {
                    assert!(
                        (brightness - *label as f32).abs() < 0.1,
                        "pixels of class {brightness} are labelled {label}"
                    );
                }
                labels_seen.extend(labels);
                reasons.extend(batches.replacements());
            }
            let count = |label: i64| labels_seen.iter().filter(|&&other| other == label).count();
            // 30 images are five epochs of six: the damaged one's five places go to class 2; with
            // position 4 held out six epochs of five, and they go to 5.
            assert_eq!(
                (count(0), count(1), count(2)),
                if validation == 0 { (10, 5, 15) } else { (12, 6, 12) }
            );
            assert_eq!(reasons.len(), if validation == 0 { 5 } else { 6 });
            assert!(reasons.iter().all(|reason| reason.contains("n1/1.jpg")), "{reasons:?}");
        }
    }
}
