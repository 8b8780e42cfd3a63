//! One run: what it writes, how it stops, what damage it finds, how it goes on.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/image_folder.rs"]
mod image_folder;
#[path = "../common/pseudo_terminal.rs"]
mod pseudo_terminal;

mod bad_input;
mod disks;
mod extend;
mod faults;
mod leftovers;
mod locks;
mod own_kernels;
mod recipe;
mod seeds;
mod stopped_evaluation;
mod terminal;
