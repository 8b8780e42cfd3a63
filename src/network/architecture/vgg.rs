//! VGG-16 and VGG-19 (Simonyan and Zisserman, arXiv 1409.1556, columns D and E of its Table 1),
//! which the paper's Figure 3 and Tables 3 to 5 compare with. Layers and names are torchvision's.
//!
//! Convolutions have a bias and no batch normalisation, as in 2014. The original also has dropout
//! of 0.5 in its hidden layers; here no net has any, since section 3.4 of the residual paper says
//! "we do not use dropout". Two things follow: as a baseline VGG is here to load published weights,
//! to be counted and to be drawn; and trained with the paper's recipe, made for batch
//! normalisation, at a learning rate of 0.1 it diverges: its own paper starts at 0.01.

use crate::network::architecture::body::{Body, LayerStage};
use crate::network::architecture::layer::Layer;

/// Outputs of the two hidden fully connected layers.
const HIDDEN: i64 = 4096;

/// Side of the maps that the first fully connected layer takes.
pub(crate) const CLASSIFIER_SIDE: i64 = 7;

/// torchvision's name of the last layer; between the fully connected ones it counts ReLU and
/// dropout.
pub(crate) const LAST: &str = "classifier.6";

/// The layers of VGG with 16 or 19 weighted layers.
pub(crate) fn body(depth: u64) -> Body {
    let deep = if depth == 16 { 3 } else { 4 };
    let stage = |layers, filters| LayerStage { layers, filters };
    Body::Vgg {
        stages: vec![
            stage(2, 64),
            stage(2, 128),
            stage(deep, 256),
            stage(deep, 512),
            stage(deep, 512),
        ],
        hidden: HIDDEN,
    }
}

/// The weighted layers but for the last.
pub(crate) fn layers(image_side: i64, stages: &[LayerStage], hidden: i64) -> Vec<Layer> {
    let (mut side, mut channels, mut index) = (image_side, 3, 0);
    let mut layers = Vec::new();
    for stage in stages {
        for _ in 0..stage.layers {
            layers.push(Layer::biased_convolution(
                &format!("features.{index}"),
                channels,
                stage.filters,
                side,
            ));
            channels = stage.filters;
            // ReLU counts.
            index += 2;
        }
        // So does the pooling.
        index += 1;
        side /= 2;
    }
    layers.push(Layer::fully_connected(
        "classifier.0",
        channels * CLASSIFIER_SIDE * CLASSIFIER_SIDE,
        hidden,
    ));
    layers.push(Layer::fully_connected("classifier.3", hidden, hidden));
    layers
}
