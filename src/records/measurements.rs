//! What `bench --json` prints, and `figures` reads again.

use serde::{Deserialize, Serialize};

use crate::config::dataset_name::DatasetName;
use crate::config::network_name::NetworkName;
use crate::config::precision::Precision;

/// Measured rates.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Peaks {
    /// Floating-point operations a second of a float32 matrix product.
    pub f32_operations_per_second: f64,
    /// The same with TF32 allowed; on a CPU that of float32.
    pub tf32_operations_per_second: f64,
    /// The same of a bfloat16 product.
    pub bf16_operations_per_second: f64,
    /// Bytes read and written a second by a copy.
    pub copy_bytes_per_second: f64,
}

/// The data of measurements of earlier versions.
fn cifar10() -> DatasetName {
    DatasetName::Cifar10
}

/// What `bench --json` prints, and `figures` reads again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measurements {
    /// The GPU, or the CPU.
    pub device: String,
    /// libtorch's threads.
    pub threads: i32,
    /// Instruction set of the fused kernels.
    pub kernels: String,
    /// What the machine can do at most.
    pub peaks: Peaks,
    /// One a case.
    pub rows: Vec<Row>,
}

/// One measurement: the whole step, from the choice of the batch to the update and the metrics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The network.
    pub network: NetworkName,
    /// The dataset whose family of networks and size of images it is.
    #[serde(default = "cifar10")]
    pub dataset: DatasetName,
    /// Number format.
    pub precision: Precision,
    /// Filters, as a multiple of the paper's.
    pub width: i64,
    /// How the step is computed: `fused`, `plain`, `own`, `own-overlap` and so on.
    pub path: String,
    /// Whether each iteration was one CUDA graph.
    pub graph: bool,
    /// Images a batch.
    pub batch: u64,
    /// Segments of gradient checkpointing.
    pub segments: usize,
    /// Timed iterations.
    pub iterations: usize,
    /// SHA-256 of the parameters after the measurement: rows whose results must be the same have the
    /// same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters_sha256: Option<String>,
    /// Training images a second, at the median.
    pub images_per_second: f64,
    /// Median of an iteration, in milliseconds.
    pub milliseconds: f64,
    /// First and third quartile.
    pub quartiles: [f64; 2],
    /// Largest memory of the process (or of the device) during the measurement, in bytes, if known.
    pub peak_memory_bytes: Option<u64>,
    /// Floating-point operations a second: two a multiply-add, three passes over the convolutions
    /// (forward, by input, by weight).
    pub flops_per_second: f64,
    /// Convolutions and the fully connected layer alone, forward and backward, on maps of the same
    /// sizes, in milliseconds.
    pub convolution_milliseconds: f64,
    /// Part of the step that is not that, in percent.
    pub outside_convolutions_percent: f64,
    /// The step at the machine's measured rate of operations, in milliseconds.
    pub operations_limit_milliseconds: f64,
    /// The step at the machine's measured rate of copying, every operand of every operation read or
    /// written once, in milliseconds.
    pub bytes_limit_milliseconds: f64,
}
