//! What tests feed to a convolution's kernels, and what float64 makes of it.

#[cfg(test)]
mod tests;

use tch::{Device, Kind, Tensor};

use crate::kernels::list::{
    BACKWARD_16, BACKWARD_16_32, BACKWARD_32, BACKWARD_32_64, BACKWARD_64, FORWARD_16,
    FORWARD_16_32, FORWARD_32, FORWARD_32_64, FORWARD_64, Kernel, WEIGHTS_16, WEIGHTS_16_32,
    WEIGHTS_32, WEIGHTS_32_64, WEIGHTS_64,
};
use crate::kernels::parameters::{
    Activation, Address, Convolution, NormState, OutputGradient, Shortcut, WeightGradient,
};
use crate::kernels::tests::{double, largest, rounded};
use crate::random::{Purpose, Stream};

/// Normally distributed numbers, the same for the same `key`.
pub(super) fn normal(key: u64, shape: &[i64]) -> Tensor {
    let mut stream = Stream::new(9, Purpose::Shapes, key);
    let count = shape.iter().product::<i64>();
    let values: Vec<f32> = stream.normals(count as usize);
    Tensor::from_slice(&values).view(shape)
}

/// A convolution of the nets, on `images` images.
#[derive(Clone, Copy)]
struct Layer {
    inputs: i64,
    outputs: i64,
    /// Of the output.
    side: i64,
    stride: i64,
    images: i64,
    /// Whether a shortcut is added to its input, and whether that is one that widens.
    added: Option<bool>,
    /// What maps are multiplied by.
    scale: f64,
}

impl Layer {
    fn kernels(
        self,
    ) -> (&'static Kernel<Convolution>, &'static Kernel<Convolution>, &'static Kernel<WeightGradient>)
    {
        match (self.inputs, self.outputs) {
            (16, 16) => (&FORWARD_16, &BACKWARD_16, &WEIGHTS_16),
            (16, 32) => (&FORWARD_16_32, &BACKWARD_16_32, &WEIGHTS_16_32),
            (32, 32) => (&FORWARD_32, &BACKWARD_32, &WEIGHTS_32),
            (32, 64) => (&FORWARD_32_64, &BACKWARD_32_64, &WEIGHTS_32_64),
            _ => (&FORWARD_64, &BACKWARD_64, &WEIGHTS_64),
        }
    }

    fn tiles(self) -> (u32, u32) {
        match (self.inputs, self.outputs) {
            (16, 16) => (2, 2),
            (16, 32) => (1, 2),
            _ => (1, 1),
        }
    }

    fn input_side(self) -> i64 {
        self.side * self.stride
    }

    /// Maps of the input, or of the output, as they lie.
    fn maps(self, key: u64, output: bool) -> Tensor {
        let (side, channels) = match output {
            true => (self.side, self.outputs),
            false => (self.input_side(), self.inputs),
        };
        (normal(key, &[self.images, side, side, channels]) * self.scale).to_kind(Kind::BFloat16)
    }
}

/// The three stages with and without stride, odd numbers of images, every kind of shortcut.
fn layers() -> Vec<Layer> {
    let layer = |inputs, outputs, side, stride, images, added| Layer {
        inputs,
        outputs,
        side,
        stride,
        images,
        added,
        scale: 1.0,
    };
    vec![
        layer(16, 16, 32, 1, 2, None),
        layer(16, 16, 32, 1, 1, Some(false)),
        layer(16, 32, 16, 2, 3, Some(false)),
        layer(32, 32, 16, 1, 1, None),
        layer(32, 32, 16, 1, 3, Some(true)),
        layer(32, 64, 8, 2, 3, Some(false)),
        layer(64, 64, 8, 1, 5, None),
        layer(64, 64, 8, 1, 2, Some(true)),
        Layer { scale: 300.0, ..layer(32, 32, 16, 1, 2, Some(false)) },
        Layer { scale: 1e-3, ..layer(64, 64, 8, 1, 2, None) },
    ]
}

/// A normalisation's numbers, float32 [channels] each: mean, inverse, factor, beta, slope, offset.
struct Norm {
    values: [Tensor; 6],
    written: Tensor,
    partial: Tensor,
    counter: Tensor,
    channels: i64,
    rows: i64,
}

impl Norm {
    fn new(key: u64, channels: i64, rows: i64, scale: f64) -> Norm {
        let vector = |which: u64| normal(key * 10 + which, &[channels]);
        let values = [
            vector(0) * (0.1 * scale),
            vector(1).abs() + 0.5,
            (vector(2) * 0.2 + 1.0) / scale,
            vector(3) * 0.3,
            vector(4) * (0.1 / scale),
            vector(5) * 0.1,
        ];
        let float = |shape: &[i64]| Tensor::zeros(shape, (Kind::Float, Device::Cpu));
        Norm {
            values,
            // Mean, inverse, factor; slope, offset, d_gamma, d_beta: what a kernel writes.
            written: float(&[7, channels]),
            partial: float(&[64, 2, channels]),
            counter: Tensor::zeros([1], (Kind::Int, Device::Cpu)),
            channels,
            rows,
        }
    }

