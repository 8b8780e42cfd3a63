//! The kernels of 1×1 convolutions: the same bits in every order and as the kernels of normalisation,
//! and the products of float64.

use tch::{Kind, Tensor};

use super::{State, assert_same_bits, maps};
use crate::kernels::launch::{Emulator, Launch, Order};
use crate::kernels::list::{Facts, Kernel, NORM_STATISTICS, NORM_SUMS_BACK, POINTWISE};
use crate::kernels::parameters::{Address, Norm, NormState, Pointwise};

/// A 1×1 convolution, and all that its kernels read and write.
struct Convolved {
    inputs: i64,
    outputs: i64,
    pixels: i64,
    x: Tensor,
    shortcut: Tensor,
    more: Tensor,
    weights: Tensor,
    dz: Tensor,
    y: Tensor,
    z: Tensor,
    gradient: Tensor,
    before: State,
    after: State,
}

/// Blocks that share the pixels: each has several tiles.
const COLUMNS: u32 = 2;

impl Convolved {
    fn new((inputs, outputs): (i64, i64), pixels: i64) -> Convolved {
        let [x, shortcut, more] = [1, 2, 3].map(|key| maps(key, pixels, inputs));
        let (weights, dz) = (maps(4, outputs, inputs), maps(5, pixels, outputs));
        Convolved {
            inputs,
            outputs,
            pixels,
            y: x.zeros_like(),
            z: dz.zeros_like(),
            gradient: x.zeros_like(),
            before: State::new(inputs, pixels, COLUMNS),
            after: State::new(outputs, pixels, COLUMNS),
            x,
            shortcut,
            more,
            weights,
            dz,
        }
    }

    fn parameter(&self) -> Pointwise {
        Pointwise {
            before: self.before.parameter(),
            after: self.after.parameter(),
            x: Address::of(&self.x),
            shortcut: Address::of(&self.shortcut),
            y: Address::of(&self.y),
            weights: Address::of(&self.weights),
            z: Address::of(&self.z),
            dz: Address::of(&self.dz),
            more: Address::of(&self.more),
            sign: Address::of(&self.shortcut),
            gradient: Address::of(&self.gradient),
            pixels: self.pixels as i32,
        }
    }

    fn run(&self, order: Order, kernel: &Kernel<Pointwise>, parameter: &Pointwise) {
        let Facts { name, shared_bytes, .. } = kernel.facts;
        let grid = (COLUMNS, if self.inputs.max(self.outputs) == 512 { 2 } else { 1 });
        let parameter = std::ptr::from_ref(parameter).cast();
        // SAFETY: the parameter's tensors are this one's.
        let counts = unsafe { Emulator { order }.run(name, grid, shared_bytes, parameter) };
        let counts = counts.unwrap();
        assert_eq!(counts.passes, counts.matrix_loads, "{name}: conflicts of banks");
    }

    /// What the kernel makes with the normalisation before it: forward, or by the input.
    fn made(self, order: Order, kernel: &Kernel<Pointwise>) -> Vec<Tensor> {
        self.run(order, kernel, &self.parameter());
        let Convolved { y, z, gradient, before, after, .. } = self;
        vec![y, z, gradient, before.values, after.values]
    }
}

#[test]
fn whichever_thread_and_block_is_first_a_1x1_convolution_has_the_same_bits_without_conflicts() {
    for pair in &POINTWISE {
        for pixels in [7, 330] {
            for kernel in [&pair.forward, &pair.backward] {
                let made = |order| Convolved::new(pair.channels, pixels).made(order, kernel);
                assert_same_bits(Order::ALL.map(made), kernel.facts.name);
            }
        }
    }
}

/// Runs a kernel of normalisation on maps of up to 512 channels.
fn normalise(kernel: &Kernel<Norm>, channels: i64, parameter: &Norm) {
    let emulator: &dyn Launch = &Emulator { order: Order::InStep };
    // SAFETY: the caller keeps the parameter's tensors.
    unsafe {
        emulator.launch(kernel, (COLUMNS, (channels as u32).div_ceil(256)), parameter).unwrap()
    }
}

#[test]
fn the_sums_of_1x1_convolutions_of_256_and_512_channels_have_the_bits_of_norm_cu() {
    for (at, pixels) in [(0, 330), (1, 330), (0, 30), (1, 30)] {
        let forward = &POINTWISE[at];
        let ours = Convolved::new(forward.channels, pixels);
        ours.run(Order::RunAhead, &forward.forward, &ours.parameter());
        let exact = ours.y.to_kind(Kind::Double).matmul(&ours.weights.to_kind(Kind::Double).tr());
        let off = (ours.z.to_kind(Kind::Double) - &exact).abs().max() / exact.abs().max();
        assert!(off.double_value(&[]) < 4.1e-3, "{}", forward.forward.facts.name);
        let state = State::new(ours.outputs, pixels, COLUMNS);
        let parameter =
            Norm { state: state.parameter(), x: Address::of(&ours.z), ..Norm::default() };
        normalise(&NORM_STATISTICS, ours.outputs, &parameter);
        assert!(state.values.equal(&ours.after.values), "{}", forward.forward.facts.name);

        // Of the other direction: 256 and 512 channels are the inputs.
        let backward = &POINTWISE[at + 2];
        let ours = Convolved::new(backward.channels, pixels);
        ours.run(Order::RunAhead, &backward.backward, &ours.parameter());
        let alone = Convolved::new(backward.channels, pixels);
        let bare = Pointwise { before: NormState::default(), ..alone.parameter() };
        alone.run(Order::RunBehind, &backward.backward, &bare);
        let exact = ours.dz.to_kind(Kind::Double).matmul(&ours.weights.to_kind(Kind::Double));
        let off = (alone.gradient.to_kind(Kind::Double) - &exact).abs().max() / exact.abs().max();
        assert!(off.double_value(&[]) < 4.1e-3, "{}", backward.backward.facts.name);
        let masked = ours.x.zeros_like();
        let parameter = Norm {
            state: alone.before.parameter(),
            x: Address::of(&alone.x),
            sign: Address::of(&alone.shortcut),
            dy: Address::of(&alone.gradient),
            more: Address::of(&alone.more),
            masked: Address::of(&masked),
            relu: 1,
            ..Norm::default()
        };
        normalise(&NORM_SUMS_BACK, ours.inputs, &parameter);
        assert!(masked.equal(&ours.gradient), "{}", backward.backward.facts.name);
        assert!(alone.before.values.equal(&ours.before.values), "{}", backward.backward.facts.name);
    }
}
