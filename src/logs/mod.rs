//! Logged runs read back, and logs of other programs.

pub mod collection;
pub mod curves;
pub mod error_log;
pub mod external;
pub mod plausible;
pub mod plotted;
pub mod statistics;
pub mod student;
pub mod summary;
pub mod training;
pub mod windows;
