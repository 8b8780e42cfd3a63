//! One pass through the layers of a network.

use tch::{Kind, Tensor};

use crate::config::precision::Precision;
use crate::network::architecture::blocks::Block;
use crate::network::architecture::body::{Body, LayerStage, Stem};
use crate::network::architecture::highway;
use crate::network::forward::fused;
use crate::network::forward::fused::Maps;
use crate::network::parameters::Network;

/// Whether batch normalisation uses the batch's statistics (and updates the running ones) or the
/// running ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The batch's statistics.
    Training,
    /// The batch's, and the running ones stay as they are: a part of the network is computed a
    /// second time.
    Recompute,
    /// The running statistics.
    Evaluation,
}

/// The mean of each map: [n, c, h, w] to float32 [n, c].
fn pooled(maps: &Tensor) -> Tensor {
    maps.to_kind(Kind::Float).adaptive_avg_pool2d([1, 1]).flatten(1, -1)
}

/// One walk through the layers, or through some in the middle.
pub(crate) struct Pass<'a> {
    network: &'a Network,
    parameters: Vec<Tensor>,
    /// The parameters in the convolutions' precision.
    weights: Vec<Tensor>,
    position: Position,
    mode: Mode,
}

/// How far a walk is. Parameters are taken in the order of
/// [`crate::network::architecture::table::Architecture::layers`]: the main path from the front,
/// what is aside of it from where that begins.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Position {
    main: Cursor,
    aside: Cursor,
}

/// A position among parameters and batch normalisations.
#[derive(Debug, Clone, Copy, Default)]
struct Cursor {
    parameter: usize,
    norm: usize,
}

impl<'a> Pass<'a> {
    /// A walk that goes on at `position`.
    pub(crate) fn new(network: &'a Network, mode: Mode, position: Position) -> Pass<'a> {
        let parameters = network.views_of(&network.parameters);
        let weights = match network.compute.precision {
            // One cast of the whole vector, through which the gradient comes back to the float32
            // leaf.
            Precision::Bf16 => network.views_of(&network.parameters.to_kind(Kind::BFloat16)),
            Precision::F32 | Precision::Tf32 => {
                parameters.iter().map(Tensor::shallow_clone).collect()
            }
        };
        Pass { network, parameters, weights, position, mode }
    }

    /// How far the walk is.
    pub(crate) fn position(&self) -> Position {
        self.position
    }

    /// The kind of feature maps.
    pub(crate) fn kind(&self) -> Kind {
        self.network.compute.kind()
    }

    /// How batch normalisation works.
    pub(crate) fn mode(&self) -> Mode {
        self.mode
    }

    /// The first layer: images, float32 [n, 3, h, w], to the maps that the first block takes.
    pub(crate) fn stem(&mut self, images: &Tensor) -> Maps {
        match &self.network.architecture.body {
            Body::Blocks { stem, .. } | Body::Highway { stem: Some(stem), .. } => {
                self.convolution_and_pool(images, *stem)
            }
            _ => images.to_kind(self.kind()).into(),
        }
    }

    fn convolution_and_pool(&mut self, images: &Tensor, stem: Stem) -> Maps {
        let maps = self.layer(&images.to_kind(self.kind()), stem.stride, None);
        if stem.pool {
            maps.main.max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false).into()
        } else {
            maps
        }
    }

    /// The next block and its shortcut (Eqn. 1: y = F(x) + x): [n, c, h, w] to [n, outputs, h /
    /// stride, w / stride], rounded up.
    pub(crate) fn block(&mut self, maps: &Maps, block: &Block) -> Maps {
        let mut shortcut = self.shortcut(&maps.again, block);
        let strides = block.strides();
        let mut inner: Maps = maps.main.shallow_clone().into();
        for (index, &stride) in strides.iter().enumerate() {
            let added = if index + 1 == strides.len() { shortcut.take() } else { None };
            inner = self.layer(&inner.main, stride, added);
        }
        inner
    }

    /// The last layer: maps to logits, float32 [n, classes].
    pub(crate) fn classify(&mut self, maps: &Tensor) -> Tensor {
        self.fully_connected(&pooled(maps))
    }

    /// The next convolution of the main path, its batch normalisation, the addition of a shortcut,
    /// and ReLU.
    pub(crate) fn layer(&mut self, input: &Tensor, stride: i64, shortcut: Option<Tensor>) -> Maps {
        self.normalised_convolution(input, stride, shortcut.as_ref(), true)
    }

