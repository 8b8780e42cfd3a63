//! How a network is trained: every choice that changes the numbers, in one flat list that is
//! written into each run's `run.toml`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::config::dataset_name;
use crate::config::dataset_name::DatasetName;
use crate::config::kernels::Kernels;
use crate::config::network_name::Family;
use crate::config::precision::Precision;
use crate::error::{BadInput, bad_input};

/// Iterations of the paper's CIFAR-10 training (section 4.2).
pub const PAPER_ITERATIONS: u64 = 64_000;

/// Iterations at which the paper divides the learning rate by 10 (section 4.2).
pub const PAPER_MILESTONES: [u64; 2] = [32_000, 48_000];

/// Nets of this depth and more start with the warm-up in the paper (section 4.2, the 110-layer
/// net).
pub const WARMUP_FROM_DEPTH: u64 = 110;

/// Iterations of the paper's ImageNet training (section 3.4: "up to 60×10⁴").
pub const PAPER_IMAGENET_ITERATIONS: u64 = 600_000;

/// About 30, 60 and 90 epochs of 1.28 million images, the usual alternative to waiting for a
/// plateau. Not the paper's.
const IMAGENET_MILESTONES: [u64; 3] = [150_000, 300_000, 450_000];

/// What the built-in data changes in the paper's recipe, where the user says nothing else: a run of
/// minutes on two cores, and a rate at which a deep net learns within it (at 0.1 a deep residual
/// net spends its first hundreds of iterations recovering).
const SHAPES_ITERATIONS: u64 = 130;

const SHAPES_LEARNING_RATE: f64 = 0.02;

/// What is subtracted from the pixels, and what they are divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Normalize {
    /// The mean training image is subtracted (the paper's way); pixels are in [0, 1].
    PixelMean,
    /// ImageNet's mean colour is subtracted, and divided by the standard deviation of its colours
    /// (what most public CIFAR nets use).
    Imagenet,
}

impl fmt::Display for Normalize {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(match self {
            Normalize::PixelMean => "pixel-mean",
            Normalize::Imagenet => "imagenet",
        })
    }
}

/// What lowers the learning rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum LrSchedule {
    /// The recipe's `milestones` (the paper's way on CIFAR-10).
    #[default]
    Milestones,
    /// Evaluations that bring no progress (the paper's way on ImageNet): see `plateau_patience`.
    Plateau,
}

/// Why a recipe cannot be trained, and which key is to blame if it is one alone.
#[derive(Debug)]
pub struct InvalidRecipe {
    /// The key.
    pub key: Option<String>,
    /// The reason, which names the key too.
    pub reason: BadInput,
}

impl InvalidRecipe {
    /// One key is to blame.
    pub fn of(key: &str, reason: String) -> InvalidRecipe {
        InvalidRecipe { key: Some(key.to_string()), reason: bad_input(reason) }
    }
}

impl std::fmt::Display for InvalidRecipe {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.reason.fmt(formatter)
    }
}

impl From<InvalidRecipe> for BadInput {
    fn from(invalid: InvalidRecipe) -> BadInput {
        invalid.reason
    }
}

