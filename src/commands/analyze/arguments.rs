//! What `analyze` is asked for.

use std::path::PathBuf;

use clap::Args;

use crate::analysis::images::Split;
use crate::analysis::lesion;
use crate::analysis::paths;
use crate::commands::analyze::curvature::CurvatureOptions;
use crate::commands::analyze::kinds::{Kinds, kinds};
use crate::commands::analyze::landscape::LandscapeOptions;
use crate::commands::options::{DataOptions, threads};
use crate::config::network_name::NetworkName;
use crate::config::recipe::Normalize;
use crate::error::{BadInput, bad_input};
use crate::system::device;

/// Look inside a trained net: layer responses, deleted blocks, gradients, loss landscape, curvature
///
/// Each kind of analysis writes <kind>.csv and <kind>.toml into the run's analysis/ or --out;
/// "figures" makes figures, tables and sentences of them. All are computed in float32, one batch at
/// a time. docs/analyses.md has definitions, sources and costs.
#[derive(Debug, Args)]
#[command(after_help = "\
Kinds, and the images that they take by default:
  responses       standard deviation of each layer's responses, Figure 7        all test images
  lesion          error with blocks deleted or exchanged (Veit et al. 2016)     1,000 test
  gradients       norms by depth; similarity at two inputs (Balduzzi 2017)      1,024 training
  paths           gradient through paths of each length (Veit et al. 2016)      1,280 training
  landscape       loss along random directions of the weights (Li et al. 2018)  256 training
  curvature       eigenvalues and trace of the Hessian of the loss              256 training
  generalisation  training error without augmentation beside test error         all of both

Examples:
  resnet-repro analyze all --run runs/quick/resnet-20/seed-0
  resnet-repro analyze responses,lesion --network resnet-20 --weights resnet20.safetensors --dataset cifar10 --normalize imagenet --out analysis/public")]
pub struct Arguments {
    /// Kinds of analysis, separated by commas, or "all" for those that the network allows
    #[arg(value_name = "KIND", value_parser = kinds)]
    pub kinds: Kinds,
    /// Folder of a finished run, whose network, weights, recipe and dataset are used
    #[arg(long, value_name = "DIR", conflicts_with_all = ["network", "weights", "normalize", "dataset"])]
    pub run: Option<PathBuf>,
    /// The network
    #[arg(long, value_name = "NAME", required_unless_present = "run")]
    pub network: Option<NetworkName>,
    /// Its weights, safetensors
    #[arg(long, value_name = "FILE", required_unless_present = "run")]
    pub weights: Option<PathBuf>,
    #[command(flatten)]
    pub data: DataOptions,
    /// How pixels are normalised, the same as in training [default: what the weight file says, else
    /// pixel-mean]
    #[arg(long, value_enum)]
    pub normalize: Option<Normalize>,
    /// Take the images from this split [default: see below]; generalisation takes both
    #[arg(long, value_enum)]
    pub split: Option<Split>,
    /// At most this many images, spread evenly over the split [default: see below]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub images: Option<usize>,
    /// Folder for the files [default: the run's analysis/; with weights and --json, none]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Seed of random draws [default: the run's seed, else 0]
    #[arg(long, value_name = "N")]
    pub seed: Option<u32>,
    #[command(flatten)]
    pub lesion: LesionOptions,
    #[command(flatten)]
    pub paths: PathOptions,
    #[command(flatten)]
    pub landscape: LandscapeOptions,
    #[command(flatten)]
    pub curvature: CurvatureOptions,
    /// Where to compute
    #[arg(long, value_name = "auto|cpu|cuda:N", default_value_t)]
    pub device: device::DeviceChoice,
    /// Threads that decode images [default: one per CPU core]
    #[arg(long, value_name = "N", value_parser = threads)]
    pub loaders: Option<usize>,
    /// Print the rows as JSON: an object, or for several kinds a list of objects
    #[arg(long)]
    pub json: bool,
}

/// What `lesion` is asked for.
#[derive(Debug, Args)]
pub struct LesionOptions {
    /// lesion: random draws for each number of blocks deleted or exchanged
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = at_least_one)]
    samples: usize,
    /// lesion: the smallest net's error may be this much above the whole net's
    #[arg(long, value_name = "POINTS", default_value_t = 1.0, value_parser = points)]
    within: f64,
}

impl LesionOptions {
    /// The same for the analysis.
    pub fn settings(&self) -> lesion::Settings {
        lesion::Settings { samples: self.samples as u64, within: self.within }
    }
}

/// What `paths` is asked for.
#[derive(Debug, Args)]
pub struct PathOptions {
    /// paths: random paths for each length, on each batch
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = at_most_a_thousand)]
    paths: usize,
}

impl PathOptions {
    /// The same for the analysis.
    pub fn settings(&self) -> paths::Settings {
        paths::Settings { draws: self.paths as u64 }
    }
}

fn at_most_a_thousand(text: &str) -> Result<usize, BadInput> {
    let number = text.parse().ok().filter(|number| (1..=1000).contains(number));
    number.ok_or_else(|| bad_input("write a whole number from 1 to 1000"))
}

fn at_least_one(text: &str) -> Result<usize, BadInput> {
    let number = text.parse().ok().filter(|number| (1..=100_000_000).contains(number));
    number.ok_or_else(|| bad_input("write a whole number from 1"))
}

fn points(text: &str) -> Result<f64, BadInput> {
    let points = text.parse().ok().filter(|points: &f64| (0.0..=100.0).contains(points));
    points.ok_or_else(|| bad_input("write a number of percentage points from 0 to 100"))
}
