//! The paper's tests on images (section 3.4): centre crop, ten crops, and fully convolutional
//! at several scales; scores are averaged over views.

use std::ops::Range;
use std::sync::Arc;

use anyhow::Result;
use tch::{Device, Kind, Tensor};

use crate::config::recipe::Recipe;
use crate::dataset::imagenet::decoder::crop::Size;
use crate::dataset::imagenet::decoder::decode::{Decoder, Quality};
use crate::dataset::imagenet::listing::index::Index;
use crate::dataset::imagenet::loader::{Unreadable, read, read_whole};
use crate::dataset::imagenet::view::View;
use crate::network::forward::pass::Mode;
use crate::network::parameters::Network;
use crate::system::parallel::in_order;
use crate::training::batches::Normalization;
use crate::training::evaluation::division::Division;
use crate::training::evaluation::scores::{Evaluation, Tally, averaged, together};
use crate::training::evaluation::views::Views;

/// Crops a forward pass; it changes the speed, not the result.
const BATCH: usize = 200;

/// Shorter sides of the fully convolutional test (section 3.4), for crops of [`SCALES_CROP`]
/// pixels.
const SCALES: [u64; 5] = [224, 256, 384, 480, 640];

const SCALES_CROP: u64 = 224;

/// A test on the images of a split.
pub struct ViewTest {
    index: Arc<Index>,
    /// Positions in the index; none is all.
    positions: Option<Vec<i64>>,
    views: Views,
    crop: u32,
    test_scale: u32,
    scales: Vec<u32>,
    threads: usize,
}

/// One image's views as bytes: crops of one size, or the whole image at several scales.
struct Decoded {
    label: i64,
    /// [crops, crop, crop, 3].
    crops: Vec<u8>,
    whole: Vec<(Size, Vec<u8>)>,
    problem: Option<String>,
}

impl ViewTest {
    /// A test of the images at `positions`, or of all. `threads` decode them.
    pub fn new(
        index: Arc<Index>,
        positions: Option<Vec<i64>>,
        recipe: &Recipe,
        views: Views,
        threads: usize,
    ) -> ViewTest {
        let crop = recipe.image_side() as u32;
        // Smaller images have scales that are smaller by as much.
        let scales =
            SCALES.iter().map(|&side| (side * u64::from(crop) / SCALES_CROP) as u32).collect();
        let test_scale = recipe.test_scale.unwrap_or_default() as u32;
        ViewTest { index, positions, views, crop, test_scale, scales, threads }
    }

    /// The same test at other shorter sides (multi-scale only).
    pub fn at_scales(self, scales: Vec<u32>) -> ViewTest {
        ViewTest { scales, ..self }
    }

