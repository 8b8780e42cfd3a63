//! One run: a network trained from one seed.

pub mod evaluator;
mod extension;
pub mod initial_weights;
pub mod ranks;
pub mod recorder;
pub mod spec;
pub mod tensorboard;
pub mod train;
