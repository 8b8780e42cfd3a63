//! A network's numbers: all parameters in one flat vector, all batch normalisation statistics in
//! another.
//!
//! One leaf means that the gradient arrives as one vector, that an update is a few operations
//! whatever the depth, and that a checkpoint is three tensors. A convolution's weights lie as
//! outputs, height, width, inputs, so that their view in torch's order is channels-last without a
//! copy, which is the fast layout.

use tch::{Device, Kind, Tensor};

use crate::config::kernels::Kernels;
use crate::config::precision::Precision;
use crate::network::architecture::highway::GATE_BIAS;
use crate::network::architecture::layer::{Layer, Parameter, ParameterKind};
use crate::network::architecture::table::Architecture;
use crate::network::forward::fused;
use crate::random::{Purpose, Stream};

/// A network on a device.
pub struct Network {
    pub(crate) architecture: Architecture,
    /// Every parameter: float32, [parameters], requires a gradient.
    pub(crate) parameters: Tensor,
    /// Running mean and variance of every batch normalisation: float32, [2 × normalised channels].
    pub(crate) running_stats: Tensor,
    /// The batch normalisations, in layer order.
    pub(crate) norms: Vec<NormState>,
    /// Name, shape and kind of each parameter, in the order of the vector.
    pub(crate) layout: Vec<Parameter>,
    /// Where each layer's numbers are, in layer order.
    pub(crate) slots: Vec<LayerSlot>,
    /// Layers of the main path; those aside of it follow.
    pub(crate) main_layers: usize,
    pub(crate) compute: Compute,
}

/// Where a layer's numbers are: positions in the list of parameters and in that of batch
/// normalisations.
pub(crate) struct LayerSlot {
    /// torchvision's name.
    pub name: String,
    /// Position of its weights.
    pub weight: usize,
    /// Position of its bias, if any.
    pub bias: Option<usize>,
    norm: Option<NormSlot>,
}

/// The same of its batch normalisation.
#[derive(Clone, Copy)]
pub(crate) struct NormSlot {
    /// Position of its scale, which its shift follows.
    pub scale: usize,
    /// Position among the batch normalisations.
    pub state: usize,
}

impl LayerSlot {
    /// The slots of `layers`, in their order.
    fn all(layers: &[Layer]) -> Vec<LayerSlot> {
        let (mut parameter, mut state) = (0, 0);
        let slot = |layer: &Layer| {
            // Weights, scale, shift, bias: the order of `Layer::parameters`.
            let weight = parameter;
            parameter += layer.parameters().len();
            let norm = layer.norm.is_some().then_some(NormSlot { scale: weight + 1, state });
            state += usize::from(norm.is_some());
            let bias = layer.bias.then_some(parameter - 1);
            LayerSlot { name: layer.name.clone(), weight, bias, norm }
        };
        layers.iter().map(slot).collect()
    }

    /// Position of its bias; a panic where a walk takes a layer without one for one that has it.
    pub fn bias(&self) -> usize {
        self.bias.unwrap_or_else(|| panic!("{} has no bias", self.name))
    }

    /// Its batch normalisation; a panic where a walk takes a layer without one for one that has it.
    pub fn norm(&self) -> NormSlot {
        self.norm.unwrap_or_else(|| panic!("{} has no batch normalisation", self.name))
    }
}

/// What a batch normalisation has beside its parameters.
pub(crate) struct NormState {
    /// Running mean, [channels]: a view of the flat vector.
    pub mean: Tensor,
    /// Running variance, the same.
    pub variance: Tensor,
    /// Epsilon.
    pub epsilon: f64,
}

/// How a network is computed: precision, and what affects results in their last bits at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compute {
    /// Precision of activations and convolutions.
    pub precision: Precision,
    /// Whether what can be is one operation: on a CPU normalisation, addition and ReLU, by own
    /// kernels a 1×1 convolution with the normalisation before it.
    pub fused: bool,
    /// Whose kernels it is computed with on a GPU; on a CPU, own ones run on the emulator.
    pub kernels: Kernels,
    /// Parts whose activations are recomputed in the backward pass; 1 keeps all.
    pub segments: usize,
}

