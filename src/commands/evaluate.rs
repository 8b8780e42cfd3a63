//! `evaluate`: the test error of a weight file.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::options::{DataOptions, print, print_json};
use crate::device::{self, DeviceChoice};
use crate::error::EXIT_DONE;
use crate::network::{Network, NetworkName, cifar};
use crate::recipe::Normalize;
use crate::training::batches::Normalization;
use crate::training::{Evaluation, EvaluationSet};

/// Compute the test error of a weight file
///
/// Reads safetensors with torchvision's layer names; scripts/to_safetensors.py makes them from PyTorch checkpoints. Every test image is
/// seen once, as it is. Weights trained by this program want pixel-mean, most public ones imagenet. The mean image is that of the training
/// images in --data: evaluate with the data that the weights were trained on.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  resnet-repro evaluate --network resnet-20 --dataset cifar10 --data data/cifar10 --weights resnet20.safetensors --normalize imagenet")]
pub struct Arguments {
    /// plain-N, resnet-N, resnet-Nb, resnet-Nc (N = 6n+2), highway-19 or highway-32
    #[arg(long, value_name = "NAME")]
    network: NetworkName,
    #[command(flatten)]
    data: DataOptions,
    /// Weight file (safetensors)
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    /// How pixels are normalised: as when the weights were trained
    #[arg(long, value_enum, default_value_t = Normalize::PixelMean)]
    normalize: Normalize,
    /// Where to compute
    #[arg(long, value_name = "auto|cpu|cuda:N", default_value_t)]
    device: DeviceChoice,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Output {
    network: NetworkName,
    #[serde(flatten)]
    evaluation: Evaluation,
    error: f64,
    top5_error: f64,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<u8> {
    let device = device::select(arguments.device)?;
    let data = arguments.data.load()?;
    let mut network = Network::new(cifar::architecture(arguments.network, data.classes.len() as i64), 0, device);
    network.load_weights(&arguments.weights)?;
    let normalization = Normalization::new(arguments.normalize, &data.train, device);
    let result = EvaluationSet::new(&data.test, device).evaluate(&network, &normalization);
    if arguments.json {
        print_json(&Output { network: arguments.network, evaluation: result, error: result.error(), top5_error: result.top5_error() })?;
    } else {
        print(&format!(
            "{}: {} of {} test images wrong, error {:.2} %, top-5 error {:.2} %, loss {:.4}",
            arguments.network,
            result.wrong,
            result.images,
            result.error(),
            result.top5_error(),
            result.loss
        ))?;
    }
    Ok(EXIT_DONE)
}
