//! The forward pass.

use tch::Tensor;

use super::architecture::{Body, HighwayStage, Parameter, ParameterKind, Shortcut, Stage};
use super::state::Network;

/// Batch normalisation's epsilon (PyTorch's default).
const NORM_EPSILON: f64 = 1e-5;
/// Weight of the newest batch in the running statistics (PyTorch's default).
const NORM_MOMENTUM: f64 = 0.1;

/// Whether batch normalisation uses the batch's statistics (and updates the running ones) or the running ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The batch's statistics.
    Training,
    /// The running statistics.
    Evaluation,
}

impl Network {
    /// Class scores (logits), [images, classes], of normalised images, [images, 3, side, side].
    ///
    /// Layout: a channels-last input stays channels-last throughout.
    pub fn forward(&self, images: &Tensor, mode: Mode) -> Tensor {
        let mut pass = Pass::new(self, mode);
        match &self.architecture.body {
            Body::Pairs { stages, .. } => self.pairs(&mut pass, images, stages),
            Body::Highway { stages, .. } => pass.highway(images, stages),
        }
    }

    fn pairs(&self, pass: &mut Pass, images: &Tensor, stages: &[Stage]) -> Tensor {
        let mut maps = pass.convolution(images, 1).relu_();
        for stage in stages {
            for block in 0..stage.blocks {
                let stride = if block == 0 { stage.stride } else { 1 };
                let inner = pass.convolution(&maps, stride).relu_();
                let outer = pass.convolution(&inner, 1);
                maps = pass.join(outer, &maps, stride).relu_();
            }
        }
        pass.fully_connected(&pooled(&maps))
    }
}

/// The mean of each map: [n, c, h, w] to [n, c].
fn pooled(maps: &Tensor) -> Tensor {
    maps.adaptive_avg_pool2d([1, 1]).flatten(1, -1)
}

/// One walk through the layers. Parameters are taken in the order of [`super::Architecture::layers`]: the main path from the front, the
/// projections from where they begin.
struct Pass<'a> {
    network: &'a Network,
    parameters: Vec<Tensor>,
    main: Cursor,
    projections: Cursor,
    mode: Mode,
}

/// A position among parameters and running statistics.
#[derive(Default)]
struct Cursor {
    parameter: usize,
    norm: usize,
}

impl<'a> Pass<'a> {
    fn new(network: &'a Network, mode: Mode) -> Pass<'a> {
        // Projections are what follows the last layer of the main path.
        let projection = |parameter: &Parameter| parameter.name.contains("downsample");
        let first = network.parameters.iter().position(projection).unwrap_or(network.parameters.len());
        let norm = network.parameters[..first].iter().filter(|parameter| parameter.kind == ParameterKind::Scale).count();
        let parameters = network.views_of(&network.theta);
        Pass { network, parameters, main: Cursor::default(), projections: Cursor { parameter: first, norm }, mode }
    }

    /// The next convolution of the main path and its batch normalisation: [n, c, h, w] to [n, filters, h / stride, w / stride].
    fn convolution(&mut self, input: &Tensor, stride: i64) -> Tensor {
        let mut cursor = std::mem::take(&mut self.main);
        let output = self.normalised_convolution(&mut cursor, input, stride);
        self.main = cursor;
        output
    }

    fn normalised_convolution(&self, cursor: &mut Cursor, input: &Tensor, stride: i64) -> Tensor {
        let [weight, scale, shift] = [0, 1, 2].map(|offset| &self.parameters[cursor.parameter + offset]);
        let padding = weight.size()[2] / 2;
        let output = input.conv2d::<Tensor>(weight, None, [stride, stride], [padding, padding], [1, 1], 1);
        let (mean, variance) = &self.network.statistic_views[cursor.norm];
        let training = self.mode == Mode::Training;
        *cursor = Cursor { parameter: cursor.parameter + 3, norm: cursor.norm + 1 };
        output.batch_norm(Some(scale), Some(shift), Some(mean), Some(variance), training, NORM_MOMENTUM, NORM_EPSILON, true)
    }

    /// `residual` plus the shortcut from `input` (Eqn. 1: y = F(x) + x); for a plain net `residual` alone.
    fn join(&mut self, residual: Tensor, input: &Tensor, stride: i64) -> Tensor {
        let shortcut = self.network.architecture.name.shortcut;
        let mut sum = residual;
        let added = sum.size()[1] - input.size()[1];
        if shortcut == Shortcut::None {
            return sum;
        }
        if shortcut.projects(input.size()[1], sum.size()[1], stride) {
            let mut cursor = std::mem::take(&mut self.projections);
            let projected = self.normalised_convolution(&mut cursor, input, stride);
            self.projections = cursor;
            return sum.g_add_(&projected);
        }
        if added == 0 && stride == 1 {
            return sum.g_add_(input);
        }
        let every_second = input.slice(2, 0, None, stride).slice(3, 0, None, stride);
        sum.g_add_(&every_second.constant_pad_nd([0, 0, 0, 0, added / 2, added - added / 2]))
    }

    /// The next fully connected layer: [n, inputs] to [n, outputs].
    fn fully_connected(&mut self, input: &Tensor) -> Tensor {
        let [weight, bias] = self.next_two();
        input.linear(weight, Some(bias))
    }

    /// A highway net: where the width stays, y = H(x)·T(x) + x·(1 - T(x)), which is x + T(x)·(H(x) - x); maximum pooling between stages.
    fn highway(&mut self, images: &Tensor, stages: &[HighwayStage]) -> Tensor {
        let mut maps = images.shallow_clone();
        for (index, stage) in stages.iter().enumerate() {
            if index > 0 {
                maps = maps.max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false);
            }
            maps = self.convolution(&maps, 1).relu_();
            for _ in 1..stage.layers {
                let transformed = self.convolution(&maps, 1).relu_();
                let [weight, bias] = self.next_two();
                let gate = maps.conv2d(weight, Some(bias), [1, 1], [1, 1], [1, 1], 1).sigmoid();
                maps = &maps + gate * (transformed - &maps);
            }
        }
        let hidden = self.fully_connected(&pooled(&maps)).relu();
        self.fully_connected(&hidden)
    }

    fn next_two(&mut self) -> [&Tensor; 2] {
        let first = self.main.parameter;
        self.main.parameter += 2;
        [&self.parameters[first], &self.parameters[first + 1]]
    }
}
