//! The decoder: which part of a file is decoded at which scale, and how it becomes the square that
//! is asked for.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use crate::dataset::imagenet::decoder::budget;
use crate::dataset::imagenet::decoder::crop::{CropBox, RandomCrop, Region, Size, flip};
use crate::dataset::imagenet::decoder::error::{ImageError, MOST_PIXELS};
use crate::dataset::imagenet::decoder::jpeg::Jpeg;
use crate::dataset::imagenet::decoder::png;
use crate::dataset::imagenet::decoder::resample::{needed, resample};
use crate::dataset::imagenet::decoder::segments::picture;

/// Reductions that libjpeg computes while it decodes, in eighths, the strongest first.
const REDUCTIONS: [u32; 3] = [1, 2, 4];

/// At the border of a part libjpeg interpolates colours without the neighbours outside: so many
/// more columns are decoded.
const COLOUR_MARGIN: u32 = 2;

/// Working space of more bytes is given back after the image that needed it.
const MOST_KEPT: usize = 64 << 20;

/// How closely the pixels follow Pillow's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quality {
    /// Bit for bit: for tests of the paper.
    Exact,
    /// Large images are reduced to a half, a quarter or an eighth while they are decoded, never
    /// below the scale asked for: for training.
    Fast,
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Jpeg,
    Png,
}

/// An opened file.
struct Opened {
    kind: Kind,
    /// The size of the stored picture.
    stored: Size,
    /// Bytes a pixel of the whole picture that its decoder takes beside the pixels asked for.
    workspace: u64,
    /// Whether the file has the mark that ends a picture.
    ended: bool,
}

/// Decodes images, one after another: keep one a thread, for its working space.
pub struct Decoder {
    quality: Quality,
    jpeg: Jpeg,
    resizer: Resizer,
    /// The decoded part of the source.
    source: Vec<u8>,
    /// What the resampling needs between rows and columns.
    middle: Vec<u8>,
}

impl Decoder {
    /// A decoder.
    pub fn new(quality: Quality) -> Decoder {
        Decoder {
            quality,
            jpeg: Jpeg::new(),
            resizer: Resizer::new(),
            source: Vec::new(),
            middle: Vec::new(),
        }
    }

    /// The size of the image, from the header alone; the rest of the file is not looked at.
    pub fn size(&mut self, bytes: &[u8]) -> Result<Size, ImageError> {
        Ok(self.open(bytes)?.stored)
    }

    /// One view: the image is scaled so that its shorter side has `shorter_side` pixels
    /// ([`Size::scaled`]), and the square of `crop` pixels at the place that `choose` gives for the
    /// scaled size is written to `out`: [crop, crop, 3], rows from the top, red, green and blue.
    /// Returns the scaled size.
    ///
    /// # Panics
    /// If `crop` is 0 or larger than `shorter_side`, or `out` has not crop × crop × 3 bytes: these
    /// do not depend on the file.
    pub fn view(
        &mut self,
        bytes: &[u8],
        shorter_side: u32,
        crop: u32,
        choose: impl FnOnce(Size) -> CropBox,
        out: &mut [u8],
    ) -> Result<Size, ImageError> {
        assert!(
            (1..=shorter_side).contains(&crop),
            "a crop of {crop} from a shorter side of {shorter_side}"
        );
        assert_eq!(
            out.len(),
            crop as usize * crop as usize * 3,
            "bytes of a square of {crop} pixels"
        );
        let opened = self.open(bytes)?;
        let scaled = opened.stored.scaled(shorter_side);
        let place = choose(scaled);
        // A place outside the image, which no function of this module gives, is moved to its
        // border.
        let place = CropBox {
            top: place.top.min(scaled.height - crop),
            left: place.left.min(scaled.width - crop),
            ..place
        };
        self.render(bytes, &opened, scaled, place, Size { width: crop, height: crop }, out)?;
        Ok(scaled)
    }

    /// The view of training that `draw` describes; see [`Decoder::view`].
    pub fn training_view(
        &mut self,
        bytes: &[u8],
        draw: &RandomCrop,
        crop: u32,
        out: &mut [u8],
    ) -> Result<Size, ImageError> {
        self.view(bytes, draw.shorter_side, crop, |scaled| draw.place(scaled, crop), out)
    }

