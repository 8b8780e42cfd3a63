//! The forward pass.

use tch::{Kind, Tensor};

use super::architecture::{Body, HighwayStage, Shortcut, Stage};
use super::fused::{self, Maps};
use super::layer::{Parameter, ParameterKind};
use super::state::Network;
use crate::recipe::Precision;

/// Whether batch normalisation uses the batch's statistics (and updates the running ones) or the running ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The batch's statistics.
    Training,
    /// The batch's, and the running ones stay as they are: a part of the network is computed a second time.
    Again,
    /// The running statistics.
    Evaluation,
}

impl Network {
    /// Class scores (logits), float32 [images, classes], of normalised images, float32 [images, 3, side, side].
    ///
    /// Layout: a channels-last input stays channels-last throughout.
    pub fn forward(&self, images: &Tensor, mode: Mode) -> Tensor {
        let mut pass = Pass::new(self, mode, Position::default());
        match &self.architecture.body {
            Body::Pairs { stages, .. } => {
                let maps = blocks(stages).fold(pass.stem(images), |maps, block| pass.block(&maps, block));
                pass.classify(&maps.main)
            }
            Body::Highway { stages, .. } => pass.highway(images, stages),
        }
    }
}

/// A pair of 3×3 layers, and what joins its ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block {
    filters: i64,
    stride: i64,
}

/// The blocks of all stages, in order.
pub(super) fn blocks(stages: &[Stage]) -> impl Iterator<Item = Block> {
    let of = |stage: &Stage| {
        let Stage { blocks, filters, stride } = *stage;
        (0..blocks).map(move |block| Block { filters, stride: if block == 0 { stride } else { 1 } })
    };
    stages.iter().flat_map(of)
}

/// The mean of each map: [n, c, h, w] to float32 [n, c].
fn pooled(maps: &Tensor) -> Tensor {
    maps.to_kind(Kind::Float).adaptive_avg_pool2d([1, 1]).flatten(1, -1)
}

/// One walk through the layers, or through some in the middle.
pub(super) struct Pass<'a> {
    network: &'a Network,
    parameters: Vec<Tensor>,
    /// The parameters in the convolutions' number format.
    weights: Vec<Tensor>,
    position: Position,
    mode: Mode,
}

/// How far a walk is. Parameters are taken in the order of [`super::Architecture::layers`]: the main path from the front, the projections
/// from where they begin.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Position {
    main: Cursor,
    projections: Cursor,
}

/// A position among parameters and running statistics.
#[derive(Debug, Clone, Copy, Default)]
struct Cursor {
    parameter: usize,
    norm: usize,
}

