//! Measurements: the training step, the data loader, and what the machine could do at most.

pub mod convolutions;
pub mod kernels;
pub mod loader;
pub mod machine;
pub mod step;
pub mod traffic;