    fn normalised_convolution(
        &mut self,
        input: &Tensor,
        stride: i64,
        shortcut: Option<&Tensor>,
        relu: bool,
    ) -> Maps {
        let at = self.position.main;
        let weight = &self.weights[at.parameter];
        let padding = weight.size()[2] / 2;
        let output =
            input.conv2d::<Tensor>(weight, None, [stride, stride], [padding, padding], [1, 1], 1);
        let state = &self.network.norms[at.norm];
        let norm = fused::Norm {
            scale: &self.parameters[at.parameter + 1],
            shift: &self.parameters[at.parameter + 2],
            running: (self.mode != Mode::Recompute).then_some((&state.mean, &state.variance)),
            training: self.mode != Mode::Evaluation,
            epsilon: state.epsilon,
        };
        self.position.main = Cursor { parameter: at.parameter + 3, norm: at.norm + 1 };
        norm.apply(&output, shortcut, relu, self.network.compute.fused)
    }

    /// What is added to the block's output; nothing in a plain net.
    fn shortcut(&mut self, maps: &Tensor, block: &Block) -> Option<Tensor> {
        let kind = self.network.architecture.shortcut;
        kind?;
        if block.projects(kind) {
            return Some(
                self.aside(|pass| pass.normalised_convolution(maps, block.stride, None, false))
                    .main,
            );
        }
        if !block.changes_shape() {
            return Some(maps.shallow_clone());
        }
        let added = block.outputs() - block.inputs;
        let every_second = maps.slice(2, 0, None, block.stride).slice(3, 0, None, block.stride);
        Some(every_second.constant_pad_nd([0, 0, 0, 0, added / 2, added - added / 2]))
    }

    /// Goes through the next of the layers that are aside of the main path.
    pub(crate) fn aside<T>(&mut self, walk: impl FnOnce(&mut Pass<'a>) -> T) -> T {
        let main = self.position.main;
        let (parameter, norm) = self.network.aside;
        let begun = self.position.aside.parameter > 0;
        self.position.main = if begun { self.position.aside } else { Cursor { parameter, norm } };
        let result = walk(self);
        self.position = Position { main, aside: self.position.main };
        result
    }

    /// The next fully connected layer: float32 [..., inputs] to [..., outputs].
    pub(crate) fn fully_connected(&mut self, input: &Tensor) -> Tensor {
        let (weight, bias) = self.next_weight_and_bias();
        input.linear(&weight, Some(&bias))
    }

    /// The next layer's weights and bias, float32.
    pub(crate) fn next_weight_and_bias(&mut self) -> (Tensor, Tensor) {
        let first = self.advance(2);
        (self.parameters[first].shallow_clone(), self.parameters[first + 1].shallow_clone())
    }

    /// The next 3×3 convolution with bias and nothing after it.
    pub(crate) fn biased_convolution(&mut self, maps: &Tensor) -> Tensor {
        let first = self.advance(2);
        maps.conv2d(&self.weights[first], Some(&self.weights[first + 1]), [1, 1], [1, 1], [1, 1], 1)
    }

    /// A highway net: where the width stays, y = H(x)·T(x) + x·(1 - T(x)), which is x + T(x)·(H(x)
    /// - x); maximum pooling between stages.
    pub(crate) fn highway(
        &mut self,
        images: &Tensor,
        stem: Option<Stem>,
        stages: &[LayerStage],
        hidden: bool,
    ) -> Tensor {
        let mut maps = self.stem(images).main;
        let mut channels = stem.map_or(3, |stem| stem.filters);
        for (index, stage) in stages.iter().enumerate() {
            if index > 0 {
                maps = maps.max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false);
            }
            for _ in 0..stage.layers {
                let transformed = self.layer(&maps, 1, None).main;
                maps = if highway::is_gated(channels, stage.filters) {
                    let gate = self.biased_convolution(&maps).sigmoid();
                    &maps + gate * (transformed - &maps)
                } else {
                    transformed
                };
                channels = stage.filters;
            }
        }
        let mut features = pooled(&maps);
        if hidden {
            features = self.fully_connected(&features).relu();
        }
        self.fully_connected(&features)
    }

    /// Position of the next of the main path's parameters, of which `count` are then behind.
    fn advance(&mut self, count: usize) -> usize {
        let first = self.position.main.parameter;
        self.position.main.parameter += count;
        first
    }
}
