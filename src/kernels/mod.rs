//! The project's own CUDA kernels for nets in bfloat16, and what compiles, launches and tests them.
//!
//! Their sources (`*.cu`) are part of the program; a GPU gets what NVRTC makes of them at the first
//! start ([`nvrtc`], [`cuda`]). The same sources run on a CPU ([`launch::Emulator`]), which finds
//! mistakes of a kind that a GPU hides. docs/performance.md describes them on one page.

pub mod cuda;
pub mod launch;
pub mod launcher;
pub mod list;
pub mod nvrtc;
pub mod parameters;
#[cfg(test)]
pub(crate) mod tests;
