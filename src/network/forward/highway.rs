//! The forward pass of highway nets.

use tch::Tensor;

use crate::network::architecture::body::{LayerStage, Stem};
use crate::network::architecture::highway;
use crate::network::forward::pass::{Pass, pooled};

impl Pass<'_> {
    /// All layers: images, float32 [n, 3, h, w], to class scores [n, classes]. Where the width
    /// stays, y = H(x)·T(x) + x·(1 - T(x)), which is x + T(x)·(H(x) - x); maximum pooling between
    /// stages.
    pub(crate) fn highway(
        &mut self,
        images: &Tensor,
        stem: Option<Stem>,
        stages: &[LayerStage],
        hidden: bool,
    ) -> Tensor {
        let mut maps = self.stem(images).main;
        let mut channels = stem.map_or(3, |stem| stem.filters);
        for (index, stage) in stages.iter().enumerate() {
            if index > 0 {
                maps = maps.max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false);
            }
            for position in 0..stage.layers {
                self.enter(|| format!("layer{}.{position}", index + 1));
                let transformed = self.layer(&maps, 1).main;
                maps = if highway::is_gated(channels, stage.filters) {
                    let gate = self.biased_convolution(&maps).sigmoid();
                    &maps + gate * (transformed - &maps)
                } else {
                    transformed
                };
                channels = stage.filters;
            }
        }
        self.enter(|| "fc".to_string());
        let mut features = pooled(&maps);
        if hidden {
            features = self.fully_connected(&features).relu();
        }
        self.fully_connected(&features)
    }
}
