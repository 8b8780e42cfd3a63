//! An architecture as a table, and what follows from it: layers, parameters, multiply-adds.

use crate::config::network_name::NetworkName;
use crate::config::shortcut::Shortcut;
use crate::network::architecture::blocks::Block;
use crate::network::architecture::body::{Body, Order};
use crate::network::architecture::layer::{Layer, LayerRole};
use crate::network::architecture::{blocks, googlenet, highway, vgg};

/// A network as a table that reads like the paper's.
#[derive(Debug, Clone)]
pub struct Architecture {
    /// Depth and variant, as the user writes them.
    pub name: NetworkName,
    /// What joins the ends of each block; nothing in nets without shortcuts. For nets of
    /// bottlenecks it is not the name's: `resnet-50` has option B (section 3.4).
    pub shortcut: Option<Shortcut>,
    /// Side of the square input images, in pixels. Other sizes can be computed too; counts are for
    /// this one.
    pub image_side: i64,
    /// The layers but for the last.
    pub body: Body,
    /// Outputs of the last fully connected layer.
    pub classes: i64,
}

impl Architecture {
    /// All weighted layers: first those on the way from the image to the class scores, in forward
    /// order, then those aside of it, which are the projections on shortcuts and the auxiliary
    /// classifiers.
    ///
    /// The latter come last so that nets of one depth start with the same weights whatever they
    /// have aside.
    pub fn layers(&self) -> Vec<Layer> {
        let (mut main, aside) = match &self.body {
            Body::Blocks { stem, order, .. } => {
                blocks::layers(self.image_side, *stem, *order, &self.blocks(), self.shortcut)
            }
            Body::Highway { stem, stages, hidden } => {
                (highway::layers(self.image_side, *stem, stages, *hidden), Vec::new())
            }
            Body::Vgg { stages, hidden } => {
                (vgg::layers(self.image_side, stages, *hidden), Vec::new())
            }
            Body::GoogLeNet { widths, auxiliary } => {
                let aside =
                    if *auxiliary { widths.auxiliary_layers(self.classes) } else { Vec::new() };
                (widths.layers(self.image_side), aside)
            }
        };
        main.push(self.classifier());
        main.extend(aside);
        main
    }

    /// The last layer. In nets of pre-activation a normalisation stands before it.
    pub(crate) fn classifier(&self) -> Layer {
        match &self.body {
            Body::Blocks { order, .. } => {
                let (inputs, side) =
                    self.blocks().last().map_or((3, 1), |block| (block.outputs(), block.side()));
                let layer = Layer::fully_connected("fc", inputs, self.classes);
                match order {
                    Order::PostActivation => layer,
                    Order::PreActivation => layer.preactivated("bn".to_string(), side),
                }
            }
            Body::Highway { stages, hidden, .. } => {
                let filters = stages.last().map_or(3, |stage| stage.filters);
                Layer::fully_connected("fc", hidden.unwrap_or(filters), self.classes)
            }
            Body::Vgg { hidden, .. } => Layer::fully_connected(vgg::LAST, *hidden, self.classes),
            Body::GoogLeNet { widths, .. } => {
                Layer::fully_connected("fc", widths.outputs(), self.classes)
            }
        }
    }

    /// Names of the layers whose outputs are the classes: the last one, and the last of each
    /// auxiliary classifier.
    pub(crate) fn classifiers(&self) -> Vec<String> {
        let layers = self.layers().into_iter();
        let auxiliary = layers.filter(|layer| {
            layer.role == LayerRole::Auxiliary && layer.name.ends_with(googlenet::LAST_AUXILIARY)
        });
        let last = std::iter::once(self.classifier().name);
        last.chain(auxiliary.map(|layer| layer.name)).collect()
    }

    /// The blocks in order; none in nets that are not made of blocks.
    pub(crate) fn blocks(&self) -> Vec<Block> {
        match &self.body {
            Body::Blocks { stem, kind, order, stages } => {
                blocks::blocks(self.image_side, *stem, *kind, *order, stages)
            }
            _ => Vec::new(),
        }
    }

    /// The same network with `factor` times the filters in every convolution. The paper has none;
    /// measurements do.
    pub fn widened(self, factor: i64) -> Architecture {
        self.with_filters(|filters| filters * factor)
    }

    /// The same network with the filters of every convolution, and the outputs of hidden layers,
    /// divided by `divisor`. The paper has none; tests do, which compare numbers that are small
    /// enough to be kept.
    pub fn narrowed(self, divisor: i64) -> Architecture {
        let mut narrow = self.with_filters(|filters| (filters / divisor).max(1));
        match &mut narrow.body {
            Body::Highway { hidden: Some(hidden), .. } | Body::Vgg { hidden, .. } => {
                *hidden = (*hidden / divisor).max(1)
            }
            _ => {}
        }
        narrow
    }

    fn with_filters(mut self, change: impl Fn(i64) -> i64) -> Architecture {
        match &mut self.body {
            Body::Blocks { stem, stages, .. } => {
                stem.filters = change(stem.filters);
                stages.iter_mut().for_each(|stage| stage.filters = change(stage.filters));
            }
            Body::Highway { stem, stages, .. } => {
                stem.iter_mut().for_each(|stem| stem.filters = change(stem.filters));
                stages.iter_mut().for_each(|stage| stage.filters = change(stage.filters));
            }
            Body::Vgg { stages, .. } => {
                stages.iter_mut().for_each(|stage| stage.filters = change(stage.filters))
            }
            Body::GoogLeNet { widths, .. } => widths.change(change),
        }
        self
    }

