//! The range of every value of a recipe.

use crate::config::recipe::{InvalidRecipe, Recipe};
use crate::error::bad_input;

/// What a key of the recipe may be.
pub struct Range {
    /// The key.
    pub key: &'static str,
    /// Its range, in words.
    pub allowed: &'static str,
    value: fn(&Recipe) -> f64,
    holds: fn(f64) -> bool,
}

const fn range(
    key: &'static str,
    allowed: &'static str,
    value: fn(&Recipe) -> f64,
    holds: fn(f64) -> bool,
) -> Range {
    Range { key, allowed, value, holds }
}

/// The keys whose range depends on no other key. NaN and infinity are in none.
#[rustfmt::skip]
pub const RANGES: [Range; 14] = [
    range("iterations", "a whole number from 1 to 100000000", |r| r.iterations as f64, |v| (1.0..=1e8).contains(&v)),
    range("batch_size", "a whole number from 1 to 65536", |r| r.batch_size as f64, |v| (1.0..=65536.0).contains(&v)),
    range("evaluate_every", "a whole number from 1 to 100000000", |r| r.evaluate_every as f64, |v| (1.0..=1e8).contains(&v)),
    range("checkpoint_segments", "a whole number from 0 (automatic) to 10000", |r| r.checkpoint_segments as f64, |v| v <= 1e4),
    range("gradient_norms_every", "a whole number from 0 (none) to 100000000", |r| r.gradient_norms_every as f64, |v| v <= 1e8),
    range("learning_rate", "above 0, at most 100", |r| r.learning_rate, |v| v > 0.0 && v <= 100.0),
    range("warmup_learning_rate", "above 0, at most 100", |r| r.warmup_learning_rate, |v| v > 0.0 && v <= 100.0),
    range("learning_rate_factor", "above 0, at most 1", |r| r.learning_rate_factor, |v| v > 0.0 && v <= 1.0),
    range("momentum", "from 0, below 1", |r| r.momentum, |v| (0.0..1.0).contains(&v)),
    range("weight_decay", "from 0 to 1", |r| r.weight_decay, |v| (0.0..=1.0).contains(&v)),
    range("warmup_until_error", "a percentage, 0 to 100", |r| r.warmup_until_error, |v| (0.0..=100.0).contains(&v)),
    range("plateau_patience", "a whole number from 1 to 100000", |r| r.plateau_patience as f64, |v| (1.0..=1e5).contains(&v)),
    range("plateau_threshold", "percentage points, from 0, below 100", |r| r.plateau_threshold, |v| (0.0..100.0).contains(&v)),
    range("plateau_reductions", "a whole number from 0 to 100", |r| r.plateau_reductions as f64, |v| v <= 100.0),
];

impl Recipe {
    /// Checks every value's range; the error names the key, the value and what is allowed.
    pub fn validate(&self) -> Result<(), InvalidRecipe> {
        for range in &RANGES {
            let value = (range.value)(self);
            if !(range.holds)(value) {
                return Err(InvalidRecipe::of(
                    range.key,
                    format!("{} = {value} is out of range: {}", range.key, range.allowed),
                ));
            }
        }
        if self.group_size != 0 && !self.batch_size.is_multiple_of(self.group_size) {
            return Err(InvalidRecipe::of(
                "group_size",
                format!(
                    "group_size = {} is out of range: it must divide batch_size = {}, or be 0 for the whole batch",
                    self.group_size, self.batch_size
                ),
            ));
        }
        self.validate_images()?;
        if self.milestones.windows(2).any(|pair| pair[0] > pair[1]) {
            return Err(InvalidRecipe::of(
                "milestones",
                format!(
                    "milestones = {:?} is out of range: iterations in rising order",
                    self.milestones
                ),
            ));
        }
        Ok(())
    }

    fn validate_images(&self) -> Result<(), InvalidRecipe> {
        if let Some(lighting) = self.lighting
            && !(0.0..=10.0).contains(&lighting)
        {
            return Err(InvalidRecipe::of(
                "lighting",
                format!("lighting = {lighting} is out of range: 0 to 10"),
            ));
        }
        let (crop, [least, most], test) = match (self.crop, self.scale, self.test_scale) {
            (None, None, None) => return Ok(()),
            (Some(crop), Some(scale), Some(test)) => (crop, scale, test),
            _ => {
                return Err(InvalidRecipe {
                    key: None,
                    reason: bad_input(
                        "crop, scale and test_scale belong together: one of them is missing",
                    ),
                });
            }
        };
        let side = |key: &str, value: u64, from: u64| match (from..=4096).contains(&value) {
            true => Ok(()),
            false => Err(InvalidRecipe::of(
                key,
                format!("{key} = {value} is out of range: a whole number from {from} to 4096"),
            )),
        };
        side("crop", crop, 32)?;
        side("scale", least, crop)?;
        side("scale", most, least)?;
        side("test_scale", test, crop)
    }
}