impl<'a> Pass<'a> {
    /// A walk that goes on at `position`.
    pub(super) fn new(network: &'a Network, mode: Mode, position: Position) -> Pass<'a> {
        let parameters = network.views_of(&network.theta);
        let weights = match network.compute.precision {
            // One cast of the whole vector, through which the gradient comes back to the float32 leaf.
            Precision::Bf16 => network.views_of(&network.theta.to_kind(Kind::BFloat16)),
            Precision::F32 | Precision::Tf32 => parameters.iter().map(Tensor::shallow_clone).collect(),
        };
        Pass { network, parameters, weights, position, mode }
    }

    /// How far the walk is.
    pub(super) fn position(&self) -> Position {
        self.position
    }

    /// The first layer: images, float32 [n, 3, h, w], to maps [n, filters, h, w].
    pub(super) fn stem(&mut self, images: &Tensor) -> Maps {
        self.layer(&images.to_kind(self.network.compute.kind()), 1, None)
    }

    /// The next two layers and their shortcut (Eqn. 1: y = F(x) + x): [n, c, h, w] to [n, filters, h / stride, w / stride].
    pub(super) fn block(&mut self, maps: &Maps, block: Block) -> Maps {
        let shortcut = self.shortcut(&maps.again, block);
        let inner = self.layer(&maps.main, block.stride, None);
        self.layer(&inner.main, 1, shortcut)
    }

    /// The last layer: maps to logits, float32 [n, classes].
    pub(super) fn classify(&mut self, maps: &Tensor) -> Tensor {
        self.fully_connected(&pooled(maps))
    }

    /// The next convolution of the main path, its batch normalisation, the addition of a shortcut, and ReLU.
    fn layer(&mut self, input: &Tensor, stride: i64, shortcut: Option<Tensor>) -> Maps {
        let (output, next) = self.normalised_convolution(self.position.main, input, stride, shortcut.as_ref(), true);
        self.position.main = next;
        output
    }

    fn normalised_convolution(&self, at: Cursor, input: &Tensor, stride: i64, shortcut: Option<&Tensor>, relu: bool) -> (Maps, Cursor) {
        let weight = &self.weights[at.parameter];
        let padding = weight.size()[2] / 2;
        let output = input.conv2d::<Tensor>(weight, None, [stride, stride], [padding, padding], [1, 1], 1);
        let (mean, variance) = &self.network.statistic_views[at.norm];
        let norm = fused::Norm {
            scale: &self.parameters[at.parameter + 1],
            shift: &self.parameters[at.parameter + 2],
            running: (self.mode != Mode::Again).then_some((mean, variance)),
            training: self.mode != Mode::Evaluation,
        };
        let next = Cursor { parameter: at.parameter + 3, norm: at.norm + 1 };
        (norm.apply(&output, shortcut, relu, self.network.compute.fused), next)
    }

    /// What is added to the block's output; nothing in a plain net.
    fn shortcut(&mut self, maps: &Tensor, block: Block) -> Option<Tensor> {
        let kind = self.network.architecture.name.shortcut;
        let Block { filters, stride } = block;
        let channels = maps.size()[1];
        let added = filters - channels;
        if kind == Shortcut::None {
            return None;
        }
        if kind.projects(channels, filters, stride) {
            let at = if self.position.projections.parameter == 0 { self.first_projection() } else { self.position.projections };
            let (projected, next) = self.normalised_convolution(at, maps, stride, None, false);
            self.position.projections = next;
            return Some(projected.main);
        }
        if added == 0 && stride == 1 {
            return Some(maps.shallow_clone());
        }
        let every_second = maps.slice(2, 0, None, stride).slice(3, 0, None, stride);
        Some(every_second.constant_pad_nd([0, 0, 0, 0, added / 2, added - added / 2]))
    }

    /// Projections are what follows the last layer of the main path.
    fn first_projection(&self) -> Cursor {
        let all = &self.network.parameters;
        let projection = |parameter: &Parameter| parameter.name.contains("downsample");
        let first = all.iter().position(projection).unwrap_or(all.len());
        Cursor { parameter: first, norm: all[..first].iter().filter(|parameter| parameter.kind == ParameterKind::Scale).count() }
    }

    /// The next fully connected layer: [n, inputs] to [n, outputs].
    fn fully_connected(&mut self, input: &Tensor) -> Tensor {
        let first = self.advance(2);
        input.linear(&self.parameters[first], Some(&self.parameters[first + 1]))
    }

    /// A highway net: where the width stays, y = H(x)·T(x) + x·(1 - T(x)), which is x + T(x)·(H(x) - x); maximum pooling between stages.
    fn highway(&mut self, images: &Tensor, stages: &[HighwayStage]) -> Tensor {
        let mut maps = images.to_kind(self.network.compute.kind());
        for (index, stage) in stages.iter().enumerate() {
            if index > 0 {
                maps = maps.max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false);
            }
            maps = self.layer(&maps, 1, None).main;
            for _ in 1..stage.layers {
                let transformed = self.layer(&maps, 1, None).main;
                let first = self.advance(2);
                let [weight, bias] = [&self.weights[first], &self.weights[first + 1]];
                let gate = maps.conv2d(weight, Some(bias), [1, 1], [1, 1], [1, 1], 1).sigmoid();
                maps = &maps + gate * (transformed - &maps);
            }
        }
        let hidden = self.fully_connected(&pooled(&maps)).relu();
        self.fully_connected(&hidden)
    }

    /// Position of the next of the main path's parameters, of which `count` are then behind.
    fn advance(&mut self, count: usize) -> usize {
        let first = self.position.main.parameter;
        self.position.main.parameter += count;
        first
    }
}
