//! The test itself: what `evaluate` computes of the images.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use anyhow::Result;
use tch::{Device, Kind, Tensor};

use crate::commands::evaluate::classes::{ClassError, ClassTally};
use crate::config::recipe::Recipe;
use crate::console::output::say;
use crate::dataset::data::{Dataset, Source};
use crate::error::bad_input;
use crate::network::parameters::Network;
use crate::network::weights::write_tensors;
use crate::system::atomic_file::write_atomically;
use crate::training::batches::Normalization;
use crate::training::evaluation::EvaluationSet;
use crate::training::evaluation::crops::ViewTest;
use crate::training::evaluation::scores::{Evaluation, Tally};
use crate::training::evaluation::views::Views;

/// What is asked for.
pub struct Test<'a> {
    /// Views of each image.
    pub views: Views,
    /// Shorter sides of multi-scale views; the paper's, if there are none.
    pub scales: &'a [u32],
    /// The file for the scores of all images.
    pub scores: Option<&'a Path>,
    /// Whether the errors of each class are wanted.
    pub classes: bool,
    /// The file for how often each class is taken for each.
    pub confusion: Option<&'a Path>,
    /// Threads that decode images.
    pub loaders: usize,
}

/// The result, and with `--classes` that of each class. `unreadable` is told of each image that
/// cannot be read.
pub fn test(
    wanted: &Test,
    data: &Dataset,
    recipe: &Recipe,
    networks: &[Network],
    unreadable: &mut dyn FnMut(String),
) -> Result<(Evaluation, Option<Vec<ClassError>>)> {
    let device = networks[0].device();
    let loaders = wanted.loaders;
    let mean = || {
        if data.train.is_empty() {
            return Err(bad_input("--normalize pixel-mean: there are no training images to compute the mean image from: give --normalize imagenet").into());
        }
        data.train.mean_image(recipe, loaders, &AtomicBool::new(false), |reason| {
            say(&format!("{reason}; the mean image is computed without it"))
        })
    };
    let normalization = Normalization::new(recipe.normalize, recipe.image_side(), mean, device)?;
    let set = test_set(wanted, data, recipe, device)?;
    let pairs: Vec<(&Network, &Normalization)> =
        networks.iter().map(|network| (network, &normalization)).collect();
    let (mut tally, mut by_class) = (Tally::new(device), ClassTally::default());
    let mut kept: Vec<(Tensor, Tensor)> = Vec::new();
    let is_by_class = wanted.classes || wanted.confusion.is_some();
    set.scores(&pairs, unreadable, |scores, labels| {
        tally.add(scores, labels);
        if is_by_class {
            by_class.add(scores, labels);
        }
        if wanted.scores.is_some() {
            kept.push((scores.to_device(Device::Cpu), labels.to_device(Device::Cpu)));
        }
        Ok(())
    })?;
    if let Some(file) = wanted.scores {
        write_scores(file, kept, wanted.views)?;
    }
    if !is_by_class {
        return Ok((tally.result(), None));
    }
    let confusion = by_class.confusion(&data.test.labels(), &data.classes)?;
    if let Some(file) = wanted.confusion {
        write_atomically(file, confusion.to_csv()?.as_bytes())?;
    }
    Ok((tally.result(), wanted.classes.then(|| confusion.errors())))
}

/// The images as they are tested.
fn test_set(
    wanted: &Test,
    data: &Dataset,
    recipe: &Recipe,
    device: Device,
) -> Result<EvaluationSet> {
    let Test { views, scales, loaders, .. } = *wanted;
    let Source::Streamed(index) = &data.test else {
        if views != Views::Centre || !scales.is_empty() {
            return Err(bad_input("--views, --scales: images of 32 pixels have one view; those of imagenet, tiny-imagenet and folder have several").into());
        }
        return Ok(EvaluationSet::new(&data.test, None, recipe, device, loaders));
    };
    if !scales.is_empty() && views != Views::MultiScale {
        return Err(bad_input(
            "--scales applies only to multi-scale views: give --views multi-scale",
        )
        .into());
    }
    let test = ViewTest::new(index.clone(), None, recipe, views, loaders);
    Ok(EvaluationSet::Streamed(match scales {
        [] => test,
        scales => test.at_scales(scales.to_vec()),
    }))
}

/// Writes the scores and labels of all batches, in order.
fn write_scores(file: &Path, batches: Vec<(Tensor, Tensor)>, views: Views) -> Result<()> {
    let (scores, labels): (Vec<Tensor>, Vec<Tensor>) = batches.into_iter().unzip();
    let labels = Tensor::cat(&labels, 0).to_kind(Kind::Float);
    write_tensors(
        file,
        &[("scores".to_string(), Tensor::cat(&scores, 0)), ("labels".to_string(), labels)],
        ("views", views.to_string()),
    )
}
