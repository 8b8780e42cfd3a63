//! Networks and what is computed with them: one step against PyTorch, weights in and out, analyses.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/image_folder.rs"]
mod image_folder;

mod analyses;
mod construct;
mod evaluate;
mod export;
mod golden;
mod imagenet_golden;
mod initial_weights;
mod networks;
mod torchvision;
