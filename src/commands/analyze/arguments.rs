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

/// Look inside a trained net: responses of its layers, errors without some of its blocks, gradients
///
/// KIND is one or more of responses (Figure 7 of the paper: standard deviations of the layers'
/// responses), lesion (Veit et al. 2016: blocks deleted and exchanged), gradients (their norms by
/// depth, of the given and of fresh weights, with and without batch normalisation, and how they
/// shatter, Balduzzi et al. 2017), paths (Veit et al. 2016: the gradient through paths of each
/// length), landscape (Li et al. 2018: loss over random directions of the weights), curvature
/// (eigenvalues and trace of the loss's Hessian) and generalisation (error of the training images
/// beside that of the test images), with commas, or "all" for what the net allows. Each writes
/// <kind>.csv and <kind>.toml into the run's analysis/ or --out, from which "figures" draws. All are
/// computed in float32, a batch at a time. docs/analyses.md has definitions, sources and costs.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  resnet-repro analyze all --run runs/quick/resnet-20/seed-0
  resnet-repro analyze responses,lesion --network resnet-20 --weights resnet20.safetensors --dataset cifar10 --normalize imagenet --out analysis/public")]
pub struct Arguments {
    /// What to look at, with commas, or all
    #[arg(value_name = "KIND", value_parser = kinds)]
    pub kinds: Kinds,
    /// Folder of a finished run: its network, weights, recipe and dataset are meant
    #[arg(long, value_name = "DIR", conflicts_with_all = ["network", "weights", "normalize", "dataset"])]
    pub run: Option<PathBuf>,
    /// The network
    #[arg(long, value_name = "NAME", required_unless_present = "run")]
    pub network: Option<NetworkName>,
    /// Its weights (safetensors)
    #[arg(long, value_name = "FILE", required_unless_present = "run")]
    pub weights: Option<PathBuf>,
    #[command(flatten)]
    pub data: DataOptions,
    /// How pixels are normalised: as when the weights were trained [default: as the weight file
    /// says, else pixel-mean]
    #[arg(long, value_enum)]
    pub normalize: Option<Normalize>,
    /// The images to analyse [default: test; of gradients, paths, landscape and curvature train;
    /// generalisation takes both]
    #[arg(long, value_enum)]
    pub split: Option<Split>,
    /// The most images to analyse, spread evenly over the split [default: of responses and
    /// generalisation all, of lesion 1000, of gradients 8 batches, of paths 1280, of landscape and
    /// curvature 256]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub images: Option<usize>,
    /// Folder for the files [default: the run's analysis/; without a run and with --json, none]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Seed of random draws [default: the run's, else 0]
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
    /// lesion: draws for each number of blocks deleted or exchanged
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = at_least_one)]
    samples: usize,
    /// lesion: how many points above the whole net's error the smallest net may be
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
    /// paths: paths drawn for each length, on each batch
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
