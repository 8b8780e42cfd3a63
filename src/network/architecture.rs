//! An architecture as a table, and what follows from it: layers, parameters, multiply-adds.

use std::fmt;

use super::name::NetworkName;

/// What joins the ends of each pair of 3×3 layers: the one value in which a plain and a residual net differ (Figure 2 and section 3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Shortcut {
    /// Nothing: the plain net.
    None,
    /// The identity; where the map size halves, every second pixel, with zero channels added evenly before and after (option A). No parameters.
    PadChannels,
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

/// A network as a table that reads like the paper's.
#[derive(Debug, Clone)]
pub struct Architecture {
    /// Depth and shortcut.
    pub name: NetworkName,
    /// Side of the square input images, in pixels.
    pub image_side: i64,
    /// Filters of the first 3×3 convolution.
    pub stem_filters: i64,
    /// The stages, in order.
    pub stages: Vec<Stage>,
    /// Outputs of the fully connected layer.
    pub classes: i64,
}

/// A weighted layer. Every convolution is followed by batch normalisation and has no bias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// torchvision's name: `conv1`, `layer1.0.conv2`, `fc`.
    pub name: String,
    /// Convolution or fully connected.
    pub kind: LayerKind,
    /// Channels in.
    pub inputs: i64,
    /// Channels (or classes) out.
    pub outputs: i64,
    /// Side of the output map in pixels; 1 for the fully connected layer.
    pub output_side: i64,
}

/// The two kinds of weighted layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerKind {
    /// A square convolution with zero padding that keeps the map size at stride 1.
    Convolution {
        /// Side of the kernel.
        kernel: i64,
        /// Step between output pixels.
        stride: i64,
    },
    /// A fully connected layer with bias.
    FullyConnected,
}

impl fmt::Display for LayerKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LayerKind::Convolution { kernel, stride: 1 } => write!(formatter, "{kernel}×{kernel} convolution"),
            LayerKind::Convolution { kernel, stride } => write!(formatter, "{kernel}×{kernel} convolution, stride {stride}"),
            LayerKind::FullyConnected => formatter.write_str("average pool, fully connected"),
        }
    }
}

/// What a parameter is; it decides how it is initialised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterKind {
    /// Weights that sum over `fan_in` inputs.
    Weight {
        /// Inputs of each output.
        fan_in: i64,
    },
    /// Batch normalisation's scale (gamma).
    Scale,
    /// Batch normalisation's shift (beta), or a bias.
    Shift,
}

/// A named parameter in torch's shape (a convolution's is outputs, inputs, height, width).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// torchvision's name.
    pub name: String,
    /// torch's shape.
    pub shape: Vec<i64>,
    /// What it is.
    pub kind: ParameterKind,
}

impl Parameter {
    /// Number of values.
    pub fn count(&self) -> i64 {
        self.shape.iter().product()
    }
}

impl Layer {
    /// Name of the batch normalisation that follows a convolution: `layer1.0.bn2` for `layer1.0.conv2`.
    pub fn norm_name(&self) -> String {
        self.name.replace("conv", "bn")
    }

    /// The layer's parameters, batch normalisation's included, in torchvision's order.
    pub fn parameters(&self) -> Vec<Parameter> {
        let parameter = |name: String, shape: Vec<i64>, kind| Parameter { name, shape, kind };
        match self.kind {
            LayerKind::Convolution { kernel, .. } => vec![
                parameter(
                    format!("{}.weight", self.name),
                    vec![self.outputs, self.inputs, kernel, kernel],
                    ParameterKind::Weight { fan_in: self.inputs * kernel * kernel },
                ),
                parameter(format!("{}.weight", self.norm_name()), vec![self.outputs], ParameterKind::Scale),
                parameter(format!("{}.bias", self.norm_name()), vec![self.outputs], ParameterKind::Shift),
            ],
            LayerKind::FullyConnected => vec![
                parameter(format!("{}.weight", self.name), vec![self.outputs, self.inputs], ParameterKind::Weight { fan_in: self.inputs }),
                parameter(format!("{}.bias", self.name), vec![self.outputs], ParameterKind::Shift),
            ],
        }
    }

    /// Number of parameters.
    pub fn parameter_count(&self) -> i64 {
        self.parameters().iter().map(Parameter::count).sum()
    }

    /// Multiplications with addition for one image, convolutions and fully connected layers only, as the paper counts them (Table 1).
    pub fn multiply_adds(&self) -> i64 {
        let kernel = match self.kind {
            LayerKind::Convolution { kernel, .. } => kernel,
            LayerKind::FullyConnected => 1,
        };
        self.inputs * self.outputs * kernel * kernel * self.output_side * self.output_side
    }
}

impl Architecture {
    /// The weighted layers in forward order: the stem, two a block, the fully connected one.
    pub fn layers(&self) -> Vec<Layer> {
        let convolution = |name: String, inputs, outputs, stride, output_side| Layer {
            name,
            kind: LayerKind::Convolution { kernel: 3, stride },
            inputs,
            outputs,
            output_side,
        };
        let mut side = self.image_side;
        let mut channels = self.stem_filters;
        let mut layers = vec![convolution("conv1".into(), 3, channels, 1, side)];
        for (stage_index, stage) in self.stages.iter().enumerate() {
            side /= stage.stride;
            for block in 0..stage.blocks {
                let stride = if block == 0 { stage.stride } else { 1 };
                let name = |position: u32| format!("layer{}.{block}.conv{position}", stage_index + 1);
                layers.push(convolution(name(1), channels, stage.filters, stride, side));
                layers.push(convolution(name(2), stage.filters, stage.filters, 1, side));
                channels = stage.filters;
            }
        }
        layers.push(Layer { name: "fc".into(), kind: LayerKind::FullyConnected, inputs: channels, outputs: self.classes, output_side: 1 });
        layers
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
        for depth in [8, 20, 56, 110] {
            assert_eq!(cifar::architecture(NetworkName::plain(depth), 10).layers().len() as u64, depth);
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
