//! The networks for ImageNet agree with PyTorch's: names and shapes at full width; class scores,
//! loss and gradients in narrow versions. `golden/make_imagenet.py` made the values.

use serde::Deserialize;
use std::collections::BTreeMap;
use tch::{Device, Kind, Tensor};

use resnet_repro::config::network_name::Family;
use resnet_repro::network::architecture;
use resnet_repro::network::forward::pass::Mode;
use resnet_repro::network::parameters::{Compute, Network};
use resnet_repro::network::weights;
use resnet_repro::system::hash::sha256;

/// As in the script.
const DIVISOR: i64 = 8;

const CLASSES: i64 = 10;

const BATCH: i64 = 4;

const SIDE: i64 = 64;

const LARGER: [i64; 4] = [1, 3, 256, 288];

/// Of the largest class score.
const TOLERANCE: f64 = 1e-5;

/// Of a gradient's norm. Most are within 1e-5; an error of substance is far above.
const GRADIENT_TOLERANCE: f64 = 5e-3;

#[derive(Deserialize)]
struct Golden {
    names: BTreeMap<String, Names>,
    computed: BTreeMap<String, Computed>,
}

#[derive(Deserialize)]
struct Names {
    tensors: usize,
    sha256: String,
}

#[derive(Deserialize)]
struct Computed {
    logits: Vec<f64>,
    larger: Vec<f64>,
    loss: f64,
    /// Norm, and product with the generator's numbers.
    gradients: BTreeMap<String, [f64; 2]>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../golden/imagenet.json")).unwrap()
}

/// The script's generator: uniform in [-0.5, 0.5).
struct Numbers(u64);

impl Numbers {
    fn draw(&mut self, shape: &[i64]) -> Tensor {
        let mut next = || {
            self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (self.0 >> 40) as f64 / (1u64 << 24) as f64 - 0.5
        };
        let values: Vec<f64> = (0..shape.iter().product::<i64>()).map(|_| next()).collect();
        Tensor::from_slice(&values).view(shape)
    }
}

/// The narrow network with the script's parameters, through the weight file that users would use.
fn narrow(name: &str) -> Network {
    let architecture = architecture::build(name.parse().unwrap(), Family::Imagenet, SIDE, CLASSES)
        .unwrap()
        .narrowed(DIVISOR);
    let mut network = Network::new(architecture, 0, Device::Cpu).with_compute(Compute::default());
    let mut tensors = network.named_tensors();
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    let mut numbers = Numbers(1);
    for (name, tensor) in &mut tensors {
        let values = numbers.draw(&tensor.size());
        let values = match tensor.size()[..] {
            [outputs, _, ..] if tensor.dim() > 1 => {
                values * (24.0 / (tensor.numel() as i64 / outputs) as f64).sqrt()
            }
            _ if name.ends_with("weight") || name.ends_with("running_var") => values + 1.0,
            _ if name.ends_with("bias") => values * 0.3 + 1.0,
            _ => values * 0.3,
        };
        *tensor = values.to_kind(Kind::Float);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("initial.safetensors");
    weights::write_tensors(&path, &tensors, ("network", name.to_string())).unwrap();
    network.load_weights(&path).unwrap();
    network
}

/// Channels-last, as in the training loop.
fn images(seed: u64, shape: &[i64]) -> Tensor {
    (Numbers(seed).draw(shape) * 2.0)
        .to_kind(Kind::Float)
        .permute([0, 2, 3, 1])
        .contiguous()
        .permute([0, 3, 1, 2])
}

fn assert_close(what: &str, found: &Tensor, expected: &[f64]) {
    let (found, expected) =
        (found.detach().to_kind(Kind::Double).flatten(0, -1), Tensor::from_slice(expected));
    let difference =
        (found - &expected).abs().max().double_value(&[]) / expected.abs().max().double_value(&[]);
    assert!(difference < TOLERANCE, "{what}: differs by {difference:.1e} of the largest value");
}

#[test]
fn every_network_has_the_names_and_shapes_of_pytorchs() {
    for (name, expected) in golden().names {
        let network =
            architecture::build(name.parse().unwrap(), Family::Imagenet, 224, 1000).unwrap();
        let mut lines = Vec::new();
        for parameter in network.layers().iter().flat_map(|layer| layer.parameters()) {
            let shape: Vec<String> = parameter.shape.iter().map(i64::to_string).collect();
            lines.push(format!("{} {}", parameter.name, shape.join(",")));
        }
        for norm in network.layers().iter().filter_map(|layer| layer.norm.as_ref()) {
            lines.extend(
                ["running_mean", "running_var"]
                    .map(|statistic| format!("{}.{statistic} {}", norm.name, norm.channels)),
            );
        }
        lines.sort();
        assert_eq!(lines.len(), expected.tensors, "{name}");
        assert_eq!(
            sha256(lines.join("\n").as_bytes()),
            expected.sha256,
            "{name}: {:#?}",
            &lines[..lines.len().min(20)]
        );
    }
}

#[test]
fn class_scores_agree_with_pytorch_on_images_of_two_sizes() {
    for (name, expected) in golden().computed {
        let network = narrow(&name);
        let scores = |images: &Tensor| tch::no_grad(|| network.forward(images, Mode::Evaluation));
        assert_close(&name, &scores(&images(2, &[BATCH, 3, SIDE, SIDE])), &expected.logits);
        assert_close(
            &format!("{name}, larger images"),
            &scores(&images(3, &LARGER)),
            &expected.larger,
        );
    }
}

#[test]
fn loss_and_gradients_agree_with_pytorch() {
    for (name, expected) in golden().computed {
        let network = narrow(&name);
        let gradient = network.gradient(
            &images(2, &[BATCH, 3, SIDE, SIDE]),
            &Tensor::arange(BATCH, (Kind::Int64, Device::Cpu)),
        );
        assert_close(&format!("{name}: loss"), &gradient.loss, &[expected.loss]);
        let names = network
            .named_tensors()
            .into_iter()
            .map(|(name, _)| name)
            .filter(|name| !name.contains("running"));
        let mut gradients: Vec<(String, Tensor)> =
            names.zip(network.views_of(&gradient.parameters)).collect();
        gradients.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(gradients.len(), expected.gradients.len(), "{name}");
        let mut numbers = Numbers(4);
        // A shift before convolution and normalisation that no ReLU cuts has no effect: its
        // gradient is nothing but rounding.
        let least = 1e-4 * expected.gradients.values().map(|[norm, _]| *norm).fold(0.0, f64::max);
        for (tensor, found) in gradients {
            let found = found.to_kind(Kind::Double);
            let [norm, product] = expected.gradients[&tensor];
            let product_found =
                (&found * numbers.draw(&found.size())).sum(Kind::Double).double_value(&[]);
            let off =
                (found.norm().double_value(&[]) - norm).abs().max((product_found - product).abs())
                    / norm.max(least);
            assert!(
                off < GRADIENT_TOLERANCE,
                "{name}: gradient of {tensor} is off by {off:.1e} of its norm"
            );
        }
    }
}