    /// Number of parameters.
    pub fn parameter_count(&self) -> i64 {
        self.layers().iter().map(Layer::parameter_count).sum()
    }

    /// Multiply-adds for one image of `image_side` pixels: of every convolution, projections
    /// included, and every fully connected layer. Batch normalisation, biases, additions and
    /// pooling are not counted, and neither are auxiliary classifiers, which a test does not use.
    pub fn multiply_adds(&self) -> i64 {
        self.layers()
            .iter()
            .filter(|layer| layer.role != LayerRole::Auxiliary)
            .map(Layer::multiply_adds)
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::network_name::Family;
    use crate::config::{depths, paper};
    use crate::network::architecture;
    use crate::network::architecture::cifar;

    #[test]
    fn plain_and_residual_nets_have_the_papers_parameter_counts() {
        for depth in depths::PAPER_DEPTHS {
            for name in [NetworkName::plain(depth), NetworkName::residual(depth)] {
                let expected =
                    paper::cifar10(name).expect("the paper trains these depths").parameters;
                assert_eq!(
                    cifar::architecture(name, 10).unwrap().parameter_count(),
                    expected,
                    "{name}"
                );
            }
        }
    }

    #[test]
    fn pre_activation_nets_have_their_depth_and_the_parameters_counted_in_pytorch() {
        for row in paper::preactivation() {
            let net = cifar::architecture(row.network, 10).unwrap();
            assert_eq!(net.parameter_count(), row.parameters, "{}", row.network);
            let counted = net.layers().iter().filter(|layer| layer.kind.counts()).count();
            assert_eq!(counted as u64, row.network.depth(), "{}", row.network);
        }
    }

    #[test]
    fn the_number_of_weighted_layers_is_the_depth() {
        for name in
            ["plain-8", "resnet-20", "resnet-56b", "resnet-110c", "highway-19", "highway-32"]
        {
            let name: NetworkName = name.parse().unwrap();
            let counted = cifar::architecture(name, 10)
                .unwrap()
                .layers()
                .iter()
                .filter(|layer| layer.kind.counts())
                .count();
            assert_eq!(counted as u64, name.depth(), "{name}");
        }
    }

    #[test]
    fn projections_add_the_parameters_counted_by_hand() {
        let count =
            |name: &str| cifar::architecture(name.parse().unwrap(), 10).unwrap().parameter_count();
        // Option B: two 1×1 convolutions, 16 to 32 and 32 to 64, with a scale and a shift each.
        let increase = 16 * 32 + 2 * 32 + 32 * 64 + 2 * 64;
        assert_eq!(count("resnet-20b") - count("resnet-20"), increase);
        // Option C of n = 3: three blocks in stage 1, two more in stages 2 and 3.
        let everywhere = increase + 3 * (16 * 16 + 32) + 2 * (32 * 32 + 64) + 2 * (64 * 64 + 128);
        assert_eq!(count("resnet-20c") - count("resnet-20"), everywhere);
    }

    #[test]
    fn highway_nets_have_the_parameter_counts_of_table_6_as_it_rounds_them() {
        for (name, expected) in [("highway-19", 2.3e6), ("highway-32", 1.25e6)] {
            let count =
                cifar::architecture(name.parse().unwrap(), 10).unwrap().parameter_count() as f64;
            assert!((count / expected - 1.0).abs() < 0.02, "{name}: {count}");
        }
    }

    #[test]
    fn the_layers_that_tell_classes_apart_are_the_last_and_those_of_auxiliary_classifiers() {
        let names = |name: &str| {
            let name: NetworkName = name.parse().unwrap();
            architecture::build(name, Family::Imagenet, 224, 1000).unwrap().classifiers()
        };
        assert_eq!(names("resnet-50"), ["fc"]);
        assert_eq!(names("googlenet-aux"), ["fc", "aux1.fc2", "aux2.fc2"]);
        assert_eq!(names("vgg-16"), ["classifier.6"]);
    }

    #[test]
    fn multiply_adds_equal_a_count_by_hand() {
        // plain-8: stem 3·16·9·32², stage 1 two of 16·16·9·32², stages 2 and 3 one of half and one
        // of whole width, 64·10.
        let stem = 3 * 16 * 9 * 1024;
        let first = 2 * 16 * 16 * 9 * 1024;
        let second = (16 * 32 + 32 * 32) * 9 * 256;
        let third = (32 * 64 + 64 * 64) * 9 * 64;
        assert_eq!(
            cifar::architecture(NetworkName::plain(8), 10).unwrap().multiply_adds(),
            stem + first + second + third + 640
        );
    }

    #[test]
    fn networks_for_imagenet_have_the_parameters_of_table_1_and_the_papers_multiply_adds() {
        for row in paper::table_1() {
            let Ok(architecture) = architecture::build(
                row.network,
                Family::Imagenet,
                paper::imagenet().crop,
                paper::imagenet().classes,
            ) else {
                continue;
            };
            assert_eq!(architecture.parameter_count(), row.parameters, "{}", row.network);
            if let Some(papers) = row.multiply_adds {
                let deviation = architecture.multiply_adds() as f64 / papers - 1.0;
                assert!(deviation.abs() < 0.05, "{}: {deviation}", row.network);
            }
            let Some(option_b) = row.option_b_parameters else { continue };
            let name: NetworkName = format!("{}b", row.network).parse().unwrap();
            let architecture = architecture::build(
                name,
                Family::Imagenet,
                paper::imagenet().crop,
                paper::imagenet().classes,
            )
            .unwrap();
            assert_eq!(architecture.parameter_count(), option_b, "{name}");
        }
    }
}
