//! The gradient of a net's loss, block by block from the classifier to the image. Each block's
//! forward pass is done again when its turn comes, so that the memory is that of one block and of
//! the maps between blocks.

use tch::Tensor;

use crate::analysis::route::Part;
use crate::analysis::walk::{Walk, no_tap};

/// What a gradient is with respect to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// What a layer's normalisation gives, before addition and ReLU; the class scores. The number is
    /// the layer's position in the architecture's list.
    Output(usize),
    /// A layer's weights.
    Weights(usize),
    /// The maps that a block takes; those that the classifier takes have the number of blocks.
    Maps(usize),
}

/// Takes gradients: where, and the gradient, in the shape of what it is with respect to.
pub type Take<'a> = &'a mut dyn FnMut(Place, &Tensor);

/// A part of a net whose gradients are computed at once.
struct Section {
    places: Vec<(Place, Tensor)>,
}

impl Section {
    /// A section that takes the maps `leaf`.
    fn new(place: Place, leaf: &Tensor) -> Section {
        Section { places: vec![(place, leaf.shallow_clone())] }
    }

    /// Adds the weights of `layers`.
    fn weights(&mut self, walk: &Walk, layers: &[usize]) {
        let weights = layers
            .iter()
            .map(|&layer| (Place::Weights(layer), walk.weights(layer).shallow_clone()));
        self.places.extend(weights);
    }

    /// Hands on the gradients of `target`, and returns the first place's.
    fn gradients(self, target: &Tensor, take: Take) -> Tensor {
        let (places, tensors): (Vec<Place>, Vec<Tensor>) = self.places.into_iter().unzip();
        let mut found = Tensor::run_backward(&[target], &tensors, false, false);
        places.iter().zip(&found).for_each(|(&place, gradient)| take(place, gradient));
        found.swap_remove(0)
    }
}

/// The gradients of `loss`, a scalar made of the class scores of `images`, at all places; those of
/// weights only if `with_weights` says so.
pub fn gradients(
    walk: &Walk,
    images: &Tensor,
    loss: &dyn Fn(&Tensor) -> Tensor,
    with_weights: bool,
    take: Take,
) {
    let blocks = walk.blocks().len();
    let mut maps = forward(walk, images);
    let layers = |layers: Vec<usize>| if with_weights { layers } else { Vec::new() };

    let leaf = leaf(maps.pop());
    let mut section = Section::new(Place::Maps(blocks), &leaf);
    section.weights(walk, &layers(vec![walk.classifier()]));
    let scores = walk.rest(&[], leaf, &mut tap(&mut section));
    let mut gradient = section.gradients(&loss(&scores), take);
    for block in (0..blocks).rev() {
        let leaf = self::leaf(maps.pop());
        let mut section = Section::new(Place::Maps(block), &leaf);
        section.weights(walk, &layers(walk.layers_of(block)));
        let output = walk.block(block, Part::Whole, &leaf, &mut tap(&mut section));
        gradient = section.gradients(&carried(&output, &gradient), take);
    }
    let mut section = Section { places: Vec::new() };
    section.weights(walk, &layers(vec![0]));
    let output = walk.stem(images, &mut tap(&mut section));
    if !section.places.is_empty() {
        let _first = section.gradients(&carried(&output, &gradient), take);
    }
}

/// The maps that each block takes, and those that the classifier takes; without a graph.
pub fn forward(walk: &Walk, images: &Tensor) -> Vec<Tensor> {
    tch::no_grad(|| {
        let mut maps = vec![walk.stem(images, &mut no_tap)];
        for block in 0..walk.blocks().len() {
            let next = walk.block(block, Part::Whole, &maps[block], &mut no_tap);
            maps.push(next);
        }
        maps
    })
}

/// A scalar whose gradient is what comes back through `output` where `gradient` arrives at it.
pub fn carried(output: &Tensor, gradient: &Tensor) -> Tensor {
    (output * gradient).sum(output.kind())
}

/// Maps that a gradient is taken of.
pub fn leaf(maps: Option<Tensor>) -> Tensor {
    maps.expect("as many maps as blocks, and one").detach().set_requires_grad(true)
}

