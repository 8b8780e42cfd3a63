//! JPEG files: libjpeg through the small interface of jpeg.c, and what is safe about it.

use std::ffi::{CStr, c_char, c_int};

use mozjpeg_sys as _;

use crate::dataset::imagenet::decoder::crop::{Region, Size};
use crate::dataset::imagenet::decoder::error::ImageError;

/// jpeg.c's decompressor.
#[repr(C)]
struct Raw {
    _private: [u8; 0],
}

unsafe extern "C" {
    fn image_jpeg_new() -> *mut Raw;
    fn image_jpeg_free(jpeg: *mut Raw);
    fn image_jpeg_message(jpeg: *const Raw) -> *const c_char;
    fn image_jpeg_header(
        jpeg: *mut Raw,
        bytes: *const u8,
        length: usize,
        width: *mut u32,
        height: *mut u32,
        kept_whole: *mut c_int,
    ) -> c_int;
    fn image_jpeg_start(
        jpeg: *mut Raw,
        eighths: c_int,
        x: *mut u32,
        columns: *mut u32,
        rows: *mut u32,
    ) -> c_int;
    fn image_jpeg_end(jpeg: *mut Raw);
    fn image_jpeg_rows(jpeg: *mut Raw, top: u32, rows: u32, out: *mut u8) -> c_int;
}

/// A decompressor that decodes one file after another.
pub(crate) struct Jpeg(*mut Raw);

// SAFETY: nothing in it belongs to the thread that made it, and a mutable reference is needed to
// use it.
unsafe impl Send for Jpeg {}

impl Drop for Jpeg {
    fn drop(&mut self) {
        // SAFETY: made by image_jpeg_new, and freed once.
        unsafe { image_jpeg_free(self.0) }
    }
}

impl Jpeg {
    /// A decompressor.
    pub fn new() -> Jpeg {
        // SAFETY: has no conditions.
        let raw = unsafe { image_jpeg_new() };
        assert!(!raw.is_null(), "no memory for a JPEG decompressor");
        Jpeg(raw)
    }

    /// The size of the picture, and whether libjpeg keeps the coefficients of all of it (six bytes
    /// a pixel at most) since it comes in several scans; from the header.
    pub fn header(&mut self, bytes: &[u8]) -> Result<(Size, bool), ImageError> {
        let (mut size, mut kept_whole) = (Size { width: 0, height: 0 }, 0);
        // SAFETY: the decompressor is alive; the bytes are read in this call only, for `decode`
        // begins anew.
        let code = unsafe {
            image_jpeg_header(
                self.0,
                bytes.as_ptr(),
                bytes.len(),
                &mut size.width,
                &mut size.height,
                &mut kept_whole,
            )
        };
        self.check(code)?;
        Ok((size, kept_whole != 0))
    }

    /// Decodes at least `region` of the image scaled by `eighths`/8 (1 to 8) into `pixels` (rows,
    /// RGB), and says which region that is: one with more columns, since columns come in blocks.
    pub fn decode(
        &mut self,
        bytes: &[u8],
        eighths: u32,
        region: Region,
        pixels: &mut Vec<u8>,
    ) -> Result<Region, ImageError> {
        let decoded = self.decode_rows(bytes, eighths, region, pixels);
        // SAFETY: the decompressor is alive; the next file begins with its header.
        unsafe { image_jpeg_end(self.0) };
        decoded
    }

    fn decode_rows(
        &mut self,
        bytes: &[u8],
        eighths: u32,
        region: Region,
        pixels: &mut Vec<u8>,
    ) -> Result<Region, ImageError> {
        self.header(bytes)?;
        let Region { mut x, y, size } = region;
        let (mut columns, mut height) = (size.width, 0);
        // SAFETY: the decompressor has read the header of `bytes`, which outlive both calls.
        let code = unsafe {
            image_jpeg_start(self.0, eighths as c_int, &mut x, &mut columns, &mut height)
        };
        self.check(code)?;
        let rows = size.height.min(height.saturating_sub(y));
        let needed = columns as usize * rows as usize * 3;
        if pixels.len() < needed {
            pixels.resize(needed, 0);
        }
        // SAFETY: `rows` rows from `y` on are there, and `pixels` holds `columns` × `rows` pixels
        // of three bytes.
        let code = unsafe { image_jpeg_rows(self.0, y, rows, pixels.as_mut_ptr()) };
        self.check(code)?;
        Ok(Region { x, y, size: Size { width: columns, height: rows } })
    }

    fn check(&self, code: c_int) -> Result<(), ImageError> {
        // SAFETY: the message is a string with its end inside the decompressor.
        let message =
            || unsafe { CStr::from_ptr(image_jpeg_message(self.0)) }.to_string_lossy().into_owned();
        match code {
            0 => Ok(()),
            1 => Err(ImageError::Truncated),
            3 => Err(ImageError::Unsupported(format!("JPEG with {}", message()))),
            4 => Err(ImageError::OutOfMemory),
            _ => Err(ImageError::Damaged(message())),
        }
    }
}
