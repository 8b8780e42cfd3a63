//! Stochastic gradient descent with momentum, on the flat parameter vector.

use tch::Tensor;

/// SGD with momentum and weight decay, as the paper's Caffe and PyTorch have it but for where the learning rate stands: here, as in
/// PyTorch, it scales the velocity at the update.
pub struct Optimizer {
    momentum: f64,
    weight_decay: f64,
    /// float32, [parameters].
    velocity: Tensor,
}

impl Optimizer {
    /// An optimiser at rest for `theta`.
    pub fn new(theta: &Tensor, momentum: f64, weight_decay: f64) -> Optimizer {
        Optimizer { momentum, weight_decay, velocity: theta.detach().zeros_like() }
    }

    /// One update, in place: g += decay·θ; v = momentum·v + g; θ -= rate·v. Every parameter decays, as in the paper. The learning rate is a
    /// float32 scalar on the device, so that a captured step can be repeated with another.
    pub fn step(&mut self, theta: &Tensor, gradient: &Tensor, learning_rate: &Tensor) {
        tch::no_grad(|| {
            let decayed = gradient + theta * self.weight_decay;
            let _ = self.velocity.g_mul_scalar_(self.momentum);
            let _ = self.velocity.g_add_(&decayed);
            let _ = theta.shallow_clone().g_sub_(&(&self.velocity * learning_rate));
        });
    }

    /// The velocity (momentum buffer): float32, [parameters].
    pub fn velocity(&self) -> &Tensor {
        &self.velocity
    }

    /// Overwrites the velocity from a checkpoint.
    pub fn restore(&mut self, velocity: &Tensor) {
        self.velocity.copy_(velocity);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_updates_equal_a_computation_by_hand() {
        let theta = Tensor::from_slice(&[1.0f32, -2.0]);
        let mut optimizer = Optimizer::new(&theta, 0.9, 0.1);
        optimizer.step(&theta, &Tensor::from_slice(&[0.5f32, 0.25]), &Tensor::from(0.1f32));
        // v = (0.5 + 0.1, 0.25 - 0.2) = (0.6, 0.05); θ = (0.94, -2.005)
        optimizer.step(&theta, &Tensor::from_slice(&[0.5f32, 0.25]), &Tensor::from(0.01f32));
        // v = 0.9·(0.6, 0.05) + (0.5 + 0.094, 0.25 - 0.2005) = (1.134, 0.0945); θ = (0.92866, -2.005945)
        let found = Vec::<f32>::try_from(&theta).unwrap();
        assert!((found[0] - 0.92866).abs() < 1e-6 && (found[1] + 2.005945).abs() < 1e-6, "{found:?}");
    }
}
