//! GoogLeNet (Szegedy et al., arXiv 1409.4842, Table 1), which the paper's Tables 3 to 5 compare
//! with, as torchvision has it.
//!
//! Against the original, torchvision adds batch normalisation, takes 3×3 layers where the original
//! has 5×5 ones, and has no local response normalisation; its weights can be loaded. (Those that it
//! publishes were trained on images scaled to [-1, 1], its `transform_input`: images must be
//! normalised so.) The original has dropout before its classifiers; here no net has any (section
//! 3.4).

use crate::network::architecture::blocks::strided;
use crate::network::architecture::body::{Inception, Sides, Widths};
use crate::network::architecture::layer::{Layer, LayerRole};

/// Epsilon of its batch normalisation: torchvision's for this net alone.
const EPSILON: f64 = 1e-3;

/// Weight of each auxiliary classifier's loss in training (section 5 of its paper).
pub(crate) const AUXILIARY_WEIGHT: f64 = 0.3;

/// Modules whose output an auxiliary classifier takes.
pub(crate) const AUXILIARY_AFTER: [&str; 2] = ["4a", "4d"];

/// How the name of an auxiliary classifier's last layer ends.
pub(crate) const LAST_AUXILIARY: &str = ".fc2";

/// Side of the maps that an auxiliary classifier averages its input to.
pub(crate) const AUXILIARY_SIDE: i64 = 4;

impl Inception {
    /// Channels of its output: its four branches, one after another.
    pub fn outputs(&self) -> i64 {
        let [first, _, second, _, third, fourth] = self.filters;
        first + second + third + fourth
    }

    fn layers(&self, inputs: i64, side: i64) -> [Layer; 6] {
        let [first, reduce_second, second, reduce_third, third, fourth] = self.filters;
        let layer = |name: &str, kernel, inputs, outputs| {
            normalised(
                &format!("inception{}.{name}.conv", self.name),
                kernel,
                1,
                inputs,
                outputs,
                side,
            )
        };
        [
            layer("branch1", 1, inputs, first),
            layer("branch2.0", 1, inputs, reduce_second),
            layer("branch2.1", 3, reduce_second, second),
            layer("branch3.0", 1, inputs, reduce_third),
            layer("branch3.1", 3, reduce_third, third),
            layer("branch4.1", 1, inputs, fourth),
        ]
    }
}

impl Default for Widths {
    /// The published ones.
    fn default() -> Widths {
        let module = |name, filters| Inception { name, filters };
        Widths {
            stem: [64, 64, 192],
            groups: vec![
                vec![
                    module("3a", [64, 96, 128, 16, 32, 32]),
                    module("3b", [128, 128, 192, 32, 96, 64]),
                ],
                vec![
                    module("4a", [192, 96, 208, 16, 48, 64]),
                    module("4b", [160, 112, 224, 24, 64, 64]),
                    module("4c", [128, 128, 256, 24, 64, 64]),
                    module("4d", [112, 144, 288, 32, 64, 64]),
                    module("4e", [256, 160, 320, 32, 128, 128]),
                ],
                vec![
                    module("5a", [256, 160, 320, 32, 128, 128]),
                    module("5b", [384, 192, 384, 48, 128, 128]),
                ],
            ],
            auxiliary: [128, 1024],
        }
    }
}

impl Sides {
    pub fn of(image_side: i64) -> Sides {
        let first = strided(image_side, 2);
        let second = pooled_side(first, 3);
        let third = pooled_side(second, 3);
        let fourth = pooled_side(third, 3);
        Sides { first, second, groups: [third, fourth, pooled_side(fourth, 2)] }
    }
}

impl Widths {
    /// Changes the filters of every layer, hidden ones of auxiliary classifiers included.
    pub(crate) fn change(&mut self, change: impl Fn(i64) -> i64) {
        let modules = self.groups.iter_mut().flatten().flat_map(|module| &mut module.filters);
        for filters in self.stem.iter_mut().chain(modules).chain(&mut self.auxiliary) {
            *filters = change(*filters);
        }
    }

    /// Channels that the classifier takes.
    pub(crate) fn outputs(&self) -> i64 {
        self.groups.iter().flatten().last().map_or(self.stem[2], Inception::outputs)
    }

    /// Every module with the channels that it takes and the side of its maps.
    pub(crate) fn modules(&self, image_side: i64) -> Vec<(&Inception, i64, i64)> {
        let mut inputs = self.stem[2];
        let sides = Sides::of(image_side).groups;
        let modules = self
            .groups
            .iter()
            .zip(sides)
            .flat_map(|(group, side)| group.iter().map(move |module| (module, side)));
        modules
            .map(|(module, side)| (module, std::mem::replace(&mut inputs, module.outputs()), side))
            .collect()
    }

    /// The weighted layers but for the last, without the auxiliary classifiers.
    pub(crate) fn layers(&self, image_side: i64) -> Vec<Layer> {
        let sides = Sides::of(image_side);
        let [first, second, third] = self.stem;
        let mut layers = vec![
            normalised("conv1.conv", 7, 2, 3, first, sides.first),
            normalised("conv2.conv", 1, 1, first, second, sides.second),
            normalised("conv3.conv", 3, 1, second, third, sides.second),
        ];
        layers.extend(
            self.modules(image_side)
                .into_iter()
                .flat_map(|(module, inputs, side)| module.layers(inputs, side)),
        );
        layers
    }

    /// The layers of both auxiliary classifiers.
    pub(crate) fn auxiliary_layers(&self, classes: i64) -> Vec<Layer> {
        let [filters, hidden] = self.auxiliary;
        let sources = AUXILIARY_AFTER
            .iter()
            .filter_map(|name| self.groups.iter().flatten().find(|module| module.name == *name));
        let head = |(index, source): (usize, &Inception)| {
            let name = |layer: &str| format!("aux{}.{layer}", index + 1);
            [
                normalised(&name("conv.conv"), 1, 1, source.outputs(), filters, AUXILIARY_SIDE),
                Layer::fully_connected(
                    &name("fc1"),
                    filters * AUXILIARY_SIDE * AUXILIARY_SIDE,
                    hidden,
                ),
                Layer::fully_connected(&name("fc2"), hidden, classes),
            ]
        };
        sources
            .enumerate()
            .flat_map(head)
            .map(|layer| Layer { role: LayerRole::Auxiliary, ..layer })
            .collect()
    }
}

fn normalised(name: &str, kernel: i64, stride: i64, inputs: i64, outputs: i64, side: i64) -> Layer {
    let mut layer = Layer::convolution(name, kernel, stride, inputs, outputs, side);
    layer.norm.iter_mut().for_each(|norm| norm.epsilon = EPSILON);
    layer
}

/// Side of the output of `kernel`×`kernel` pooling with stride 2, without padding, whose last
/// window may hang over the edge.
fn pooled_side(side: i64, kernel: i64) -> i64 {
    strided((side - kernel).max(0), 2) + 1
}
