//! One pass through the layers of a network: a cursor that hands out each layer's weights together
//! with its normalisation.

use tch::{Kind, Tensor};

use crate::config::kernels::Kernels;
use crate::network::forward::fused;
use crate::network::forward::fused::{Convolved, Maps};
use crate::network::forward::own;
use crate::network::forward::own::Next;
use crate::network::forward::views::views;
use crate::network::parameters::{LayerSlot, Network};

/// Whether batch normalisation uses the batch's statistics (and updates the running ones) or the
/// running ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The batch's statistics.
    Training,
    /// Those of one of the batch's groups, which the running ones become: what they are after the
    /// batch is computed from those of all groups.
    Group,
    /// The batch's, and the running ones stay as they are: a part of the network is computed a
    /// second time.
    Recompute,
    /// The running statistics.
    Evaluation,
}

/// The mean of each map: [n, c, h, w] to float32 [n, c].
pub(crate) fn pooled(maps: &Tensor) -> Tensor {
    maps.to_kind(Kind::Float).adaptive_avg_pool2d([1, 1]).flatten(1, -1)
}

/// One walk through the layers, or through some in the middle.
pub(crate) struct Pass<'a> {
    pub(crate) network: &'a Network,
    /// Of convolutions in their precision, the others float32.
    parameters: Vec<Tensor>,
    position: Position,
    mode: Mode,
    /// What the names of the next layers begin with.
    module: String,
}

/// How far a walk is: layers behind it, in the order of
/// [`crate::network::architecture::table::Architecture::layers`].
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Position {
    /// On the main path.
    main: usize,
    /// Aside of it.
    aside: usize,
}

impl<'a> Pass<'a> {
    /// A walk that goes on at `position`.
    pub(crate) fn new(network: &'a Network, mode: Mode, position: Position) -> Pass<'a> {
        let parameters = views(network);
        Pass { network, parameters, position, mode, module: String::new() }
    }

    /// How far the walk is.
    pub(crate) fn position(&self) -> Position {
        self.position
    }

    /// The kind of feature maps.
    pub(crate) fn kind(&self) -> Kind {
        self.network.compute.kind()
    }

    /// How batch normalisation works.
    pub(crate) fn mode(&self) -> Mode {
        self.mode
    }

    /// Says that the next layers are those of `module`: debug builds check that their names begin
    /// with its.
    pub(crate) fn enter(&mut self, module: impl FnOnce() -> String) {
        if cfg!(debug_assertions) {
            self.module = module();
        }
    }

    /// The next layer, which is then behind.
    fn next(&mut self) -> &'a LayerSlot {
        let slot = self.peek();
        self.position.main += 1;
        slot
    }

