//! How a network is trained: every choice that changes the numbers, in one flat list that is written into each run's `run.toml`.

use serde::{Deserialize, Serialize};

use crate::dataset::DatasetName;
use crate::error::{BadInput, bad_input};

/// Iterations of the paper's CIFAR-10 training (section 4.2).
pub const PAPER_ITERATIONS: u64 = 64_000;
/// Iterations at which the paper divides the learning rate by 10 (section 4.2).
pub const PAPER_MILESTONES: [u64; 2] = [32_000, 48_000];
/// Nets of this depth and more start with the warm-up in the paper (section 4.2, the 110-layer net).
pub const WARMUP_FROM_DEPTH: u64 = 110;

/// What the built-in data changes in the paper's recipe, where the user says nothing else: a run of minutes on two cores, and a rate at
/// which a deep net learns within it (at 0.1 a deep residual net spends its first hundreds of iterations recovering).
const SHAPES_ITERATIONS: u64 = 130;
const SHAPES_LEARNING_RATE: f64 = 0.02;

/// What is subtracted from the pixels, and what they are divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Normalize {
    /// The mean training image is subtracted (the paper's way); pixels are in [0, 1].
    PixelMean,
    /// ImageNet's mean colour is subtracted, and divided by the standard deviation of its colours (what most public CIFAR nets use).
    Imagenet,
}

/// The number format of activations and convolutions. Parameters, their update, batch normalisation's parameters and statistics, and the
/// loss are float32 in all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// float32 (the paper's).
    #[default]
    F32,
    /// float32, whose convolutions round their inputs to TF32's 10 bits: NVIDIA GPUs only.
    Tf32,
    /// bfloat16, accumulated in float32.
    Bf16,
}

impl Precision {
    /// Bytes of one value of a feature map.
    pub fn bytes(self) -> u64 {
        if self == Precision::Bf16 { 2 } else { 4 }
    }
}

impl std::fmt::Display for Precision {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Precision::F32 => "f32",
            Precision::Tf32 => "tf32",
            Precision::Bf16 => "bf16",
        })
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
    /// Whether to start with `warmup_learning_rate` until the training error is below `warmup_until_error`.
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
    /// Iterations between evaluations on the test set (and on the validation set). The last iteration is always followed by one.
    pub evaluate_every: u64,
    /// Number format of activations and convolutions.
    pub precision: Precision,
    /// Parts of the network whose activations are computed again in the backward pass instead of kept; 1 keeps all, 0 chooses by the memory
    /// that is there. It changes no number.
    pub checkpoint_segments: u64,
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
            checkpoint_segments: 0,
        }
    }
}

impl Recipe {
    /// The recipe that `dataset` has where nothing else is said.
    pub fn for_dataset(dataset: DatasetName) -> Recipe {
        match dataset {
            DatasetName::Shapes => Recipe { iterations: SHAPES_ITERATIONS, learning_rate: SHAPES_LEARNING_RATE, ..Recipe::default() },
            DatasetName::Cifar10 => Recipe::default(),
        }
    }

    /// The recipe `base` for a net of `depth` layers, with another number of `iterations` if given, and the keys of `given` on top.
    ///
    /// A run of another length than the paper's keeps the shape of the schedule: its milestones are the paper's, scaled, and it is
    /// evaluated at least five times.
    pub fn resolve(base: &Recipe, depth: u64, iterations: Option<u64>, given: &toml::Table) -> Result<Recipe, BadInput> {
        let set_iterations = given.get("iterations").and_then(toml::Value::as_integer).map(|value| value as u64);
        let iterations = iterations.or(set_iterations).unwrap_or(base.iterations);
        let mut table = table_of(&Recipe {
            iterations,
            milestones: PAPER_MILESTONES
                .map(|milestone| (u128::from(milestone) * u128::from(iterations) / u128::from(PAPER_ITERATIONS)) as u64)
                .to_vec(),
            evaluate_every: iterations.div_ceil(5).clamp(1, 1000),
            warmup: depth >= WARMUP_FROM_DEPTH,
            ..base.clone()
        });
        table.extend(given.clone());
        table.insert("iterations".to_string(), toml::Value::Integer(iterations as i64));
        let recipe: Recipe = table.try_into().map_err(|error: toml::de::Error| explain(error.message()))?;
        recipe.validate()?;
        Ok(recipe)
    }

