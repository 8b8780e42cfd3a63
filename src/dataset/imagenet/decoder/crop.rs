//! Which part of an image a network sees: sizes and positions, as torchvision computes them.

/// Width and height of an image, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

/// Where a square is cut out of a scaled image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CropBox {
    /// First row.
    pub top: u32,
    /// First column.
    pub left: u32,
    /// Whether left and right are exchanged.
    pub flipped: bool,
}

/// Part of an image at some scale: where it begins and how large it is, in pixels of that scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Region {
    /// First column.
    pub x: u32,
    /// First row.
    pub y: u32,
    /// Columns and rows.
    pub size: Size,
}

/// The random numbers of one training view.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RandomCrop {
    /// The image is scaled so that its shorter side has so many pixels.
    pub shorter_side: u32,
    /// In [0, 1): from the topmost to the lowest position.
    pub row: f64,
    /// In [0, 1): from the leftmost to the rightmost position.
    pub column: f64,
    /// Whether left and right are exchanged.
    pub flipped: bool,
}

impl Size {
    /// Shorter of the two.
    pub fn shorter(self) -> u32 {
        self.width.min(self.height)
    }

    /// Width times height.
    pub fn pixels(self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    /// The size with the given shorter side and the same shape: torchvision's rule for the longer
    /// one, ⌊shorter·long/short⌋.
    pub fn scaled(self, shorter_side: u32) -> Size {
        let longer = |long: u32, short: u32| {
            (f64::from(shorter_side) * f64::from(long) / f64::from(short)) as u32
        };
        if self.width <= self.height {
            Size { width: shorter_side, height: longer(self.height, self.width) }
        } else {
            Size { width: longer(self.width, self.height), height: shorter_side }
        }
    }
}

impl RandomCrop {
    /// Where the square of `crop` pixels lies in the scaled image: every position has the same
    /// probability.
    pub fn place(&self, scaled: Size, crop: u32) -> CropBox {
        let position = |draw: f64, side: u32| {
            let room = side.saturating_sub(crop);
            ((draw * (f64::from(room) + 1.0)) as u32).min(room)
        };
        CropBox {
            top: position(self.row, scaled.height),
            left: position(self.column, scaled.width),
            flipped: self.flipped,
        }
    }
}

/// The square in the middle, as torchvision's CenterCrop cuts it: half a pixel is rounded to the
/// even neighbour.
pub fn centre(scaled: Size, crop: u32) -> CropBox {
    let position =
        |side: u32| (f64::from(side.saturating_sub(crop)) / 2.0).round_ties_even() as u32;
    CropBox { top: position(scaled.height), left: position(scaled.width), flipped: false }
}

/// The corners (top left, top right, bottom left, bottom right) and the middle, then the same of
/// the flipped image: torchvision's ten_crop. Its flipped views are cut after mirroring: the
/// flipped top left one shows the top right of the image.
pub fn ten_crops(scaled: Size, crop: u32) -> [CropBox; 10] {
    let (bottom, right) = (scaled.height.saturating_sub(crop), scaled.width.saturating_sub(crop));
    let middle = centre(scaled, crop);
    let five = [(0, 0), (0, right), (bottom, 0), (bottom, right), (middle.top, middle.left)];
    std::array::from_fn(|index| {
        let (top, left) = five[index % 5];
        if index < 5 {
            CropBox { top, left, flipped: false }
        } else {
            CropBox { top, left: right - left, flipped: true }
        }
    })
}

/// Cuts a square of `crop` pixels out of a whole image, [height, width, 3], into `out`, [crop,
/// crop, 3].
pub fn cut(size: Size, pixels: &[u8], place: CropBox, crop: u32, out: &mut [u8]) {
    let (width, crop) = (size.width as usize * 3, crop as usize * 3);
    for (row, target) in out.chunks_exact_mut(crop).enumerate() {
        let from = (place.top as usize + row) * width + place.left as usize * 3;
        target.copy_from_slice(&pixels[from..from + crop]);
        if place.flipped {
            flip(target);
        }
    }
}

/// Reverses the pixels of a row.
pub(crate) fn flip(row: &mut [u8]) {
    let (pixels, _) = row.as_chunks_mut::<3>();
    pixels.reverse();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_side_is_rounded_down_as_torchvision_does() {
        assert_eq!(Size { width: 500, height: 375 }.scaled(256), Size { width: 341, height: 256 });
        assert_eq!(Size { width: 375, height: 500 }.scaled(480), Size { width: 480, height: 640 });
        assert_eq!(Size { width: 300, height: 300 }.scaled(256), Size { width: 256, height: 256 });
    }

    #[test]
    fn the_middle_is_rounded_to_the_even_neighbour() {
        assert_eq!(
            centre(Size { width: 341, height: 256 }, 224),
            CropBox { top: 16, left: 58, flipped: false }
        );
        assert_eq!(
            centre(Size { width: 227, height: 225 }, 224),
            CropBox { top: 0, left: 2, flipped: false }
        );
    }

    #[test]
    fn the_smallest_and_the_largest_draw_are_the_first_and_the_last_position() {
        let size = Size { width: 341, height: 256 };
        let draw = |number| {
            RandomCrop { shorter_side: 256, row: number, column: number, flipped: false }
                .place(size, 224)
        };
        assert_eq!(draw(0.0), CropBox { top: 0, left: 0, flipped: false });
        assert_eq!(draw(1.0 - f64::EPSILON), CropBox { top: 32, left: 117, flipped: false });
        assert_eq!(
            RandomCrop { shorter_side: 224, row: 0.99, column: 0.99, flipped: true }
                .place(Size { width: 224, height: 224 }, 224)
                .top,
            0
        );
    }

    #[test]
    fn flipped_corners_are_corners_of_the_flipped_image() {
        let crops = ten_crops(Size { width: 10, height: 8 }, 4);
        assert_eq!(crops[1], CropBox { top: 0, left: 6, flipped: false });
        assert_eq!(crops[5], CropBox { top: 0, left: 6, flipped: true });
        assert_eq!(crops[6], CropBox { top: 0, left: 0, flipped: true });
        assert_eq!(crops[9], CropBox { top: 2, left: 3, flipped: true });
    }
}
