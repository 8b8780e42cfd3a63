//! The forward pass of nets of blocks, taken apart: with the blocks on any route, with every
//! layer's response shown, with normalisation of three kinds, and with derivatives of any order.
//!
//! It computes what [`crate::network::forward`] computes (a test holds it to that), in libtorch's
//! separate operations alone: the fused one has no second derivative, and shows nothing between
//! normalisation and addition.

use tch::{Kind, Tensor};

use crate::analysis::route::{Part, Route};
use crate::network::architecture::blocks::Block;
use crate::network::architecture::body::{Body, Order, Stem};
use crate::network::parameters::{LayerSlot, Network};

/// Weight of a batch in running statistics, which nothing here updates.
const MOMENTUM: f64 = 0.1;

/// With what maps are normalised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statistics {
    /// The running statistics, as in a test.
    Running,
    /// The batch's, as in training; the running ones stay as they are.
    Batch,
    /// The batch's, taken for constants by derivatives, so that an image's score depends on that
    /// image alone.
    ConstantBatch,
    /// Nothing: normalisation, its scale and its shift are left out.
    None,
}

/// What stands where in the list of layers.
struct Place {
    /// The first layer of the block's branch.
    first: usize,
    /// The projection on its shortcut.
    projection: Option<usize>,
}

/// A network of blocks that is walked through.
pub struct Walk<'a> {
    network: &'a Network,
    stem: Stem,
    order: Order,
    blocks: Vec<Block>,
    places: Vec<Place>,
    /// One a parameter, in torch's shapes.
    parameters: Vec<Tensor>,
    kind: Kind,
    statistics: Statistics,
}

/// Is shown each layer's response: the layer's position in the architecture's list, and the maps
/// after normalisation, before addition and ReLU. In nets of pre-activation these are the maps
/// that the layer takes, before their ReLU. Where normalisation is left out, the convolution's
/// output; of the last layer the class scores.
pub type Tap<'a> = &'a mut dyn FnMut(usize, &Tensor);

/// Shows nothing.
pub fn no_tap(_: usize, _: &Tensor) {}

impl<'a> Walk<'a> {
    /// A walk with the network's own parameters, which derivatives can be taken by. `None` for nets
    /// that are not made of blocks.
    pub fn new(network: &'a Network, statistics: Statistics) -> Option<Walk<'a>> {
        Walk::with_parameters(network, network.parameters(), statistics)
    }

    /// The same with others: a flat vector of the same length, float32 or float64.
    pub fn with_parameters(
        network: &'a Network,
        parameters: &Tensor,
        statistics: Statistics,
    ) -> Option<Walk<'a>> {
        let architecture = network.architecture();
        let Body::Blocks { stem, order, .. } = architecture.body else { return None };
        let blocks = architecture.blocks();
        let (mut next, mut aside) = (1, network.main_layers);
        let places = blocks
            .iter()
            .map(|block| {
                let first = next;
                next += block.strides().len();
                let projection = block.projects(architecture.shortcut).then_some(aside);
                aside += usize::from(projection.is_some());
                Place { first, projection }
            })
            .collect();
        let kind = parameters.kind();
        let parameters = network.views_of(parameters);
        Some(Walk { network, stem, order, blocks, places, parameters, kind, statistics })
    }

    /// The blocks in order.
    pub(crate) fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// Positions of a block's layers in the architecture's list, its projection's last.
    pub fn layers_of(&self, block: usize) -> Vec<usize> {
        let place = &self.places[block];
        let main = place.first..place.first + self.blocks[block].strides().len();
        main.chain(place.projection).collect()
    }

    /// Weighted layers on the main path up to and with `block`; `None`: with the first layer.
    pub fn depth_of(&self, block: Option<usize>) -> usize {
        block.map_or(1, |block| self.places[block].first + self.blocks[block].strides().len())
    }

    /// Position of the last layer, the classifier.
    pub fn classifier(&self) -> usize {
        self.network.main_layers - 1
    }

    /// A layer's weights, in torch's shape; derivatives can be taken by them.
    pub fn weights(&self, layer: usize) -> &Tensor {
        &self.parameters[self.slot(layer).weight]
    }

    /// Whether anything joins the ends of its blocks.
    pub fn has_shortcuts(&self) -> bool {
        self.network.architecture().shortcut.is_some()
    }

    /// Class scores of images on the whole net.
    pub fn logits(&self, images: &Tensor, tap: Tap) -> Tensor {
        self.logits_on(&Route::whole(self.blocks.len()), images, tap)
    }

    /// Class scores of images, [n, 3, h, w], on `route`: [n, classes].
    pub fn logits_on(&self, route: &Route, images: &Tensor, tap: Tap) -> Tensor {
        let maps = self.stem(images, tap);
        self.rest(&route.0, maps, tap)
    }

    /// Class scores from the maps before the first of `steps`.
    pub fn rest(&self, steps: &[(usize, Part)], maps: Tensor, tap: Tap) -> Tensor {
        let maps =
            steps.iter().fold(maps, |maps, &(block, part)| self.block(block, part, &maps, tap));
        self.classify(&maps, tap)
    }

