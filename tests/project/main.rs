//! The project itself: documentation, floor plan, crates, set-up, shells.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/documents.rs"]
mod documents;
#[path = "../common/image_folder.rs"]
mod image_folder;

mod build_stamp;
mod crates;
mod documentation;
mod floors;
mod setup;
mod shell;
