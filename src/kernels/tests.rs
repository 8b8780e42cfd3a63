//! What the emulator finds, and that Rust and C++ mean the same.

mod pointwise;

use tch::{Device, Kind, Tensor};

use super::launch::{Emulator, Launch, Order};
use super::list::{
    File, HEADERS, NORM_APPLY, NORM_INPUT_GRADIENT, NORM_STATISTICS, NORM_SUMS_BACK, all,
};
use super::nvrtc;
use super::parameters::{
    Address, Batch, Collect, Convolution, Head, Norm, NormState, Pointwise, Update, WeightGradient,
};
use crate::random::{Purpose, Stream};

/// What the kernels with a mistake take (emulate/mistakes.h).
#[repr(C)]
struct Mistake {
    from: Address,
    to: Address,
}

/// Shared memory of a kernel with a mistake; of one that writes past its end, a float a thread.
fn shared_bytes(name: &str) -> u32 {
    if name == "past_the_end" { 1024 } else { 1 << 16 }
}

/// What a kernel with a mistake leaves in one order, or what was found.
fn outcome(name: &str, blocks: u32, order: Order) -> Result<Vec<f32>, String> {
    let from = Tensor::arange(256, (Kind::Float, Device::Cpu)) * 1e6 + 0.1;
    let to = Tensor::zeros([256], (Kind::Float, Device::Cpu));
    let parameter = Mistake { from: Address::of(&from), to: Address::of(&to) };
    let parameter = std::ptr::from_ref(&parameter).cast();
    // SAFETY: the kernels take a Mistake, whose tensors live.
    let counts =
        unsafe { Emulator { order }.run(name, (blocks, 1), shared_bytes(name), parameter) };
    let counts = counts.map_err(|error| format!("{error:#}"))?;
    if name == "same_bank" {
        return Ok(vec![counts.passes as f32 / counts.matrix_loads as f32]);
    }
    Ok(Vec::try_from(&to).unwrap())
}

#[test]
fn the_emulator_finds_threads_that_wait_at_different_places() {
    for order in Order::ALL {
        let found = outcome("missed_barrier", 1, order).unwrap_err();
        assert!(found.contains("different places"), "{found}");
        let found = outcome("divergent_warp", 1, order).unwrap_err();
        assert!(found.contains("different operations"), "{found}");
    }
}

#[test]
fn the_emulator_finds_a_missing_barrier_a_copy_not_awaited_and_memory_not_written() {
    let right: Vec<f32> = outcome("no_mistake", 1, Order::InStep).unwrap();
    for order in Order::ALL {
        assert_eq!(outcome("no_mistake", 1, order).unwrap(), right, "{order:?}");
    }
    let wrong = |name: &str| {
        Order::ALL.map(|order| outcome(name, 1, order).unwrap()).iter().any(|found| *found != right)
    };
    assert!(wrong("missing_barrier"));
    assert!(wrong("copy_not_awaited"));
    let found = outcome("copy_never_awaited", 1, Order::InStep).unwrap_err();
    assert!(found.contains("did not wait for its copies"), "{found}");
    assert!(outcome("unwritten_memory", 1, Order::InStep).unwrap()[0].is_nan());
    let found = outcome("past_the_end", 1, Order::InStep).unwrap_err();
    assert!(found.contains("past the shared memory"), "{found}");
}

#[test]
fn the_emulator_finds_that_it_matters_which_block_is_first_and_conflicts_of_banks() {
    let [one, other, _] = Order::ALL.map(|order| outcome("first_come", 200, order).unwrap()[0]);
    assert_ne!(one, other);
    assert_eq!(outcome("same_bank", 1, Order::InStep).unwrap(), [8.0]);
}

#[test]
fn rust_and_cpp_agree_on_what_each_kernel_takes() {
    for facts in all() {
        let expected = match facts.name {
            name if name.starts_with("norm") => size_of::<Norm>(),
            name if name.starts_with("forward") || name.starts_with("backward") => {
                size_of::<Convolution>()
            }
            name if name.starts_with("weights") => size_of::<WeightGradient>(),
            name if name.starts_with("pointwise") => size_of::<Pointwise>(),
            "head" => size_of::<Head>(),
            "batch" => size_of::<Batch>(),
            "collect" => size_of::<Collect>(),
            "update" | "nothing" => size_of::<Update>(),
            name => panic!("{name}"),
        };
        assert_eq!(Emulator::parameter_bytes(facts.name), expected, "{}", facts.name);
    }
}

/// Architectures that the limits hold for: A100, H100, B200.
const ARCHITECTURES: [u32; 3] = [80, 90, 100];

