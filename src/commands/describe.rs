//! `describe`: a network's layers, parameters and multiply-adds; or a drawing of some networks.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::config::dataset_name::DatasetName;
use crate::config::network_name::{Family, NetworkName};
use crate::config::paper;
use crate::config::precision::Precision;
use crate::config::recipe::Recipe;
use crate::config::shortcut::Shortcut;
use crate::console::output::{print, print_json};
use crate::error::{BadInput, EXIT_DONE, bad_input};
use crate::network::architecture;
use crate::network::architecture::body;
use crate::network::architecture::body::Body;
use crate::network::architecture::layer::Layer;
use crate::network::architecture::table::Architecture;
use crate::network::memory;
use crate::report::draw;
use crate::report::format::thousands;
use crate::report::tables::table::{Style, render};
use crate::system::atomic_file;

/// Layers of the longest block, the bottleneck.
const LONGEST_BLOCK: usize = 3;

/// Show a network's layers, parameters, multiply-adds and memory of a training step
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  resnet-repro describe --network resnet-56
  resnet-repro describe --network resnet-50 --dataset imagenet
  resnet-repro describe --network vgg-19 --network plain-34 --network resnet-34 --draw figure-3.svg")]
pub struct Arguments {
    /// plain-N, resnet-N, resnet-Nb, resnet-Nc (N = 6n+2; on ImageNet 18, 34, 50, 101, 152),
    /// preact-resnet-N (6n+2 or 9n+2), highway-19, highway-32, vgg-16, vgg-19 or googlenet; several for a drawing
    #[arg(long, value_name = "NAME", required = true)]
    network: Vec<NetworkName>,
    /// Dataset that the network is for: sets the family of networks, the image size and the number of
    /// classes [default: cifar10, or imagenet for a network that only ImageNet has]
    #[arg(long, value_name = "NAME")]
    dataset: Option<DatasetName>,
    /// Draw the networks side by side, as in the paper's Figure 3, into an SVG file
    #[arg(long, value_name = "FILE.svg", conflicts_with = "json")]
    draw: Option<PathBuf>,
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
    let networks: Vec<(DatasetName, Architecture)> = arguments
        .network
        .iter()
        .map(|&name| described(name, arguments.dataset))
        .collect::<Result<_, _>>()?;
    if let Some(path) = &arguments.draw {
        let networks: Vec<Architecture> =
            networks.into_iter().map(|(_, network)| network).collect();
        atomic_file::write_atomically(path, draw::architecture::svg(&networks).as_bytes())?;
        print(&path.display().to_string())?;
        return Ok(EXIT_DONE);
    }
    let [(dataset, network)] = &networks[..] else {
        return Err(bad_input(
            "--network is given more than once: only --draw takes several networks",
        )
        .into());
    };
    if arguments.json {
        print_json(&json(*dataset, network))?
    } else {
        print(&text(*dataset, network))?;
        if let Some(note) = architecture::taken_for_cifar(network) {
            print(&format!("note: {note}"))?;
        }
    }
    Ok(EXIT_DONE)
}

/// The network for the images and classes of `dataset`, or of the first dataset that has it.
fn described(
    name: NetworkName,
    dataset: Option<DatasetName>,
) -> Result<(DatasetName, Architecture), BadInput> {
    let of = |dataset: DatasetName| {
        let side = Recipe::for_dataset(dataset).image_side();
        architecture::build(name, dataset.family(), side, dataset.classes() as i64)
            .map(|network| (dataset, network))
    };
    match dataset {
        Some(dataset) => of(dataset),
        None => of(DatasetName::Cifar10).or_else(|_| of(DatasetName::Imagenet)),
    }
}

