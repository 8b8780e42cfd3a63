//! Data sets: reading, decoding, checking, and what is refused.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/image_folder.rs"]
mod image_folder;

mod data;
mod decoding;
mod hostile_data;
mod image_folders;
mod own_images;
