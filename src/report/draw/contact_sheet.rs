//! A picture of a dataset: some images of every class, one row a class.

use std::path::Path;

use anyhow::{Context, Result};

use crate::config::recipe::Recipe;
use crate::console::output;
use crate::dataset::data::{Dataset, Images, Source};
use crate::dataset::imagenet::decoder::decode::{Decoder, Quality};
use crate::dataset::imagenet::listing::index::Index;
use crate::dataset::imagenet::loader::read;
use crate::report::draw::canvas;
use crate::system::atomic_file;
use crate::training::batches::streamed::ViewPlan;

/// Images of each class.
const COLUMNS: usize = 16;

/// Classes at most: a picture of a thousand rows is of no use.
const MOST_ROWS: usize = 20;

/// Small images are drawn with so many pixels for each of theirs.
const ENLARGEMENT: usize = 2;

/// Images from this side on are large.
const LARGE: usize = 100;

/// White pixels between images.
const GAP: usize = 4;

/// Writes training images of each class (of the first [`MOST_ROWS`]) to `path`, as a PNG: small
/// images as they are, images as the training sees them, each with a random scale, crop and
/// reflection.
pub fn write(data: &Dataset, path: &Path) -> Result<()> {
    let side = match &data.train {
        Source::Resident(images) => images.side,
        Source::Streamed(_) => Recipe::for_dataset(data.name).image_side() as usize,
    };
    let enlargement = if side < LARGE { ENLARGEMENT } else { 1 };
    let columns = if side < LARGE { COLUMNS } else { COLUMNS / 2 };
    let rows = data.classes.len().min(MOST_ROWS);
    let cell = side * enlargement + GAP;
    let (width, height) = (columns * cell + GAP, rows * cell + GAP);
    let mut pixels = vec![255u8; width * height * 3];
    let labels = data.train.labels();
    for class in 0..rows {
        let members =
            (0..labels.len()).filter(|&index| labels[index] == class as i64).take(columns);
        for (column, index) in members.enumerate() {
            let image = match &data.train {
                Source::Resident(images) => resident(images, index).to_vec(),
                Source::Streamed(images) => training_view(images, index, data, side)?,
            };
            paste(
                &image,
                side,
                enlargement,
                &mut pixels,
                width,
                (GAP + column * cell, GAP + class * cell),
            );
        }
    }
    let bytes = canvas::encode_png(&pixels, width as u32, height as u32)
        .with_context(|| path.display().to_string())?;
    atomic_file::write_atomically(path, &bytes)
}

fn resident(images: &Images, index: usize) -> &[u8] {
    &images.pixels[index * images.image_bytes()..][..images.image_bytes()]
}

/// One image as an iteration of seed 0 would see it; one that cannot be read is grey.
fn training_view(images: &Index, index: usize, data: &Dataset, side: usize) -> Result<Vec<u8>> {
    let views = ViewPlan::new(0, &Recipe::for_dataset(data.name)).views(index as u64 + 1, 1);
    let mut image = vec![128; side * side * 3];
    if let Err(unreadable) = read(
        images,
        (&mut Decoder::new(Quality::Fast), Quality::Fast),
        &mut Vec::new(),
        index,
        &views[0].0,
        side as u32,
        &mut image,
    ) {
        output::say(&unreadable.reason);
    }
    Ok(image)
}

/// Draws one image with its upper left corner at `(left, top)`.
fn paste(
    image: &[u8],
    side: usize,
    enlargement: usize,
    pixels: &mut [u8],
    width: usize,
    (left, top): (usize, usize),
) {
    for row in 0..side * enlargement {
        for column in 0..side * enlargement {
            let source = (row / enlargement * side + column / enlargement) * 3;
            let target = ((top + row) * width + left + column) * 3;
            pixels[target..target + 3].copy_from_slice(&image[source..source + 3]);
        }
    }
}
