//! An architecture as a table, and what follows from it: layers, parameters, multiply-adds.

use super::layer::{Layer, LayerKind};
use super::name::NetworkName;

/// What joins the ends of each pair of 3×3 layers: the one value in which a plain and a residual net differ (Figure 2 and section 3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Shortcut {
    /// Nothing: the plain net.
    None,
    /// The identity; where the map size halves, every second pixel, with zero channels added evenly before and after (option A). No parameters.
    PadChannels,
    /// A 1×1 convolution where dimensions increase, the identity elsewhere (option B).
    ProjectIncrease,
    /// A 1×1 convolution everywhere (option C).
    ProjectAll,
    /// A highway net's gate around each single layer: y = H(x)·T(x) + x·(1 - T(x)) (section 2).
    Gate,
}

impl Shortcut {
    /// Whether a block from `inputs` to `outputs` channels with this `stride` has a projection on its shortcut.
    pub fn projects(self, inputs: i64, outputs: i64, stride: i64) -> bool {
        match self {
            Shortcut::ProjectIncrease => inputs != outputs || stride != 1,
            Shortcut::ProjectAll => true,
            _ => false,
        }
    }
}

/// Blocks of two 3×3 layers on maps of one size.
#[derive(Debug, Clone, Copy)]
pub struct Stage {
    /// Pairs of layers.
    pub blocks: usize,
    /// Filters of every layer.
    pub filters: i64,
    /// Stride of the first layer.
    pub stride: i64,
}

/// Highway layers on maps of one size: one convolution that sets the number of filters, then gated layers.
#[derive(Debug, Clone, Copy)]
pub struct HighwayStage {
    /// Layers, the first one included.
    pub layers: usize,
    /// Filters of every layer.
    pub filters: i64,
}

/// What stands between the image and the classifier.
#[derive(Debug, Clone)]
pub enum Body {
    /// A 3×3 convolution to `stem_filters`, then pairs of 3×3 layers: plain and residual nets.
    Pairs {
        /// Filters of the first 3×3 convolution.
        stem_filters: i64,
        /// The stages, in order.
        stages: Vec<Stage>,
    },
    /// Highway layers with 2×2 max pooling between stages, and a hidden fully connected layer at the end.
    Highway {
        /// The stages, in order.
        stages: Vec<HighwayStage>,
        /// Outputs of the hidden fully connected layer.
        hidden: i64,
    },
}

/// A network as a table that reads like the paper's.
#[derive(Debug, Clone)]
pub struct Architecture {
    /// Depth and shortcut.
    pub name: NetworkName,
    /// Side of the square input images, in pixels.
    pub image_side: i64,
    /// The layers but for the last.
    pub body: Body,
    /// Outputs of the last fully connected layer.
    pub classes: i64,
}

impl Architecture {
    /// All weighted layers: first those that count towards the depth (and gates) in forward order, then the projections on shortcuts.
    ///
    /// Projections come last so that nets of one depth start with the same weights whatever their shortcut.
    pub fn layers(&self) -> Vec<Layer> {
        match &self.body {
            Body::Pairs { stem_filters, stages } => self.pairs(*stem_filters, stages),
            Body::Highway { stages, hidden } => self.highway(stages, *hidden),
        }
    }

    fn pairs(&self, stem_filters: i64, stages: &[Stage]) -> Vec<Layer> {
        let mut side = self.image_side;
        let mut channels = stem_filters;
        let mut layers = vec![convolution("conv1".into(), 3, channels, 1, side)];
        let mut projections = Vec::new();
        for (stage_index, stage) in stages.iter().enumerate() {
            side /= stage.stride;
            for block in 0..stage.blocks {
                let stride = if block == 0 { stage.stride } else { 1 };
                let name = |layer: &str| format!("layer{}.{block}.{layer}", stage_index + 1);
                layers.push(convolution(name("conv1"), channels, stage.filters, stride, side));
                layers.push(convolution(name("conv2"), stage.filters, stage.filters, 1, side));
                if self.name.shortcut.projects(channels, stage.filters, stride) {
                    let kind = LayerKind::Projection { stride };
                    projections.push(Layer { name: name("downsample.0"), kind, inputs: channels, outputs: stage.filters, output_side: side });
                }
                channels = stage.filters;
            }
        }
        layers.push(fully_connected("fc", channels, self.classes));
        layers.extend(projections);
        layers
    }

