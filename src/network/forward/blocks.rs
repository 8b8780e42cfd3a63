//! The forward pass of nets of blocks: plain, residual, pre-activation.

use tch::Tensor;

use crate::network::architecture::blocks::Block;
use crate::network::architecture::body::{Body, Order, Stem};
use crate::network::forward::fused::Maps;
use crate::network::forward::pass::{Mode, Pass, Position, pooled};
use crate::network::parameters::Network;

impl Network {
    /// The maps at the end of each stage of a net of blocks, [n, c, h, w]; nothing of other nets.
    pub fn stage_outputs(&self, images: &Tensor, mode: Mode) -> Vec<Tensor> {
        let blocks = self.architecture.blocks();
        if blocks.is_empty() {
            return Vec::new();
        }
        let mut pass = Pass::new(self, mode, Position::default());
        let mut maps = pass.stem(images);
        let mut outputs: Vec<Tensor> = Vec::new();
        for block in &blocks {
            maps = pass.block(&maps, block, None);
            outputs.truncate(block.stage());
            outputs.push(maps.main.shallow_clone());
        }
        outputs
    }
}

impl Pass<'_> {
    /// Blocks that follow each other.
    pub(crate) fn blocks(&mut self, maps: Maps, blocks: &[Block]) -> Maps {
        let following = blocks.iter().skip(1).map(Some).chain([None]);
        blocks
            .iter()
            .zip(following)
            .fold(maps, |maps, (block, next)| self.block(&maps, block, next))
    }

    /// The first layer: images, float32 [n, 3, h, w], to the maps that the first block takes.
    pub(crate) fn stem(&mut self, images: &Tensor) -> Maps {
        self.enter(|| "conv1".to_string());
        let images = images.to_kind(self.kind());
        match &self.network.architecture.body {
            Body::Blocks { stem, order: Order::PreActivation, .. } => {
                self.bare_convolution(&images, stem.stride).into()
            }
            Body::Blocks { stem, .. } | Body::Highway { stem: Some(stem), .. } => {
                self.convolution_and_pool(&images, *stem)
            }
            _ => images.into(),
        }
    }

    fn convolution_and_pool(&mut self, images: &Tensor, stem: Stem) -> Maps {
        let maps = self.layer(images, stem.stride);
        if stem.pool {
            maps.main.max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false).into()
        } else {
            maps
        }
    }

    /// The next block and its shortcut (Eqn. 1: y = F(x) + x): [n, c, h, w] to [n, outputs, h /
    /// stride, w / stride], rounded up. `next`: the block that will be next in this walk, if any.
    pub(crate) fn block(&mut self, maps: &Maps, block: &Block, next: Option<&Block>) -> Maps {
        self.enter(|| block.name());
        if block.order() == Order::PreActivation {
            return self.preactivated_block(&maps.main, block).into();
        }
        let mut shortcut = self.shortcut(&maps.again, block);
        let strides = block.strides();
        let mut inner: Option<Maps> = None;
        for (index, &stride) in strides.iter().enumerate() {
            let last = index + 1 == strides.len();
            let added = if last { shortcut.take() } else { None };
            let following = match last {
                true => next.and_then(|next| next.strides().first().copied()),
                false => strides.get(index + 1).copied(),
            };
            let input = inner.as_ref().unwrap_or(maps);
            inner = Some(self.layer_in_block(input, stride, added.as_ref(), following));
        }
        inner.expect("a block has layers")
    }

    /// The same with normalisation and ReLU before each convolution (He et al. 2016, Figure 1b), and
    /// nothing after the addition.
    fn preactivated_block(&mut self, maps: &Tensor, block: &Block) -> Tensor {
        let activated = self.preactivation(maps);
        let carried = if block.shares_activation() { &activated.again } else { maps };
        let shortcut = self.shortcut(carried, block);
        let mut inner = activated.main;
        for (index, &stride) in block.strides().iter().enumerate() {
            if index > 0 {
                inner = self.preactivation(&inner).main;
            }
            inner = self.bare_convolution(&inner, stride);
        }
        match shortcut {
            Some(shortcut) => inner.g_add_(&shortcut),
            None => inner,
        }
    }

    /// What is added to the block's output; nothing in a plain net.
    fn shortcut(&mut self, maps: &Tensor, block: &Block) -> Option<Tensor> {
        let kind = self.network.architecture.shortcut;
        kind?;
        if block.projects(kind) {
            return Some(self.aside(|pass| match block.order() {
                Order::PostActivation => pass.projection(maps, block.stride),
                Order::PreActivation => pass.bare_convolution(maps, block.stride),
            }));
        }
        if !block.changes_shape() {
            return Some(maps.shallow_clone());
        }
        let added = block.outputs() - block.inputs;
        let every_second = maps.slice(2, 0, None, block.stride).slice(3, 0, None, block.stride);
        Some(every_second.constant_pad_nd([0, 0, 0, 0, added / 2, added - added / 2]))
    }

    /// The last layer, and in nets of pre-activation the normalisation and ReLU before it: maps to
    /// logits, float32 [n, classes].
    pub(crate) fn classify(&mut self, maps: &Tensor) -> Tensor {
        self.enter(|| "fc".to_string());
        match &self.network.architecture.body {
            Body::Blocks { order: Order::PreActivation, .. } => {
                let activated = self.preactivation(maps).main;
                self.fully_connected(&pooled(&activated))
            }
            _ => self.fully_connected(&pooled(maps)),
        }
    }
}