/// A training recipe. The default is the paper's for CIFAR-10 (section 4.2).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Recipe {
    /// Training iterations; one is one batch and one update.
    pub iterations: u64,
    /// Images a batch.
    pub batch_size: u64,
    /// Learning rate before the first milestone.
    pub learning_rate: f64,
    /// Iterations at which the learning rate is multiplied by `learning_rate_factor`.
    pub milestones: Vec<u64>,
    /// See `milestones`.
    pub learning_rate_factor: f64,
    /// Momentum of SGD (not Nesterov's).
    pub momentum: f64,
    /// Weight decay, on every parameter, batch normalisation and bias included.
    pub weight_decay: f64,
    /// Whether to start with `warmup_learning_rate` until the training error is below
    /// `warmup_until_error`.
    pub warmup: bool,
    /// Learning rate of the warm-up.
    pub warmup_learning_rate: f64,
    /// Training error, in percent, below which the warm-up ends.
    pub warmup_until_error: f64,
    /// Training images held out as a validation set.
    pub validation: u64,
    /// Whether training images are padded, cropped and flipped at random.
    pub augment: bool,
    /// How pixels are normalised.
    pub normalize: Normalize,
    /// Iterations between evaluations on the test set (and on the validation set). The last
    /// iteration is always followed by one.
    pub evaluate_every: u64,
    /// Number format of activations and convolutions.
    pub precision: Precision,
    /// Whose kernels compute the network on a GPU: the last bits of results differ.
    #[serde(skip_serializing_if = "Kernels::is_default")]
    pub kernels: Kernels,
    /// Parts of the network whose activations are computed again in the backward pass instead of
    /// kept; 1 keeps all, 0 chooses by the memory that is there. It changes no number.
    pub checkpoint_segments: u64,
    /// Iterations between the norms of the gradient that `gradients.csv` holds, layer by layer; 0 is
    /// none. It changes no number of the training.
    #[serde(skip_serializing_if = "is_zero")]
    pub gradient_norms_every: u64,
    /// What lowers the learning rate.
    pub lower_rate: LrSchedule,
    /// Evaluations in a row without progress after which the learning rate is multiplied by
    /// `learning_rate_factor` (plateau only).
    pub plateau_patience: u64,
    /// By how many percentage points the error must fall below the lowest so far to be progress
    /// (plateau only).
    pub plateau_threshold: f64,
    /// How often the learning rate is lowered at most (plateau only).
    pub plateau_reductions: u64,
    /// Images that go through the network at once and share batch normalisation's statistics. A
    /// batch is made of such groups, whose gradients are averaged. 0: the whole batch.
    pub group_size: u64,
    /// Side of the square that is cut out of an image (section 3.4); only for datasets of
    /// images, as are the keys below.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crop: Option<u64>,
    /// Bounds of the side to which the shorter side of a training image is scaled, drawn anew each
    /// time, both included (section 3.4).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<[u64; 2]>,
    /// The side to which the shorter side of a test image is scaled before its centre (or ten
    /// crops) is cut out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_scale: Option<u64>,
    /// Standard deviation of the colour augmentation along the principal components of ImageNet's
    /// colours (section 3.4, reference 21); 0 is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lighting: Option<f64>,
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}

impl Default for Recipe {
    fn default() -> Recipe {
        Recipe {
            iterations: PAPER_ITERATIONS,
            batch_size: 128,
            learning_rate: 0.1,
            milestones: PAPER_MILESTONES.to_vec(),
            learning_rate_factor: 0.1,
            momentum: 0.9,
            weight_decay: 1e-4,
            warmup: false,
            warmup_learning_rate: 0.01,
            warmup_until_error: 80.0,
            validation: 0,
            augment: true,
            normalize: Normalize::PixelMean,
            evaluate_every: 1000,
            precision: Precision::F32,
            kernels: Kernels::Libtorch,
            checkpoint_segments: 0,
            gradient_norms_every: 0,
            lower_rate: LrSchedule::Milestones,
            plateau_patience: 5,
            plateau_threshold: 0.1,
            plateau_reductions: 3,
            group_size: 0,
            crop: None,
            scale: None,
            test_scale: None,
            lighting: None,
        }
    }
}

impl Recipe {
    /// The recipe that `dataset` has where nothing else is said.
    pub fn for_dataset(dataset: DatasetName) -> Recipe {
        match dataset {
            DatasetName::Shapes => Recipe {
                iterations: SHAPES_ITERATIONS,
                learning_rate: SHAPES_LEARNING_RATE,
                ..Recipe::default()
            },
            DatasetName::Cifar10 => Recipe::default(),
            DatasetName::Imagenet | DatasetName::Folder => Recipe::imagenet(),
            // As the crop of 224 is to images whose shorter side is 256, so is 56 to these
            // images of 64.
            DatasetName::TinyImagenet => Recipe {
                crop: Some(56),
                scale: Some([64, 120]),
                test_scale: Some(64),
                ..Recipe::imagenet()
            },
        }
    }

    /// The paper's for ImageNet (section 3.4).
    fn imagenet() -> Recipe {
        Recipe {
            iterations: PAPER_IMAGENET_ITERATIONS,
            batch_size: 256,
            milestones: IMAGENET_MILESTONES.to_vec(),
            lower_rate: LrSchedule::Plateau,
            evaluate_every: 5000,
            crop: Some(224),
            scale: Some([256, 480]),
            test_scale: Some(256),
            lighting: Some(0.1),
            ..Recipe::default()
        }
    }

