//! Highway nets of 19 and 32 layers (Srivastava, Greff, Schmidhuber, "Training Very Deep Networks",
//! arXiv 1507.06228), with which the paper compares in section 2 and Table 6.
//!
//! The paper quotes their results and describes no layout. Here the 19-layer net has FitNet-4's
//! widths (Romero et al., arXiv 1412.6550), with a highway layer wherever the width stays; this
//! gives the 2.3 million parameters of Table 6. The 32-layer net has three stages of ten layers,
//! with widths that give its 1.25 million: depth and size are the original's, the widths are this
//! project's.
//!
//! For ImageNet neither paper has a highway net. Those here are this project's: Table 1's first
//! convolution and pooling, its four widths, gated 3×3 layers wherever the width stays, 2×2 maximum
//! pooling between stages as in the small nets, and global average pooling.

use crate::network::architecture::body::{Body, LayerStage, Order, Stem};
use crate::network::architecture::layer::{Layer, LayerKind};

/// Outputs of FitNet-4's hidden fully connected layer.
const HIDDEN: i64 = 500;

/// A gate's bias at the start: sigmoid(-1) = 0.27 of the transformed signal passes. Section 2.2 of
/// the highway paper asks for a negative one.
pub const GATE_BIAS: f32 = -1.0;

/// The layers of the highway net of `depth` layers, one of those that [`check_highway_depth`]
/// accepts, for 32×32 images.
pub fn body(depth: u64) -> Body {
    let stages = match depth {
        19 => vec![stage(3, 32), stage(2, 48), stage(6, 80), stage(6, 128)],
        _ => vec![stage(10, 20), stage(10, 40), stage(10, 72)],
    };
    Body::Highway { stem: None, stages, hidden: Some(HIDDEN) }
}

/// The same for ImageNet: a first convolution, 17 or 30 layers of 3×3, and the classifier.
pub fn imagenet_body(depth: u64, stem: Stem) -> Body {
    let stages = match depth {
        19 => vec![stage(4, 64), stage(4, 128), stage(5, 256), stage(4, 512)],
        _ => vec![stage(6, 64), stage(8, 128), stage(12, 256), stage(4, 512)],
    };
    Body::Highway { stem: Some(stem), stages, hidden: None }
}

fn stage(layers: usize, filters: i64) -> LayerStage {
    LayerStage { layers, filters }
}

/// Whether a layer is gated: where the width stays.
pub(crate) fn is_gated(inputs: i64, filters: i64) -> bool {
    inputs == filters
}

/// The weighted layers but for the last.
pub(crate) fn layers(
    image_side: i64,
    stem: Option<Stem>,
    stages: &[LayerStage],
    hidden: Option<i64>,
) -> Vec<Layer> {
    let mut layers: Vec<Layer> =
        stem.map(|stem| stem.layer(image_side, Order::PostActivation)).into_iter().collect();
    let mut side = stem.map_or(image_side, |stem| stem.output_side(image_side));
    let mut channels = stem.map_or(3, |stem| stem.filters);
    for (stage_index, stage) in stages.iter().enumerate() {
        if stage_index > 0 {
            side /= 2;
        }
        for position in 0..stage.layers {
            let name = |layer: &str| format!("layer{}.{position}.{layer}", stage_index + 1);
            layers.push(Layer::convolution(&name("conv"), 3, 1, channels, stage.filters, side));
            if is_gated(channels, stage.filters) {
                layers.push(Layer {
                    kind: LayerKind::Gate,
                    ..Layer::biased_convolution(&name("gate"), channels, stage.filters, side)
                });
            }
            channels = stage.filters;
        }
    }
    layers.extend(hidden.map(|hidden| Layer::fully_connected("fc1", channels, hidden)));
    layers
}
