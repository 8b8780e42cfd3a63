//! Pillow's bilinear scaling with antialiasing, to the last bit: what torchvision does with
//! images that are to be tested.
//!
//! Each output pixel is the mean of the source pixels below a triangle as wide as the reduction, in
//! fixed point with 22 bits after the point; first along the rows, rounded to eight bits, then
//! along the columns (Pillow's src/libImaging/Resample.c). A pixel depends on nothing but those
//! under its triangle, so that a part of the scaled image needs only a part of the source.

use crate::dataset::imagenet::decoder::crop::{Region, Size};

/// Bits after the point: eight of the pixel, two for overshoot and one for the sign are left of 32.
const PRECISION: u32 = 32 - 8 - 2;

/// The weights of consecutive output pixels along one side.
struct Weights {
    /// First source pixel and number of weights of each output pixel.
    spans: Vec<(u32, u32)>,
    /// The weights, one output pixel's after the other's.
    values: Vec<i32>,
}

/// First source pixel under the triangle of output pixel `index`, and the one past the last.
fn span(source: u32, target: u32, index: u32) -> (u32, u32, f64, f64) {
    let scale = f64::from(source) / f64::from(target);
    let support = scale.max(1.0);
    let middle = (f64::from(index) + 0.5) * scale;
    // A cast cuts off what is below zero, as Pillow does explicitly.
    let first = (middle - support + 0.5) as u32;
    let end = ((middle + support + 0.5) as u32).min(source);
    (first, end, middle, 1.0 / support)
}

/// The source pixels that `count` output pixels from `first` on depend on: the first, and how many.
pub(crate) fn needed(source: u32, target: u32, first: u32, count: u32) -> (u32, u32) {
    let (start, ..) = span(source, target, first);
    let (_, end, ..) = span(source, target, first + count - 1);
    (start, end - start)
}

impl Weights {
    fn new(source: u32, target: u32, first: u32, count: u32) -> Weights {
        let mut weights = Weights { spans: Vec::with_capacity(count as usize), values: Vec::new() };
        let mut shares = Vec::new();
        for index in first..first + count {
            let (start, end, middle, narrowing) = span(source, target, index);
            shares.clear();
            shares.extend((start..end).map(|x| {
                (1.0 - ((f64::from(x - start) + f64::from(start) - middle + 0.5) * narrowing).abs())
                    .max(0.0)
            }));
            let sum: f64 = shares.iter().sum();
            let fixed = |share: &f64| (0.5 + share / sum * f64::from(1 << PRECISION)) as i32;
            weights.values.extend(shares.iter().map(fixed));
            weights.spans.push((start, end - start));
        }
        weights
    }

    /// Each output pixel's first source pixel and weights.
    fn iter(&self) -> impl Iterator<Item = (u32, &[i32])> {
        let mut at = 0;
        self.spans.iter().map(move |&(start, count)| {
            at += count as usize;
            (start, &self.values[at - count as usize..at])
        })
    }
}

/// Scales: the source is `region` of an image of size `whole`, and the result is `window` of that
/// image scaled to `scaled`, [rows, columns, 3]. `middle` is working space.
pub(crate) fn resample(
    whole: Size,
    region: Region,
    pixels: &[u8],
    scaled: Size,
    window: Region,
    middle: &mut Vec<u8>,
    out: &mut [u8],
) {
    const HALF: i32 = 1 << (PRECISION - 1);
    let (rows, first_row) = (region.size.height as usize, region.y);
    let (source_width, width) = (region.size.width as usize * 3, window.size.width as usize * 3);
    middle.clear();
    middle.resize(rows * width, 0);
    let across = Weights::new(whole.width, scaled.width, window.x, window.size.width);
    for (source, target) in pixels.chunks_exact(source_width).zip(middle.chunks_exact_mut(width)) {
        for ((start, weights), pixel) in across.iter().zip(target.chunks_exact_mut(3)) {
            let from = (start - region.x) as usize * 3;
            let mut sums = [HALF; 3];
            for (&weight, colours) in weights.iter().zip(source[from..].as_chunks::<3>().0) {
                for (sum, &colour) in sums.iter_mut().zip(colours) {
                    *sum += i32::from(colour) * weight;
                }
            }
            pixel.copy_from_slice(&sums.map(rounded));
        }
    }
    let down = Weights::new(whole.height, scaled.height, window.y, window.size.height);
    let mut sums = vec![0; width];
    for ((start, weights), target) in down.iter().zip(out.chunks_exact_mut(width)) {
        sums.fill(HALF);
        let from = (start - first_row) as usize * width;
        for (&weight, row) in weights.iter().zip(middle[from..].chunks_exact(width)) {
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum += i32::from(value) * weight;
            }
        }
        for (value, &sum) in target.iter_mut().zip(&sums) {
            *value = rounded(sum);
        }
    }
}

fn rounded(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}
