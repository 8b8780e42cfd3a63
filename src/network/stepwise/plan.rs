//! The layers of a net that the kernels can do, with the kernels for each.

use crate::config::precision::Precision;
use crate::config::shortcut::Shortcut;
use crate::kernels::list::{self, Kernel, MOST_CLASSES};
use crate::kernels::parameters::{Convolution, WeightGradient};
use crate::network::architecture::blocks::Block;
use crate::network::architecture::body::{BlockKind, Body, Order, Stem};
use crate::network::architecture::layer::Parameter;
use crate::network::parameters::Network;

/// Side of the images.
const IMAGE_SIDE: i64 = 32;

/// What a 3×3 convolution is done with, by its channels.
#[derive(Clone, Copy)]
pub struct Kernels {
    /// Forward.
    pub forward: &'static Kernel<Convolution>,
    /// By its input; the first layer has none.
    pub backward: Option<&'static Kernel<Convolution>>,
    /// By its weights.
    pub weights: &'static Kernel<WeightGradient>,
    /// Tiles of an image of its output, and of its input.
    pub tiles: (i64, i64),
    /// Most blocks that share the work of `weights`, and rows of blocks, which share its squares of
    /// channels.
    pub shares: (i64, u32),
}

impl Kernels {
    fn of(inputs: i64, outputs: i64) -> Option<Kernels> {
        let (forward, backward, weights, tiles, shares) = match (inputs, outputs) {
            (3, 16) => (&list::FORWARD_FIRST, None, &list::WEIGHTS_FIRST, (2, 2), (128, 1)),
            (16, 16) => {
                (&list::FORWARD_16, Some(&list::BACKWARD_16), &list::WEIGHTS_16, (2, 2), (128, 1))
            }
            (16, 32) => (
                &list::FORWARD_16_32,
                Some(&list::BACKWARD_16_32),
                &list::WEIGHTS_16_32,
                (1, 2),
                (128, 1),
            ),
            (32, 32) => {
                (&list::FORWARD_32, Some(&list::BACKWARD_32), &list::WEIGHTS_32, (1, 1), (128, 1))
            }
            (32, 64) => (
                &list::FORWARD_32_64,
                Some(&list::BACKWARD_32_64),
                &list::WEIGHTS_32_64,
                (1, 1),
                (64, 1),
            ),
            (64, 64) => {
                (&list::FORWARD_64, Some(&list::BACKWARD_64), &list::WEIGHTS_64, (1, 1), (64, 2))
            }
            _ => return None,
        };
        Some(Kernels { forward, backward, weights, tiles, shares })
    }

    /// Blocks that share the work of `weights` on so many images; the same on every GPU, since it
    /// decides the order of summation.
    pub fn weight_blocks(&self, images: i64) -> i64 {
        (images * self.tiles.0).min(self.shares.0)
    }
}

/// Which layer's output a layer adds to its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    pub layer: usize,
    /// Whether it has half the channels and twice the side.
    pub widens: bool,
}

/// A convolution with its normalisation.
pub struct PlannedLayer {
    pub outputs: i64,
    /// Of its output.
    pub side: i64,
    /// Where its weights begin in the flat vector, and how many there are.
    pub weights: (i64, i64),
    /// Where its gammas begin; its betas follow.
    pub gamma: i64,
    /// Position of its normalisation.
    pub norm: usize,
    /// What is added before its ReLU.
    pub shortcut: Option<Source>,
    /// The layer that adds this one's output to its own, if there is one.
    pub added_by: Option<usize>,
    pub kernels: Kernels,
}

/// All of them, and the last layer.
pub struct Plan {
    pub layers: Vec<PlannedLayer>,
    /// Where the last layer's weights begin in the flat vector; its biases follow.
    pub classifier: i64,
    pub classes: i64,
    /// Channels that it takes.
    pub channels: i64,
}

impl Plan {
    /// The plan of a network.
    ///
    /// # Errors
    /// One line, if the kernels cannot do it.
    pub fn of(network: &Network) -> Result<Plan, String> {
        let architecture = network.architecture();
        let name = architecture.name;
        let basic = matches!(
            architecture.body,
            Body::Blocks {
                stem: Stem { filters: 16, kernel: 3, stride: 1, pool: false },
                kind: BlockKind::Basic,
                order: Order::PostActivation,
                ..
            }
        );
        let free = matches!(architecture.shortcut, None | Some(Shortcut::OptionA));
        if !basic || !free || architecture.image_side != IMAGE_SIDE {
            return Err(format!(
                "{name}: the own convolutions are for CIFAR's plain and residual nets with shortcuts of option A"
            ));
        }
        if network.compute.precision != Precision::Bf16 {
            return Err("the own kernels are for precision=bf16".to_string());
        }
        if architecture.classes > MOST_CLASSES {
            return Err(format!("the own kernels are for at most {MOST_CLASSES} classes"));
        }
        let residual = architecture.shortcut.is_some();
        let layers = layers(network, &architecture.blocks(), residual)
            .ok_or_else(|| format!("{name}: the own kernels have 16, 32 and 64 channels"))?;
        let classifier = offsets(&network.layout)[network.slots[layers.len()].weight];
        let channels = layers.last().map_or(0, |layer| layer.outputs);
        Ok(Plan { layers, classifier, classes: architecture.classes, channels })
    }
}

/// Where each parameter begins in the flat vector.
fn offsets(layout: &[Parameter]) -> Vec<i64> {
    let mut next = 0;
    let begin = |parameter: &Parameter| {
        let begin = next;
        next += parameter.count();
        begin
    };
    layout.iter().map(begin).collect()
}

fn layers(network: &Network, blocks: &[Block], residual: bool) -> Option<Vec<PlannedLayer>> {
    let offsets = offsets(&network.layout);
    let layer = |index: usize, inputs: i64, outputs: i64, side: i64| {
        let slot = &network.slots[index];
        // Kernels copy eight bfloat16 at a time.
        debug_assert!(inputs == 3 || offsets[slot.weight] % 8 == 0);
        Some(PlannedLayer {
            outputs,
            side,
            weights: (offsets[slot.weight], network.layout[slot.weight].count()),
            gamma: offsets[slot.norm().scale],
            norm: slot.norm().state,
            shortcut: None,
            added_by: None,
            kernels: Kernels::of(inputs, outputs)?,
        })
    };
    let mut layers = vec![layer(0, 3, 16, IMAGE_SIDE)?];
    for block in blocks {
        let from = layers.len() - 1;
        layers.push(layer(from + 1, block.inputs, block.outputs(), block.side())?);
        layers.push(layer(from + 2, block.outputs(), block.outputs(), block.side())?);
        if residual {
            layers[from + 2].shortcut = Some(Source { layer: from, widens: block.changes_shape() });
            layers[from].added_by = Some(from + 2);
        }
    }
    Some(layers)
}