    /// Loss and errors of `network`. `unreadable` is told of each image that cannot be read,
    /// which counts as wrong.
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
        let mut tally = Tally::new(network.device());
        let batches = self.images().div_ceil(self.at_once());
        let Range { start, end } = division.own(batches);
        let own = start * self.at_once()..(end * self.at_once()).min(self.images());
        let mut reasons = Vec::new();
        let mut note = |reason| reasons.push(reason);
        let networks = [(network, normalization)];
        self.scores_of(own, &networks, &mut note, |log_probabilities, labels| {
            division.go_on()?;
            tally.add(log_probabilities, labels);
            Ok(())
        })?;
        division.wait_for_others(batches)?;
        division.lines(reasons, unreadable)?;
        tally.shared_result(division)
    }

    /// Images of the test.
    fn images(&self) -> usize {
        self.positions.as_ref().map_or(self.index.len(), Vec::len)
    }

    /// Images a batch.
    fn at_once(&self) -> usize {
        let per_image = match self.views {
            Views::Centre => 1,
            Views::TenCrop => 10,
            Views::MultiScale => BATCH,
        };
        (BATCH / per_image).max(1)
    }

    /// Hands on the scores of each batch of images, in order: logarithms of the classes'
    /// probabilities averaged over views and networks, float32 [images, classes], and labels, int64
    /// [images], -1 for an image that cannot be read. An error of `take` ends it.
    pub fn scores(
        &self,
        networks: &[(&Network, &Normalization)],
        unreadable: &mut dyn FnMut(String),
        take: impl FnMut(&Tensor, &Tensor) -> Result<()>,
    ) -> Result<()> {
        self.scores_of(0..self.images(), networks, unreadable, take)
    }

    /// [`scores`](Self::scores) of some of the images, which begin with a batch.
    fn scores_of(
        &self,
        images: Range<usize>,
        networks: &[(&Network, &Normalization)],
        unreadable: &mut dyn FnMut(String),
        mut take: impl FnMut(&Tensor, &Tensor) -> Result<()>,
    ) -> Result<()> {
        let (count, at_once) = (images.len(), self.at_once());
        let device = networks[0].0.device();
        let mut waiting: Vec<Decoded> = Vec::new();
        let state = || (Decoder::new(Quality::Exact), Vec::new());
        in_order(
            count,
            self.threads,
            state,
            |(decoder, bytes), item| self.decode(decoder, bytes, images.start + item),
            |item, mut decoded| {
                if let Some(problem) = decoded.problem.take() {
                    unreadable(problem);
                }
                waiting.push(decoded);
                if waiting.len() == at_once || item + 1 == count {
                    tch::no_grad(|| {
                        let each: Vec<Tensor> = networks
                            .iter()
                            .map(|(network, normalization)| {
                                self.forward(&waiting, network, normalization)
                            })
                            .collect();
                        let labels: Vec<i64> =
                            waiting.iter().map(|decoded| decoded.label).collect();
                        take(&together(each), &Tensor::from_slice(&labels).to_device(device))
                    })?;
                    waiting.clear();
                }
                Ok(())
            },
        )
    }

    /// Hands on the images' centre crops themselves, in order, at most `at_once` at a time:
    /// normalised, float32 [images, 3, crop, crop], and labels, int64 [images], on the device. Images
    /// that cannot be read are told to `unreadable` and left out. An error of `take` ends it.
    pub fn centre_crops(
        &self,
        (normalization, device): (&Normalization, Device),
        at_once: usize,
        unreadable: &mut dyn FnMut(String),
        mut take: impl FnMut(Tensor, Tensor) -> Result<()>,
    ) -> Result<()> {
        let count = self.images();
        let (mut pixels, mut labels): (Vec<u8>, Vec<i64>) = (Vec::new(), Vec::new());
        let state = || (Decoder::new(Quality::Exact), Vec::new());
        in_order(
            count,
            self.threads,
            state,
            |(decoder, bytes), item| self.decode(decoder, bytes, item),
            |item, decoded| {
                match decoded.problem {
                    Some(problem) => unreadable(problem),
                    None => {
                        pixels.extend(&decoded.crops);
                        labels.push(decoded.label);
                    }
                }
                if labels.is_empty() || (labels.len() < at_once && item + 1 < count) {
                    return Ok(());
                }
                let crop = i64::from(self.crop);
                let batch = Tensor::from_slice(&pixels).view([-1, crop, crop, 3]).to_device(device);
                let own = Tensor::from_slice(&labels).to_device(device);
                pixels.clear();
                labels.clear();
                take(normalization.apply(&batch), own)
            },
        )
    }

    fn decode(&self, decoder: &mut Decoder, bytes: &mut Vec<u8>, item: usize) -> Decoded {
        let position = self.positions.as_ref().map_or(item, |positions| positions[item] as usize);
        let mut decoded = Decoded {
            label: self.index.label(position),
            crops: Vec::new(),
            whole: Vec::new(),
            problem: None,
        };
        let result = match self.views {
            Views::MultiScale => {
                self.decode_whole(decoder, bytes, position).map(|whole| decoded.whole = whole)
            }
            views => {
                let (view, count) = match views {
                    Views::TenCrop => (View::TenCrops { shorter_side: self.test_scale }, 10),
                    _ => (View::Centre { shorter_side: self.test_scale }, 1),
                };
                decoded.crops = vec![0; count * (self.crop * self.crop * 3) as usize];
                read(
                    &self.index,
                    (decoder, Quality::Exact),
                    bytes,
                    position,
                    &view,
                    self.crop,
                    &mut decoded.crops,
                )
            }
        };
        if let Err(unreadable) = result {
            decoded.label = -1;
            decoded.problem = Some(unreadable.reason);
        }
        decoded
    }

    fn decode_whole(
        &self,
        decoder: &mut Decoder,
        bytes: &mut Vec<u8>,
        position: usize,
    ) -> Result<Vec<(Size, Vec<u8>)>, Unreadable> {
        self.scales
            .iter()
            .map(|&side| {
                read_whole(&self.index, (&mut *decoder, Quality::Exact), bytes, position, side)
            })
            .collect()
    }

    /// Averaged scores of some images: [images, classes].
    fn forward(
        &self,
        images: &[Decoded],
        network: &Network,
        normalization: &Normalization,
    ) -> Tensor {
        if self.views == Views::MultiScale {
            let rows: Vec<Tensor> = images
                .iter()
                .map(|image| self.forward_whole(image, network, normalization))
                .collect();
            return Tensor::cat(&rows, 0);
        }
        let crop = i64::from(self.crop);
        let bytes: Vec<u8> = images.iter().flat_map(|image| &image.crops).copied().collect();
        let pixels =
            Tensor::from_slice(&bytes).view([-1, crop, crop, 3]).to_device(network.device());
        let views = pixels.size()[0] / images.len() as i64;
        averaged(&network.forward(&normalization.apply(&pixels), Mode::Evaluation), views)
    }

    /// One image at all scales, each with its horizontal flip: [1, classes].
    fn forward_whole(
        &self,
        image: &Decoded,
        network: &Network,
        normalization: &Normalization,
    ) -> Tensor {
        let classes = network.architecture().classes;
        if image.whole.is_empty() {
            return Tensor::full(
                [1, classes],
                -(classes as f64).ln(),
                (Kind::Float, network.device()),
            );
        }
        let scores = image.whole.iter().map(|(size, bytes)| {
            let pixels = Tensor::from_slice(bytes)
                .view([1, i64::from(size.height), i64::from(size.width), 3])
                .to_device(network.device());
            let both = Tensor::cat(&[pixels.shallow_clone(), pixels.flip([2])], 0);
            network.forward(&normalization.apply_any_size(&both), Mode::Evaluation)
        });
        let all = Tensor::cat(&scores.collect::<Vec<_>>(), 0);
        let views = all.size()[0];
        averaged(&all, views)
    }
}