impl Default for Compute {
    fn default() -> Compute {
        Compute { precision: Precision::F32, fused: true, kernels: Kernels::Libtorch, segments: 1 }
    }
}

impl Compute {
    /// The kind of feature maps.
    pub fn kind(self) -> Kind {
        if self.precision == Precision::Bf16 { Kind::BFloat16 } else { Kind::Float }
    }
}

impl Network {
    /// A network with He initialisation: weights normal with variance 2 / fan-in (section 3.4,
    /// reference 13), scales 1, shifts and biases 0, running means 0 and variances 1. Twins of one
    /// depth and seed start with the same weights.
    pub fn new(architecture: Architecture, seed: u64, device: Device) -> Network {
        // libtorch's own default lets a GPU's float32 convolutions round to TF32.
        fused::settings(true, false);
        let layers = architecture.layers();
        let layout: Vec<Parameter> = layers.iter().flat_map(Layer::parameters).collect();
        let values: Vec<f32> = layout
            .iter()
            .enumerate()
            .flat_map(|(position, parameter)| {
                initial_values(
                    parameter,
                    &mut Stream::new(seed, Purpose::Initialisation, position as u64),
                )
            })
            .collect();
        let parameters = Tensor::from_slice(&values).to_device(device).set_requires_grad(true);

        let normalised: Vec<(i64, f64)> = layers
            .iter()
            .filter_map(|layer| layer.norm.as_ref())
            .map(|norm| (norm.channels, norm.epsilon))
            .collect();
        let initial: Vec<f32> = normalised
            .iter()
            .flat_map(|&(channels, _)| {
                [0.0, 1.0]
                    .into_iter()
                    .flat_map(move |value| std::iter::repeat_n(value, channels as usize))
            })
            .collect();
        let running_stats = Tensor::from_slice(&initial).to_device(device);
        let mut start = 0;
        let norms = normalised
            .iter()
            .map(|&(channels, epsilon)| {
                let mean = running_stats.narrow(0, start, channels);
                let variance = running_stats.narrow(0, start + channels, channels);
                start += 2 * channels;
                NormState { mean, variance, epsilon }
            })
            .collect();
        let main_layers = layers.iter().take_while(|layer| !layer.is_aside()).count();
        Network {
            architecture,
            parameters,
            running_stats,
            norms,
            layout,
            slots: LayerSlot::all(&layers),
            main_layers,
            compute: Compute::default(),
        }
    }

    /// The same network, computed in another way.
    pub fn with_compute(self, compute: Compute) -> Network {
        fused::settings(true, compute.precision == Precision::Tf32);
        Network { compute, ..self }
    }

    /// The architecture.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// The flat parameter vector: float32, [parameters], the leaf that gradients are taken of.
    pub fn parameters(&self) -> &Tensor {
        &self.parameters
    }

    /// The flat vector of running statistics: float32.
    pub fn running_stats(&self) -> &Tensor {
        &self.running_stats
    }

    /// The device that the network is on.
    pub fn device(&self) -> Device {
        self.parameters.device()
    }

    /// Views of `flat` (parameters, or a gradient of it), one a parameter, in torch's shapes.
    /// Convolution weights are channels-last.
    pub fn views_of(&self, flat: &Tensor) -> Vec<Tensor> {
        let counts: Vec<i64> = self.layout.iter().map(Parameter::count).collect();
        flat.split_with_sizes(&counts, 0)
            .iter()
            .zip(&self.layout)
            .map(|(values, parameter)| match parameter.shape[..] {
                [outputs, inputs, height, width] => {
                    values.view([outputs, height, width, inputs]).permute([0, 3, 1, 2])
                }
                _ => values.view(&parameter.shape[..]),
            })
            .collect()
    }

    /// Every parameter and running statistic under torchvision's names, as contiguous float32
    /// tensors on the CPU.
    pub fn named_tensors(&self) -> Vec<(String, Tensor)> {
        self.named_views()
            .into_iter()
            .map(|(name, view)| (name, view.contiguous().to_device(Device::Cpu)))
            .collect()
    }

