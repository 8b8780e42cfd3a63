//! The forward pass.

use tch::Tensor;

use super::architecture::Shortcut;
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
        let mut pass = Pass { network: self, parameters: self.views_of(&self.theta), next: 0, norm: 0, mode };
        let mut maps = pass.convolution(images, 1).relu_();
        for stage in &self.architecture.stages {
            for block in 0..stage.blocks {
                let stride = if block == 0 { stage.stride } else { 1 };
                let inner = pass.convolution(&maps, stride).relu_();
                let outer = pass.convolution(&inner, 1);
                maps = self.architecture.name.shortcut.join(outer, &maps, stride).relu_();
            }
        }
        let pooled = maps.adaptive_avg_pool2d([1, 1]).flatten(1, -1);
        pooled.linear(pass.parameter(0), Some(pass.parameter(1)))
    }
}

impl Shortcut {
    /// `residual` plus the shortcut from `input` (Eqn. 1: y = F(x) + x); for a plain net `residual` alone.
    fn join(self, residual: Tensor, input: &Tensor, stride: i64) -> Tensor {
        match self {
            Shortcut::None => residual,
            Shortcut::PadChannels => {
                let mut sum = residual;
                let added = sum.size()[1] - input.size()[1];
                if added == 0 && stride == 1 {
                    return sum.g_add_(input);
                }
                let every_second = input.slice(2, 0, None, stride).slice(3, 0, None, stride);
                sum.g_add_(&every_second.constant_pad_nd([0, 0, 0, 0, added / 2, added - added / 2]))
            }
        }
    }
}

/// One walk through the layers: parameters are taken in the order of [`super::Architecture::layers`].
struct Pass<'a> {
    network: &'a Network,
    parameters: Vec<Tensor>,
    next: usize,
    norm: usize,
    mode: Mode,
}

impl Pass<'_> {
    fn parameter(&self, offset: usize) -> &Tensor {
        &self.parameters[self.next + offset]
    }

    /// The next 3×3 convolution and its batch normalisation: [n, c, h, w] to [n, filters, h / stride, w / stride].
    fn convolution(&mut self, input: &Tensor, stride: i64) -> Tensor {
        let padding = self.parameter(0).size()[2] / 2;
        let output = input.conv2d::<Tensor>(self.parameter(0), None, [stride, stride], [padding, padding], [1, 1], 1);
        let (mean, variance) = &self.network.statistic_views[self.norm];
        let normalised = output.batch_norm(
            Some(self.parameter(1)),
            Some(self.parameter(2)),
            Some(mean),
            Some(variance),
            self.mode == Mode::Training,
            NORM_MOMENTUM,
            NORM_EPSILON,
            true,
        );
        self.next += 3;
        self.norm += 1;
        normalised
    }
}
