//! Each convolution alone, with all that is fused with it, against float64.

use super::*;
use crate::kernels::launch::{Counts, Emulator, Order};
use crate::kernels::list::{self, Facts};

fn run<P>(kernel: &Kernel<P>, order: Order, grid: (u32, u32), parameter: &P) -> Counts {
    let Facts { name, shared_bytes, .. } = kernel.facts;
    // SAFETY: the parameter's tensors live in the caller.
    unsafe {
        Emulator { order }
            .run(name, grid, shared_bytes, std::ptr::from_ref(parameter).cast())
            .unwrap()
    }
}

fn assert_few_conflicts<P>(kernel: &Kernel<P>, counts: Counts) {
    let passes = counts.passes as f64 / counts.matrix_loads as f64;
    let facts = kernel.facts;
    assert!((passes - facts.passes).abs() < 1e-9, "{}: {passes} passes over the banks", facts.name);
}

#[test]
fn forward_kernels_make_input_output_and_statistics_of_float64_in_every_order() {
    for layer in layers() {
        let (kernel, ..) = layer.kernels();
        let (lie, exact_weights) = weights(layer);
        let rows = layer.images * layer.side * layer.side;
        let results = Order::ALL.map(|order| {
            // Outputs are of order 1 whatever the input's maps were.
            let (input, norm) = (Input::new(layer), Norm::new(8, layer.outputs, rows, 1.0));
            let output = layer.maps(9, true).zeros_like();
            let parameter = Convolution {
                input: input.activation(layer),
                weights: Address::of(&lie),
                result: Address::of(&output),
                norm: norm.state(true),
                images_count: layer.images as i32,
                ..Convolution::default()
            };
            let origin = norm.values[0].copy();
            let grid = (layer.images as u32 * layer.tiles().0, 1);
            assert_few_conflicts(kernel, run(kernel, order, grid, &parameter));
            // The running mean is the origin of sums, and with a momentum of 0 stays.
            assert!(origin.equal(&norm.values[0]));
            (input, norm, output)
        });
        let [(input, norm, output), others @ ..] = &results;
        let name = kernel.facts.name;
        for (same_input, same_norm, same_output) in others {
            assert!(output.equal(same_output) && norm.written.equal(&same_norm.written), "{name}");
            assert!(input.made.equal(&same_input.made), "{name}: input");
        }
        assert!(largest(&input.made, &input.exact(layer)) < 4.1e-3, "{name}: input");
        // What follows is made of the input as it was made.
        let exact = nchw(&double(&input.made)).conv2d(
            &exact_weights,
            None::<Tensor>,
            [layer.stride; 2],
            [1, 1],
            [1, 1],
            1,
        );
        assert!(largest(output, &nhwc(&exact)) < 4.1e-3, "{name}: output");
        let stored = double(output).view([-1, layer.outputs]);
        let (variance, mean) = stored.var_mean_dim(Some([0].as_slice()), false, false);
        let inverse = (variance + 1e-5).rsqrt();
        assert!(largest(&norm.row(0), &mean) < 2e-6, "{name}: mean");
        assert!(largest(&norm.row(1), &inverse) < 2e-6, "{name}: inverse deviation");
        assert!(largest(&norm.row(2), &(inverse * double(&norm.values[2]))) < 2e-6, "{name}");
    }
}

#[test]
fn backward_kernels_make_gradient_and_sums_of_float64_in_every_order() {
    for layer in layers() {
        let (_, kernel, _) = layer.kernels();
        let (lie, exact_weights) = weights(layer);
        let upstream = Upstream::new(layer);
        let input = Input::new(layer);
        let sign = input.exact(layer).to_kind(Kind::BFloat16);
        let more = match layer.stride {
            2 => normal(10, &[layer.images, layer.side, layer.side, layer.outputs]),
            _ => normal(10, &input.maps.size()),
        };
        let more = (more * layer.scale).to_kind(Kind::BFloat16);
        let results = Order::ALL.map(|order| {
            let norm = Norm::new(2, layer.inputs, input.norm.rows, layer.scale);
            let result = input.maps.zeros_like();
            let parameter = Convolution {
                output: upstream.output_gradient(),
                weights: Address::of(&lie),
                result: Address::of(&result),
                norm: norm.state(false),
                before: Address::of(&input.maps),
                sign: if layer.added.is_some() { Address::of(&sign) } else { Address::default() },
                more: if layer.added.is_some() { Address::of(&more) } else { Address::default() },
                more_narrows: i32::from(layer.stride == 2),
                images_count: layer.images as i32,
                ..Convolution::default()
            };
            let grid = (layer.images as u32 * layer.tiles().1, 1);
            assert_few_conflicts(kernel, run(kernel, order, grid, &parameter));
            (result, norm)
        });
        let [(result, norm), others @ ..] = &results;
        let name = kernel.facts.name;
        for (same, same_norm) in others {
            assert!(result.equal(same) && norm.written.equal(&same_norm.written), "{name}");
        }
        let exact = by_input(layer, &upstream, &exact_weights, &sign, &more);
        assert!(largest(result, &exact) < 4.1e-3, "{name}: {}", largest(result, &exact));
        check_sums(name, layer, &input, result, norm);
    }
}

