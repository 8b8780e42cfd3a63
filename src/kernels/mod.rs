//! The project's own CUDA kernels, compiled on the machine that runs them.

pub mod nvrtc;
