//! The learning rate of every iteration, from a recipe and, during a warm-up, from the training errors seen so far.

use serde::{Deserialize, Serialize};

use crate::recipe::Recipe;

/// Whether the warm-up is over is decided after every so many iterations, on the mean training error of those iterations.
/// A single batch's error is too noisy, an epoch (391 iterations) about as long as the paper's whole warm-up ("about 400 iterations").
pub const WARMUP_WINDOW: u64 = 100;

/// What the warm-up remembers; part of a checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WarmupState {
    /// The last iteration of the warm-up, once it is over.
    pub ended_after: Option<u64>,
    /// Sum of the training errors (percent) since the last decision.
    pub error_sum: f64,
}

/// The learning rate schedule of one run.
pub struct Schedule {
    recipe: Recipe,
    warmup: WarmupState,
}

impl Schedule {
    /// The schedule of `recipe`, with the warm-up as it was at a checkpoint (or at the start: the default).
    pub fn new(recipe: &Recipe, warmup: WarmupState) -> Schedule {
        Schedule { recipe: recipe.clone(), warmup }
    }

    /// The learning rate of `iteration`, counted from 1. A milestone of 32,000 is the last iteration before the division.
    pub fn learning_rate(&self, iteration: u64) -> f64 {
        if self.warming_up() {
            return self.recipe.warmup_learning_rate;
        }
        let passed = self.recipe.milestones.iter().filter(|&&milestone| iteration > milestone).count();
        self.recipe.learning_rate * self.recipe.learning_rate_factor.powi(passed as i32)
    }

    /// Whether the warm-up is still on.
    pub fn warming_up(&self) -> bool {
        self.recipe.warmup && self.warmup.ended_after.is_none()
    }

    /// Whether the rate of the next iteration depends on the errors up to and with `iteration`, which must then be [observed](Self::observe) first.
    pub fn decides_after(&self, iteration: u64) -> bool {
        self.warming_up() && iteration.is_multiple_of(WARMUP_WINDOW)
    }

    /// Takes note of the training error (percent) of `iteration`; called once for every iteration, in order.
    pub fn observe(&mut self, iteration: u64, error: f64) {
        if !self.warming_up() {
            return;
        }
        self.warmup.error_sum += error;
        if iteration.is_multiple_of(WARMUP_WINDOW) {
            let mean = self.warmup.error_sum / WARMUP_WINDOW as f64;
            self.warmup.error_sum = 0.0;
            self.warmup.ended_after = (mean < self.recipe.warmup_until_error).then_some(iteration);
        }
    }

    /// The state to keep in a checkpoint.
    pub fn warmup_state(&self) -> &WarmupState {
        &self.warmup
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_paper_divides_the_rate_by_10_after_32k_and_48k_iterations() {
        let schedule = Schedule::new(&Recipe::default(), WarmupState::default());
        let rates = [1, 32_000, 32_001, 48_000, 48_001, 64_000].map(|iteration| schedule.learning_rate(iteration));
        let expected = [0.1, 0.1, 0.01, 0.01, 0.001, 0.001];
        for (rate, expected) in rates.iter().zip(expected) {
            assert!((rate / expected - 1.0).abs() < 1e-12, "{rates:?}");
        }
    }

    #[test]
    fn the_rate_returns_to_its_full_value_once_the_error_falls_below_80_percent() {
        let recipe = Recipe { warmup: true, ..Recipe::default() };
        let mut schedule = Schedule::new(&recipe, WarmupState::default());
        let mut rates = Vec::new();
        for iteration in 1..=500 {
            rates.push(schedule.learning_rate(iteration));
            schedule.observe(iteration, if iteration <= 300 { 90.0 } else { 70.0 });
        }
        assert!(rates[..400].iter().all(|&rate| rate == 0.01), "the warm-up lasts until a window is below the threshold");
        assert!(rates[400..].iter().all(|&rate| rate == 0.1), "and the full rate follows: it must not stay at 0.01");
        assert_eq!(schedule.warmup_state().ended_after, Some(400));
        assert!((schedule.learning_rate(32_001) - 0.01).abs() < 1e-12, "milestones count from the start of training");
    }

    #[test]
    fn a_warm_up_that_is_cut_in_two_ends_where_it_would_have_ended() {
        let recipe = Recipe { warmup: true, ..Recipe::default() };
        let error = |iteration: u64| if iteration <= 130 { 95.0 } else { 40.0 };
        let mut whole = Schedule::new(&recipe, WarmupState::default());
        let mut cut = Schedule::new(&recipe, WarmupState::default());
        for iteration in 1..=300 {
            whole.observe(iteration, error(iteration));
            cut.observe(iteration, error(iteration));
            if iteration == 157 {
                cut = Schedule::new(&recipe, cut.warmup_state().clone());
            }
        }
        assert_eq!(whole.warmup_state(), cut.warmup_state());
        assert_eq!(whole.warmup_state().ended_after, Some(200));
    }
}