    /// The whole image scaled to a shorter side: its size, and its pixels as [height, width,
    /// 3].
    pub fn scaled(
        &mut self,
        bytes: &[u8],
        shorter_side: u32,
    ) -> Result<(Size, Vec<u8>), ImageError> {
        assert!(shorter_side > 0, "a shorter side of 0 pixels");
        let opened = self.open(bytes)?;
        let scaled = opened.stored.scaled(shorter_side);
        check_size(scaled)?;
        let mut out = vec![0; scaled.pixels() as usize * 3];
        self.render(
            bytes,
            &opened,
            scaled,
            CropBox { top: 0, left: 0, flipped: false },
            scaled,
            &mut out,
        )?;
        Ok((scaled, out))
    }

    fn open(&mut self, bytes: &[u8]) -> Result<Opened, ImageError> {
        let kind = sniff(bytes)?;
        let (stored, workspace, ended) = match kind {
            Kind::Png => {
                let (stored, interlaced) = png::header(bytes)?;
                (stored, if interlaced { 4 } else { 0 }, true)
            }
            Kind::Jpeg => {
                let (stored, kept_whole) = self.jpeg.header(bytes)?;
                let ended = has_end(bytes, picture(bytes).unwrap_or(0));
                (stored, if kept_whole { 6 } else { 0 }, ended)
            }
        };
        check_size(stored)?;
        Ok(Opened { kind, stored, workspace, ended })
    }

    /// Writes the part of `size` at `place` of the image scaled to `scaled`.
    fn render(
        &mut self,
        bytes: &[u8],
        opened: &Opened,
        scaled: Size,
        place: CropBox,
        size: Size,
        out: &mut [u8],
    ) -> Result<(), ImageError> {
        let Opened { kind, stored, workspace, ended } = *opened;
        let window = Region { x: place.left, y: place.top, size };
        let eighths = match (self.quality, kind) {
            (Quality::Fast, Kind::Jpeg) => reduction(stored, scaled),
            _ => 8,
        };
        let mut region = match kind {
            Kind::Png => Region { x: 0, y: 0, size: stored },
            Kind::Jpeg => source_region(stored, eighths, scaled, window),
        };
        if !ended {
            // Whether a file without its end mark is whole shows at its last row.
            region.size.height = reduced(stored.height, eighths) - region.y;
        }
        let middle = u64::from(region.size.height) * u64::from(window.size.width);
        let pixels = region.size.pixels() + middle + window.size.pixels();
        let _share = budget::take(pixels * 3 + stored.pixels() * workspace);
        let decoded = match kind {
            Kind::Png => png::decode(bytes, &mut self.source).map(|()| region),
            Kind::Jpeg => self.jpeg.decode(bytes, eighths, region, &mut self.source),
        };
        let resized =
            decoded.map(|region| self.resize(stored, eighths, region, scaled, window, out));
        for buffer in [&mut self.source, &mut self.middle] {
            if buffer.capacity() > MOST_KEPT {
                *buffer = Vec::new();
            }
        }
        resized?;
        if place.flipped {
            out.chunks_exact_mut(size.width as usize * 3).for_each(flip);
        }
        Ok(())
    }

    /// Scales the decoded region to the window.
    fn resize(
        &mut self,
        stored: Size,
        eighths: u32,
        region: Region,
        scaled: Size,
        window: Region,
        out: &mut [u8],
    ) {
        let pixels = &self.source[..region.size.pixels() as usize * 3];
        if self.quality == Quality::Exact {
            return resample(stored, region, pixels, scaled, window, &mut self.middle, out);
        }
        let side = |stored: u32, scaled: u32, first: u32, count: u32, origin: u32, limit: u32| {
            let factor = f64::from(stored) * f64::from(eighths) / 8.0 / f64::from(scaled);
            let start = (f64::from(first) * factor - f64::from(origin)).max(0.0);
            (start, (f64::from(count) * factor).min(f64::from(limit) - start))
        };
        let (left, width) = side(
            stored.width,
            scaled.width,
            window.x,
            window.size.width,
            region.x,
            region.size.width,
        );
        let (top, height) = side(
            stored.height,
            scaled.height,
            window.y,
            window.size.height,
            region.y,
            region.size.height,
        );
        let options = ResizeOptions::new()
            .resize_alg(ResizeAlg::Convolution(FilterType::Bilinear))
            .crop(left, top, width, height);
        let source = ImageRef::new(region.size.width, region.size.height, pixels, PixelType::U8x3)
            .expect("the region has as many pixels");
        let mut target =
            Image::from_slice_u8(window.size.width, window.size.height, out, PixelType::U8x3)
                .expect("the window has as many pixels");
        self.resizer.resize(&source, &mut target, &options).expect("the box is inside the region");
    }
}

