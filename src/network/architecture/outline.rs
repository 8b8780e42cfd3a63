//! What stands between the image and the class scores, step by step: for drawings and for counting.

use crate::network::architecture::body::{Body, LayerStage, Stem};
use crate::network::architecture::layer::{Layer, LayerKind};
use crate::network::architecture::table::Architecture;
use crate::network::architecture::{body, highway};

/// The steps of a network in order, and what joins them beside that order.
#[derive(Debug, Clone, PartialEq)]
pub struct Outline {
    /// From the first convolution to the classifier.
    pub steps: Vec<Step>,
    /// Shortcuts, in order.
    pub shortcuts: Vec<Join>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What it does.
    pub kind: StepKind,
    /// The layer's name, or the module's ("3a"); empty where there is neither.
    pub name: String,
    /// Channels, or classes, of its output.
    pub outputs: i64,
    /// Side of its output in pixels.
    pub side: i64,
}

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepKind {
    /// A convolution and what follows it at once.
    Convolution {
        /// Side of the kernel.
        kernel: i64,
        /// Step between output pixels.
        stride: i64,
    },
    /// Maximum pooling.
    MaxPool {
        /// Step between output pixels.
        stride: i64,
    },
    /// The mean of each map.
    AveragePool,
    /// A fully connected layer.
    FullyConnected,
    /// An inception module.
    Inception {
        /// Channels of its input.
        inputs: i64,
    },
}

/// A shortcut around some steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Join {
    /// Steps before those that it goes around: it begins at the output of the last of them, or at
    /// the image.
    pub after: usize,
    /// Index of the last step that it goes around.
    pub to: usize,
    /// Whether it joins maps of different dimensions (dotted in the paper's Figure 3).
    pub changes_shape: bool,
}

impl Step {
    /// Values of its output.
    pub fn values(&self) -> u64 {
        (self.outputs * self.side * self.side) as u64
    }

    fn of(layer: &Layer) -> Step {
        let kind = match layer.kind {
            LayerKind::Convolution { kernel, stride } => StepKind::Convolution { kernel, stride },
            LayerKind::Projection { stride } => StepKind::Convolution { kernel: 1, stride },
            LayerKind::Gate => StepKind::Convolution { kernel: 3, stride: 1 },
            LayerKind::FullyConnected => StepKind::FullyConnected,
        };
        Step { kind, name: layer.name.clone(), outputs: layer.outputs, side: layer.output_side }
    }
}

impl Outline {
    /// The outline of a network.
    pub fn of(architecture: &Architecture) -> Outline {
        let mut outline = Outline { steps: Vec::new(), shortcuts: Vec::new() };
        let main: Vec<Layer> =
            architecture.layers().into_iter().filter(|layer| !layer.is_aside()).collect();
        match &architecture.body {
            Body::Blocks { stem, .. } => outline.blocks(architecture, *stem, &main),
            Body::Highway { stem, .. } => outline.highway(architecture, *stem, &main),
            Body::Vgg { stages, .. } => outline.vgg(stages, &main),
            Body::GoogLeNet { widths, .. } => {
                outline.googlenet(architecture.image_side, widths, &main)
            }
        }
        outline
    }

    fn push(&mut self, kind: StepKind, outputs: i64, side: i64) {
        self.steps.push(Step { kind, name: String::new(), outputs, side });
    }

    fn last(&self) -> (i64, i64) {
        self.steps.last().map_or((3, 0), |step| (step.outputs, step.side))
    }

    fn max_pool(&mut self, side: i64) {
        self.push(StepKind::MaxPool { stride: 2 }, self.last().0, side);
    }

    /// Global average pooling and what is fully connected.
    fn classifier(&mut self, layers: &[Layer]) {
        self.push(StepKind::AveragePool, self.last().0, 1);
        self.steps.extend(layers.iter().map(Step::of));
    }

    fn stem(&mut self, stem: Stem, image_side: i64, layer: &Layer) {
        self.steps.push(Step::of(layer));
        if stem.pool {
            self.max_pool(stem.output_side(image_side));
        }
    }

    fn blocks(&mut self, architecture: &Architecture, stem: Stem, main: &[Layer]) {
        let mut layers = main.iter();
        self.stem(stem, architecture.image_side, &main[0]);
        layers.next();
        for block in architecture.blocks() {
            let after = self.steps.len();
            self.steps.extend(layers.by_ref().take(block.strides().len()).map(Step::of));
            if architecture.shortcut.is_some() {
                self.shortcuts.push(Join {
                    after,
                    to: self.steps.len() - 1,
                    changes_shape: block.changes_shape(),
                });
            }
        }
        self.classifier(layers.as_slice());
    }