    fn row(&self, which: i64) -> Tensor {
        self.written.get(which)
    }

    /// As the kernels that make a batch's statistics have it; those that make gradients' read the
    /// mean, inverse and factor.
    fn state(&self, statistics: bool) -> NormState {
        let [mean, inverse, factor, beta, ..] = &self.values;
        let written = |which| Address::of(&self.row(which));
        let read = |value: &Tensor, which| match statistics {
            true => written(which),
            false => Address::of(value),
        };
        NormState {
            gamma: Address::of(factor),
            beta: Address::of(beta),
            mean: read(mean, 0),
            inverse: read(inverse, 1),
            factor: read(factor, 2),
            running_mean: Address::of(mean),
            running_variance: Address::of(inverse),
            slope: written(3),
            offset: written(4),
            d_gamma: written(5),
            d_beta: written(6),
            partial: Address::of(&self.partial),
            counter: Address::of(&self.counter),
            rows: self.rows as i32,
            channels: self.channels as i32,
            momentum: 0.0,
            epsilon: 1e-5,
        }
    }
}

/// [images, side, side, channels] to torch's order, and back.
fn nchw(maps: &Tensor) -> Tensor {
    maps.permute([0, 3, 1, 2])
}
fn nhwc(maps: &Tensor) -> Tensor {
    maps.permute([0, 2, 3, 1])
}

/// What a layer's input is made of.
struct Input {
    maps: Tensor,
    norm: Norm,
    shortcut: Option<Tensor>,
    made: Tensor,
}

impl Input {
    fn new(layer: Layer) -> Input {
        let maps = layer.maps(1, false);
        let rows = layer.images * layer.input_side() * layer.input_side();
        let norm = Norm::new(2, layer.inputs, rows, layer.scale);
        let shortcut = layer.added.map(|widens| match widens {
            false => normal(3, &maps.size()).to_kind(Kind::BFloat16),
            true => {
                let side = layer.input_side() * 2;
                normal(3, &[layer.images, side, side, layer.inputs / 2]).to_kind(Kind::BFloat16)
            }
        });
        Input { made: maps.zeros_like(), maps, norm, shortcut }
    }

    fn activation(&self, layer: Layer) -> Activation {
        let [mean, _, factor, beta, ..] = &self.norm.values;
        Activation {
            maps: Address::of(&self.maps),
            mean: Address::of(mean),
            factor: Address::of(factor),
            beta: Address::of(beta),
            shortcut: Shortcut {
                maps: Address::of_maybe(self.shortcut.as_ref()),
                widens: i32::from(layer.added == Some(true)),
            },
            made: Address::of(&self.made),
        }
    }

    /// In float64, but for the rounding of what is made.
    fn exact(&self, layer: Layer) -> Tensor {
        let [mean, _, factor, beta, ..] = &self.norm.values;
        let sum = (double(&self.maps) - double(mean)) * double(factor) + double(beta);
        let sum = match (&self.shortcut, layer.added) {
            (Some(shortcut), Some(true)) => {
                let part = double(shortcut).slice(1, 0, None, 2).slice(2, 0, None, 2);
                sum + part.constant_pad_nd([layer.inputs / 4, layer.inputs / 4])
            }
            (Some(shortcut), _) => sum + double(shortcut),
            (None, _) => sum,
        };
        rounded(&sum.relu())
    }
}

/// A layer's output gradient.
struct Upstream {
    gradient: Tensor,
    maps: Tensor,
    norm: Norm,
}

impl Upstream {
    fn new(layer: Layer) -> Upstream {
        let rows = layer.images * layer.side * layer.side;
        Upstream {
            gradient: layer.maps(4, true),
            maps: layer.maps(5, true),
            norm: Norm::new(6, layer.outputs, rows, layer.scale),
        }
    }

    fn output_gradient(&self) -> OutputGradient {
        let [mean, _, factor, _, slope, offset] = &self.norm.values;
        OutputGradient {
            gradient: Address::of(&self.gradient),
            maps: Address::of(&self.maps),
            mean: Address::of(mean),
            factor: Address::of(factor),
            slope: Address::of(slope),
            offset: Address::of(offset),
        }
    }

    fn exact(&self) -> Tensor {
        let [mean, _, factor, _, slope, offset] = self.norm.values.each_ref().map(double);
        let centred = double(&self.maps) - mean;
        rounded(&(double(&self.gradient) * factor + centred * slope + offset))
    }
}

/// Weights as they lie, [outputs, 3, 3, inputs] of bfloat16, and in torch's order in float64.
fn weights(layer: Layer) -> (Tensor, Tensor) {
    let shape = [layer.outputs, 3, 3, layer.inputs];
    let lie = (normal(7, &shape) * 0.1).to_kind(Kind::BFloat16);
    let exact = double(&lie).permute([0, 3, 1, 2]);
    (lie, exact)
}
