//! The learning rate of every iteration, from a recipe and, during a warm-up, from the training
//! errors seen so far.

use serde::{Deserialize, Serialize};

use crate::config::recipe::{LrSchedule, Recipe};

/// Whether the warm-up is over is decided after every so many iterations, on the mean training
/// error of those iterations. A single batch's error is too noisy, an epoch (391 iterations) about
/// as long as the paper's whole warm-up ("about 400 iterations").
pub const WARMUP_WINDOW: u64 = 100;

/// What the warm-up remembers; part of a checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WarmupState {
    /// The last iteration of the warm-up, once it is over.
    pub ended_after: Option<u64>,
    /// Sum of the training errors (percent) since the last decision.
    pub error_sum: f64,
}

/// What waiting for a plateau remembers; part of a checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PlateauState {
    /// The lowest error so far, in percent.
    pub lowest: Option<f64>,
    /// Evaluations in a row that were no progress.
    pub waited: u64,
    /// How often the rate was lowered.
    pub reductions: u64,
}

/// All that a schedule remembers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ScheduleState {
    /// Of the warm-up.
    pub warmup: WarmupState,
    /// Of the plateau; checkpoints of earlier versions have none.
    #[serde(default)]
    pub plateau: PlateauState,
}

/// The learning rate schedule of one run.
pub struct Schedule {
    recipe: Recipe,
    warmup: WarmupState,
    plateau: PlateauState,
}

impl Schedule {
    /// The schedule of `recipe`, as it was at a checkpoint (or at the start: the default).
    pub fn new(recipe: &Recipe, ScheduleState { warmup, plateau }: ScheduleState) -> Schedule {
        Schedule { recipe: recipe.clone(), warmup, plateau }
    }

    /// The learning rate of `iteration`, counted from 1. A milestone of 32,000 is the last
    /// iteration before the division.
    pub fn learning_rate(&self, iteration: u64) -> f64 {
        if self.warming_up() {
            return self.recipe.warmup_learning_rate;
        }
        let lowered = match self.recipe.lower_rate {
            LrSchedule::Milestones => {
                self.recipe.milestones.iter().filter(|&&milestone| iteration > milestone).count()
            }
            LrSchedule::Plateau => self.plateau.reductions as usize,
        };
        self.recipe.learning_rate * self.recipe.learning_rate_factor.powi(lowered as i32)
    }

    /// Whether the warm-up is still on.
    pub fn warming_up(&self) -> bool {
        self.recipe.warmup && self.warmup.ended_after.is_none()
    }

    /// Whether the rate of the next iteration depends on the errors up to and with `iteration`,
    /// which must then be [observed](Self::observe) first.
    pub fn decides_after(&self, iteration: u64) -> bool {
        self.warming_up() && iteration.is_multiple_of(WARMUP_WINDOW)
    }

    /// Takes note of the training error (percent) of `iteration`; called once for every iteration,
    /// in order.
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

    /// Takes note of the error (percent) of an evaluation; called once for each, in order. Where
    /// the rate waits for a plateau ("divided by 10 when the error plateaus", section 3.4) this
    /// lowers it from the next iteration on: when `plateau_patience` evaluations in a row were not
    /// lower by `plateau_threshold` than the lowest before.
    pub fn observe_evaluation(&mut self, error: f64) {
        if self.recipe.lower_rate != LrSchedule::Plateau || self.warming_up() || !error.is_finite()
        {
            return;
        }
        if self.plateau.lowest.is_none_or(|lowest| error < lowest - self.recipe.plateau_threshold) {
            self.plateau.lowest = Some(error);
            self.plateau.waited = 0;
            return;
        }
        self.plateau.waited += 1;
        if self.plateau.waited >= self.recipe.plateau_patience
            && self.plateau.reductions < self.recipe.plateau_reductions
        {
            self.plateau.reductions += 1;
            self.plateau.waited = 0;
        }
    }

    /// The last iteration of the warm-up, once it is over.
    pub fn warmup_ended_after(&self) -> Option<u64> {
        self.warmup.ended_after
    }

    /// The state to keep in a checkpoint.
    pub fn state(&self) -> ScheduleState {
        ScheduleState { warmup: self.warmup.clone(), plateau: self.plateau.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_paper_divides_the_rate_by_10_after_32k_and_48k_iterations() {
        let schedule = Schedule::new(&Recipe::default(), ScheduleState::default());
        let rates = [1, 32_000, 32_001, 48_000, 48_001, 64_000]
            .map(|iteration| schedule.learning_rate(iteration));
        let expected = [0.1, 0.1, 0.01, 0.01, 0.001, 0.001];
        for (rate, expected) in rates.iter().zip(expected) {
            assert!((rate / expected - 1.0).abs() < 1e-12, "{rates:?}");
        }
    }

    #[test]
    fn the_rate_returns_to_its_full_value_once_the_error_falls_below_80_percent() {
        let recipe = Recipe { warmup: true, ..Recipe::default() };
        let mut schedule = Schedule::new(&recipe, ScheduleState::default());
        let mut rates = Vec::new();
        for iteration in 1..=500 {
            rates.push(schedule.learning_rate(iteration));
            schedule.observe(iteration, if iteration <= 300 { 90.0 } else { 70.0 });
        }
        assert!(
            rates[..400].iter().all(|&rate| rate == 0.01),
            "the warm-up lasts until a window is below the threshold"
        );
        assert!(
            rates[400..].iter().all(|&rate| rate == 0.1),
            "and the full rate follows: it must not stay at 0.01"
        );
        assert_eq!(schedule.warmup_ended_after(), Some(400));
        assert!(
            (schedule.learning_rate(32_001) - 0.01).abs() < 1e-12,
            "milestones count from the start of training"
        );
    }

    #[test]
    fn a_warm_up_that_is_cut_in_two_ends_where_it_would_have_ended() {
        let recipe = Recipe { warmup: true, ..Recipe::default() };
        let error = |iteration: u64| if iteration <= 130 { 95.0 } else { 40.0 };
        let mut whole = Schedule::new(&recipe, ScheduleState::default());
        let mut cut = Schedule::new(&recipe, ScheduleState::default());
        for iteration in 1..=300 {
            whole.observe(iteration, error(iteration));
            cut.observe(iteration, error(iteration));
            if iteration == 157 {
                cut = Schedule::new(&recipe, cut.state());
            }
        }
        assert_eq!(whole.state(), cut.state());
        assert_eq!(whole.warmup_ended_after(), Some(200));
    }

    #[test]
    fn the_rate_falls_when_the_error_has_not_for_as_many_evaluations_as_the_patience_says() {
        let recipe = Recipe {
            lower_rate: LrSchedule::Plateau,
            plateau_patience: 2,
            plateau_threshold: 0.5,
            plateau_reductions: 2,
            ..Recipe::default()
        };
        let mut schedule = Schedule::new(&recipe, ScheduleState::default());
        let mut rates = Vec::new();
        //                 progress  …     too little  …       lowered  progress  …  lowered …     not a third time
        for (step, error) in
            [60.0, 50.0, 49.6, 49.7, 49.4, 40.0, 41.0, 40.0, 40.0, 40.0, 40.0, 40.0]
                .into_iter()
                .enumerate()
        {
            schedule.observe_evaluation(error);
            rates.push((schedule.learning_rate(100_000) * 1e4).round() as u64);
            // A run that is cut here goes on the same.
            if step % 3 == 0 {
                schedule = Schedule::new(&recipe, schedule.state());
            }
        }
        assert_eq!(rates, [1000, 1000, 1000, 100, 100, 100, 100, 10, 10, 10, 10, 10]);
    }
}