fn json(dataset: DatasetName, architecture: &Architecture) -> Output {
    let layers = architecture.layers();
    Output {
        network: architecture.name,
        dataset,
        depth: architecture.name.depth(),
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

fn text(dataset: DatasetName, architecture: &Architecture) -> String {
    let layers = architecture.layers();
    let rows = rows(&layers);
    let header = ["layers", "kind", "count", "channels", "output", "parameters", "multiply-adds"];
    let family = dataset.family();
    let paper =
        paper::cifar10(architecture.name).filter(|_| family == Family::Cifar).map(|paper| {
            match paper.test_error {
                Some(error) => {
                    let original = paper.original_test_error.map_or(String::new(), |error| {
                        format!("; {error:.2} % with the original residual units")
                    });
                    format!(
                        "\nCIFAR-10 test error in the paper: {}{error:.2} % ({}{original})",
                        if paper.approximate { "about " } else { "" },
                        paper.source
                    )
                }
                None => format!("\nin the paper: {}", paper.source),
            }
        });
    format!(
        "{name}: {depth} weighted layers, {parameters} parameters, {multiply_adds} multiply-adds per {side}×{side} image\nshortcuts: {shortcut}\n{table}\n{norms}\n{activations}{paper}",
        side = architecture.image_side,
        shortcut = shortcuts(architecture),
        norms = normalisation(architecture),
        activations = activations(architecture),
        name = architecture.name,
        depth = architecture.name.depth(),
        parameters = thousands(architecture.parameter_count()),
        multiply_adds = thousands(architecture.multiply_adds()),
        table = render(&header, &rows, Style::Terminal),
        paper = paper.unwrap_or_default(),
    )
}

/// The lines of the table: layers in a row that are alike but for their names make one, and blocks in
/// a row that are alike make one for each of their layers.
fn rows(layers: &[Layer]) -> Vec<Vec<String>> {
    let shape = |layer: &Layer| (layer.kind, layer.inputs, layer.outputs, layer.output_side);
    let mut rows = Vec::new();
    let mut start = 0;
    while start < layers.len() {
        let rest = &layers[start..];
        let repeats = |period: usize| {
            let alike = (period..rest.len())
                .take_while(|&index| shape(&rest[index]) == shape(&rest[index - period]));
            1 + alike.count() / period
        };
        // Only whole blocks are put together.
        let begins = start == 0 || module(&layers[start - 1]) != module(&rest[0]);
        let is_block = |period: usize| {
            begins && rest.iter().take(period).all(|layer| module(layer) == module(&rest[0]))
        };
        let period = (1..=LONGEST_BLOCK)
            .find(|&period| (period == 1 || is_block(period)) && repeats(period) > 1)
            .unwrap_or(1);
        let count = repeats(period);
        for offset in 0..period {
            let same: Vec<&Layer> = rest[offset..].iter().step_by(period).take(count).collect();
            rows.push(row(&same));
        }
        start += period * count;
    }
    rows
}

/// "layer1.0" of "layer1.0.conv2".
fn module(layer: &Layer) -> &str {
    layer.name.rsplit_once('.').map_or("", |(module, _)| module)
}

/// One line, for layers that are alike.
fn row(same: &[&Layer]) -> Vec<String> {
    let (first, last) = (same[0], same[same.len() - 1]);
    let name = match same.len() {
        1 => first.name.clone(),
        _ => format!("{} … {}", first.name, last.name),
    };
    vec![
        name,
        first.kind.to_string(),
        same.len().to_string(),
        format!("{} → {}", first.inputs, first.outputs),
        format!("{side}×{side}", side = first.output_side),
        thousands(same.iter().map(|layer| layer.parameter_count()).sum()),
        thousands(same.iter().map(|layer| layer.multiply_adds()).sum()),
    ]
}

/// What joins the ends of each block, in a sentence.
fn shortcuts(architecture: &Architecture) -> String {
    let around = match &architecture.body {
        Body::Vgg { .. } | Body::GoogLeNet { .. } => {
            return "none: a plain feedforward net".to_string();
        }
        Body::Highway { .. } => {
            return "a gate around every layer that keeps its width: y = H(x)·T(x) + x·(1 - T(x)); 2×2 maximum pooling between stages".to_string();
        }
        Body::Blocks { kind: body::BlockKind::Bottleneck { .. }, .. } => {
            "every bottleneck of 1×1, 3×3 and 1×1 layers"
        }
        Body::Blocks { .. } => "every pair of 3×3 layers",
    };
    match architecture.shortcut {
        None => "none: a plain net".to_string(),
        Some(Shortcut::OptionB) => format!(
            "identity around {around}; a 1×1 convolution where dimensions increase (option B)"
        ),
        Some(Shortcut::OptionC) => format!("a 1×1 convolution around {around} (option C)"),
        Some(Shortcut::OptionA) => {
            format!(
                "identity around {around}; where the map halves, every second pixel and zero channels (option A, no parameters)"
            )
        }
    }
}

/// What follows the convolutions.
fn normalisation(architecture: &Architecture) -> &'static str {
    match architecture.body {
        Body::Vgg { .. } => {
            "Every convolution has a bias and no batch normalisation follows it. There is no dropout."
        }
        Body::Blocks { order: body::Order::PreActivation, .. } => {
            "Batch normalisation (its scale and shift are counted) and ReLU precede every convolution of a block and the last layer; \
             nothing follows the first convolution, the projections and the additions."
        }
        Body::GoogLeNet { auxiliary: true, .. } => {
            "Every convolution is followed by batch normalisation (its scale and shift are counted). The layers named aux exist in training \
             only; the sum above does not count their multiply-adds."
        }
        _ => {
            "Every convolution but a gate is followed by batch normalisation (its scale and shift are counted)."
        }
    }
}

/// What a training step keeps for its backward pass, at the paper's batch.
fn activations(architecture: &Architecture) -> String {
    let bytes = |precision, segments| {
        memory::gib(memory::activation_bytes(architecture, 128, precision, segments))
    };
    let fewest = memory::thriftiest_segments(architecture);
    let segments = match fewest {
        0 | 1 => String::new(),
        _ => format!(
            "; {} with --set checkpoint_segments={fewest}, which recomputes them in the backward pass",
            bytes(Precision::F32, fewest)
        ),
    };
    format!(
        "activations of a training step, 128 images: {} in f32, {} in bf16{segments}",
        bytes(Precision::F32, 1),
        bytes(Precision::Bf16, 1)
    )
}
