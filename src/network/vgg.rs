//! VGG-16 and VGG-19 (Simonyan and Zisserman, arXiv 1409.1556, columns D and E of its Table 1), which the paper's Figure 3 and Tables 3 to 5
//! compare with. Layers and names are torchvision's.
//!
//! Convolutions have a bias and no batch normalisation, as in 2014. The original also has dropout of 0.5 in its hidden layers; here no net
//! has any, since section 3.4 of the residual paper says "we do not use dropout". Two things follow: as a baseline VGG is here to load
//! published weights, to be counted and to be drawn; and trained with the paper's recipe, made for batch normalisation, at a learning rate
//! of 0.1 it diverges: its own paper starts at 0.01.

use tch::{Kind, Tensor};

use super::architecture::{Body, LayerStage};
use super::forward::Pass;
use super::layer::Layer;

/// Outputs of the two hidden fully connected layers.
const HIDDEN: i64 = 4096;
/// Side of the maps that the first fully connected layer takes.
const CLASSIFIER_SIDE: i64 = 7;
/// torchvision's name of the last layer; between the fully connected ones it counts ReLU and dropout.
pub(super) const LAST: &str = "classifier.6";

/// The layers of VGG with 16 or 19 weighted layers.
pub(super) fn body(depth: u64) -> Body {
    let deep = if depth == 16 { 3 } else { 4 };
    let stage = |layers, filters| LayerStage { layers, filters };
    Body::Vgg { stages: vec![stage(2, 64), stage(2, 128), stage(deep, 256), stage(deep, 512), stage(deep, 512)], hidden: HIDDEN }
}

/// The weighted layers but for the last.
pub(super) fn layers(image_side: i64, stages: &[LayerStage], hidden: i64) -> Vec<Layer> {
    let (mut side, mut channels, mut index) = (image_side, 3, 0);
    let mut layers = Vec::new();
    for stage in stages {
        for _ in 0..stage.layers {
            layers.push(Layer::biased_convolution(&format!("features.{index}"), channels, stage.filters, side));
            channels = stage.filters;
            // ReLU counts.
            index += 2;
        }
        // So does the pooling.
        index += 1;
        side /= 2;
    }
    layers.push(Layer::fully_connected("classifier.0", channels * CLASSIFIER_SIDE * CLASSIFIER_SIDE, hidden));
    layers.push(Layer::fully_connected("classifier.3", hidden, hidden));
    layers
}

impl Pass<'_> {
    /// All layers: images, float32 [n, 3, h, w], to class scores [n, classes].
    pub(super) fn vgg(&mut self, images: &Tensor, stages: &[LayerStage]) -> Tensor {
        let mut maps = images.to_kind(self.kind());
        for stage in stages {
            for _ in 0..stage.layers {
                maps = self.biased_convolution(&maps).relu_();
            }
            maps = maps.max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false);
        }
        self.vgg_classifier(&maps.to_kind(Kind::Float))
    }

    /// The fully connected layers, float32 [n, channels, h, w] to class scores [n, classes], for maps of any size.
    ///
    /// On 7×7 maps (224×224 images) they are what they are called. On larger maps the first is a 7×7 convolution and the others are 1×1
    /// convolutions, and the class scores are averaged over all positions: the fully convolutional test of VGG's section 3.2 and of the
    /// residual paper's section 3.4. (torchvision averages larger maps down to 7×7 instead, another function.) On maps smaller than 7×7 each
    /// pixel is repeated as torchvision's adaptive average pooling does.
    pub(super) fn vgg_classifier(&mut self, maps: &Tensor) -> Tensor {
        let side = CLASSIFIER_SIDE;
        let (height, width) = (maps.size()[2], maps.size()[3]);
        if height < side || width < side || (height, width) == (side, side) {
            let flat = maps.adaptive_avg_pool2d([side, side]).flatten(1, -1);
            let hidden = self.fully_connected(&flat).relu_();
            return self.vgg_rest(&hidden);
        }
        let (weight, bias) = self.next_weight_and_bias();
        let kernel = weight.view([weight.size()[0], maps.size()[1], side, side]);
        // [n, hidden, rows, columns] to [n, rows, columns, hidden].
        let hidden = maps.conv2d(&kernel, Some(&bias), [1, 1], [0, 0], [1, 1], 1).relu_().permute([0, 2, 3, 1]);
        self.vgg_rest(&hidden).mean_dim([1i64, 2].as_slice(), false, Kind::Float)
    }

    fn vgg_rest(&mut self, hidden: &Tensor) -> Tensor {
        let hidden = self.fully_connected(hidden).relu_();
        self.fully_connected(&hidden)
    }
}
