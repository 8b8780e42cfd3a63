//! The paper's constructed solution (section 1): a trained net embedded in a deeper one of its
//! family, whose added layers are the identity.
//!
//! The added blocks stand at the end of each stage, where the maps keep their shape.
//!
//! *Plain nets*: each added layer has an identity kernel and a batch normalisation that undoes
//! itself. Its input has gone through a ReLU, so the ReLU behind it changes nothing. In evaluation
//! any running mean m and variance v do, with the shift m and the scale √(v + ε). In training the
//! batch's own mean and variance take their place: what comes closest there is the mean over batches
//! of the input's mean, and of its deviation √(v + ε), channel by channel. Then a layer shifts and
//! stretches a channel only by as much as one batch differs from the mean of all, and only the first
//! added layer of a stage does: its output has the moments that the next ones expect.
//!
//! *Residual nets*: the last scale (of pre-activation, the last kernel) of each added branch is
//! zero, so that the shortcut alone is left, exactly, in training too. The rest of the branch is
//! initialised as in any net. A projection on the shortcut (option C) is treated as a plain layer.

use std::collections::HashMap;

use tch::{Kind, Tensor};

use crate::error::{BadInput, bad_input};
use crate::network::architecture::blocks::Block;
use crate::network::architecture::body::{BlockKind, Body, Order, Stage};
use crate::network::architecture::layer::Layer;
use crate::network::architecture::table::Architecture;
use crate::network::parameters::Network;

/// What is known of the maps at the end of a stage in training: float64, [channels] each.
pub struct Moments {
    /// Mean over batches of the batch's mean.
    pub mean: Vec<f64>,
    /// Mean over batches of √(variance + ε).
    pub deviation: Vec<f64>,
}

/// What was embedded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Embedding {
    /// Weighted layers that were added.
    pub added_layers: i64,
    /// Their parameters.
    pub added_parameters: i64,
}

/// Why `deep` cannot contain `shallow`, if it cannot: the reason names both.
pub fn check(shallow: &Architecture, deep: &Architecture) -> Result<(), BadInput> {
    let refuse = |reason: String| {
        Err(bad_input(format!("{} cannot be embedded in {}: {reason}", shallow.name, deep.name)))
    };
    let (
        Body::Blocks { stem, kind, order, stages },
        Body::Blocks { stem: deep_stem, kind: deep_kind, order: deep_order, stages: deep_stages },
    ) = (&shallow.body, &deep.body)
    else {
        return refuse("only plain, residual and pre-activation nets have blocks to add".into());
    };
    if shallow.shortcut != deep.shortcut {
        return refuse("both must be plain, or residual with one shortcut option".into());
    }
    if (kind, order) != (deep_kind, deep_order) {
        return refuse("their blocks are of different kinds".into());
    }
    let widths = |stages: &[Stage]| -> Vec<(i64, i64)> {
        stages.iter().map(|stage| (stage.filters, stage.stride)).collect()
    };
    if stem != deep_stem || widths(stages) != widths(deep_stages) {
        return refuse("their stages have other filters".into());
    }
    if shallow.classes != deep.classes {
        return refuse(format!("{} classes are not {}", shallow.classes, deep.classes));
    }
    let mut pairs = stages.iter().zip(deep_stages);
    if let Some(stage) = pairs.clone().position(|(own, deep)| own.blocks > deep.blocks) {
        return refuse(format!("stage {} of the latter has fewer blocks", stage + 1));
    }
    if pairs.all(|(own, deep)| own.blocks == deep.blocks) {
        return refuse("the latter has no more layers".into());
    }
    if matches!(kind, BlockKind::Bottleneck { .. }) && shallow.shortcut.is_none() {
        return refuse(
            "a bottleneck without a shortcut has a quarter of the channels in its middle, through \
             which no identity fits"
                .into(),
        );
    }
    Ok(())
}

/// Whether an exact identity in evaluation is only close to one in training, and needs the moments
/// of the maps to be so.
pub fn needs_moments(deep: &Architecture) -> bool {
    let blocks = deep.blocks();
    deep.shortcut.is_none() || blocks.iter().any(|block| identity_projection(block, deep))
}

fn identity_projection(block: &Block, architecture: &Architecture) -> bool {
    !block.changes_shape() && block.projects(architecture.shortcut)
}

