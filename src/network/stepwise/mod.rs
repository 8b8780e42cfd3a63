//! A training step of CIFAR's plain and residual nets as the project's own kernels, without
//! autograd.
//!
//! Each convolution reads what the layer before left, normalises it, adds the shortcut and applies
//! ReLU on the way, and sums up what its own normalisation needs while it writes; the backward pass
//! does the same the other way round. The memory of all maps is planned once. Nets, batches, groups
//! and updates are the others': this stands in for autograd in [`Network::gradient`] only.

mod backward;
#[cfg(test)]
mod convolution;
mod forward;
mod memory;
mod plan;
#[cfg(test)]
mod tests;
mod traffic;

use anyhow::{Result, ensure};
use tch::{Device, Kind, Tensor};

use crate::kernels::launch::Launch;
use crate::kernels::parameters::{Activation, Address, NormState, Shortcut};
use crate::network::forward::fused::MOMENTUM;
use crate::network::forward::gradient::Gradient;
use crate::network::forward::pass::Mode;
use crate::network::parameters::Network;
use crate::network::stepwise::memory::Memory;
use crate::network::stepwise::plan::Plan;

/// The steps of one network on batches of one size.
pub struct Stepwise {
    plan: Plan,
    memory: Memory,
    images: i64,
    launcher: &'static dyn Launch,
}

/// One step: what it reads and writes beside the planned memory.
struct Step<'a> {
    network: &'a Network,
    plan: &'a Plan,
    memory: &'a Memory,
    launcher: &'a dyn Launch,
    images_count: i32,
    /// Weight of the batch in the running statistics.
    momentum: f64,
    /// float32, [images, 32, 32, 3].
    images: Tensor,
    /// int64, [images].
    labels: Tensor,
    /// All parameters, bfloat16.
    half: Tensor,
    /// The flat gradient: float32, [parameters].
    gradient: Tensor,
    /// float32, [images, classes].
    logits: Tensor,
    /// The mean loss, and how many images are wrong: float32, [2].
    loss: Tensor,
}

impl Stepwise {
    /// Plans the steps of `network` on batches of `images` images.
    ///
    /// # Errors
    /// One line, if the kernels cannot do this network.
    pub fn new(
        network: &Network,
        images: i64,
        launcher: &'static dyn Launch,
    ) -> Result<Stepwise, String> {
        let plan = Plan::of(network)?;
        let memory = Memory::new(&plan, images, network.device());
        Ok(Stepwise { plan, memory, images, launcher })
    }

    /// Loss, logits and gradient of a batch, and the running statistics after it. Does not wait for
    /// a GPU.
    ///
    /// # Errors
    /// If a kernel cannot be launched.
    pub fn gradient(
        &self,
        network: &Network,
        mode: Mode,
        images: &Tensor,
        labels: &Tensor,
    ) -> Result<Gradient> {
        let expected = [self.images, 3, 32, 32];
        ensure!(
            images.size() == expected && images.kind() == Kind::Float,
            "own kernels: images are {:?}, not {expected:?} of float32",
            images.size()
        );
        ensure!(
            labels.size() == [self.images] && labels.kind() == Kind::Int64,
            "own kernels: labels"
        );
        let float = |shape: &[i64], device: Device| Tensor::empty(shape, (Kind::Float, device));
        let (device, classes) = (network.device(), network.architecture().classes);
        let parameters = network.parameters().detach();
        let step = Step {
            network,
            plan: &self.plan,
            memory: &self.memory,
            launcher: self.launcher,
            images_count: self.images as i32,
            momentum: if mode == Mode::Group { 1.0 } else { MOMENTUM },
            images: images.permute([0, 2, 3, 1]).contiguous(),
            labels: labels.contiguous(),
            half: parameters.to_kind(Kind::BFloat16),
            gradient: float(&[parameters.size()[0]], device),
            logits: float(&[self.images, classes], device),
            loss: float(&[2], device),
        };
        step.forward()?;
        step.backward()?;
        let Step { gradient, logits, loss, .. } = step;
        let (loss, wrong) = (loss.get(0), Some(loss.get(1)));
        Ok(Gradient { loss, logits, wrong, parameters: gradient })
    }
}

impl Stepwise {
    /// All that a step's kernels leave for each other.
    pub fn memory(&self) -> Vec<Tensor> {
        self.memory.all()
    }
}

impl Step<'_> {
    /// The batch normalisation of layer `index`.
    fn norm(&self, index: usize) -> NormState {
        let (layer, memory) = (&self.plan.layers[index], self.memory);
        let parameters = Address::of(self.network.parameters());
        let gradient = Address::of(&self.gradient);
        let at = |offset: i64| offset as usize * size_of::<f32>();
        let state = &self.network.norms[layer.norm];
        let [mean, inverse, factor, slope, offset] = memory.statistics(index);
        NormState {
            gamma: parameters.plus(at(layer.gamma)),
            beta: parameters.plus(at(layer.gamma + layer.outputs)),
            mean,
            inverse,
            factor,
            running_mean: Address::of(&state.mean),
            running_variance: Address::of(&state.variance),
            slope,
            offset,
            d_gamma: gradient.plus(at(layer.gamma)),
            d_beta: gradient.plus(at(layer.gamma + layer.outputs)),
            partial: Address::of(&memory.partial),
            counter: Address::of(&memory.counter),
            rows: self.images_count * (layer.side * layer.side) as i32,
            channels: layer.outputs as i32,
            momentum: self.momentum as f32,
            epsilon: state.epsilon as f32,
        }
    }

    /// The output of layer `index`, made of its convolution's while it is read; `made`: whether it
    /// is kept where something later takes it.
    fn activation(&self, index: usize, made: bool) -> Activation {
        let norm = self.norm(index);
        let shortcut = self.plan.layers[index].shortcut.map(|from| Shortcut {
            maps: self.memory.kept(from.layer),
            widens: i32::from(from.widens),
        });
        Activation {
            maps: Address::of(&self.memory.outputs[index]),
            mean: norm.mean,
            factor: norm.factor,
            beta: norm.beta,
            shortcut: shortcut.unwrap_or_default(),
            made: if made { self.memory.kept(index) } else { Address::default() },
        }
    }
}
