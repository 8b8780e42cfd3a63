//! A generated set of JPEG files: three classes of gradients in three colours, of many sizes.
#![allow(dead_code)]

use jpeg_encoder::{ColorType, Encoder};
use std::path::{Path, PathBuf};

pub const CLASSES: [&str; 3] = ["n001", "n002", "n003"];

/// Pixels of an image: a gradient in the class's colour, with stripes of its own.
pub fn pixels(class: usize, number: usize, width: u16, height: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    for row in 0..height as usize {
        for column in 0..width as usize {
            for channel in 0..3 {
                let base = if channel == class { 190 } else { 60 };
                let stripe =
                    if ((row + column * (1 + number % 3)) / 6).is_multiple_of(2) { 30 } else { 0 };
                bytes.push((base + stripe + (row + column) * 20 / (width + height) as usize) as u8);
            }
        }
    }
    bytes
}

pub fn jpeg(class: usize, number: usize) -> Vec<u8> {
    let (width, height) = (60 + (number * 7 % 40) as u16, 50 + (number * 11 % 50) as u16);
    let mut bytes = Vec::new();
    Encoder::new(&mut bytes, 90)
        .encode(&pixels(class, number, width, height), width, height, ColorType::Rgb)
        .unwrap();
    bytes
}

pub fn file(root: &Path, split: &str, class: usize, number: usize) -> PathBuf {
    root.join(split).join(CLASSES[class]).join(format!("{}_{number}.JPEG", CLASSES[class]))
}

/// `images/` in `folder`: so many training and test images of each class.
pub fn write(folder: &Path, train: usize, test: usize) -> PathBuf {
    let root = folder.join("images");
    for (split, count) in [("train", train), ("val", test)] {
        for (class, name) in CLASSES.iter().enumerate() {
            std::fs::create_dir_all(root.join(split).join(name)).unwrap();
            for number in 0..count {
                std::fs::write(file(&root, split, class, number), jpeg(class, number)).unwrap();
            }
        }
    }
    root
}
