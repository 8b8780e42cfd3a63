//! Which images there are: class folders or tar shards, and the list of them that is kept.

pub mod cache;
pub mod classes;
pub mod entry;
pub mod folders;
pub mod index;
pub mod shards;
