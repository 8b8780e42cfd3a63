//! Many runs: sweeps, clusters, several processes for one run, pages to watch.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/image_folder.rs"]
mod image_folder;
#[path = "../common/ports.rs"]
mod ports;
#[path = "../common/rank_processes.rs"]
mod rank_processes;

mod cluster;
mod exchange;
mod plans;
mod ranks;
mod sweep;
mod watching;