fn tap(section: &mut Section) -> impl FnMut(usize, &Tensor) + '_ {
    |layer, maps| section.places.push((Place::Output(layer), maps.shallow_clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::walk::Statistics;
    use crate::config::network_name::Family;
    use crate::network::architecture;
    use crate::network::parameters::Network;
    use crate::random::{Purpose, Stream};
    use tch::{Device, Kind};

    /// A small net, its parameters in double precision, images, and labels.
    fn net(name: &str) -> (Network, Tensor, Tensor, Tensor) {
        let architecture =
            architecture::build(name.parse().unwrap(), Family::Cifar, 32, 10).unwrap();
        let network = Network::new(architecture.narrowed(4), 5, Device::Cpu);
        let parameters = network.parameters().detach().to_kind(Kind::Double);
        let mut stream = Stream::new(2, Purpose::Shapes, 0);
        let values: Vec<f64> = (0..4 * 3 * 32 * 32).map(|_| stream.normal()).collect();
        let images = Tensor::from_slice(&values).view([4, 3, 32, 32]);
        (network, parameters, images, Tensor::from_slice(&[1i64, 7, 7, 3]))
    }

    /// In double precision, which tch's own is not.
    fn cross_entropy(scores: &Tensor, labels: &Tensor) -> Tensor {
        scores.log_softmax(-1, Kind::Double).nll_loss(labels)
    }

    fn found(walk: &Walk, images: &Tensor, labels: &Tensor) -> Vec<(Place, Tensor)> {
        let mut found = Vec::new();
        let loss = |scores: &Tensor| cross_entropy(scores, labels);
        gradients(walk, images, &loss, true, &mut |place, gradient| {
            found.push((place, gradient.copy()));
        });
        found
    }

    #[test]
    fn gradients_block_by_block_are_those_of_one_backward_pass_through_the_whole_net() {
        for name in ["plain-14", "resnet-14", "resnet-14b", "preact-resnet-14"] {
            let (network, parameters, images, labels) = net(name);
            let parameters = parameters.set_requires_grad(true);
            let statistics = [Statistics::Batch, Statistics::ConstantBatch, Statistics::None];
            for statistics in statistics {
                let walk = Walk::with_parameters(&network, &parameters, statistics).unwrap();
                let mut places = Vec::new();
                let scores = walk.logits(&images, &mut |layer, maps| {
                    places.push((Place::Output(layer), maps.shallow_clone()));
                });
                let layers = network.architecture().layers().len();
                let weights = (0..layers).map(|layer| (Place::Weights(layer), walk.weights(layer)));
                places.extend(weights.map(|(place, tensor)| (place, tensor.shallow_clone())));
                let (places, tensors): (Vec<Place>, Vec<Tensor>) = places.into_iter().unzip();
                let loss = cross_entropy(&scores, &labels);
                let expected = Tensor::run_backward(&[loss], &tensors, false, false);
                let found = found(&walk, &images, &labels);
                let boundaries =
                    found.iter().filter(|(place, _)| matches!(place, Place::Maps(_))).count();
                assert_eq!(boundaries, walk.blocks().len() + 1);
                assert_eq!(found.len() - boundaries, places.len(), "{name}");
                for (place, expected) in places.iter().zip(&expected) {
                    let (_, gradient) = found.iter().find(|(other, _)| other == place).unwrap();
                    let off = (gradient - expected).norm().double_value(&[]);
                    let size = expected.norm().double_value(&[]);
                    assert!(off < 1e-9 * size.max(1e-9), "{name}, {statistics:?}: {place:?}");
                }
            }
        }
    }

    #[test]
    fn a_weights_gradient_is_the_slope_of_the_loss() {
        let (network, parameters, images, labels) = net("resnet-14");
        let loss = |parameters: &Tensor| {
            let walk = Walk::with_parameters(&network, parameters, Statistics::Batch).unwrap();
            let scores = tch::no_grad(|| walk.logits(&images, &mut no_tap));
            cross_entropy(&scores, &labels).double_value(&[])
        };
        let leaf = parameters.copy().set_requires_grad(true);
        let walk = Walk::with_parameters(&network, &leaf, Statistics::Batch).unwrap();
        let found = found(&walk, &images, &labels);
        for layer in [0, 3, 13] {
            let (_, gradient) =
                found.iter().find(|(place, _)| *place == Place::Weights(layer)).unwrap();
            // Along the gradient itself the slope is its norm.
            let norm = gradient.norm().double_value(&[]);
            let step = 1e-6;
            let moved = |sign: f64| {
                let parameters = parameters.copy();
                let view = network.views_of(&parameters).swap_remove(network.slots[layer].weight);
                let _ = view.shallow_clone().g_add_(&(gradient * (sign * step / norm)));
                loss(&parameters)
            };
            let slope = (moved(1.0) - moved(-1.0)) / (2.0 * step);
            // A ReLU that turns within the step is what is left.
            assert!((slope / norm - 1.0).abs() < 3e-4, "layer {layer}: {slope} and {norm}");
        }
    }
}
