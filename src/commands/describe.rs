//! `describe`: a network's layers, parameters and multiply-adds.

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::options::{print, print_json};
use crate::dataset::DatasetName;
use crate::error::EXIT_DONE;
use crate::network::{Architecture, NetworkName, Shortcut, cifar, memory};
use crate::paper;
use crate::recipe::Precision;
use crate::report::table::{Style, render, thousands};

/// Show a network's layers, parameters, multiply-adds and memory of a training step
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  resnet-repro describe --network resnet-56")]
pub struct Arguments {
    /// plain-N, resnet-N, resnet-Nb, resnet-Nc (N = 6n+2), highway-19 or highway-32
    #[arg(long, value_name = "NAME")]
    network: NetworkName,
    /// Data set whose family of networks is meant (shapes and cifar10 have the same)
    #[arg(long, value_name = "NAME", default_value = "cifar10")]
    dataset: DatasetName,
    /// Print every layer as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Output {
    network: NetworkName,
    dataset: DatasetName,
    depth: u64,
    parameters: i64,
    multiply_adds: i64,
    /// Values kept for the backward pass, an image.
    activation_values: u64,
    layers: Vec<LayerOutput>,
}

#[derive(Serialize)]
struct LayerOutput {
    name: String,
    kind: String,
    inputs: i64,
    outputs: i64,
    output_side: i64,
    parameters: i64,
    multiply_adds: i64,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<u8> {
    let architecture = cifar::architecture(arguments.network, 10);
    if arguments.json {
        print_json(&json(arguments, &architecture))?;
    } else {
        print(&text(&architecture))?;
    }
    Ok(EXIT_DONE)
}

fn json(arguments: &Arguments, architecture: &Architecture) -> Output {
    let layers = architecture.layers();
    Output {
        network: arguments.network,
        dataset: arguments.dataset,
        depth: architecture.name.depth,
        parameters: architecture.parameter_count(),
        multiply_adds: architecture.multiply_adds(),
        activation_values: memory::activation_values(architecture),
        layers: layers
            .iter()
            .map(|layer| LayerOutput {
                name: layer.name.clone(),
                kind: layer.kind.to_string(),
                inputs: layer.inputs,
                outputs: layer.outputs,
                output_side: layer.output_side,
                parameters: layer.parameter_count(),
                multiply_adds: layer.multiply_adds(),
            })
            .collect(),
    }
}

fn text(architecture: &Architecture) -> String {
    let layers = architecture.layers();
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut start = 0;
    // Layers in a row that are alike but for their names make one line.
    while start < layers.len() {
        let first = &layers[start];
        let alike = |layer: &&crate::network::Layer| (layer.kind, layer.inputs, layer.outputs) == (first.kind, first.inputs, first.outputs);
        let count = layers[start..].iter().take_while(alike).count();
        let last = &layers[start + count - 1];
        let name = if count == 1 { first.name.clone() } else { format!("{} … {}", first.name, last.name) };
        let same = &layers[start..start + count];
        rows.push(vec![
            name,
            first.kind.to_string(),
            count.to_string(),
            format!("{} → {}", first.inputs, first.outputs),
            format!("{side}×{side}", side = first.output_side),
            thousands(same.iter().map(|layer| layer.parameter_count()).sum()),
            thousands(same.iter().map(|layer| layer.multiply_adds()).sum()),
        ]);
        start += count;
    }
    let header = ["layers", "kind", "count", "channels", "output", "parameters", "multiply-adds"];
    let shortcut = match architecture.name.shortcut {
        Shortcut::None => "none: a plain net",
        Shortcut::ProjectIncrease => "identity around every pair of 3×3 layers; a 1×1 convolution where dimensions increase (option B)",
        Shortcut::ProjectAll => "a 1×1 convolution around every pair of 3×3 layers (option C)",
        Shortcut::Gate => "a gate around every layer whose width stays: y = H(x)·T(x) + x·(1 - T(x)); 2×2 maximum pooling between stages",
        Shortcut::PadChannels => {
            "identity around every pair of 3×3 layers; where the map halves, every second pixel and zero channels (option A, no parameters)"
        }
    };
    let paper = paper::cifar10(architecture.name).map(|paper| match paper.test_error {
        Some(error) => {
            format!("\nCIFAR-10 test error in the paper: {}{error:.2} % ({})", if paper.approximate { "about " } else { "" }, paper.source)
        }
        None => format!("\nin the paper: {}", paper.source),
    });
    format!(
        "{name}: {depth} weighted layers, {parameters} parameters, {multiply_adds} multiply-adds an image\nshortcuts: {shortcut}\n{table}\nEvery convolution but a gate is followed by batch normalisation (its scale and shift are counted).\n{activations}{paper}",
        activations = activations(architecture),
        name = architecture.name,
        depth = architecture.name.depth,
        parameters = thousands(architecture.parameter_count()),
        multiply_adds = thousands(architecture.multiply_adds()),
        table = render(&header, &rows, Style::Terminal),
        paper = paper.unwrap_or_default(),
    )
}

/// What a training step keeps for its backward pass, at the paper's batch.
fn activations(architecture: &Architecture) -> String {
    let bytes = |precision, segments| memory::gib(memory::activation_bytes(architecture, 128, precision, segments));
    // The segments that need the least: about the root of the number of blocks.
    let all = 1..=memory::most_segments(architecture);
    let fewest = all.min_by_key(|&segments| memory::activation_bytes(architecture, 128, Precision::F32, segments)).unwrap_or(1);
    let segments = match fewest {
        0 | 1 => String::new(),
        _ => format!("; {} with --set checkpoint_segments={fewest}, which computes them twice", bytes(Precision::F32, fewest)),
    };
    format!("activations of a training step, 128 images: {} in f32, {} in bf16{segments}", bytes(Precision::F32, 1), bytes(Precision::Bf16, 1))
}