    fn highway(&mut self, architecture: &Architecture, stem: Option<Stem>, main: &[Layer]) {
        let mut layers = main.iter();
        if let Some(stem) = stem {
            self.stem(stem, architecture.image_side, &main[0]);
            layers.next();
        }
        let is_convolution = |layer: &&&Layer| layer.kind != LayerKind::FullyConnected;
        let convolutions =
            layers.as_slice().iter().take_while(|layer| is_convolution(&layer)).count();
        let (convolutions, rest) = layers.as_slice().split_at(convolutions);
        for layer in convolutions.iter().filter(|layer| layer.kind != LayerKind::Gate) {
            // Where the maps are smaller than those of the layer before, pooling is between.
            if !self.steps.is_empty() && layer.output_side < self.last().1 {
                self.max_pool(layer.output_side);
            }
            let after = self.steps.len();
            self.steps.push(Step::of(layer));
            if highway::is_gated(layer.inputs, layer.outputs) {
                self.shortcuts.push(Join { after, to: after, changes_shape: false });
            }
        }
        self.classifier(rest);
    }

    fn vgg(&mut self, stages: &[LayerStage], main: &[Layer]) {
        let mut layers = main.iter();
        for stage in stages {
            self.steps.extend(layers.by_ref().take(stage.layers).map(Step::of));
            self.max_pool(self.last().1 / 2);
        }
        self.steps.extend(layers.map(Step::of));
    }

    fn googlenet(&mut self, image_side: i64, widths: &body::Widths, main: &[Layer]) {
        let [first, second, third] = [0, 1, 2].map(|index| Step::of(&main[index]));
        let pooled = second.side;
        self.steps.push(first);
        self.max_pool(pooled);
        self.steps.extend([second, third]);
        for (module, inputs, side) in widths.modules(image_side) {
            if side < self.last().1 {
                self.max_pool(side);
            }
            let (kind, name) = (StepKind::Inception { inputs }, module.name.to_string());
            self.steps.push(Step { kind, name, outputs: module.outputs(), side });
        }
        self.classifier(&main[main.len() - 1..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::network_name::Family;
    use crate::network::architecture;

    fn outline(name: &str, family: Family) -> Outline {
        Outline::of(&architecture::build(name.parse().unwrap(), family, 224, 1000).unwrap())
    }

    fn count(outline: &Outline, of: impl Fn(StepKind) -> bool) -> usize {
        outline.steps.iter().filter(|step| of(step.kind)).count()
    }

    #[test]
    fn the_34_layer_nets_have_33_convolutions_and_the_residual_one_16_shortcuts_of_which_3_increase_dimensions()
     {
        let [plain, residual] =
            ["plain-34", "resnet-34"].map(|name| outline(name, Family::Imagenet));
        assert_eq!(plain.steps, residual.steps);
        assert_eq!(count(&plain, |kind| matches!(kind, StepKind::Convolution { .. })), 33);
        assert!(plain.shortcuts.is_empty());
        assert_eq!(residual.shortcuts.len(), 16);
        assert_eq!(residual.shortcuts.iter().filter(|join| join.changes_shape).count(), 3);
        // Step 0 is the 7×7 convolution, step 1 the pooling.
        assert_eq!(residual.shortcuts[0], Join { after: 2, to: 3, changes_shape: false });
    }

    #[test]
    fn vgg_19_has_16_convolutions_five_poolings_and_three_fully_connected_layers() {
        let net = outline("vgg-19", Family::Imagenet);
        assert_eq!(
            count(&net, |kind| matches!(kind, StepKind::Convolution { kernel: 3, stride: 1 })),
            16
        );
        assert_eq!(count(&net, |kind| kind == StepKind::MaxPool { stride: 2 }), 5);
        assert_eq!(count(&net, |kind| kind == StepKind::FullyConnected), 3);
        let sides: Vec<i64> = net
            .steps
            .iter()
            .filter(|step| matches!(step.kind, StepKind::MaxPool { .. }))
            .map(|step| step.side)
            .collect();
        assert_eq!(sides, [112, 56, 28, 14, 7]);
    }

    #[test]
    fn googlenet_has_nine_modules_on_maps_of_28_14_and_7_pixels() {
        let net = outline("googlenet", Family::Imagenet);
        let modules =
            net.steps.iter().filter(|step| matches!(step.kind, StepKind::Inception { .. }));
        let found: Vec<(&str, i64, i64)> =
            modules.map(|step| (step.name.as_str(), step.outputs, step.side)).collect();
        assert_eq!(found[0], ("3a", 256, 28));
        assert_eq!(found[8], ("5b", 1024, 7));
        assert_eq!(found.len(), 9);
    }

    #[test]
    fn a_highway_net_has_a_shortcut_around_each_gated_layer_and_pooling_between_stages() {
        for (family, gated, pools) in
            [(Family::Imagenet, 4 + 3 + 4 + 3, 4), (Family::Cifar, 2 + 1 + 5 + 5, 3)]
        {
            let net = outline("highway-19", family);
            assert_eq!(net.shortcuts.len(), gated, "{family:?}");
            assert_eq!(
                count(&net, |kind| matches!(kind, StepKind::MaxPool { .. })),
                pools,
                "{family:?}"
            );
        }
    }
}