    /// Views under torchvision's names; writing to one writes to the network. Not tracked by
    /// autograd.
    pub(crate) fn named_views(&self) -> Vec<(String, Tensor)> {
        let views = self.views_of(&self.parameters.detach());
        let mut named: Vec<(String, Tensor)> =
            self.layout.iter().map(|parameter| parameter.name.clone()).zip(views).collect();
        let norms = self.layout.iter().filter(|parameter| parameter.kind == ParameterKind::Scale);
        for (scale, state) in norms.zip(&self.norms) {
            let norm = scale.name.trim_end_matches(".weight");
            named.push((format!("{norm}.running_mean"), state.mean.shallow_clone()));
            named.push((format!("{norm}.running_var"), state.variance.shallow_clone()));
        }
        named
    }

    /// Overwrites both flat vectors with values of the same length, from a checkpoint.
    pub fn restore(&mut self, parameters: &Tensor, running_stats: &Tensor) {
        tch::no_grad(|| {
            self.parameters.copy_(parameters);
            self.running_stats.copy_(running_stats);
        });
    }

    /// Makes the running statistics what they were `before` the batch, and then those of its groups
    /// [groups × statistics], one after the other, added to them. Not tracked by autograd.
    pub fn average_statistics(&self, before: &Tensor, groups: &Tensor) {
        tch::no_grad(|| {
            let mut running = before.copy();
            for group in groups.view([-1, before.size()[0]]).unbind(0) {
                let _ = running.g_mul_scalar_(1.0 - fused::MOMENTUM);
                let _ = running.g_add_(&(group * fused::MOMENTUM));
            }
            self.running_stats.shallow_clone().copy_(&running);
        });
    }

    /// Whether every parameter and statistic is a finite number. Waits for the device.
    pub fn is_finite(&self) -> bool {
        let finite = |tensor: &Tensor| {
            tensor.detach().isfinite().all().to_kind(Kind::Int64).int64_value(&[]) == 1
        };
        finite(&self.parameters) && finite(&self.running_stats)
    }
}

/// A parameter's initial values in the order in which they lie in the flat vector.
fn initial_values(parameter: &Parameter, stream: &mut Stream) -> Vec<f32> {
    let count = parameter.count() as usize;
    match parameter.kind {
        ParameterKind::Weight { fan_in } => {
            let deviation = (2.0 / fan_in as f64).sqrt();
            (0..count).map(|_| (deviation * stream.normal()) as f32).collect()
        }
        ParameterKind::Scale => vec![1.0; count],
        ParameterKind::Shift => vec![0.0; count],
        ParameterKind::GateBias => vec![GATE_BIAS; count],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::network_name::NetworkName;
    use crate::network::architecture::cifar;

    #[test]
    fn twins_of_one_seed_start_with_the_same_weights_and_another_seed_with_others() {
        let parameters = |name, seed| {
            Vec::<f32>::try_from(
                &Network::new(cifar::architecture(name, 10).unwrap(), seed, Device::Cpu)
                    .parameters
                    .detach(),
            )
            .unwrap()
        };
        assert_eq!(parameters(NetworkName::plain(8), 0), parameters(NetworkName::residual(8), 0));
        assert_ne!(parameters(NetworkName::plain(8), 0), parameters(NetworkName::plain(8), 1));
    }

    #[test]
    fn weights_have_the_variance_2_over_fan_in_and_scales_are_1() {
        let network =
            Network::new(cifar::architecture(NetworkName::plain(20), 10).unwrap(), 0, Device::Cpu);
        for (name, tensor) in network.named_tensors() {
            match tensor.size()[..] {
                [_, inputs, height, width] if inputs > 3 => {
                    let variance =
                        tensor.var(false).double_value(&[]) * (inputs * height * width) as f64;
                    assert!((variance - 2.0).abs() < 0.3, "{name}: {variance} / fan-in");
                }
                [_] if name.contains("bn") && name.ends_with(".weight") => {
                    assert_eq!(tensor.min().double_value(&[]), 1.0, "{name}");
                    assert_eq!(tensor.max().double_value(&[]), 1.0, "{name}");
                }
                _ => {}
            }
        }
    }
}
