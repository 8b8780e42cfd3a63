//! What the emulator finds, and that Rust and C++ mean the same.

use tch::{Device, Kind, Tensor};

use super::launch::{Emulator, Order};
use super::list::all;
use super::parameters::{Address, Collect, Convolution, Head, Norm, Update, WeightGradient};

/// What the kernels with a mistake take (emulate/mistakes.h).
#[repr(C)]
struct Mistake {
    from: Address,
    to: Address,
}

/// What a kernel with a mistake leaves in one order, or what was found.
fn outcome(name: &str, blocks: u32, order: Order) -> Result<Vec<f32>, String> {
    let from = Tensor::arange(256, (Kind::Float, Device::Cpu)) * 1e6 + 0.1;
    let to = Tensor::zeros([256], (Kind::Float, Device::Cpu));
    let parameter = Mistake { from: Address::of(&from), to: Address::of(&to) };
    let parameter = std::ptr::from_ref(&parameter).cast();
    // SAFETY: the kernels take a Mistake, whose tensors live.
    let counts = unsafe { Emulator { order }.run(name, (blocks, 1), 1 << 16, parameter) };
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
    assert!(outcome("unwritten_memory", 1, Order::InStep).unwrap()[0].is_nan());
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
            "head" => size_of::<Head>(),
            "collect" => size_of::<Collect>(),
            "update" => size_of::<Update>(),
            name => panic!("{name}"),
        };
        assert_eq!(Emulator::parameter_bytes(facts.name), expected, "{}", facts.name);
    }
}