    fn peek(&self) -> &'a LayerSlot {
        let slot = &self.network.slots[self.position.main];
        debug_assert!(slot.name.starts_with(&self.module), "{}: {}", self.module, slot.name);
        slot
    }

    /// Goes through the next of the layers that are aside of the main path.
    pub(crate) fn aside<T>(&mut self, walk: impl FnOnce(&mut Pass<'a>) -> T) -> T {
        let Position { main, aside } = self.position;
        self.position.main = self.network.main_layers + aside;
        let result = walk(self);
        self.position = Position { main, aside: self.position.main - self.network.main_layers };
        result
    }

    /// The next convolution of the main path, its batch normalisation and ReLU.
    pub(crate) fn layer(&mut self, input: &Tensor, stride: i64) -> Maps {
        let slot = self.next();
        let output = self.convolve(slot, input, stride).into();
        self.normalise(slot, &output, None, true, None)
    }

    /// A block's projection and its batch normalisation.
    pub(crate) fn projection(&mut self, input: &Tensor, stride: i64) -> Tensor {
        let slot = self.next();
        let output = self.convolution_in_block(slot, input, stride);
        self.normalise(slot, &output, None, false, None).main
    }

    /// As [`layer`](Self::layer), in a block, with the addition of a shortcut: the input may be
    /// convolved already, and the next convolution of the main path, of stride `following`, may be
    /// done ahead.
    pub(crate) fn layer_in_block(
        &mut self,
        input: &Maps,
        stride: i64,
        shortcut: Option<&Tensor>,
        following: Option<i64>,
    ) -> Maps {
        let slot = self.next();
        let next = following
            .filter(|&stride| stride == 1)
            .and_then(|_| self.network.slots.get(self.position.main));
        match &input.ahead {
            Some(output) => self.normalise(slot, output, shortcut, true, next),
            None => {
                let output = self.convolution_in_block(slot, &input.main, stride);
                self.normalise(slot, &output, shortcut, true, next)
            }
        }
    }

    /// The next convolution alone, where normalisation stands before it or nowhere.
    pub(crate) fn bare_convolution(&mut self, input: &Tensor, stride: i64) -> Tensor {
        let slot = self.next();
        self.convolve(slot, input, stride)
    }

    /// The batch normalisation and ReLU that stand before the next layer, which stays the next.
    pub(crate) fn preactivation(&self, maps: &Tensor) -> Maps {
        self.normalise(self.peek(), &maps.shallow_clone().into(), None, true, None)
    }

    /// The next 3×3 convolution with bias and nothing after it.
    pub(crate) fn biased_convolution(&mut self, maps: &Tensor) -> Tensor {
        let slot = self.next();
        let bias = &self.parameters[slot.bias()];
        maps.conv2d(&self.parameters[slot.weight], Some(bias), [1, 1], [1, 1], [1, 1], 1)
    }

    /// The next fully connected layer: float32 [..., inputs] to [..., outputs].
    pub(crate) fn fully_connected(&mut self, input: &Tensor) -> Tensor {
        let (weight, bias) = self.next_weight_and_bias();
        input.linear(&weight, Some(&bias))
    }

    /// The next layer's weights and bias, float32.
    pub(crate) fn next_weight_and_bias(&mut self) -> (Tensor, Tensor) {
        let slot = self.next();
        let parameter = |index: usize| self.parameters[index].shallow_clone();
        (parameter(slot.weight), parameter(slot.bias()))
    }

    fn convolve(&self, slot: &LayerSlot, input: &Tensor, stride: i64) -> Tensor {
        let weight = &self.parameters[slot.weight];
        let padding = weight.size()[2] / 2;
        input.conv2d::<Tensor>(weight, None, [stride, stride], [padding, padding], [1, 1], 1)
    }

    /// A convolution of a block that its layer's batch normalisation follows.
    fn convolution_in_block(&self, slot: &LayerSlot, input: &Tensor, stride: i64) -> Convolved {
        match self.own_convolution(slot, input).filter(|_| stride == 1) {
            Some(next) => own::convolve(input, &next),
            None => self.convolve(slot, input, stride).into(),
        }
    }

    /// The convolution of `slot` with the normalisation after it, if the project's own kernels do it
    /// with stride 1 on such maps.
    fn own_convolution(&self, slot: &LayerSlot, input: &Tensor) -> Option<Next<'_>> {
        let weight = &self.parameters[slot.weight];
        (self.uses_own_kernels() && self.network.compute.fused && own::can_convolve(input, weight))
            .then(|| Next { weight, norm: self.norm(slot) })
    }

    fn uses_own_kernels(&self) -> bool {
        self.network.compute.kernels == Kernels::Own && self.mode != Mode::Evaluation
    }

    /// A layer's batch normalisation, the addition of a shortcut, and ReLU if `relu`; the convolution
    /// of `next` with it where that can be done.
    fn normalise(
        &self,
        slot: &LayerSlot,
        convolved: &Convolved,
        shortcut: Option<&Tensor>,
        relu: bool,
        next: Option<&LayerSlot>,
    ) -> Maps {
        let (norm, maps) = (self.norm(slot), &convolved.maps);
        if self.uses_own_kernels() && own::can_do(maps) {
            let next = next.and_then(|next| self.own_convolution(next, maps));
            own::apply(&norm, convolved, shortcut, relu, next.as_ref())
        } else {
            norm.apply(maps, shortcut, relu, self.network.compute.fused)
        }
    }

    fn norm(&self, slot: &LayerSlot) -> fused::Norm<'_> {
        let norm = slot.norm();
        let state = &self.network.norms[norm.state];
        fused::Norm {
            scale: &self.parameters[norm.scale],
            shift: &self.parameters[norm.scale + 1],
            running: (self.mode != Mode::Recompute).then_some((&state.mean, &state.variance)),
            training: self.mode != Mode::Evaluation,
            momentum: if self.mode == Mode::Group { 1.0 } else { fused::MOMENTUM },
            epsilon: state.epsilon,
        }
    }
}
