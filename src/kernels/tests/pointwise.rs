//! The kernels of 1×1 convolutions: the same bits in every order and as the kernels of normalisation,
//! and the products of float64.

use tch::{Kind, Tensor};

use crate::kernels::launch::{Emulator, Launch, Order};
use crate::kernels::list::{
    Facts, Kernel, NORM_STATISTICS, NORM_SUMS_BACK, POINTWISE, PointwisePair,
};
use crate::kernels::parameters::{Address, Norm, NormState, Pointwise};
use crate::kernels::tests::{State, assert_same_bits, largest, maps};

/// A 1×1 convolution, and all that its kernels read and write.
struct Convolved {
    inputs: i64,
    outputs: i64,
    /// Of the grid.
    rows: u32,
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
    fn new(pair: &PointwisePair, pixels: i64) -> Convolved {
        let (inputs, outputs) = pair.channels;
        let [x, shortcut, more] = [1, 2, 3].map(|key| maps(key, pixels, inputs));
        let (weights, dz) = (maps(4, outputs, inputs), maps(5, pixels, outputs));
        Convolved {
            inputs,
            outputs,
            rows: pair.rows(),
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
        let grid = (COLUMNS, self.rows);
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
                let made = |order| Convolved::new(pair, pixels).made(order, kernel);
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

/// Numbers of a normalisation by a 1×1 convolution and by norm.cu: the same bits of 256 and 512
/// channels, whose pixels both share among threads in one way; else but for the order of the sums.
fn assert_same_sums(ours: &State, theirs: &State, bound: f64, name: &str) {
    if ours.values.size()[1] >= 256 {
        assert!(ours.values.equal(&theirs.values), "{name}");
    }
    for (ours, theirs) in ours.values.unbind(0).iter().zip(theirs.values.unbind(0)) {
        let off = largest(ours, &theirs);
        assert!(off < bound, "{name}: {off}");
    }
}

#[test]
fn over_several_tiles_products_are_those_of_float64_and_sums_those_of_norm_cu() {
    for (pair, pixels) in POINTWISE.iter().flat_map(|pair| [(pair, 330), (pair, 30)]) {
        let name = pair.forward.facts.name;
        let ours = Convolved::new(pair, pixels);
        ours.run(Order::RunAhead, &pair.forward, &ours.parameter());
        let weights = ours.weights.to_kind(Kind::Double);
        let exact = ours.y.to_kind(Kind::Double).matmul(&weights.tr());
        assert!(largest(&ours.z, &exact) < 4.1e-3, "{name}");
        let state = State::new(ours.outputs, pixels, COLUMNS);
        let parameter =
            Norm { state: state.parameter(), x: Address::of(&ours.z), ..Norm::default() };
        normalise(&NORM_STATISTICS, ours.outputs, &parameter);
        assert_same_sums(&ours.after, &state, 2e-6, name);

        let name = pair.backward.facts.name;
        let ours = Convolved::new(pair, pixels);
        ours.run(Order::RunAhead, &pair.backward, &ours.parameter());
        let alone = Convolved::new(pair, pixels);
        let bare = Pointwise { before: NormState::default(), ..alone.parameter() };
        alone.run(Order::RunBehind, &pair.backward, &bare);
        let exact = ours.dz.to_kind(Kind::Double).matmul(&weights);
        assert!(largest(&alone.gradient, &exact) < 4.1e-3, "{name}");
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
        assert!(masked.equal(&ours.gradient), "{name}");
        assert_same_sums(&ours.before, &alone.before, 2e-6, name);
    }
}
