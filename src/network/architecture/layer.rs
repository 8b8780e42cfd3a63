//! Weighted layers and their parameters.

use std::fmt;

/// Batch normalisation's epsilon (PyTorch's default).
pub const EPSILON: f64 = 1e-5;

/// A weighted layer.
#[derive(Debug, Clone, PartialEq)]
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
    /// Its batch normalisation, if it has one.
    pub norm: Option<BatchNorm>,
    /// Whether it adds a bias to each output.
    pub bias: bool,
    /// Where it stands: on the way from the image to the class scores, or aside of it.
    pub role: LayerRole,
}

/// The batch normalisation of a layer.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchNorm {
    /// torchvision's name: `bn1`, `layer1.0.bn2`, `layer2.0.downsample.1`.
    pub name: String,
    /// Whether it stands before the layer or after it.
    pub place: NormPlace,
    /// Channels of the maps that it normalises.
    pub channels: i64,
    /// Side of these maps in pixels.
    pub side: i64,
    /// Added to the variance.
    pub epsilon: f64,
}

/// Where a batch normalisation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormPlace {
    /// On the layer's input, with ReLU (He et al. 2016, pre-activation).
    Before,
    /// On the layer's output (He et al. 2015).
    After,
}

/// Where a layer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerRole {
    /// On the way from the image to the class scores.
    Main,
    /// On a shortcut.
    Projection,
    /// In an auxiliary classifier, which a test does not use.
    Auxiliary,
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
    /// A highway layer's gate: a 3×3 convolution with bias and without normalisation. It belongs to
    /// its layer and is not counted.
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
            LayerKind::Convolution { kernel, stride: 1 } => {
                write!(formatter, "{kernel}×{kernel} convolution")
            }
            LayerKind::Convolution { kernel, stride } => {
                write!(formatter, "{kernel}×{kernel} convolution, stride {stride}")
            }
            LayerKind::Projection { stride } => {
                write!(formatter, "1×1 convolution on the shortcut, stride {stride}")
            }
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
    /// A convolution without bias, followed by batch normalisation.
    pub(crate) fn convolution(
        name: &str,
        kernel: i64,
        stride: i64,
        inputs: i64,
        outputs: i64,
        output_side: i64,
    ) -> Layer {
        let kind = LayerKind::Convolution { kernel, stride };
        Layer {
            name: name.into(),
            kind,
            inputs,
            outputs,
            output_side,
            norm: Some(BatchNorm {
                name: norm_name(name),
                place: NormPlace::After,
                channels: outputs,
                side: output_side,
                epsilon: EPSILON,
            }),
            bias: false,
            role: LayerRole::Main,
        }
    }

    /// A 3×3 convolution with bias and nothing after it.
    pub(crate) fn biased_convolution(
        name: &str,
        inputs: i64,
        outputs: i64,
        output_side: i64,
    ) -> Layer {
        Layer {
            norm: None,
            bias: true,
            ..Layer::convolution(name, 3, 1, inputs, outputs, output_side)
        }
    }

    /// A fully connected layer.
    pub(crate) fn fully_connected(name: &str, inputs: i64, outputs: i64) -> Layer {
        Layer {
            name: name.into(),
            kind: LayerKind::FullyConnected,
            inputs,
            outputs,
            output_side: 1,
            norm: None,
            bias: true,
            role: LayerRole::Main,
        }
    }

    /// The same layer with a batch normalisation called `norm` before it, of maps of `side` pixels,
    /// and none after it.
    pub(crate) fn preactivated(self, norm: String, side: i64) -> Layer {
        let norm = BatchNorm {
            name: norm,
            place: NormPlace::Before,
            channels: self.inputs,
            side,
            epsilon: EPSILON,
        };
        Layer { norm: Some(norm), ..self }
    }

    /// Whether it is aside of the way from the image to the class scores: on a shortcut, or in an
    /// auxiliary classifier.
    pub(crate) fn is_aside(&self) -> bool {
        self.role != LayerRole::Main
    }

    /// The layer's parameters in their order: weights, batch normalisation's scale and shift, bias.
    pub fn parameters(&self) -> Vec<Parameter> {
        let parameter = |name: String, shape: Vec<i64>, kind| Parameter { name, shape, kind };
        let kernel = self.kind.kernel();
        let weight = |shape: Vec<i64>| {
            parameter(
                format!("{}.weight", self.name),
                shape,
                ParameterKind::Weight { fan_in: self.inputs * kernel * kernel },
            )
        };
        let mut parameters = vec![match self.kind {
            LayerKind::FullyConnected => weight(vec![self.outputs, self.inputs]),
            _ => weight(vec![self.outputs, self.inputs, kernel, kernel]),
        }];
        if let Some(norm) = &self.norm {
            let of_norm = |ending: &str, kind| {
                parameter(format!("{}.{ending}", norm.name), vec![norm.channels], kind)
            };
            parameters.push(of_norm("weight", ParameterKind::Scale));
            parameters.push(of_norm("bias", ParameterKind::Shift));
        }
        if self.bias {
            let kind = match self.kind {
                LayerKind::Gate => ParameterKind::GateBias,
                _ => ParameterKind::Shift,
            };
            parameters.push(parameter(format!("{}.bias", self.name), vec![self.outputs], kind));
        }
        parameters
    }

    /// Number of parameters.
    pub fn parameter_count(&self) -> i64 {
        self.parameters().iter().map(Parameter::count).sum()
    }

    /// Multiplications with addition for one image, convolutions and fully connected layers only,
    /// as the paper counts them (Table 1).
    pub fn multiply_adds(&self) -> i64 {
        let kernel = self.kind.kernel();
        self.inputs * self.outputs * kernel * kernel * self.output_side * self.output_side
    }
}

/// Name of the batch normalisation that follows a convolution: `layer1.0.bn2` for
/// `layer1.0.conv2`, `conv1.bn` for `conv1.conv`, `downsample.1` for `downsample.0`.
fn norm_name(layer: &str) -> String {
    if let Some(block) = layer.strip_suffix("downsample.0") {
        return format!("{block}downsample.1");
    }
    match layer.rsplit_once('.') {
        Some((module, layer)) => format!("{module}.{}", layer.replace("conv", "bn")),
        None => layer.replace("conv", "bn"),
    }
}
