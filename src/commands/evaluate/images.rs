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
use crate::training::batches::Normalization;
use crate::training::evaluation::EvaluationSet;
use crate::training::evaluation::crops::ViewTest;
use crate::training::evaluation::division::Division;
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
    let Source::Streamed(index) = &data.test else {
        let is_plain = wanted.views == Views::Centre
            && wanted.scores.is_none()
            && wanted.scales.is_empty()
            && !wanted.classes;
        return match (networks, is_plain) {
            ([network], true) => {
                let stop = AtomicBool::new(false);
                let set = EvaluationSet::new(&data.test, None, recipe, device, loaders);
                let alone = Division::alone(&stop);
                Ok((set.evaluate(network, &normalization, &alone, unreadable)?, None))
            }
            _ => Err(bad_input("--views, --scales, --scores, --classes and several --weights are for ImageFolder datasets (imagenet, tiny-imagenet, folder)").into()),
        };
    };
    if !wanted.scales.is_empty() && wanted.views != Views::MultiScale {
        return Err(bad_input(
            "--scales applies only to multi-scale views: give --views multi-scale",
        )
        .into());
    }
    let test = ViewTest::new(index.clone(), None, recipe, wanted.views, loaders);
    let test = if wanted.scales.is_empty() { test } else { test.at_scales(wanted.scales.to_vec()) };
    let pairs: Vec<(&Network, &Normalization)> =
        networks.iter().map(|network| (network, &normalization)).collect();
    let (mut tally, mut by_class) = (Tally::new(device), ClassTally::default());
    let mut kept: Vec<(Tensor, Tensor)> = Vec::new();
    test.scores(&pairs, unreadable, |scores, labels| {
        tally.add(scores, labels);
        if wanted.classes {
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
    let errors = wanted.classes.then(|| by_class.errors(&data.test.labels(), &data.classes));
    Ok((tally.result(), errors.transpose()?))
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
