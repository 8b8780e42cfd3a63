//! The forward pass.

use anyhow::Result;

use crate::kernels::parameters::{Activation, Address, Convolution};
use crate::network::stepwise::Step;

impl Step<'_> {
    /// All convolutions with their statistics: the last normalisation is the head's.
    pub(super) fn forward(&self) -> Result<()> {
        for (index, layer) in self.plan.layers.iter().enumerate() {
            let (input, images) = match index.checked_sub(1) {
                Some(before) => (self.activation(before, true), Address::default()),
                None => (Activation::default(), Address::of(&self.images)),
            };
            let parameter = Convolution {
                input,
                images,
                weights: self.weights(index),
                result: Address::of(&self.memory.outputs[index]),
                norm: self.norm(index),
                images_count: self.images_count,
                ..Convolution::default()
            };
            let blocks = self.images_count as u32 * layer.kernels.tiles.0 as u32;
            // SAFETY: all addresses are of tensors that this step, its network or its memory hold.
            unsafe { self.launcher.launch(layer.kernels.forward, (blocks, 1), &parameter)? };
        }
        Ok(())
    }

    /// A convolution's weights, bfloat16.
    pub(super) fn weights(&self, index: usize) -> Address {
        let (offset, _) = self.plan.layers[index].weights;
        Address::of(&self.half).plus(offset as usize * 2)
    }
}
