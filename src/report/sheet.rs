//! A picture of a data set: some images of every class, one row a class.

use std::path::Path;

use anyhow::{Context, Result};

use crate::dataset::{Dataset, Images};

/// Images of each class.
const COLUMNS: usize = 16;
/// Each pixel of an image is drawn as a square of so many.
const ENLARGEMENT: usize = 2;
/// White pixels between images.
const GAP: usize = 4;

/// Writes the first training images of each class to `path`, as a PNG.
pub fn write(data: &Dataset, path: &Path) -> Result<()> {
    let images = &data.train;
    let cell = images.side * ENLARGEMENT + GAP;
    let (width, height) = (COLUMNS * cell + GAP, data.classes.len() * cell + GAP);
    let mut pixels = vec![255u8; width * height * 3];
    for class in 0..data.classes.len() {
        let members = (0..images.len()).filter(|&index| usize::from(images.labels[index]) == class).take(COLUMNS);
        for (column, index) in members.enumerate() {
            paste(images, index, &mut pixels, width, (GAP + column * cell, GAP + class * cell));
        }
    }
    let bytes = super::canvas::encode_png(&pixels, width as u32, height as u32).with_context(|| path.display().to_string())?;
    crate::files::write_atomically(path, &bytes)
}

/// Draws one image with its upper left corner at `(left, top)`.
fn paste(images: &Images, index: usize, pixels: &mut [u8], width: usize, (left, top): (usize, usize)) {
    let image = &images.pixels[index * images.image_bytes()..][..images.image_bytes()];
    for row in 0..images.side * ENLARGEMENT {
        for column in 0..images.side * ENLARGEMENT {
            let source = (row / ENLARGEMENT * images.side + column / ENLARGEMENT) * 3;
            let target = ((top + row) * width + left + column) * 3;
            pixels[target..target + 3].copy_from_slice(&image[source..source + 3]);
        }
    }
}