#[test]
fn every_kernel_compiles_without_spills_within_its_registers_for_each_architecture() {
    if let Err(reason) = nvrtc::library() {
        println!("SKIPPED: {reason}");
        return;
    }
    for architecture in ARCHITECTURES {
        let compiled = std::thread::scope(|scope| {
            let threads = File::ALL.map(|file| {
                scope.spawn(move || {
                    let source =
                        nvrtc::Source { name: file.name(), text: file.text(), headers: &HEADERS };
                    nvrtc::compile(&source, architecture).unwrap().kernels
                })
            });
            threads.map(|thread| thread.join().unwrap()).concat()
        });
        let mut names: Vec<&str> = compiled.iter().map(|usage| usage.name.as_str()).collect();
        let mut expected: Vec<&str> = all().iter().map(|facts| facts.name).collect();
        names.sort_unstable();
        expected.sort_unstable();
        assert_eq!(names, expected, "sm_{architecture}");
        for facts in all() {
            let usage = compiled.iter().find(|usage| usage.name == facts.name).unwrap();
            println!("sm_{architecture} {}: {} registers", facts.name, usage.registers);
            let local = (usage.spilled_bytes, usage.stack_bytes);
            assert_eq!(local, (0, 0), "sm_{architecture} {}: spills, stack", facts.name);
            assert!(
                usage.registers <= facts.registers,
                "sm_{architecture} {}: {} registers",
                facts.name,
                usage.registers
            );
        }
    }
}

/// A normalisation's numbers, and what `blocks` blocks leave for the last one.
struct State {
    values: Tensor,
    partial: Tensor,
    counter: Tensor,
    rows: i64,
}

impl State {
    fn new(channels: i64, rows: i64, blocks: u32) -> State {
        let float = (Kind::Float, Device::Cpu);
        State {
            values: normal(0, &[NormState::ROWS, channels]).abs() + 0.5,
            partial: Tensor::zeros([i64::from(blocks), 2, channels], float),
            counter: Tensor::zeros([1], (Kind::Int, Device::Cpu)),
            rows,
        }
    }

    fn parameter(&self) -> NormState {
        NormState::in_rows(&self.values, &self.partial, &self.counter, self.rows)
    }
}

pub(crate) fn double(tensor: &Tensor) -> Tensor {
    tensor.to_kind(Kind::Double)
}

/// In bfloat16, back in float64.
pub(crate) fn rounded(tensor: &Tensor) -> Tensor {
    double(&tensor.to_kind(Kind::Float).to_kind(Kind::BFloat16))
}

/// Largest difference, of the largest value.
pub(crate) fn largest(a: &Tensor, b: &Tensor) -> f64 {
    let (a, b) = (double(a), double(b));
    (&a - &b).abs().max().double_value(&[]) / b.abs().max().double_value(&[])
}

/// Normally distributed numbers, the same for the same `key`.
fn normal(key: u64, shape: &[i64]) -> Tensor {
    let mut stream = Stream::new(12, Purpose::Shapes, key);
    let values: Vec<f32> = stream.normals(shape.iter().product::<i64>() as usize);
    Tensor::from_slice(&values).view(shape)
}

fn maps(key: u64, rows: i64, channels: i64) -> Tensor {
    normal(key, &[rows, channels]).to_kind(Kind::BFloat16)
}

/// Output, masked gradient, input gradient and sums of a normalisation with a shortcut, in `order`.
fn normalised(order: Order, channels: i64, rows: i64, grid: (u32, u32)) -> Vec<Tensor> {
    let [x, shortcut, dy, more] = [1, 2, 3, 4].map(|key| maps(key, rows, channels));
    let [y, masked, dx] = std::array::from_fn(|_| x.zeros_like());
    let state = State::new(channels, rows, grid.0);
    let parameter = Norm {
        state: state.parameter(),
        x: Address::of(&x),
        shortcut: Address::of(&shortcut),
        y: Address::of(&y),
        sign: Address::of(&y),
        dy: Address::of(&dy),
        more: Address::of(&more),
        masked: Address::of(&masked),
        dx: Address::of(&dx),
        relu: 1,
    };
    let emulator: &dyn Launch = &Emulator { order };
    for kernel in [&NORM_STATISTICS, &NORM_APPLY, &NORM_SUMS_BACK, &NORM_INPUT_GRADIENT] {
        // SAFETY: the parameter's tensors live in this function.
        unsafe { emulator.launch(kernel, grid, &parameter).unwrap() };
    }
    vec![y, masked, dx, state.values]
}

fn assert_same_bits(orders: [Vec<Tensor>; 3], what: &str) {
    let [first, others @ ..] = orders;
    for other in others {
        assert!(first.iter().zip(&other).all(|(a, b)| a.equal(b)), "{what}");
    }
}

#[test]
fn whichever_thread_and_block_is_first_a_normalisation_has_the_same_bits() {
    let cases = [
        (16, 1000, (7, 1)),
        (24, 500, (3, 1)),
        (64, 300, (2, 1)),
        (480, 200, (3, 2)),
        (2048, 9, (2, 8)),
    ];
    for (channels, rows, grid) in cases {
        let orders = Order::ALL.map(|order| normalised(order, channels, rows, grid));
        assert_same_bits(orders, &format!("{channels} channels"));
    }
}
