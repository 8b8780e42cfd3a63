//! Stochastic gradient descent with momentum, on the flat parameter vector.

use anyhow::Result;
use tch::Tensor;

use crate::kernels::launch::Launch;
use crate::kernels::list::{THREADS, UPDATE};
use crate::kernels::parameters::{Address, Update};

/// SGD with momentum and weight decay, as the paper's Caffe and PyTorch have it but for where the
/// learning rate stands: here, as in PyTorch, it scales the momentum_buffer at the update.
pub struct Optimizer {
    momentum: f64,
    weight_decay: f64,
    /// float32, [parameters].
    momentum_buffer: Tensor,
    /// Takes the project's own kernel, which does the same to the last bit.
    launcher: Option<&'static dyn Launch>,
}

/// Most blocks of the own kernel: each thread has some of the parameters.
const BLOCKS: u32 = 1024;

impl Optimizer {
    /// An optimiser at rest for `parameters`.
    pub fn new(parameters: &Tensor, momentum: f64, weight_decay: f64) -> Optimizer {
        Optimizer {
            momentum,
            weight_decay,
            momentum_buffer: parameters.detach().zeros_like(),
            launcher: None,
        }
    }

    /// Has the project's own kernel make the updates.
    pub fn use_kernels(&mut self, launcher: &'static dyn Launch) {
        self.launcher = Some(launcher);
    }

    /// One update, in place: g += decay·θ; v = momentum·v + g; θ -= rate·v. Every parameter decays,
    /// as in the paper. The learning rate is a float32 scalar on the device, so that a captured
    /// step can be repeated with another.
    ///
    /// # Errors
    /// If the own kernel cannot be launched.
    pub fn step(
        &mut self,
        parameters: &Tensor,
        gradient: &Tensor,
        learning_rate: &Tensor,
    ) -> Result<()> {
        match self.launcher {
            Some(launcher) => self.launch(launcher, parameters, gradient, learning_rate),
            None => {
                self.separately(parameters, gradient, learning_rate);
                Ok(())
            }
        }
    }

    fn launch(
        &self,
        launcher: &dyn Launch,
        parameters: &Tensor,
        gradient: &Tensor,
        learning_rate: &Tensor,
    ) -> Result<()> {
        let count = parameters.size()[0];
        let parameter = Update {
            parameters: Address::of(parameters),
            momentum_buffer: Address::of(&self.momentum_buffer),
            gradient: Address::of(gradient),
            learning_rate: Address::of(learning_rate),
            count,
            momentum: self.momentum as f32,
            weight_decay: self.weight_decay as f32,
        };
        let blocks = (count as u32).div_ceil(THREADS).clamp(1, BLOCKS);
        // SAFETY: all four are float32 vectors on the launcher's device, which the caller holds.
        unsafe { launcher.launch(&UPDATE, (blocks, 1), &parameter) }
    }

    fn separately(&mut self, parameters: &Tensor, gradient: &Tensor, learning_rate: &Tensor) {
        tch::no_grad(|| {
            let decayed = gradient + parameters * self.weight_decay;
            let _ = self.momentum_buffer.g_mul_scalar_(self.momentum);
            let _ = self.momentum_buffer.g_add_(&decayed);
            let _ = parameters.shallow_clone().g_sub_(&(&self.momentum_buffer * learning_rate));
        });
    }

    /// The momentum_buffer (momentum buffer): float32, [parameters].
    pub fn momentum_buffer(&self) -> &Tensor {
        &self.momentum_buffer
    }

    /// Overwrites the momentum_buffer from a checkpoint.
    pub fn restore(&mut self, momentum_buffer: &Tensor) {
        self.momentum_buffer.copy_(momentum_buffer);
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;
    use crate::kernels::launcher::launcher;

    #[test]
    fn two_updates_equal_a_computation_by_hand() {
        let parameters = Tensor::from_slice(&[1.0f32, -2.0]);
        let mut optimizer = Optimizer::new(&parameters, 0.9, 0.1);
        let gradient = Tensor::from_slice(&[0.5f32, 0.25]);
        optimizer.step(&parameters, &gradient, &Tensor::from(0.1f32)).unwrap();
        // v = (0.5 + 0.1, 0.25 - 0.2) = (0.6, 0.05); θ = (0.94, -2.005)
        optimizer.step(&parameters, &gradient, &Tensor::from(0.01f32)).unwrap();
        // v = 0.9·(0.6, 0.05) + (0.5 + 0.094, 0.25 - 0.2005) = (1.134, 0.0945); θ = (0.92866,
        // -2.005945)
        let found = Vec::<f32>::try_from(&parameters).unwrap();
        assert!(
            (found[0] - 0.92866).abs() < 1e-6 && (found[1] + 2.005945).abs() < 1e-6,
            "{found:?}"
        );
    }
    #[test]
    fn the_own_kernel_makes_the_same_updates_to_the_last_bit() {
        let values = |seed: i64| {
            tch::manual_seed(seed);
            Tensor::randn([3000], (Kind::Float, Device::Cpu))
        };
        let trained = |own: bool| {
            let parameters = values(1);
            let mut optimizer = Optimizer::new(&parameters, 0.9, 1e-4);
            if own {
                optimizer.use_kernels(launcher(Device::Cpu).unwrap());
            }
            for iteration in 0..3 {
                let rate = Tensor::from(0.1f32 / (iteration + 1) as f32);
                optimizer.step(&parameters, &values(2 + iteration), &rate).unwrap();
            }
            (parameters, optimizer.momentum_buffer)
        };
        let (own, separate) = (trained(true), trained(false));
        assert!(own.0.equal(&separate.0) && own.1.equal(&separate.1));
    }
}
