//! The memory of a step's maps and sums, planned once, so that a captured step finds it where it
//! was.

use tch::{Device, Kind, Tensor};

use crate::kernels::parameters::{Address, Parts};
use crate::network::stepwise::plan::Plan;

/// Vectors of statistics a layer: mean, inverse deviation, factor, slope, offset.
const STATISTICS: i64 = 5;
/// Most channels of a layer.
const CHANNELS: i64 = 64;

/// What a step keeps on the device.
pub struct Memory {
    /// Of each layer, its convolution's output: bfloat16, [images, side, side, channels].
    pub outputs: Vec<Tensor>,
    /// Of each layer, the gradient by its normalisation's output: the same.
    pub gradients: Vec<Tensor>,
    /// Of each layer whose output another adds to its own, that output: the same.
    kept: Vec<Option<Tensor>>,
    /// float32, [layers, STATISTICS, CHANNELS].
    statistics: Tensor,
    /// Sums of the blocks of the kernel that is at work: float32.
    pub partial: Tensor,
    /// How many of them are done: int32, [1].
    pub counter: Tensor,
    /// Of each layer, sums of its weights' gradient by blocks: float32, [blocks, weights].
    pub weights: Vec<Tensor>,
    /// What `collect` adds up: [`Parts`] of each layer, int64, [layers, 4].
    pub parts: Tensor,
    /// Of the last layer: float32, [images, classes].
    pub d_logits: Tensor,
    /// float32, [images, channels].
    pub pooled: Tensor,
    /// Losses, and 1 where the image is wrong: float32, [2, images].
    pub losses: Tensor,
}

impl Memory {
    /// The memory for batches of `images`.
    pub fn new(plan: &Plan, images: i64, device: Device) -> Memory {
        let maps = |layer: usize| {
            let layer = &plan.layers[layer];
            let shape = [images, layer.side, layer.side, layer.outputs];
            Tensor::empty(shape, (Kind::BFloat16, device))
        };
        let float = |shape: &[i64]| Tensor::empty(shape, (Kind::Float, device));
        let count = plan.layers.len();
        let weights: Vec<Tensor> = plan
            .layers
            .iter()
            .map(|layer| float(&[layer.kernels.weight_blocks(images), layer.weights.1]))
            .collect();
        let parts: Vec<i64> = plan
            .layers
            .iter()
            .zip(&weights)
            .flat_map(|(layer, partial)| {
                let (offset, count) = layer.weights;
                let from = Address::of(partial);
                Parts { from, offset, count, parts: partial.size()[0] }.words()
            })
            .collect();
        let blocks =
            plan.layers.iter().map(|layer| layer.kernels.tiles.0.max(layer.kernels.tiles.1)).max();
        Memory {
            outputs: (0..count).map(maps).collect(),
            gradients: (0..count).map(maps).collect(),
            kept: (0..count)
                .map(|layer| plan.layers[layer].added_by.map(|_| maps(layer)))
                .collect(),
            statistics: float(&[count as i64, STATISTICS, CHANNELS]),
            partial: float(&[images * blocks.unwrap_or(1), 2, CHANNELS]),
            counter: Tensor::zeros([1], (Kind::Int, device)),
            weights,
            parts: Tensor::from_slice(&parts).to_device(device),
            d_logits: float(&[images, plan.classes]),
            pooled: float(&[images, plan.channels]),
            losses: float(&[2, images]),
        }
    }

    /// All that kernels leave for each other, but for what only their own blocks read.
    pub fn all(&self) -> Vec<Tensor> {
        let maps = self.outputs.iter().chain(&self.gradients).chain(self.kept.iter().flatten());
        let sums = [&self.d_logits, &self.pooled, &self.losses];
        // Each vector by itself, since each has a scale of its own.
        let rows = self.statistics.view([-1, CHANNELS]);
        let vectors = (0..rows.size()[0]).map(|row| rows.get(row));
        maps.chain(&self.weights).chain(sums).map(Tensor::shallow_clone).chain(vectors).collect()
    }

    /// Where a layer's output is kept; nowhere if nothing needs it.
    pub fn kept(&self, layer: usize) -> Address {
        Address::of_maybe(self.kept[layer].as_ref())
    }

    /// Where a layer's mean, inverse deviation, factor, slope and offset are.
    pub fn statistics(&self, layer: usize) -> [Address; STATISTICS as usize] {
        let row = |which: usize| {
            let position = (layer * STATISTICS as usize + which) * CHANNELS as usize;
            Address::of(&self.statistics).plus(position * size_of::<f32>())
        };
        std::array::from_fn(row)
    }
}
