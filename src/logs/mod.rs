//! Logged runs read back.

pub mod collection;
pub mod curves;
pub mod plausible;
pub mod plotted;
pub mod statistics;
pub mod summary;
pub mod training;
pub mod windows;
