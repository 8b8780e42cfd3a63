//! What of an image is seen: one random view, its centre, or ten crops.

use crate::dataset::imagenet::decoder::crop::{RandomCrop, centre, cut, ten_crops};
use crate::dataset::imagenet::decoder::decode::Decoder;
use crate::dataset::imagenet::decoder::error::ImageError;

/// What is seen of an image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum View {
    /// A training view.
    Random(RandomCrop),
    /// The centre of the image scaled to this shorter side.
    Centre {
        /// In pixels.
        shorter_side: u32,
    },
    /// Corners, centre, and the same of the image flipped horizontally: ten squares, one after the
    /// other.
    TenCrops {
        /// In pixels.
        shorter_side: u32,
    },
}

impl View {
    /// Writes the view's squares of `crop` pixels to `out`: [squares, crop, crop, 3].
    pub fn decode(
        &self,
        decoder: &mut Decoder,
        bytes: &[u8],
        crop: u32,
        out: &mut [u8],
    ) -> Result<(), ImageError> {
        match self {
            View::Random(draw) => decoder.training_view(bytes, draw, crop, out).map(|_| ()),
            View::Centre { shorter_side } => decoder
                .view(bytes, *shorter_side, crop, |scaled| centre(scaled, crop), out)
                .map(|_| ()),
            View::TenCrops { shorter_side } => {
                let (size, pixels) = decoder.scaled(bytes, *shorter_side)?;
                let squares = out.chunks_exact_mut((crop * crop * 3) as usize);
                ten_crops(size, crop)
                    .into_iter()
                    .zip(squares)
                    .for_each(|(place, square)| cut(size, &pixels, place, crop, square));
                Ok(())
            }
        }
    }
}
