//! The forward pass and the gradient.

pub mod blocks;
pub mod fused;
pub mod googlenet;
pub mod gradient;
pub mod highway;
pub mod own;
pub mod pass;
pub mod vgg;
pub mod views;

use tch::Tensor;

use crate::network::architecture::body::Body;
use crate::network::forward::pass::{Mode, Pass, Position};
use crate::network::parameters::Network;

impl Network {
    /// Class scores (logits), float32 [images, classes], of normalised images, float32 [images, 3,
    /// height, width].
    ///
    /// Images may have another size than the architecture's, down to 32 pixels: the layers go over
    /// the whole image, and the last maps are averaged over all positions, which is the paper's
    /// fully convolutional test (section 3.4). VGG, whose fully connected layers take 7×7 maps,
    /// applies them at every position of larger maps and averages the class scores.
    ///
    /// Layout: a channels-last input stays channels-last throughout.
    pub fn forward(&self, images: &Tensor, mode: Mode) -> Tensor {
        self.scores(images, mode).0
    }

    /// The class scores, and in training those of auxiliary classifiers.
    pub(crate) fn scores(&self, images: &Tensor, mode: Mode) -> (Tensor, Vec<Tensor>) {
        let mut pass = Pass::new(self, mode, Position::default());
        let logits = match &self.architecture.body {
            Body::Blocks { .. } => {
                let maps = pass.stem(images);
                let maps = pass.blocks(maps, &self.architecture.blocks());
                pass.classify(&maps.main)
            }
            Body::Highway { stem, stages, hidden } => {
                pass.highway(images, *stem, stages, hidden.is_some())
            }
            Body::Vgg { stages, .. } => pass.vgg(images, stages),
            Body::GoogLeNet { widths, auxiliary } => {
                return pass.googlenet(images, widths, *auxiliary);
            }
        };
        (logits, Vec::new())
    }
}
