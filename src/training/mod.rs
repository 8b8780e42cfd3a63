//! Training: which images an iteration sees, the step, and the loop around it. Nothing here knows of files, plots or a data set's name.

pub mod batches;
pub mod checkpoint;
pub mod evaluation;
mod graphed;
mod lighting;
mod metrics;
mod optimizer;
mod photographs;
mod plan;
mod scores;
mod trainer;
mod views;

pub use evaluation::EvaluationSet;
pub use optimizer::Optimizer;
pub use photographs::{PhotographBatches, ViewPlan};
pub use plan::{Plan, split};
pub use scores::{Evaluation, Tally};
pub use trainer::{Observer, Outcome, Trainer};
pub use views::PhotographTest;

/// One line of the training log.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainingRow {
    /// Counted from 1.
    pub iteration: u64,
    /// Learning rate of this iteration's update.
    pub learning_rate: f64,
    /// Mean cross-entropy over the batch, before the update, in nats.
    pub loss: f32,
    /// Wrongly classified images of the batch, before the update, in percent.
    pub error: f32,
}
