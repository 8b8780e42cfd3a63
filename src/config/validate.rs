//! Whether every value of a recipe is in its range; in words, the ranges stand in
//! [`crate::config::keys`].

use crate::config::keys::allowed;
use crate::config::recipe::{InvalidRecipe, Recipe};
use crate::error::bad_input;

/// What a key of the recipe may be.
struct Range {
    key: &'static str,
    value: fn(&Recipe) -> f64,
    holds: fn(f64) -> bool,
}

const fn range(key: &'static str, value: fn(&Recipe) -> f64, holds: fn(f64) -> bool) -> Range {
    Range { key, value, holds }
}

/// The keys whose range depends on no other key. NaN and infinity are in none.
#[rustfmt::skip]
const RANGES: [Range; 14] = [
    range("iterations", |r| r.iterations as f64, |v| (1.0..=1e8).contains(&v)),
    range("batch_size", |r| r.batch_size as f64, |v| (1.0..=65536.0).contains(&v)),
    range("evaluate_every", |r| r.evaluate_every as f64, |v| (1.0..=1e8).contains(&v)),
    range("checkpoint_segments", |r| r.checkpoint_segments as f64, |v| v <= 1e4),
    range("gradient_norms_every", |r| r.gradient_norms_every as f64, |v| v <= 1e8),
    range("learning_rate", |r| r.learning_rate, |v| v > 0.0 && v <= 100.0),
    range("warmup_learning_rate", |r| r.warmup_learning_rate, |v| v > 0.0 && v <= 100.0),
    range("learning_rate_factor", |r| r.learning_rate_factor, |v| v > 0.0 && v <= 1.0),
    range("momentum", |r| r.momentum, |v| (0.0..1.0).contains(&v)),
    range("weight_decay", |r| r.weight_decay, |v| (0.0..=1.0).contains(&v)),
    range("warmup_until_error", |r| r.warmup_until_error, |v| (0.0..=100.0).contains(&v)),
    range("plateau_patience", |r| r.plateau_patience as f64, |v| (1.0..=1e5).contains(&v)),
    range("plateau_threshold", |r| r.plateau_threshold, |v| (0.0..100.0).contains(&v)),
    range("plateau_reductions", |r| r.plateau_reductions as f64, |v| v <= 100.0),
];

impl Recipe {
    /// Checks every value's range; the error names the key, the value and what is allowed.
    pub fn validate(&self) -> Result<(), InvalidRecipe> {
        for range in &RANGES {
            let value = (range.value)(self);
            if !(range.holds)(value) {
                return Err(InvalidRecipe::of(
                    range.key,
                    format!("{} = {value} is out of range: {}", range.key, allowed(range.key)),
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
                    "milestones = {:?} is out of range: {}",
                    self.milestones,
                    allowed("milestones")
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
                format!("lighting = {lighting} is out of range: {}", allowed("lighting")),
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

#[cfg(test)]
mod tests {
    use crate::config::dataset_name::DatasetName;
    use crate::config::recipe::Recipe;

    #[test]
    fn a_value_beside_each_end_of_its_range_is_refused_and_the_end_is_taken() {
        // Written down by hand from the words in config/keys.rs.
        for (key, inside, outside) in [
            ("iterations", [1.0, 1e8], [0.0, 1e8 + 1.0]),
            ("batch_size", [1.0, 65536.0], [0.0, 65537.0]),
            ("evaluate_every", [1.0, 1e8], [0.0, 1e8 + 1.0]),
            ("checkpoint_segments", [0.0, 1e4], [-1.0, 10001.0]),
            ("learning_rate", [1e-9, 100.0], [0.0, 100.5]),
            ("warmup_learning_rate", [1e-9, 100.0], [0.0, 100.5]),
            ("learning_rate_factor", [1e-9, 1.0], [0.0, 1.1]),
            ("momentum", [0.0, 0.999], [-0.1, 1.0]),
            ("weight_decay", [0.0, 1.0], [-0.1, 1.1]),
            ("warmup_until_error", [0.0, 100.0], [-1.0, 101.0]),
            ("plateau_patience", [1.0, 1e5], [0.0, 100_001.0]),
            ("plateau_threshold", [0.0, 99.9], [-0.1, 100.0]),
            ("plateau_reductions", [0.0, 100.0], [-1.0, 101.0]),
            ("crop", [32.0, 256.0], [31.0, 4097.0]),
            ("test_scale", [224.0, 4096.0], [223.0, 4097.0]),
            ("lighting", [0.0, 10.0], [-0.1, 10.1]),
        ] {
            let takes = |value: f64| {
                let mut table = toml::Table::try_from(imagenet()).unwrap();
                let is_whole = table[key].is_integer();
                let value = match is_whole {
                    true => toml::Value::Integer(value as i64),
                    false => toml::Value::Float(value),
                };
                table.insert(key.to_string(), value);
                table.try_into::<Recipe>().is_ok_and(|recipe| recipe.validate().is_ok())
            };
            assert_eq!(inside.map(takes), [true; 2], "{key}");
            assert_eq!(outside.map(takes), [false; 2], "{key}");
        }
    }

    fn imagenet() -> Recipe {
        Recipe { milestones: Vec::new(), ..Recipe::for_dataset(DatasetName::Imagenet) }
    }
}
