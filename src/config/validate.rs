//! The range of every value of a recipe.

use crate::config::recipe::{InvalidRecipe, Recipe};
use crate::error::bad_input;

impl Recipe {
    /// Checks every value's range; the error names the key, the value and what is allowed.
    pub fn validate(&self) -> Result<(), InvalidRecipe> {
        let in_range = |key: &str, value: f64, ok: bool, allowed: &str| {
            if ok && value.is_finite() {
                Ok(())
            } else {
                Err(InvalidRecipe::of(key, format!("{key} = {value} is out of range: {allowed}")))
            }
        };
        let positive = |key: &str, value: u64, most: u64| {
            in_range(
                key,
                value as f64,
                (1..=most).contains(&value),
                &format!("a whole number from 1 to {most}"),
            )
        };
        positive("iterations", self.iterations, 100_000_000)?;
        positive("batch_size", self.batch_size, 65_536)?;
        positive("evaluate_every", self.evaluate_every, 100_000_000)?;
        in_range(
            "checkpoint_segments",
            self.checkpoint_segments as f64,
            self.checkpoint_segments <= 10_000,
            "a whole number from 0 (automatic) to 10000",
        )?;
        let rate = |key, value: f64| {
            in_range(key, value, value > 0.0 && value <= 100.0, "above 0, at most 100")
        };
        rate("learning_rate", self.learning_rate)?;
        rate("warmup_learning_rate", self.warmup_learning_rate)?;
        in_range(
            "learning_rate_factor",
            self.learning_rate_factor,
            self.learning_rate_factor > 0.0 && self.learning_rate_factor <= 1.0,
            "above 0, at most 1",
        )?;
        in_range(
            "momentum",
            self.momentum,
            (0.0..1.0).contains(&self.momentum),
            "from 0, below 1",
        )?;
        in_range(
            "weight_decay",
            self.weight_decay,
            (0.0..=1.0).contains(&self.weight_decay),
            "from 0 to 1",
        )?;
        in_range(
            "warmup_until_error",
            self.warmup_until_error,
            (0.0..=100.0).contains(&self.warmup_until_error),
            "a percentage, 0 to 100",
        )?;
        positive("plateau_patience", self.plateau_patience, 100_000)?;
        in_range(
            "plateau_threshold",
            self.plateau_threshold,
            (0.0..100.0).contains(&self.plateau_threshold),
            "percentage points, from 0, below 100",
        )?;
        in_range(
            "plateau_reductions",
            self.plateau_reductions as f64,
            self.plateau_reductions <= 100,
            "a whole number from 0 to 100",
        )?;
        if self.group_size != 0 && !self.batch_size.is_multiple_of(self.group_size) {
            return Err(InvalidRecipe::of(
                "group_size",
                format!(
                    "group_size = {} is out of range: a number that batch_size = {} is a multiple of, or 0 for the whole batch",
                    self.group_size, self.batch_size
                ),
            ));
        }
        self.validate_photographs()?;
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

    fn validate_photographs(&self) -> Result<(), InvalidRecipe> {
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
