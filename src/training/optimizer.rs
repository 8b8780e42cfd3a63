//! Stochastic gradient descent with momentum, on the flat parameter vector.

use tch::Tensor;

/// SGD with momentum and weight decay, as the paper's Caffe and PyTorch have it but for where the
/// learning rate stands: here, as in PyTorch, it scales the momentum_buffer at the update.
pub struct Optimizer {
    momentum: f64,
    weight_decay: f64,
    /// float32, [parameters].
    momentum_buffer: Tensor,
}

impl Optimizer {
    /// An optimiser at rest for `parameters`.
    pub fn new(parameters: &Tensor, momentum: f64, weight_decay: f64) -> Optimizer {
        Optimizer { momentum, weight_decay, momentum_buffer: parameters.detach().zeros_like() }
    }

    /// One update, in place: g += decay·θ; v = momentum·v + g; θ -= rate·v. Every parameter decays,
    /// as in the paper. The learning rate is a float32 scalar on the device, so that a captured
    /// step can be repeated with another.
    pub fn step(&mut self, parameters: &Tensor, gradient: &Tensor, learning_rate: &Tensor) {
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
    use super::*;

    #[test]
    fn two_updates_equal_a_computation_by_hand() {
        let parameters = Tensor::from_slice(&[1.0f32, -2.0]);
        let mut optimizer = Optimizer::new(&parameters, 0.9, 0.1);
        optimizer.step(&parameters, &Tensor::from_slice(&[0.5f32, 0.25]), &Tensor::from(0.1f32));
        // v = (0.5 + 0.1, 0.25 - 0.2) = (0.6, 0.05); θ = (0.94, -2.005)
        optimizer.step(&parameters, &Tensor::from_slice(&[0.5f32, 0.25]), &Tensor::from(0.01f32));
        // v = 0.9·(0.6, 0.05) + (0.5 + 0.094, 0.25 - 0.2005) = (1.134, 0.0945); θ = (0.92866,
        // -2.005945)
        let found = Vec::<f32>::try_from(&parameters).unwrap();
        assert!(
            (found[0] - 0.92866).abs() < 1e-6 && (found[1] + 2.005945).abs() < 1e-6,
            "{found:?}"
        );
    }
}