    /// Images to the maps that the first block takes.
    pub fn stem(&self, images: &Tensor, tap: Tap) -> Tensor {
        let maps = self.convolve(0, &images.to_kind(self.kind), self.stem.stride);
        if self.order == Order::PreActivation {
            return maps;
        }
        let maps = self.normalise(0, &maps);
        tap(0, &maps);
        let maps = maps.relu();
        match self.stem.pool {
            true => maps.max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false),
            false => maps,
        }
    }

    /// One block, or a part of it: maps [n, c, h, w] to [n, outputs, h / stride, w / stride].
    pub fn block(&self, index: usize, part: Part, maps: &Tensor, tap: Tap) -> Tensor {
        let block = &self.blocks[index];
        let post = self.order == Order::PostActivation;
        if part == Part::Shortcut && !self.has_shortcuts() {
            // A plain block that is left out leaves its input, which ReLU would not change.
            return maps.shallow_clone();
        }
        // What the branch takes; after the first normalisation and ReLU in pre-activation.
        let activated = match post {
            true => maps.shallow_clone(),
            false => self.preactivate(self.places[index].first, maps, tap),
        };
        let carried = if block.shares_activation() { &activated } else { maps };
        let mut shortcut = self.shortcut(index, carried);
        let branch = match part {
            Part::Shortcut => None,
            _ => Some(self.branch(index, activated, tap)),
        };
        let branch = match part {
            Part::GradientByShortcut => branch.map(|maps| maps.detach()),
            _ => branch,
        };
        if part == Part::GradientByBranch {
            shortcut = shortcut.map(|maps| maps.detach());
        }
        let sum = match (branch, shortcut) {
            (Some(branch), Some(shortcut)) => branch + shortcut,
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => maps.shallow_clone(),
        };
        if post { sum.relu() } else { sum }
    }

    /// The residual function: the block's layers up to the addition.
    fn branch(&self, index: usize, activated: Tensor, tap: Tap) -> Tensor {
        let first = self.places[index].first;
        let strides = self.blocks[index].strides();
        let mut maps = activated;
        for (position, &stride) in strides.iter().enumerate() {
            let slot = first + position;
            if self.order == Order::PreActivation {
                if position > 0 {
                    maps = self.preactivate(slot, &maps, tap);
                }
                maps = self.convolve(slot, &maps, stride);
                continue;
            }
            maps = self.normalise(slot, &self.convolve(slot, &maps, stride));
            tap(slot, &maps);
            if position + 1 < strides.len() {
                maps = maps.relu();
            }
        }
        maps
    }

    fn shortcut(&self, index: usize, maps: &Tensor) -> Option<Tensor> {
        self.network.architecture().shortcut?;
        let block = &self.blocks[index];
        if let Some(slot) = self.places[index].projection {
            let projected = self.convolve(slot, maps, block.stride);
            return Some(match self.order {
                Order::PostActivation => self.normalise(slot, &projected),
                Order::PreActivation => projected,
            });
        }
        if !block.changes_shape() {
            return Some(maps.shallow_clone());
        }
        let added = block.outputs() - block.inputs;
        let every_second = maps.slice(2, 0, None, block.stride).slice(3, 0, None, block.stride);
        Some(every_second.constant_pad_nd([0, 0, 0, 0, added / 2, added - added / 2]))
    }

    /// The last maps to class scores.
    fn classify(&self, maps: &Tensor, tap: Tap) -> Tensor {
        let last = self.network.main_layers - 1;
        let maps = match self.order {
            Order::PostActivation => maps.shallow_clone(),
            Order::PreActivation => self.preactivate(last, maps, tap),
        };
        let slot = self.slot(last);
        let pooled = maps.mean_dim([2i64, 3].as_slice(), false, self.kind);
        let logits =
            pooled.linear(&self.parameters[slot.weight], Some(&self.parameters[slot.bias()]));
        if self.order == Order::PostActivation {
            tap(last, &logits);
        }
        logits
    }

    fn preactivate(&self, slot: usize, maps: &Tensor, tap: Tap) -> Tensor {
        let maps = self.normalise(slot, maps);
        tap(slot, &maps);
        maps.relu()
    }

    fn slot(&self, layer: usize) -> &LayerSlot {
        &self.network.slots[layer]
    }

    fn convolve(&self, layer: usize, maps: &Tensor, stride: i64) -> Tensor {
        let weight = &self.parameters[self.slot(layer).weight];
        let padding = weight.size()[2] / 2;
        maps.conv2d::<Tensor>(weight, None, [stride, stride], [padding, padding], [1, 1], 1)
    }

    fn normalise(&self, layer: usize, maps: &Tensor) -> Tensor {
        let norm = self.slot(layer).norm();
        let state = &self.network.norms[norm.state];
        let (scale, shift) = (&self.parameters[norm.scale], &self.parameters[norm.scale + 1]);
        let apply = |mean: Option<&Tensor>, variance: Option<&Tensor>, training| {
            let (scale, shift) = (Some(scale), Some(shift));
            maps.batch_norm(scale, shift, mean, variance, training, MOMENTUM, state.epsilon, false)
        };
        match self.statistics {
            Statistics::None => maps.shallow_clone(),
            Statistics::Batch => apply(None, None, true),
            Statistics::ConstantBatch => {
                let (variance, mean) =
                    maps.detach().var_mean_dim([0i64, 2, 3].as_slice(), false, false);
                apply(Some(&mean), Some(&variance), false)
            }
            Statistics::Running => {
                let [mean, variance] =
                    [&state.mean, &state.variance].map(|statistic| statistic.to_kind(self.kind));
                apply(Some(&mean), Some(&variance), false)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::network_name;
    use crate::network::architecture;
    use crate::network::forward::pass::Mode;
    use crate::random::{Purpose, Stream};
    use tch::Device;

    /// A net whose running statistics are not those that it starts with, and images.
    fn net(name: &str, family: network_name::Family, side: i64) -> (Network, Tensor) {
        let architecture = architecture::build(name.parse().unwrap(), family, side, 10).unwrap();
        let network = Network::new(architecture.narrowed(4), 3, Device::Cpu);
        let mut stream = Stream::new(1, Purpose::Shapes, 0);
        let values: Vec<f32> = stream.normals((4 * side * side * 3) as usize);
        let images = Tensor::from_slice(&values).view([4, side, side, 3]).permute([0, 3, 1, 2]);
        let _training = tch::no_grad(|| network.forward(&images, Mode::Training));
        (network, images)
    }

    #[test]
    fn a_walk_gives_the_scores_of_the_forward_pass_and_in_training_its_gradient() {
        use network_name::Family::{Cifar, Imagenet};
        for (name, family, side) in [
            ("plain-14", Cifar, 32),
            ("resnet-14", Cifar, 32),
            ("resnet-14b", Cifar, 32),
            ("resnet-14c", Cifar, 32),
            ("preact-resnet-14", Cifar, 32),
            ("preact-resnet-20", Cifar, 32),
            ("resnet-18", Imagenet, 56),
            ("plain-18", Imagenet, 56),
            ("resnet-50", Imagenet, 56),
            ("resnet-50-v1.5", Imagenet, 56),
        ] {
            let (network, images) = net(name, family, side);
            let difference = |found: &Tensor, expected: &Tensor| {
                (found - expected).norm().double_value(&[]) / expected.norm().double_value(&[])
            };
            let walk = Walk::new(&network, Statistics::Running).unwrap();
            let (found, expected) = tch::no_grad(|| {
                (walk.logits(&images, &mut no_tap), network.forward(&images, Mode::Evaluation))
            });
            assert!(difference(&found, &expected) < 1e-4, "{name}");
            let [batch, constant] = [Statistics::Batch, Statistics::ConstantBatch]
                .map(|statistics| Walk::new(&network, statistics).unwrap())
                .map(|walk| tch::no_grad(|| walk.logits(&images, &mut no_tap)));
            assert!(difference(&constant, &batch) < 1e-4, "{name}: the batch's statistics");
            // With two threads and without AVX-512, oneDNN's backward pass of 1×1 convolutions of
            // so few channels (jit_avx2_1x1_convolution_bwd_weights) was seen to wait for ever, and
            // a gradient through it to differ: nets without such convolutions are compared.
            if !["plain-14", "resnet-14", "plain-18"].contains(&name) {
                continue;
            }
            let walk = Walk::new(&network, Statistics::Batch).unwrap();
            let labels = Tensor::from_slice(&[1i64, 4, 0, 9]);
            let loss = walk.logits(&images, &mut no_tap).cross_entropy_for_logits(&labels);
            let found = Tensor::run_backward(&[&loss], &[network.parameters()], false, false);
            let expected = network.gradient(&images, &labels).parameters;
            // One pixel that ReLU passes here and not there is 1e-3.
            assert!(difference(&found[0], &expected) < 2e-2, "{name}: gradient");
        }
    }

    #[test]
    fn a_deleted_branch_leaves_the_shortcut_and_a_deleted_plain_block_its_input() {
        use network_name::Family::Cifar;
        for (name, plain) in [("resnet-14", false), ("plain-14", true)] {
            let (network, images) = net(name, Cifar, 32);
            let walk = Walk::new(&network, Statistics::Running).unwrap();
            let maps = walk.stem(&images, &mut no_tap);
            assert!(walk.block(0, Part::Shortcut, &maps, &mut no_tap).equal(&maps), "{name}");
            let narrower = walk.block(2, Part::Shortcut, &maps, &mut no_tap);
            let sides = if plain { [4, 4, 32, 32] } else { [4, 8, 16, 16] };
            assert_eq!(narrower.size(), sides, "{name}");
        }
    }
}