/// Puts `shallow` into `deep`, a network with its initial values, which [`check`] has passed.
/// `moments`, one entry a stage, are those of the maps of `shallow`; without them the added layers
/// are the identity in evaluation alone.
pub fn embed(shallow: &Network, deep: &Network, moments: Option<&[Moments]>) -> Embedding {
    let given: HashMap<String, Tensor> = shallow.named_views().into_iter().collect();
    let views: HashMap<String, Tensor> = deep.named_views().into_iter().collect();
    for (name, view) in &views {
        if let Some(values) = given.get(name) {
            view.shallow_clone().copy_(values);
        }
    }
    let old: Vec<String> = shallow.architecture().blocks().iter().map(Block::name).collect();
    let mut added = Embedding { added_layers: 0, added_parameters: 0 };
    for block in deep.architecture().blocks() {
        if old.contains(&block.name()) {
            continue;
        }
        let target = Target { views: &views, moments: moments.map(|all| &all[block.stage()]) };
        target.set(&block, deep.architecture());
        let projection = block.projection(deep.architecture().shortcut);
        let layers = block.main_layers().into_iter().chain(projection);
        for layer in layers {
            added.added_layers += i64::from(layer.kind.counts());
            added.added_parameters += layer.parameter_count();
        }
    }
    added
}

/// Where an added block's values go.
struct Target<'a> {
    views: &'a HashMap<String, Tensor>,
    moments: Option<&'a Moments>,
}

impl Target<'_> {
    /// Makes `block` the identity.
    fn set(&self, block: &Block, architecture: &Architecture) {
        let layers = block.main_layers();
        if architecture.shortcut.is_none() {
            for layer in &layers {
                self.identity(layer);
            }
            return;
        }
        if let Some(last) = layers.last() {
            match (block.order(), &last.norm) {
                (Order::PostActivation, Some(norm)) => self.zero(&format!("{}.weight", norm.name)),
                _ => self.zero(&format!("{}.weight", last.name)),
            }
        }
        if identity_projection(block, architecture)
            && let Some(layer) = block.projection(architecture.shortcut)
        {
            self.identity(&layer);
        }
    }

    fn view(&self, name: &str) -> Tensor {
        self.views[name].shallow_clone()
    }

    fn zero(&self, name: &str) {
        let _ = self.view(name).zero_();
    }

    /// An identity kernel, and a normalisation that undoes itself.
    fn identity(&self, layer: &Layer) {
        let mut weight = self.view(&format!("{}.weight", layer.name));
        let middle = weight.size()[2] / 2;
        let _ = weight.zero_();
        let eye = Tensor::eye(layer.outputs, (Kind::Float, weight.device()));
        weight.narrow(2, middle, 1).narrow(3, middle, 1).squeeze().copy_(&eye);
        let Some(norm) = &layer.norm else { return };
        let epsilon = norm.epsilon as f32;
        let channels: Vec<Undone> = (0..norm.channels as usize)
            .map(|channel| match self.moments {
                None => Undone::of(0.0, 1.0, epsilon),
                Some(moments) => {
                    Undone::of(moments.mean[channel], moments.deviation[channel], epsilon)
                }
            })
            .collect();
        for (ending, of) in [
            ("weight", (|one| one.deviation) as fn(&Undone) -> f32),
            ("bias", |one| one.mean),
            ("running_mean", |one| one.mean),
            ("running_var", |one| one.variance),
        ] {
            let values: Vec<f32> = channels.iter().map(of).collect();
            let device = weight.device();
            self.view(&format!("{}.{ending}", norm.name))
                .copy_(&Tensor::from_slice(&values).to_device(device));
        }
    }
}

/// A batch normalisation that undoes itself in one channel.
struct Undone {
    /// Its shift, and its running mean.
    mean: f32,
    /// Its scale.
    deviation: f32,
    /// Its running variance.
    variance: f32,
}

/// How many neighbouring variances are tried.
const TRIED: u32 = 4096;

impl Undone {
    /// Scale and running variance are taken from the neighbours of the given ones so that their
    /// product, scale · 1/√(variance + ε) as it is rounded in float32, is exactly 1: else each layer
    /// would stretch the channel by a rounding error.
    fn of(mean: f64, deviation: f64, epsilon: f32) -> Undone {
        let deviation = deviation.max(f64::from(epsilon).sqrt());
        let variance = (deviation * deviation - f64::from(epsilon)).max(0.0) as f32;
        let step = (variance + epsilon) * f32::EPSILON;
        let pairs = (0..TRIED).flat_map(|index| {
            let variance = variance + index as f32 * step;
            let inverse = 1.0 / (variance + epsilon).sqrt();
            let scale = 1.0 / inverse;
            [scale, scale.next_up(), scale.next_down()].map(|scale| (scale, inverse, variance))
        });
        let exact = pairs.clone().find(|(scale, inverse, _)| scale * inverse == 1.0);
        let (scale, _, variance) = exact.or_else(|| pairs.clone().next()).unwrap_or_default();
        Undone { mean: mean as f32, deviation: scale, variance }
    }
}
