//! `bench`: how fast the training step is here, and how far from what the machine could do; with
//! `--loader`, how fast images are decoded.

mod kernels;

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, ValueEnum};
use tch::Device;

use crate::bench::loader;
use crate::bench::machine::release_freed_memory;
use crate::bench::step::Case;
use crate::commands::options::GraphChoice;
use crate::config::dataset_name::DatasetName;
use crate::config::kernels::Kernels;
use crate::config::network_name::{Family, NetworkName};
use crate::config::precision::Precision;
use crate::config::recipe::Recipe;
use crate::console::output::{print, print_json, say};
use crate::dataset::data::Source;
use crate::dataset::imagenet::decoder::decode::Quality;
use crate::dataset::shapes;
use crate::error::{BadInput, EXIT_DONE, bad_input};
use crate::kernels::cuda::Concurrency;
use crate::network::architecture;
use crate::network::architecture::table::Architecture;
use crate::network::forward::fused;
use crate::network::memory;
use crate::network::parameters::Compute;
use crate::records::measurements::{Measurements, Peaks, Row};
use crate::report::tables::table::{Style, render};
use crate::system::device;
use crate::system::device::DeviceChoice;

/// Measure the training step: images per second, memory, and how close it is to the machine's limits
///
/// Times the whole step (selecting the batch, crop, flip, forward, backward, update, metrics) on
/// the synthetic shapes dataset, after five iterations of warm-up; with --dataset imagenet on one batch of
/// random images, without decoding. The limits come from a matrix product and a copy timed first. Other programs on the machine distort every number.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  resnet-repro bench
  resnet-repro bench --networks resnet-20,resnet-110 --precision f32,bf16 --batch 64,128 --json")]
pub struct Arguments {
    /// Networks, comma-separated
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        default_value = "resnet-20,resnet-56"
    )]
    networks: Vec<NetworkName>,
    /// Dataset that sets the family of networks and the image size
    #[arg(long, value_name = "NAME", default_value = "cifar10")]
    dataset: DatasetName,
    /// Precisions, comma-separated [default: f32,bf16]
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "f32,bf16",
        hide_default_value = true
    )]
    precision: Vec<Precision>,
    /// Batch sizes, comma-separated
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "128", value_parser = clap::value_parser!(u64).range(1..=65_536))]
    batch: Vec<u64>,
    /// Multiples of the paper's number of filters, comma-separated
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1", value_parser = clap::value_parser!(i64).range(1..=32))]
    width: Vec<i64>,
    /// How the step is computed, comma-separated
    #[arg(long, value_enum, value_delimiter = ',', default_value = "fused")]
    path: Vec<StepPath>,
    /// Segments of gradient checkpointing; 0 chooses by available memory
    #[arg(long, value_name = "N", default_value_t = 0)]
    checkpoint_segments: u64,
    /// Timed iterations
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    iterations: u64,
    /// Where to measure
    #[arg(long, value_name = "auto|cpu|cuda:N", default_value_t)]
    device: DeviceChoice,
    /// On a GPU: launch each iteration as one CUDA graph, if libresnet_cuda_graph.so is there
    #[arg(long, value_enum, default_value_t = GraphChoice::Auto)]
    graph: GraphChoice,
    /// Measure image decoding instead: training views per second from the files of this folder, in
    /// --iterations passes
    #[arg(long, value_name = "DIR")]
    loader: Option<PathBuf>,
    /// With --loader: numbers of threads, comma-separated
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1", requires = "loader", value_parser = clap::value_parser!(u64).range(1..=1024))]
    threads: Vec<u64>,
    /// With --loader: decode as for tests, bit for bit as Pillow does
    #[arg(long, requires = "loader")]
    exact: bool,
    /// Measure each of the project's own CUDA kernels instead: its time in a step of --networks on
    /// a GPU, and whether it makes what it makes on the CPU's emulator
    #[arg(long, conflicts_with = "loader")]
    kernels: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// How the step is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum StepPath {
    /// One operation for normalisation, addition and ReLU (on a CPU).
    Fused,
    /// libtorch's separate operations.
    Plain,
    /// The project's own kernels (bf16; on a CPU they are emulated, which takes minutes a step).
    Own,
    /// The same; a kernel may start while the one before it ends.
    OwnOverlap,
    /// The same as own; gradients by weights have a branch of their own.
    OwnBranch,
    /// Both.
    OwnOverlapBranch,
    /// The same as own; the 1×1 convolutions of ImageNet's nets are libtorch's.
    OwnSeparate,
}

