//! Norms of the loss's gradient at each layer.

use tch::Kind as Dtype;

use crate::analysis::backward::{Place, gradients};
use crate::analysis::gradients::row::{Normalized, Quantity, Row, Weights};
use crate::analysis::images::Batch;
use crate::analysis::statistics::moments;
use crate::analysis::walk::{Statistics, Walk};
use crate::config::network_name::NetworkName;
use crate::network::architecture::layer::{Layer, LayerRole};
use crate::network::parameters::Network;

/// A net whose gradients are measured batch after batch.
pub struct Variant<'a> {
    network: NetworkName,
    layers: Vec<Layer>,
    walk: Walk<'a>,
    weights: Weights,
    normalization: Normalized,
    /// The norms of each batch, layer by layer: of outputs, and of weights.
    outputs: Vec<Vec<f64>>,
    of_weights: Vec<Vec<f64>>,
}

impl<'a> Variant<'a> {
    /// A net of blocks; `None` if it is none.
    pub fn new(
        network: &'a Network,
        weights: Weights,
        normalization: Normalized,
    ) -> Option<Variant<'a>> {
        let statistics = match normalization {
            Normalized::Batch => Statistics::Batch,
            Normalized::None => Statistics::None,
        };
        let architecture = network.architecture();
        let layers = architecture.layers();
        let empty = || layers.iter().map(|_| Vec::new()).collect();
        Some(Variant {
            network: architecture.name,
            walk: Walk::new(network, statistics)?,
            weights,
            normalization,
            outputs: empty(),
            of_weights: empty(),
            layers,
        })
    }

    /// Adds the norms of a batch: of the gradient of its mean cross-entropy.
    pub fn add(&mut self, batch: &Batch) {
        let (outputs, of_weights) = (&mut self.outputs, &mut self.of_weights);
        let loss = |scores: &tch::Tensor| scores.cross_entropy_for_logits(&batch.labels);
        gradients(&self.walk, &batch.images, &loss, true, &mut |place, gradient| {
            let norm = || gradient.square().sum(Dtype::Double).sqrt().double_value(&[]);
            match place {
                Place::Output(layer) => outputs[layer].push(norm()),
                Place::Weights(layer) => of_weights[layer].push(norm()),
                Place::Maps(_) => {}
            }
        });
    }

    /// Its rows.
    pub fn rows(&self) -> Vec<Row> {
        let of = |quantity: Quantity, norms: &[Vec<f64>]| {
            let row = |(index, (layer, norms)): (usize, (&Layer, &Vec<f64>))| {
                // The scores of the classifier are no maps.
                let is_map = quantity == Quantity::Weights || layer.norm.is_some();
                let (mean, std) = moments(norms);
                (is_map && !norms.is_empty()).then(|| Row {
                    network: self.network,
                    weights: self.weights,
                    normalization: self.normalization,
                    quantity,
                    layer: layer.name.clone(),
                    depth: (layer.role == LayerRole::Main).then_some(index + 1),
                    distance: None,
                    mean,
                    std,
                })
            };
            self.layers.iter().zip(norms).enumerate().filter_map(row).collect::<Vec<Row>>()
        };
        let mut rows = of(Quantity::Output, &self.outputs);
        rows.extend(of(Quantity::Weights, &self.of_weights));
        rows
    }
}
