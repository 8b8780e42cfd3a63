//! A sweep: many runs, each in a process of its own, so that one that is killed, runs out of memory
//! or crashes takes no other with it.

pub mod display;
pub mod estimate;
pub mod experiment;
pub mod extension;
pub mod overrides;
pub mod plan;
pub mod queue;
pub mod scheduler;
pub mod script;
pub mod squeue;
pub mod status;
pub mod worker;
