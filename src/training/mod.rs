//! Training: which images an iteration sees, the step, and the loop around it. Nothing here knows
//! of files, plots or a dataset's name.

mod batch;
pub mod batches;
pub mod checkpoint;
pub mod evaluation;
pub mod gradient_norms;
pub mod graphed;
pub mod metrics;
pub mod moments;
pub mod optimizer;
mod pace;
pub mod schedule;
pub mod trainer;
