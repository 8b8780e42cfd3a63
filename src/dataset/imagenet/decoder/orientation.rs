//! How the stored picture is turned to be looked at: the EXIF orientation.

use crate::dataset::imagenet::decoder::crop::{CropBox, Region, Size, mirror};

/// What leads from the stored picture to the upright one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Turn {
    /// Rows and columns are exchanged.
    pub transposed: bool,
    /// Stored rows run upwards.
    rows_reversed: bool,
    /// Stored columns run to the left.
    columns_reversed: bool,
}

impl Turn {
    /// Of the EXIF value, 1 to 8; any other is taken for 1, as viewers do.
    pub fn from_exif(value: u16) -> Turn {
        let turn = |transposed, rows_reversed, columns_reversed| Turn {
            transposed,
            rows_reversed,
            columns_reversed,
        };
        match value {
            2 => turn(false, false, true),
            3 => turn(false, true, true),
            4 => turn(false, true, false),
            5 => turn(true, false, false),
            6 => turn(true, true, false),
            7 => turn(true, true, true),
            8 => turn(true, false, true),
            _ => Turn::default(),
        }
    }

    /// Where the upright part of `size` at `place` lies in the stored picture, which has the size
    /// `stored`.
    pub fn window(self, stored: Size, place: CropBox, size: Size) -> Region {
        let (x, y) =
            if self.transposed { (place.top, place.left) } else { (place.left, place.top) };
        let size = size.transposed(self.transposed);
        Region {
            x: if self.columns_reversed { stored.width - x - size.width } else { x },
            y: if self.rows_reversed { stored.height - y - size.height } else { y },
            size,
        }
    }

    /// Whether the pixels of a window are upright as they are, or after mirroring each row.
    pub fn keeps_rows(self) -> bool {
        !self.transposed && !self.rows_reversed
    }

    /// Mirrors the rows of a window of `width` columns, for a turn that keeps rows.
    pub fn mirror_rows(self, mirrored: bool, width: u32, pixels: &mut [u8]) {
        if self.columns_reversed != mirrored {
            pixels.chunks_exact_mut(width as usize * 3).for_each(mirror);
        }
    }

    /// Copies a stored window of `size` upright, and mirrored if asked, into `out`.
    pub fn upright(self, size: Size, window: &[u8], mirrored: bool, out: &mut [u8]) {
        let (width, height) = (size.width as usize, size.height as usize);
        let columns = size.transposed(self.transposed).width as usize;
        for (index, pixel) in out.chunks_exact_mut(3).enumerate() {
            let (row, column) = (index / columns, index % columns);
            let column = if mirrored { columns - 1 - column } else { column };
            let (y, x) = if self.transposed { (column, row) } else { (row, column) };
            let y = if self.rows_reversed { height - 1 - y } else { y };
            let x = if self.columns_reversed { width - 1 - x } else { x };
            let from = (y * width + x) * 3;
            pixel.copy_from_slice(&window[from..from + 3]);
        }
    }
}

/// What is found in a JPEG file before the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Preamble {
    /// The EXIF orientation, if there is one that can be read.
    pub orientation: Option<u16>,
    /// Where the first scan of the picture begins, if that was reached.
    pub picture: Option<usize>,
}

/// Reads the segments of a JPEG file up to the picture.
pub(crate) fn preamble(bytes: &[u8]) -> Preamble {
    let mut preamble = Preamble::default();
    let mut at = 2;
    while let Some([0xff, marker, tail @ ..]) = bytes.get(at..) {
        match marker {
            // Padding.
            0xff => at += 1,
            0x01 | 0xd0..=0xd7 => at += 2,
            0xd9 => break,
            0xda => {
                preamble.picture = Some(at);
                break;
            }
            _ => {
                let length =
                    tail.first_chunk().map_or(0, |&length| usize::from(u16::from_be_bytes(length)));
                let Some(segment) = tail.get(2..length) else { break };
                if let (0xe1, Some(tiff)) = (marker, segment.strip_prefix(b"Exif\0\0")) {
                    preamble.orientation = preamble.orientation.or_else(|| of_tiff(tiff));
                }
                at += 2 + length;
            }
        }
    }
    preamble
}

/// Tag 0x0112 in the first directory of a TIFF header.
fn of_tiff(tiff: &[u8]) -> Option<u16> {
    let little = match tiff.get(..4)? {
        b"II*\0" => true,
        b"MM\0*" => false,
        _ => return None,
    };
    let short = |at: usize| {
        let pair: [u8; 2] = tiff.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if little { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) })
    };
    let long = |at: usize| {
        Some(if little {
            u32::from(short(at)?) | u32::from(short(at + 2)?) << 16
        } else {
            u32::from(short(at)?) << 16 | u32::from(short(at + 2)?)
        })
    };
    let directory = long(4)? as usize;
    let entries = usize::from(short(directory)?);
    let entry = (0..entries)
        .map(|index| directory + 2 + index * 12)
        .find(|&entry| short(entry) == Some(0x0112))?;
    // One number of 16 bits; other types are not written by any camera.
    (short(entry + 2)? == 3 && long(entry + 4)? == 1).then(|| short(entry + 8))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_orientation_puts_each_part_where_the_whole_turned_image_has_it() {
        let stored = Size { width: 5, height: 4 };
        let pixels: Vec<u8> = (0..20).flat_map(|index| [index, 0, 0]).collect();
        for value in 1..=8 {
            let turn = Turn::from_exif(value);
            let size = stored.transposed(turn.transposed);
            let mut whole = vec![0; 60];
            turn.upright(stored, &pixels, false, &mut whole);
            let (place, part) =
                (CropBox { top: 1, left: 2, mirrored: false }, Size { width: 2, height: 3 });
            let window = turn.window(stored, place, part);
            let cut: Vec<u8> = (0..window.size.height)
                .flat_map(|y| (0..window.size.width).map(move |x| (y, x)))
                .flat_map(|(y, x)| {
                    let from = ((window.y + y) * stored.width + window.x + x) as usize * 3;
                    pixels[from..from + 3].to_vec()
                })
                .collect();
            let mut out = vec![0; 18];
            turn.upright(window.size, &cut, false, &mut out);
            for row in 0..3 {
                for column in 0..2 {
                    let expected = whole[((row + 1) * size.width as usize + column + 2) * 3];
                    assert_eq!(
                        out[(row * 2 + column) * 3],
                        expected,
                        "orientation {value}, row {row}, column {column}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_directory_that_points_outside_is_no_orientation() {
        assert_eq!(of_tiff(b"II*\0\xff\xff\xff\xff"), None);
        assert_eq!(of_tiff(b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0"), Some(6));
        assert_eq!(preamble(b"\xff\xd8\xff\xe1\0"), Preamble::default());
        assert_eq!(preamble(b"\xff\xd8\xff\xe1\0\x01\xff"), Preamble::default());
    }
}