/// The part of the image reduced by `eighths` that the window of the scaled image depends on.
fn source_region(stored: Size, eighths: u32, scaled: Size, window: Region) -> Region {
    let side = |stored: u32, scaled: u32, first: u32, count: u32, margin: u32| {
        let (start, length) = needed(stored, scaled, first, count);
        let limit = reduced(stored, eighths);
        let start = (u64::from(start) * u64::from(eighths) / 8) as u32;
        // One pixel more on each side: a reduced image's pixels are wider than those that were
        // counted.
        let more = margin + u32::from(eighths < 8);
        let first = start.saturating_sub(more).min(limit - 1);
        let end = (reduced(length, eighths) + start + 1 + more).min(limit);
        (first, end - first)
    };
    let (x, width) = side(stored.width, scaled.width, window.x, window.size.width, COLOUR_MARGIN);
    let (y, height) = side(stored.height, scaled.height, window.y, window.size.height, 0);
    Region { x, y, size: Size { width, height } }
}

/// A side of the image reduced by `eighths`/8: libjpeg rounds up.
fn reduced(side: u32, eighths: u32) -> u32 {
    (u64::from(side) * u64::from(eighths)).div_ceil(8) as u32
}

/// The strongest reduction, in eighths, after which the image is not smaller than it is to become.
fn reduction(stored: Size, scaled: Size) -> u32 {
    let enough = |eighths: u32, stored: u32, scaled: u32| {
        u64::from(stored) * u64::from(eighths) >= u64::from(scaled) * 8
    };
    let fits = |&eighths: &u32| {
        enough(eighths, stored.width, scaled.width) && enough(eighths, stored.height, scaled.height)
    };
    REDUCTIONS.into_iter().find(fits).unwrap_or(8)
}

fn check_size(size: Size) -> Result<(), ImageError> {
    if size.pixels() > MOST_PIXELS {
        return Err(ImageError::TooLarge { width: size.width.into(), height: size.height.into() });
    }
    Ok(())
}

/// Whether the mark that ends a picture follows its beginning.
fn has_end(bytes: &[u8], picture: usize) -> bool {
    const END: [u8; 2] = [0xff, 0xd9];
    bytes.ends_with(&END) || bytes[picture..].windows(2).rev().any(|pair| pair == END)
}

/// What the first bytes say; the file's name says nothing.
fn sniff(bytes: &[u8]) -> Result<Kind, ImageError> {
    const OTHERS: [(&[u8], &str); 7] = [
        (b"GIF8", "GIF"),
        (b"BM", "BMP"),
        (b"II*\0", "TIFF"),
        (b"MM\0*", "TIFF"),
        (b"RIFF", "WebP or another RIFF file"),
        (b"\0\0\0\x0cjP  ", "JPEG 2000"),
        (b"\0\0\0\x0cJXL ", "JPEG XL"),
    ];
    if bytes.is_empty() {
        return Err(ImageError::Empty);
    }
    if bytes.starts_with(b"\xff\xd8\xff") {
        return Ok(Kind::Jpeg);
    }
    if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        return Ok(Kind::Png);
    }
    if let Some((_, name)) = OTHERS.iter().find(|(start, _)| bytes.starts_with(start)) {
        return Err(ImageError::Unsupported((*name).to_string()));
    }
    let start = &bytes[..bytes.len().min(8)];
    let text = start.iter().all(|byte| (0x20..0x7f).contains(byte) || byte.is_ascii_whitespace());
    Err(ImageError::NotAnImage(if text {
        format!("{:?}", String::from_utf8_lossy(start))
    } else {
        start.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
    }))
}