    fn highway(&self, stages: &[HighwayStage], hidden: i64) -> Vec<Layer> {
        let mut side = self.image_side;
        let mut channels = 3;
        let mut layers = Vec::new();
        for (stage_index, stage) in stages.iter().enumerate() {
            for position in 0..stage.layers {
                let name = |layer: &str| format!("layer{}.{position}.{layer}", stage_index + 1);
                layers.push(convolution(name("conv"), channels, stage.filters, 1, side));
                if position > 0 {
                    layers.push(Layer { name: name("gate"), kind: LayerKind::Gate, inputs: channels, outputs: stage.filters, output_side: side });
                }
                channels = stage.filters;
            }
            side /= 2;
        }
        layers.push(fully_connected("fc1", channels, hidden));
        layers.push(fully_connected("fc", hidden, self.classes));
        layers
    }

    /// The same network with `factor` times the filters in every convolution. The paper has none; measurements do.
    pub fn widened(mut self, factor: i64) -> Architecture {
        match &mut self.body {
            Body::Pairs { stem_filters, stages } => {
                *stem_filters *= factor;
                stages.iter_mut().for_each(|stage| stage.filters *= factor);
            }
            Body::Highway { stages, .. } => stages.iter_mut().for_each(|stage| stage.filters *= factor),
        }
        self
    }

    /// Number of parameters.
    pub fn parameter_count(&self) -> i64 {
        self.layers().iter().map(Layer::parameter_count).sum()
    }

    /// Multiply-adds for one image.
    pub fn multiply_adds(&self) -> i64 {
        self.layers().iter().map(Layer::multiply_adds).sum()
    }
}

fn convolution(name: String, inputs: i64, outputs: i64, stride: i64, output_side: i64) -> Layer {
    Layer { name, kind: LayerKind::Convolution { kernel: 3, stride }, inputs, outputs, output_side }
}

fn fully_connected(name: &str, inputs: i64, outputs: i64) -> Layer {
    Layer { name: name.into(), kind: LayerKind::FullyConnected, inputs, outputs, output_side: 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::cifar;
    use crate::paper;

    #[test]
    fn plain_and_residual_nets_have_the_papers_parameter_counts() {
        for depth in cifar::PAPER_DEPTHS {
            for name in [NetworkName::plain(depth), NetworkName::residual(depth)] {
                let expected = paper::cifar10(name).expect("the paper trains these depths").parameters;
                assert_eq!(cifar::architecture(name, 10).parameter_count(), expected, "{name}");
            }
        }
    }

    #[test]
    fn the_number_of_weighted_layers_is_the_depth() {
        for name in ["plain-8", "resnet-20", "resnet-56b", "resnet-110c", "highway-19", "highway-32"] {
            let name: NetworkName = name.parse().unwrap();
            let counted = cifar::architecture(name, 10).layers().iter().filter(|layer| layer.kind.counts()).count();
            assert_eq!(counted as u64, name.depth, "{name}");
        }
    }

    #[test]
    fn projections_add_the_parameters_counted_by_hand() {
        let count = |name: &str| cifar::architecture(name.parse().unwrap(), 10).parameter_count();
        // Option B: two 1×1 convolutions, 16 to 32 and 32 to 64, with a scale and a shift each.
        let increase = 16 * 32 + 2 * 32 + 32 * 64 + 2 * 64;
        assert_eq!(count("resnet-20b") - count("resnet-20"), increase);
        // Option C of n = 3: three blocks in stage 1, two more in stages 2 and 3.
        let everywhere = increase + 3 * (16 * 16 + 32) + 2 * (32 * 32 + 64) + 2 * (64 * 64 + 128);
        assert_eq!(count("resnet-20c") - count("resnet-20"), everywhere);
    }

    #[test]
    fn highway_nets_have_the_parameter_counts_of_table_6_as_it_rounds_them() {
        for (name, expected) in [("highway-19", 2.3e6), ("highway-32", 1.25e6)] {
            let count = cifar::architecture(name.parse().unwrap(), 10).parameter_count() as f64;
            assert!((count / expected - 1.0).abs() < 0.02, "{name}: {count}");
        }
    }

    #[test]
    fn multiply_adds_equal_a_count_by_hand() {
        // plain-8: stem 3·16·9·32², stage 1 two of 16·16·9·32², stages 2 and 3 one of half and one of whole width, 64·10.
        let stem = 3 * 16 * 9 * 1024;
        let first = 2 * 16 * 16 * 9 * 1024;
        let second = (16 * 32 + 32 * 32) * 9 * 256;
        let third = (32 * 64 + 64 * 64) * 9 * 64;
        assert_eq!(cifar::architecture(NetworkName::plain(8), 10).multiply_adds(), stem + first + second + third + 640);
    }
}