    /// The same for images of which a square of `crop` pixels is cut out. Own images may have any
    /// size: the sides to which they are scaled are to `crop` as the paper's are to its crop.
    pub fn for_images(dataset: DatasetName, crop: Option<u64>) -> Recipe {
        let base = Recipe::for_dataset(dataset);
        // One that is out of range is refused later, with its reason.
        let crop = crop.filter(|&crop| dataset == DatasetName::Folder && crop <= 4096);
        let (Some(crop), Some(usual)) = (crop, base.crop) else { return base };
        let in_proportion = |side: u64| ((side * crop) as f64 / usual as f64).round() as u64;
        Recipe {
            scale: base.scale.map(|sides| sides.map(in_proportion)),
            test_scale: base.test_scale.map(in_proportion),
            ..base
        }
    }

    /// The paper's, for a family of networks.
    pub fn of_paper(family: Family) -> Recipe {
        Recipe::for_dataset(match family {
            Family::Cifar => DatasetName::Cifar10,
            Family::Imagenet => DatasetName::Imagenet,
        })
    }

    /// Its milestones for a run of `iterations`: at the same parts of the run.
    pub fn scaled_milestones(&self, iterations: u64) -> Vec<u64> {
        let scaled = |&milestone: &u64| {
            (u128::from(milestone) * u128::from(iterations) / u128::from(self.iterations.max(1)))
                as u64
        };
        self.milestones.iter().map(scaled).collect()
    }

    /// Side of the images that the network sees in training, in pixels.
    pub fn image_side(&self) -> i64 {
        self.crop.map_or(dataset_name::IMAGE_SIDE, |side| side as i64)
    }

    /// Images that go through the network at once.
    pub fn micro_batch_size(&self) -> u64 {
        if self.group_size == 0 { self.batch_size } else { self.group_size }
    }

    /// Groups of images that a batch is made of, each normalised by its own statistics.
    pub fn groups(&self) -> usize {
        (self.batch_size / self.micro_batch_size().max(1)) as usize
    }

    /// The recipe of `dataset` for a net of `depth` layers, with another number of `iterations` if
    /// given, and the keys of `given` on top.
    ///
    /// A run of another length than the paper's keeps the shape of the schedule: its milestones are
    /// the paper's, scaled, and it is evaluated at least five times. So few evaluations show no
    /// plateau: where the paper waits for one, a shorter run has milestones, unless a key of the
    /// plateau is given.
    pub fn resolve(
        dataset: DatasetName,
        depth: u64,
        iterations: Option<u64>,
        given: &toml::Table,
    ) -> Result<Recipe, InvalidRecipe> {
        let crop = given.get("crop").and_then(toml::Value::as_integer);
        let base = Recipe::for_images(dataset, crop.and_then(|crop| u64::try_from(crop).ok()));
        let paper = Recipe::of_paper(dataset.family());
        let set_iterations =
            given.get("iterations").and_then(toml::Value::as_integer).map(|value| value as u64);
        let iterations = iterations.or(set_iterations).unwrap_or(base.iterations);
        let waits =
            iterations == paper.iterations || given.keys().any(|key| key.starts_with("plateau_"));
        let mut table = table_of(&Recipe {
            iterations,
            lower_rate: if waits { base.lower_rate } else { LrSchedule::Milestones },
            milestones: paper.scaled_milestones(iterations),
            evaluate_every: iterations.div_ceil(5).clamp(1, base.evaluate_every),
            warmup: warms_up(dataset.family(), depth),
            ..base
        });
        table.extend(given.clone());
        table.insert("iterations".to_string(), toml::Value::Integer(iterations as i64));
        let recipe: Recipe =
            table.try_into().map_err(|error: toml::de::Error| explain(error.message()))?;
        let images = dataset.family() == Family::Imagenet;
        for (key, set) in [
            ("crop", recipe.crop.is_some()),
            ("scale", recipe.scale.is_some()),
            ("test_scale", recipe.test_scale.is_some()),
            ("lighting", recipe.lighting.is_some()),
        ] {
            if set && !images {
                return Err(InvalidRecipe::of(
                    key,
                    format!(
                        "{key}: only for ImageFolder datasets (imagenet, tiny-imagenet, folder), not for {dataset}"
                    ),
                ));
            }
        }
        recipe.validate()?;
        Ok(recipe)
    }
}

/// Whether the paper starts a net of `depth` layers with the warm-up.
pub fn warms_up(family: Family, depth: u64) -> bool {
    family == Family::Cifar && depth >= WARMUP_FROM_DEPTH
}

/// The recipe as `run.toml` has it.
pub(super) fn table_of(recipe: &Recipe) -> toml::Table {
    toml::Table::try_from(recipe).expect("a recipe is a table")
}

fn explain(message: &str) -> InvalidRecipe {
    InvalidRecipe { key: None, reason: bad_input(format!("the recipe is not valid: {message}")) }
}
