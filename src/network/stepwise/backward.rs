//! From the last maps to the loss and back to the flat gradient.

use anyhow::Result;

use crate::kernels::list::{COLLECT, HEAD, THREADS};
use crate::kernels::parameters::{
    Activation, Address, Collect, Convolution, Head, OutputGradient, WeightGradient,
};
use crate::network::stepwise::Step;

impl Step<'_> {
    /// The head, then each layer's gradient by its weights and by its input, then the flat vector.
    pub(super) fn backward(&self) -> Result<()> {
        self.head()?;
        for index in (0..self.plan.layers.len()).rev() {
            // Only the flat vector needs it.
            self.launcher.aside(&mut || self.by_weights(index))?;
            self.by_input(index)?;
        }
        self.launcher.join()?;
        self.collect()
    }

    fn head(&self) -> Result<()> {
        let last = self.plan.layers.len() - 1;
        let classifier =
            Address::of(self.network.parameters()).plus(self.plan.classifier as usize * 4);
        let weights = (self.plan.classes * self.plan.channels) as usize;
        let parameter = Head {
            input: self.activation(last, false),
            weights: classifier,
            bias: classifier.plus(weights * 4),
            labels: Address::of(&self.labels),
            logits: Address::of(&self.logits),
            d_logits: Address::of(&self.memory.d_logits),
            pooled: Address::of(&self.memory.pooled),
            losses: Address::of(&self.memory.losses),
            gradient: Address::of(&self.memory.gradients[last]),
            norm: self.norm(last),
            images_count: self.images_count,
            classes: self.plan.classes as i32,
        };
        // SAFETY: all addresses are of tensors that this step, its network or its memory hold.
        unsafe { self.launcher.launch(&HEAD, (self.images_count as u32, 1), &parameter) }
    }

    /// The gradient of a convolution's output, made while it is read.
    fn output_gradient(&self, index: usize) -> OutputGradient {
        let norm = self.norm(index);
        OutputGradient {
            gradient: Address::of(&self.memory.gradients[index]),
            maps: Address::of(&self.memory.outputs[index]),
            mean: norm.mean,
            factor: norm.factor,
            slope: norm.slope,
            offset: norm.offset,
        }
    }

    fn by_weights(&self, index: usize) -> Result<()> {
        let kernels = self.plan.layers[index].kernels;
        let (input, images) = match index.checked_sub(1) {
            None => (Activation::default(), Address::of(&self.images)),
            Some(before) => (self.taken(before), Address::default()),
        };
        let parameter = WeightGradient {
            input,
            images,
            output: self.output_gradient(index),
            partial: Address::of(&self.memory.weights[index]),
            images_count: self.images_count,
        };
        let blocks = kernels.weight_blocks(i64::from(self.images_count)) as u32;
        // SAFETY: as in `head`.
        unsafe { self.launcher.launch(kernels.weights, (blocks, kernels.shares.1), &parameter) }
    }

    /// A layer's output as the next one took it: kept, or made again of its convolution's.
    fn taken(&self, index: usize) -> Activation {
        let kept = self.memory.kept(index);
        match kept == Address::default() {
            true => self.activation(index, false),
            false => Activation { maps: kept, ..Activation::default() },
        }
    }

    /// The gradient by the normalisation's output of the layer before, with that layer's sums.
    fn by_input(&self, index: usize) -> Result<()> {
        let kernels = self.plan.layers[index].kernels;
        let (Some(kernel), Some(before)) = (kernels.backward, index.checked_sub(1)) else {
            return Ok(());
        };
        let layer = &self.plan.layers[before];
        let through = layer.added_by.map(|by| (by, self.plan.layers[by].shortcut));
        let added = layer.shortcut.is_some();
        let parameter = Convolution {
            output: self.output_gradient(index),
            weights: self.weights(index),
            result: Address::of(&self.memory.gradients[before]),
            norm: self.norm(before),
            before: Address::of(&self.memory.outputs[before]),
            sign: if added { self.memory.kept(before) } else { Address::default() },
            more: Address::of_maybe(through.map(|(by, _)| &self.memory.gradients[by])),
            more_narrows: i32::from(
                through.is_some_and(|(_, from)| from.is_some_and(|from| from.widens)),
            ),
            images_count: self.images_count,
            ..Convolution::default()
        };
        let blocks = self.images_count as u32 * kernels.tiles.1 as u32;
        // SAFETY: as in `head`.
        unsafe { self.launcher.launch(kernel, (blocks, 1), &parameter) }
    }

    fn collect(&self) -> Result<()> {
        let weights = Address::of(&self.gradient).plus(self.plan.classifier as usize * 4);
        let parameter = Collect {
            convolutions: Address::of(&self.memory.parts),
            gradient: Address::of(&self.gradient),
            d_logits: Address::of(&self.memory.d_logits),
            pooled: Address::of(&self.memory.pooled),
            losses: Address::of(&self.memory.losses),
            d_weights: weights,
            d_bias: weights.plus((self.plan.classes * self.plan.channels) as usize * 4),
            loss: Address::of(&self.loss),
            convolutions_count: self.plan.layers.len() as i32,
            images_count: self.images_count,
            classes: self.plan.classes as i32,
            channels: self.plan.channels as i32,
        };
        let convolutions = self.plan.layers.iter().map(|layer| layer.weights.1);
        // The last layer's weights and biases, the loss and the wrong images.
        let head = self.plan.classes * (self.plan.channels + 1) + 2;
        let most = convolutions.chain([head]).max().unwrap_or(1) as u32;
        let grid = (most.div_ceil(THREADS), self.plan.layers.len() as u32 + 1);
        // SAFETY: as in `head`.
        unsafe { self.launcher.launch(&COLLECT, grid, &parameter) }
    }
}
