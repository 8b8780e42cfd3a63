//! VGG's forward pass.

use tch::{Kind, Tensor};

use crate::network::architecture::body::LayerStage;
use crate::network::architecture::vgg::CLASSIFIER_SIDE;
use crate::network::forward::pass::Pass;

impl Pass<'_> {
    /// All layers: images, float32 [n, 3, h, w], to class scores [n, classes].
    pub(crate) fn vgg(&mut self, images: &Tensor, stages: &[LayerStage]) -> Tensor {
        self.enter(|| "features.".to_string());
        let mut maps = images.to_kind(self.kind());
        for stage in stages {
            for _ in 0..stage.layers {
                maps = self.biased_convolution(&maps).relu_();
            }
            maps = maps.max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false);
        }
        self.vgg_classifier(&maps.to_kind(Kind::Float))
    }

    /// The fully connected layers, float32 [n, channels, h, w] to class scores [n, classes], for
    /// maps of any size.
    ///
    /// On 7×7 maps (224×224 images) they are what they are called. On larger maps the first is a
    /// 7×7 convolution and the others are 1×1 convolutions, and the class scores are averaged over
    /// all positions: the fully convolutional test of VGG's section 3.2 and of the residual paper's
    /// section 3.4. (torchvision averages larger maps down to 7×7 instead, another function.) On
    /// maps smaller than 7×7 each pixel is repeated as torchvision's adaptive average pooling does.
    pub(crate) fn vgg_classifier(&mut self, maps: &Tensor) -> Tensor {
        self.enter(|| "classifier.".to_string());
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
        let hidden = maps
            .conv2d(&kernel, Some(&bias), [1, 1], [0, 0], [1, 1], 1)
            .relu_()
            .permute([0, 2, 3, 1]);
        self.vgg_rest(&hidden).mean_dim([1i64, 2].as_slice(), false, Kind::Float)
    }

    fn vgg_rest(&mut self, hidden: &Tensor) -> Tensor {
        let hidden = self.fully_connected(hidden).relu_();
        self.fully_connected(&hidden)
    }
}