/// Runs the command: one of its three measurements.
pub fn run(arguments: &Arguments) -> Result<u8> {
    match &arguments.loader {
        None if arguments.kernels => {
            let Arguments { networks, batch, device, json, .. } = arguments;
            kernels::run(networks, batch[0], *device, *json)
        }
        Some(folder) => measure_loader(arguments, folder),
        None => measure_step(arguments),
    }
}

/// Decoding alone: views per second for each number of threads.
fn measure_loader(arguments: &Arguments, folder: &Path) -> Result<u8> {
    let files = loader::read_folder(folder)?;
    let quality = if arguments.exact { Quality::Exact } else { Quality::Fast };
    let passes = arguments.iterations as usize;
    let measure = |&threads: &u64| loader::measure(&files, quality, threads as usize, passes);
    let rows = arguments.threads.iter().map(measure).collect::<Result<Vec<_>>>()?;
    if arguments.json {
        print_json(&rows)?
    } else {
        let line = |row: &loader::LoaderRow| {
            format!(
                "{} threads: {:.0} views/s ({} views)",
                row.threads, row.images_per_second, row.images
            )
        };
        print(&rows.iter().map(line).collect::<Vec<_>>().join("\n"))?
    }
    Ok(EXIT_DONE)
}

/// The training step: one row for each combination of network, precision, batch, width and kernels.
fn measure_step(arguments: &Arguments) -> Result<u8> {
    let device = device::select(arguments.device)?;
    if arguments.precision.contains(&Precision::Tf32) && device == Device::Cpu {
        return Err(bad_input(
            "--precision tf32: only NVIDIA GPUs have it; on a CPU use f32 or bf16",
        )
        .into());
    }
    let others = arguments.precision.iter().any(|&precision| precision != Precision::Bf16);
    let plain = [StepPath::Fused, StepPath::Plain];
    let own = arguments.path.iter().any(|path| !plain.contains(path));
    if own && others {
        return Err(bad_input("--path own: the own kernels are for --precision bf16").into());
    }
    let cifar = arguments.dataset.family() == Family::Cifar;
    if cifar && arguments.path.contains(&StepPath::OwnSeparate) {
        return Err(bad_input("--path own-separate: for --dataset imagenet").into());
    }
    let Source::Resident(images) = shapes::generate(shapes::SEED).train else {
        return Err(bad_input("the synthetic shapes dataset is not in memory").into());
    };
    // Every name is checked before anything is measured.
    for &name in &arguments.networks {
        arguments.architecture(name)?;
    }
    let peaks = Peaks::measure(device);
    let mut rows = Vec::new();
    for combination in combinations(arguments) {
        release_freed_memory();
        let case = combination.case(arguments, device)?;
        let Combination { network, precision, batch, .. } = combination;
        say(&format!("{network} {precision}, batch {batch} …"));
        rows.push(case.measure(&images, &peaks)?);
    }
    let description = device::describe(device);
    let output = Measurements {
        device: description.gpu.unwrap_or_else(device::processor),
        threads: tch::get_num_threads(),
        kernels: fused::instruction_set().to_string(),
        peaks,
        rows,
    };
    if arguments.json {
        print_json(&output)?
    } else {
        print(&text(&output))?
    }
    Ok(EXIT_DONE)
}

/// What one row of the result is of.
#[derive(Clone, Copy)]
struct Combination {
    network: NetworkName,
    precision: Precision,
    batch: u64,
    width: i64,
    path: StepPath,
}

