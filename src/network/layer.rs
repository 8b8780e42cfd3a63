//! Weighted layers and their parameters.

use std::fmt;

/// A weighted layer. Every convolution but a gate's is followed by batch normalisation and has no bias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// torchvision's name: `conv1`, `layer1.0.conv2`, `layer2.0.downsample.0`, `fc`.
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

/// The kinds of weighted layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerKind {
    /// A square convolution with zero padding that keeps the map size at stride 1.
    Convolution {
        /// Side of the kernel.
        kernel: i64,
        /// Step between output pixels.
        stride: i64,
    },
    /// A 1×1 convolution on a shortcut. Not counted as a layer, as in the paper.
    Projection {
        /// Step between output pixels.
        stride: i64,
    },
    /// A highway layer's gate: a 3×3 convolution with bias and without normalisation. It belongs to its layer and is not counted.
    Gate,
    /// A fully connected layer with bias.
    FullyConnected,
}

impl LayerKind {
    /// Whether it counts towards a network's depth.
    pub fn counts(self) -> bool {
        matches!(self, LayerKind::Convolution { .. } | LayerKind::FullyConnected)
    }

    /// Side of the kernel.
    fn kernel(self) -> i64 {
        match self {
            LayerKind::Convolution { kernel, .. } => kernel,
            LayerKind::Gate => 3,
            LayerKind::Projection { .. } | LayerKind::FullyConnected => 1,
        }
    }
}

impl fmt::Display for LayerKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LayerKind::Convolution { kernel, stride: 1 } => write!(formatter, "{kernel}×{kernel} convolution"),
            LayerKind::Convolution { kernel, stride } => write!(formatter, "{kernel}×{kernel} convolution, stride {stride}"),
            LayerKind::Projection { stride } => write!(formatter, "1×1 convolution on the shortcut, stride {stride}"),
            LayerKind::Gate => formatter.write_str("3×3 convolution with bias, the gate"),
            LayerKind::FullyConnected => formatter.write_str("fully connected"),
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
    /// A gate's bias, negative at the start, so that a highway layer first carries its input on.
    GateBias,
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
    /// Name of the batch normalisation that follows a convolution: `layer1.0.bn2` for `layer1.0.conv2`, `downsample.1` for `downsample.0`.
    pub fn norm_name(&self) -> String {
        match self.name.strip_suffix("downsample.0") {
            Some(block) => format!("{block}downsample.1"),
            None => self.name.replace("conv", "bn"),
        }
    }

    /// The layer's parameters, batch normalisation's included, in torchvision's order.
    pub fn parameters(&self) -> Vec<Parameter> {
        let parameter = |name: String, shape: Vec<i64>, kind| Parameter { name, shape, kind };
        let kernel = self.kind.kernel();
        let weight =
            |shape: Vec<i64>| parameter(format!("{}.weight", self.name), shape, ParameterKind::Weight { fan_in: self.inputs * kernel * kernel });
        let bias = |name: String, kind| parameter(format!("{name}.bias"), vec![self.outputs], kind);
        match self.kind {
            LayerKind::Convolution { .. } | LayerKind::Projection { .. } => vec![
                weight(vec![self.outputs, self.inputs, kernel, kernel]),
                parameter(format!("{}.weight", self.norm_name()), vec![self.outputs], ParameterKind::Scale),
                bias(self.norm_name(), ParameterKind::Shift),
            ],
            LayerKind::Gate => {
                vec![weight(vec![self.outputs, self.inputs, kernel, kernel]), bias(self.name.clone(), ParameterKind::GateBias)]
            }
            LayerKind::FullyConnected => vec![weight(vec![self.outputs, self.inputs]), bias(self.name.clone(), ParameterKind::Shift)],
        }
    }

    /// Number of parameters.
    pub fn parameter_count(&self) -> i64 {
        self.parameters().iter().map(Parameter::count).sum()
    }

    /// Multiplications with addition for one image, convolutions and fully connected layers only, as the paper counts them (Table 1).
    pub fn multiply_adds(&self) -> i64 {
        let kernel = self.kind.kernel();
        self.inputs * self.outputs * kernel * kernel * self.output_side * self.output_side
    }
}
