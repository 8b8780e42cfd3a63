//! Norms of the gradient by layer, read off the gradient that a step has anyway.

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::network::parameters::Network;

/// One line of the log of gradients, `gradients.csv`: one layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GradientRow {
    /// Counted from 1.
    pub iteration: u64,
    /// torchvision's name of the layer.
    pub layer: String,
    /// Euclidean norm of the gradient of the batch's mean loss with respect to the layer's weights,
    /// before the update.
    pub norm: f32,
}

/// A layer's weights in the flat vector.
struct Weights {
    layer: String,
    start: i64,
    count: i64,
}

/// Takes norms every so many iterations, until they are logged.
pub struct GradientNorms {
    every: u64,
    weights: Vec<Weights>,
    /// The last step's gradient: float32, [parameters]. A captured step writes each of its
    /// repetitions' gradients there, since it lives on.
    gradient: Option<Tensor>,
    pending: Vec<GradientRow>,
}

impl GradientNorms {
    /// Of `network`, after each `every` iterations; at 0 never.
    pub fn new(network: &Network, every: u64) -> GradientNorms {
        let mut start = 0;
        let starts: Vec<(i64, i64)> = network
            .layout
            .iter()
            .map(|parameter| {
                let place = (start, parameter.count());
                start += place.1;
                place
            })
            .collect();
        let weights = network
            .slots
            .iter()
            .map(|slot| {
                let (start, count) = starts[slot.weight];
                Weights { layer: slot.name.clone(), start, count }
            })
            .collect();
        GradientNorms { every, weights, gradient: None, pending: Vec::new() }
    }

    /// Is told of a step's gradient, or, while a step is captured, of where it will be.
    pub fn keep(&mut self, gradient: &Tensor) {
        if self.every > 0 {
            self.gradient = Some(gradient.shallow_clone());
        }
    }

    /// Takes the norms after the step of `iteration`, if it is one of those. Waits for the device
    /// then.
    pub fn take(&mut self, iteration: u64) {
        let is_due = self.every > 0 && iteration.is_multiple_of(self.every);
        let (true, Some(gradient)) = (is_due, &self.gradient) else { return };
        let norm = |weights: &Weights| {
            let part = gradient.narrow(0, weights.start, weights.count);
            part.square().sum(Kind::Double).sqrt()
        };
        let norms = Tensor::stack(&self.weights.iter().map(norm).collect::<Vec<_>>(), 0);
        let mut values = vec![0f64; self.weights.len()];
        norms.to_device(Device::Cpu).copy_data(&mut values, self.weights.len());
        let rows = self.weights.iter().zip(values).map(|(weights, norm)| GradientRow {
            iteration,
            layer: weights.layer.clone(),
            norm: norm as f32,
        });
        self.pending.extend(rows);
    }

    /// Hands over what was taken up to `iteration`; what is later is dropped.
    pub fn up_to(&mut self, iteration: u64) -> Vec<GradientRow> {
        let mut rows = std::mem::take(&mut self.pending);
        rows.retain(|row| row.iteration <= iteration);
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::network_name::NetworkName;
    use crate::network::architecture::cifar;

    #[test]
    fn norms_are_those_of_each_layers_weights_every_so_many_iterations() {
        let architecture = cifar::architecture(NetworkName::residual(8), 10).unwrap();
        let network = Network::new(architecture, 1, Device::Cpu);
        let gradient = network.parameters().detach() * 0.5;
        let mut norms = GradientNorms::new(&network, 3);
        for iteration in 1..=7 {
            norms.keep(&gradient);
            norms.take(iteration);
        }
        let rows = norms.up_to(5);
        assert!(norms.up_to(9).is_empty());
        let named = network.named_tensors();
        assert_eq!(rows.len(), 8);
        for row in rows {
            let weights = format!("{}.weight", row.layer);
            let (_, tensor) = named.iter().find(|(name, _)| *name == weights).unwrap();
            let expected = tensor.norm().double_value(&[]) * 0.5;
            assert!((f64::from(row.norm) / expected - 1.0).abs() < 1e-5, "{row:?}");
            assert_eq!(row.iteration, 3);
        }
    }
}
