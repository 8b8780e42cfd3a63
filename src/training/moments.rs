//! What the maps of a trained net are like in training mode, where each batch is normalised by its
//! own statistics.

use anyhow::Result;
use serde::Serialize;
use tch::{Kind, Tensor};

use crate::config::recipe::Recipe;
use crate::dataset::data::Dataset;
use crate::network::architecture::layer::EPSILON;
use crate::network::embedding::Moments;
use crate::network::forward::pass::Mode;
use crate::network::parameters::Network;
use crate::training::batches::Normalization;
use crate::training::batches::source::batches;

/// Training batches that are looked at.
pub const BATCHES: u64 = 40;

/// The seed of the batches.
const SEED: u64 = 0;

/// Loss and error in training mode.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct TrainingMode {
    /// Mean cross-entropy, in nats.
    pub loss: f64,
    /// Top-1 error in percent.
    pub error: f64,
}

/// Calls `look` with each of [`BATCHES`] training batches: images and labels.
fn each_batch(
    data: &Dataset,
    recipe: &Recipe,
    normalization: &Normalization,
    network: &Network,
    loaders: usize,
    mut look: impl FnMut(&Tensor, &Tensor),
) -> Result<()> {
    let device = network.device();
    let whole = 0..recipe.batch_size as usize;
    let mut source = batches(data, SEED, recipe, whole, normalization.share(), device, loaders);
    for iteration in 1..=BATCHES {
        source.load(iteration)?;
        let (images, labels) = source.micro_batch(0, recipe.micro_batch_size() as i64);
        tch::no_grad(|| look(&images, &labels));
    }
    Ok(())
}

/// Mean over batches of the mean and of √(variance + ε) of each channel at the end of each stage.
pub fn moments(
    network: &Network,
    data: &Dataset,
    recipe: &Recipe,
    normalization: &Normalization,
    loaders: usize,
) -> Result<Vec<Moments>> {
    let mut sums: Vec<[Tensor; 2]> = Vec::new();
    each_batch(data, recipe, normalization, network, loaders, |images, _| {
        let outputs = network.stage_outputs(images, Mode::Recompute);
        for (stage, maps) in outputs.iter().enumerate() {
            let maps = maps.to_kind(Kind::Double);
            let over = [0i64, 2, 3];
            let mean = maps.mean_dim(over.as_slice(), false, Kind::Double);
            let variance = maps.var_dim(over.as_slice(), false, false);
            let deviation: Tensor = (variance + EPSILON).sqrt();
            match sums.get_mut(stage) {
                None => sums.push([mean, deviation]),
                Some([means, deviations]) => {
                    *means += mean;
                    *deviations += deviation;
                }
            }
        }
    })?;
    let values = |sum: &Tensor| -> Result<Vec<f64>> {
        Ok(Vec::<f64>::try_from(&(sum / BATCHES as f64).to_device(tch::Device::Cpu))?)
    };
    sums.iter()
        .map(|[mean, deviation]| Ok(Moments { mean: values(mean)?, deviation: values(deviation)? }))
        .collect()
}

/// Loss and error of `network` over the same batches.
pub fn training_mode(
    network: &Network,
    data: &Dataset,
    recipe: &Recipe,
    normalization: &Normalization,
    loaders: usize,
) -> Result<TrainingMode> {
    let (mut loss, mut wrong, mut count) = (0.0, 0.0, 0.0);
    each_batch(data, recipe, normalization, network, loaders, |images, labels| {
        let logits = network.forward(images, Mode::Recompute);
        loss += logits.cross_entropy_for_logits(labels).double_value(&[]);
        wrong += logits.argmax(-1, false).ne_tensor(labels).sum(Kind::Double).double_value(&[]);
        count += labels.size()[0] as f64;
    })?;
    Ok(TrainingMode { loss: loss / BATCHES as f64, error: 100.0 * wrong / count })
}