    /// Checks every value's range; the error names the key, the value and what is allowed.
    pub fn validate(&self) -> Result<(), BadInput> {
        let in_range = |key: &str, value: f64, ok: bool, allowed: &str| {
            if ok && value.is_finite() { Ok(()) } else { Err(bad_input(format!("{key} = {value} is out of range: {allowed}"))) }
        };
        let positive =
            |key: &str, value: u64, most: u64| in_range(key, value as f64, (1..=most).contains(&value), &format!("a whole number from 1 to {most}"));
        positive("iterations", self.iterations, 100_000_000)?;
        positive("batch_size", self.batch_size, 65_536)?;
        positive("evaluate_every", self.evaluate_every, 100_000_000)?;
        in_range(
            "checkpoint_segments",
            self.checkpoint_segments as f64,
            self.checkpoint_segments <= 10_000,
            "a whole number from 0 (automatic) to 10000",
        )?;
        let rate = |key, value: f64| in_range(key, value, value > 0.0 && value <= 100.0, "above 0, at most 100");
        rate("learning_rate", self.learning_rate)?;
        rate("warmup_learning_rate", self.warmup_learning_rate)?;
        in_range(
            "learning_rate_factor",
            self.learning_rate_factor,
            self.learning_rate_factor > 0.0 && self.learning_rate_factor <= 1.0,
            "above 0, at most 1",
        )?;
        in_range("momentum", self.momentum, (0.0..1.0).contains(&self.momentum), "from 0, below 1")?;
        in_range("weight_decay", self.weight_decay, (0.0..=1.0).contains(&self.weight_decay), "from 0 to 1")?;
        in_range("warmup_until_error", self.warmup_until_error, (0.0..=100.0).contains(&self.warmup_until_error), "a percentage, 0 to 100")?;
        if self.milestones.windows(2).any(|pair| pair[0] > pair[1]) {
            return Err(bad_input(format!("milestones = {:?} is out of range: iterations in rising order", self.milestones)));
        }
        Ok(())
    }

    /// In what the recipe differs from the paper's for a net of `depth` layers: one phrase a difference, none for the paper's own.
    pub fn differences_from_paper(&self, depth: u64) -> Vec<String> {
        let paper = Recipe { warmup: depth >= WARMUP_FROM_DEPTH, ..Recipe::default() };
        let [ours, papers] = [self, &paper].map(table_of);
        ours.iter()
            // How often a net is evaluated changes no weight, and the paper does not say it; nor does recomputation.
            .filter(|(key, value)| !["evaluate_every", "checkpoint_segments"].contains(&key.as_str()) && papers.get(*key) != Some(value))
            .map(|(key, value)| format!("{} {value} instead of {}", key.replace('_', " "), papers[key]))
            .collect()
    }
}

/// Reads "key=value" settings as TOML values; a value that is no TOML is taken as a bare word.
pub fn parse_settings(settings: &[String]) -> Result<toml::Table, BadInput> {
    let mut table = toml::Table::new();
    for setting in settings {
        let (key, value) = setting.split_once('=').ok_or_else(|| bad_input(format!("--set {setting}: write it as KEY=VALUE")))?;
        let (key, value) = (key.trim(), value.trim());
        let parsed = format!("value = {value}")
            .parse::<toml::Table>()
            .ok()
            .and_then(|mut table| table.remove("value"))
            .unwrap_or_else(|| toml::Value::String(value.to_string()));
        let parsed = check_setting(key, parsed).map_err(|reason| bad_input(format!("--set {setting}: {reason}")))?;
        if table.insert(key.to_string(), parsed).is_some() {
            return Err(bad_input(format!("--set {key} is given twice")));
        }
    }
    Ok(table)
}

/// The value as the key's type has it (a rate of 1 is as good as 1.0), or why the key cannot have it.
pub fn check_setting(key: &str, value: toml::Value) -> Result<toml::Value, String> {
    let value = match (value, table_of(&Recipe::default()).get(key)) {
        (toml::Value::Integer(whole), Some(toml::Value::Float(_))) => toml::Value::Float(whole as f64),
        (value, Some(_)) => value,
        (_, None) => return Err(format!("{key}: no such key; the keys are {}", keys().join(", "))),
    };
    let alone = toml::Table::from_iter([(key.to_string(), value.clone())]);
    match alone.try_into::<Recipe>() {
        Ok(_) => Ok(value),
        Err(error) => Err(error.message().lines().next().unwrap_or("is not a value for this key").to_string()),
    }
}

/// The keys of a recipe, in their order in the record.
pub fn keys() -> Vec<String> {
    table_of(&Recipe::default()).keys().cloned().collect()
}

fn table_of(recipe: &Recipe) -> toml::Table {
    toml::Table::try_from(recipe).expect("a recipe is a table")
}

fn explain(message: &str) -> BadInput {
    bad_input(format!("the recipe is not valid: {message}"))
}
