//! What a step reads and writes at least: each map once a kernel, whatever tiles read twice.

use crate::kernels::list::{COLLECT, HEAD};
use crate::network::stepwise::Stepwise;
use crate::network::stepwise::plan::PlannedLayer;

/// Bytes of a value of a map, and of a sum.
const HALF: i64 = 2;
const FLOAT: i64 = 4;

impl Stepwise {
    /// Kernel and bytes of each launch of a step, in order.
    pub fn traffic(&self) -> Vec<(&'static str, i64)> {
        let layers = &self.plan.layers;
        let mut launches = Vec::new();
        for (index, layer) in layers.iter().enumerate() {
            let bytes = self.taken(index) + self.maps(layer) + self.kept(index);
            launches.push((layer.kernels.forward.facts.name, bytes));
        }
        let last = layers.last().map_or(0, |layer| self.maps(layer));
        launches.push((HEAD.facts.name, 3 * last));
        for (index, layer) in layers.iter().enumerate().rev() {
            // The gradient and the convolution's output, of which the output's gradient is made.
            let upstream = 2 * self.maps(layer);
            let bytes = self.taken(index) + upstream + self.partial(layer);
            launches.push((layer.kernels.weights.facts.name, bytes));
            if let Some(kernel) = layer.kernels.backward {
                // The layer before: its output, and what is written.
                launches.push((kernel.facts.name, upstream + 2 * self.maps(&layers[index - 1])));
            }
        }
        let sums = layers.iter().map(|layer| self.partial(layer) + layer.weights.1 * FLOAT);
        launches.push((COLLECT.facts.name, sums.sum()));
        launches
    }

    fn maps(&self, layer: &PlannedLayer) -> i64 {
        self.images * layer.side * layer.side * layer.outputs * HALF
    }

    /// Maps that layer `index` takes, with the shortcut that is added to them; for the first layer
    /// float32 images.
    fn taken(&self, index: usize) -> i64 {
        match index.checked_sub(1).map(|before| &self.plan.layers[before]) {
            None => self.images * 32 * 32 * 3 * FLOAT,
            Some(before) => {
                let shortcuts = i64::from(before.shortcut.is_some());
                self.maps(before) * (1 + shortcuts)
            }
        }
    }

    /// Maps that layer `index` keeps of what it takes.
    fn kept(&self, index: usize) -> i64 {
        let before = index.checked_sub(1).map(|before| &self.plan.layers[before]);
        before.filter(|before| before.added_by.is_some()).map_or(0, |before| self.maps(before))
    }

    fn partial(&self, layer: &PlannedLayer) -> i64 {
        layer.kernels.weight_blocks(self.images) * layer.weights.1 * FLOAT
    }
}
