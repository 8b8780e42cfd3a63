//! The machine underneath: devices, threads, signals, files.

pub mod atomic_file;
pub mod cache;
pub mod cuda_graph;
pub mod device;
pub mod device_list;
pub mod hash;
pub mod host;
pub mod parallel;
pub mod process;
pub mod regular_file;
pub mod shared_library;
pub mod shell;
pub mod signals;
pub mod zip;
