//! PNG files, one of which is in ImageNet under a JPEG's name.

use std::io::Cursor;

use png::{BitDepth, ColorType, Decoder, DecodingError, Transformations};

use crate::dataset::imagenet::decoder::crop::Size;
use crate::dataset::imagenet::decoder::error::ImageError;

/// The size of the picture, and whether its rows come interlaced, from the header.
pub(crate) fn header(bytes: &[u8]) -> Result<(Size, bool), ImageError> {
    let mut decoder = Decoder::new(Cursor::new(bytes));
    let header = decoder.read_header_info().map_err(named)?;
    Ok((Size { width: header.width, height: header.height }, header.interlaced))
}

/// Decodes all of it to RGB: grey is repeated, of 16 bits the upper 8 are kept, transparency is
/// left out, as Pillow's conversion does it. Only an interlaced picture is in memory twice.
pub(crate) fn decode(bytes: &[u8], pixels: &mut Vec<u8>) -> Result<(), ImageError> {
    let mut decoder = Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
    let mut reader = decoder.read_info().map_err(named)?;
    let size = Size { width: reader.info().width, height: reader.info().height };
    let (colours, depth) = reader.output_color_type();
    if depth != BitDepth::Eight {
        return Err(ImageError::Unsupported(format!("PNG with {depth:?} bits a sample")));
    }
    pixels.clear();
    pixels.reserve_exact(size.pixels() as usize * 3);
    if reader.info().interlaced {
        let needed = reader.output_buffer_size().ok_or(ImageError::OutOfMemory)?;
        let mut raw = vec![0; needed];
        let frame = reader.next_frame(&mut raw).map_err(named)?;
        raw.truncate(frame.buffer_size());
        append(colours, &raw, pixels)?;
    } else {
        while let Some(row) = reader.next_row().map_err(named)? {
            append(colours, row.data(), pixels)?;
        }
    }
    if pixels.len() as u64 != size.pixels() * 3 {
        return Err(ImageError::Damaged("a picture smaller than it says".to_string()));
    }
    Ok(())
}

/// Adds pixels of 8 bits a sample as RGB.
fn append(colours: ColorType, samples: &[u8], pixels: &mut Vec<u8>) -> Result<(), ImageError> {
    let grey = |pixel: &[u8]| [pixel[0]; 3];
    let colour = |pixel: &[u8]| [pixel[0], pixel[1], pixel[2]];
    match colours {
        ColorType::Rgb => pixels.extend_from_slice(samples),
        ColorType::Rgba => pixels.extend(samples.chunks_exact(4).flat_map(colour)),
        ColorType::Grayscale => pixels.extend(samples.chunks_exact(1).flat_map(grey)),
        ColorType::GrayscaleAlpha => pixels.extend(samples.chunks_exact(2).flat_map(grey)),
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