impl Combination {
    fn case(self, arguments: &Arguments, device: Device) -> Result<Case> {
        let Combination { network, precision, batch, width, path } = self;
        let architecture = arguments.architecture(network)?.widened(width);
        let wanted = arguments.checkpoint_segments;
        let segments = memory::segments_on(device, &architecture, batch, precision, wanted);
        let fused = !matches!(path, StepPath::Plain | StepPath::OwnSeparate);
        let kernels = match path {
            StepPath::Fused | StepPath::Plain => Kernels::Libtorch,
            _ => Kernels::Own,
        };
        let concurrency = Concurrency {
            overlap: matches!(path, StepPath::OwnOverlap | StepPath::OwnOverlapBranch),
            branch: matches!(path, StepPath::OwnBranch | StepPath::OwnOverlapBranch),
        };
        Ok(Case {
            dataset: arguments.dataset,
            architecture,
            width,
            compute: Compute { precision, fused, kernels, segments: segments as usize },
            batch,
            iterations: arguments.iterations as usize,
            concurrency,
            graph: arguments.graph == GraphChoice::Auto,
            device,
        })
    }
}

impl Arguments {
    /// The network for the images and classes of the dataset.
    fn architecture(&self, name: NetworkName) -> Result<Architecture, BadInput> {
        let side = Recipe::for_dataset(self.dataset).image_side();
        architecture::build(name, self.dataset.family(), side, self.dataset.classes() as i64)
    }
}

/// All combinations of what was asked for, the kernels changing fastest.
fn combinations(arguments: &Arguments) -> Vec<Combination> {
    let mut combinations = Vec::new();
    for &network in &arguments.networks {
        for &precision in &arguments.precision {
            for &batch in &arguments.batch {
                for &width in &arguments.width {
                    combinations.extend(arguments.path.iter().map(|&path| Combination {
                        network,
                        precision,
                        batch,
                        width,
                        path,
                    }));
                }
            }
        }
    }
    combinations
}

fn text(output: &Measurements) -> String {
    let Measurements { device, threads, kernels, peaks, rows } = output;
    let header = [
        "network",
        "precision",
        "path",
        "batch",
        "segments",
        "images/s",
        "ms/iteration",
        "quartiles",
        "memory",
        "GFLOP/s",
        "of peak",
        "outside conv.",
        "limits, ms: operations, bytes",
    ];
    let line = |row: &Row| {
        vec![
            if row.width == 1 {
                row.network.to_string()
            } else {
                format!("{}, width {}", row.network, row.width)
            },
            row.precision.to_string(),
            if row.graph { format!("{}, graph", row.path) } else { row.path.clone() },
            row.batch.to_string(),
            row.segments.to_string(),
            format!("{:.0}", row.images_per_second),
            format!("{:.1}", row.milliseconds),
            format!("{:.1}–{:.1}", row.quartiles[0], row.quartiles[1]),
            row.peak_memory_bytes.map_or("–".to_string(), memory::gib),
            format!("{:.0}", row.flops_per_second / 1e9),
            format!("{:.0} %", row.flops_per_second / peaks.operations(row.precision) * 100.0),
            format!("{:.0} %", row.outside_convolutions_percent),
            format!(
                "{:.1}, {:.1}",
                row.operations_limit_milliseconds, row.bytes_limit_milliseconds
            ),
        ]
    };
    let lines: Vec<Vec<String>> = rows.iter().map(line).collect();
    format!(
        "{device}, {threads} threads, {kernels} kernels\npeaks: matrix product {:.0} GFLOP/s in f32, {:.0} in bf16; copy {:.1} GB/s (read and written)\n{}\n\
         ms: median of an iteration. Outside conv.: part of it that is not convolutions, as timed alone. Limits: the step at the peak rate of operations, of bytes.",
        peaks.f32_operations_per_second / 1e9,
        peaks.bf16_operations_per_second / 1e9,
        peaks.copy_bytes_per_second / 1e9,
        render(&header, &lines, Style::Terminal)
    )
}
