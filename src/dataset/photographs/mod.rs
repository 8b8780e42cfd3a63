//! Photographs: from the bytes of a JPEG or PNG file to the square that a network sees.
//!
//! A [`Decoder`] decodes only what the square needs. With [`Quality::Exact`] its pixels are those of Pillow and torchvision (`Image.open`,
//! `convert("RGB")`, `Resize`, a crop); with [`Quality::Fast`] large images are reduced while they are decoded, and differ slightly.
//! Every file is decoded or refused with a [`PhotographError`]: what libjpeg would fill up with grey is refused.
//!
//! The EXIF orientation is applied, so that the photograph is seen as a viewer shows it, unless the decoder is told to ignore it. torchvision's
//! ImageFolder ignores it; where a file has one, only [`Decoder::ignoring_orientation`] gives torchvision's pixels.

mod decode;
mod error;
mod jpeg;
mod orientation;
mod png_image;
mod resample;
mod view;

pub use decode::{Decoder, Quality};
pub use error::PhotographError;
pub use view::{Draw, Place, Size, centre, cut, ten_crops};

/// Larger images are refused, as Pillow refuses them: no photograph has so many pixels, but a damaged header may.
pub const MOST_PIXELS: u64 = 178_956_970;
