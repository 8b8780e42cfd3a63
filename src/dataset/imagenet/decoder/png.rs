//! PNG files, one of which is among ImageNet's photographs under a JPEG's name.

use std::io::Cursor;

use png::{BitDepth, ColorType, Decoder, DecodingError, Transformations};

use crate::dataset::imagenet::decoder::crop::Size;
use crate::dataset::imagenet::decoder::error::ImageError;

/// The size of the picture, from the header.
pub(crate) fn size(bytes: &[u8]) -> Result<Size, ImageError> {
    let mut decoder = Decoder::new(Cursor::new(bytes));
    let header = decoder.read_header_info().map_err(named)?;
    Ok(Size { width: header.width, height: header.height })
}

/// Decodes all of it to RGB: grey is repeated, of 16 bits the upper 8 are kept, transparency is
/// left out, as Pillow's conversion does it.
pub(crate) fn decode(bytes: &[u8], pixels: &mut Vec<u8>) -> Result<(), ImageError> {
    let mut decoder = Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
    let mut reader = decoder.read_info().map_err(named)?;
    let needed = reader.output_buffer_size().ok_or(ImageError::OutOfMemory)?;
    let mut raw = vec![0; needed];
    let frame = reader.next_frame(&mut raw).map_err(named)?;
    if frame.bit_depth != BitDepth::Eight {
        return Err(ImageError::Unsupported(format!(
            "PNG with {:?} bits a sample",
            frame.bit_depth
        )));
    }
    raw.truncate(frame.buffer_size());
    let grey = |pixel: &[u8]| [pixel[0]; 3];
    let colour = |pixel: &[u8]| [pixel[0], pixel[1], pixel[2]];
    pixels.clear();
    match frame.color_type {
        ColorType::Rgb => *pixels = raw,
        ColorType::Rgba => pixels.extend(raw.chunks_exact(4).flat_map(colour)),
        ColorType::Grayscale => pixels.extend(raw.chunks_exact(1).flat_map(grey)),
        ColorType::GrayscaleAlpha => pixels.extend(raw.chunks_exact(2).flat_map(grey)),
        ColorType::Indexed => {
            return Err(ImageError::Damaged("palette that is not there".to_string()));
        }
    }
    Ok(())
}

fn named(error: DecodingError) -> ImageError {
    match error {
        DecodingError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            ImageError::Truncated
        }
        DecodingError::LimitsExceeded => ImageError::OutOfMemory,
        error => ImageError::Damaged(error.to_string()),
    }
}