/// The input gradient in float64: of the convolution, plus the shortcut's, where ReLU let it
/// through.
fn by_input(
    layer: Layer,
    upstream: &Upstream,
    weights: &Tensor,
    sign: &Tensor,
    more: &Tensor,
) -> Tensor {
    let side = layer.input_side();
    let zeros =
        Tensor::zeros([layer.images, layer.inputs, side, side], (Kind::Double, Device::Cpu));
    let leaf = zeros.set_requires_grad(true);
    let output = leaf.conv2d(weights, None::<Tensor>, [layer.stride; 2], [1, 1], [1, 1], 1);
    let scalar = (output * nchw(&upstream.exact())).sum(Kind::Double);
    let gradient = nhwc(&Tensor::run_backward(&[scalar], &[&leaf], false, false)[0]);
    let gradient = match (layer.added, layer.stride) {
        (None, _) => gradient,
        (Some(_), 2) => {
            // Every second pixel gets the middle channels of what it was added to.
            let through = double(more).narrow(3, layer.inputs / 2, layer.inputs);
            let sum = gradient.slice(1, 0, None, 2).slice(2, 0, None, 2) + through;
            let gradient = gradient.contiguous();
            gradient.slice(1, 0, None, 2).slice(2, 0, None, 2).copy_(&sum);
            gradient
        }
        (Some(_), _) => gradient + double(more),
    };
    gradient * sign.gt(0.0).to_kind(Kind::Double)
}

/// The sums that the layer before needs, of the gradient as it was written.
fn check_sums(name: &str, layer: Layer, input: &Input, result: &Tensor, norm: &Norm) {
    let [mean, inverse, factor, ..] = norm.values.each_ref().map(double);
    let gradient = double(result).view([-1, layer.inputs]);
    let centred = (double(&input.maps) - mean).view([-1, layer.inputs]);
    let sum = |values: &Tensor| values.sum_dim_intlist(Some([0].as_slice()), false, Kind::Double);
    let (sums, products) = (sum(&gradient), sum(&(gradient * centred)));
    let rows = norm.rows as f64;
    for (which, exact) in [
        (3, -(&factor * &inverse * &inverse * &products) / rows),
        (4, -(&factor * &sums) / rows),
        (5, &products * &inverse),
        (6, sums.shallow_clone()),
    ] {
        let found = largest(&norm.row(which), &exact);
        assert!(found < 3e-6, "{name}: sum {which}: {found}");
    }
}

#[test]
fn weight_kernels_make_the_gradient_of_float64_in_every_order() {
    for layer in layers() {
        let (_, _, kernel) = layer.kernels();
        let (input, upstream) = (Input::new(layer), Upstream::new(layer));
        // Fewer blocks than tiles, and more than one.
        let blocks = (layer.images * i64::from(layer.tiles().0) + 1) / 2;
        let rows = if layer.inputs == 64 { 2 } else { 1 };
        let partials = Order::ALL.map(|order| {
            let shape = [blocks, layer.outputs, 3, 3, layer.inputs];
            let partial = Tensor::full(shape, f64::NAN, (Kind::Float, Device::Cpu));
            let parameter = WeightGradient {
                input: Activation { made: Address::default(), ..input.activation(layer) },
                images: Address::default(),
                output: upstream.output_gradient(),
                partial: Address::of(&partial),
                images_count: layer.images as i32,
            };
            assert_few_conflicts(kernel, run(kernel, order, (blocks as u32, rows), &parameter));
            partial
        });
        let name = kernel.facts.name;
        assert!(partials[1..].iter().all(|other| other.equal(&partials[0])), "{name}");
        let found = double(&partials[0]).sum_dim_intlist(Some([0].as_slice()), false, Kind::Double);
        let leaf = weights(layer).1.zeros_like().set_requires_grad(true);
        let output = nchw(&input.exact(layer)).conv2d(
            &leaf,
            None::<Tensor>,
            [layer.stride; 2],
            [1, 1],
            [1, 1],
            1,
        );
        let scalar = (output * nchw(&upstream.exact())).sum(Kind::Double);
        let exact = &Tensor::run_backward(&[scalar], &[&leaf], false, false)[0];
        let found = largest(&found, &nhwc(exact));
        // A value of the input at the edge of rounding may be made the other one.
        assert!(found < 3e-5, "{name}: {found}");
    }
}

#[test]
fn every_convolution_of_the_list_was_tried() {
    let tried: Vec<&str> = layers()
        .iter()
        .flat_map(|layer| {
            let (forward, backward, weights) = layer.kernels();
            [forward.facts.name, backward.facts.name, weights.facts.name]
        })
        .collect();
    for facts in list::all() {
        let convolution = matches!(facts.file, list::File::Convolution | list::File::Weights);
        // The first layer's are in whole nets.
        let first = facts.name.ends_with("_first");
        assert!(!convolution || first || tried.contains(&facts.name), "{}", facts.name);
    }
}
