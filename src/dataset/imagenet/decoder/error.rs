//! Why a file is not used as an image.

/// Why a file could not be decoded; each is one line, to follow the file's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// No byte.
    #[error("the file is empty")]
    Empty,
    /// Neither JPEG nor PNG nor another kind that is known.
    #[error("not an image: it begins with {0}")]
    NotAnImage(String),
    /// The bytes end before the picture does.
    #[error("truncated: the file ends before the image does")]
    Truncated,
    /// Something in the file contradicts the format; what, in the decoder's words.
    #[error("damaged: {0}")]
    Damaged(String),
    /// An image of a kind that is not decoded here.
    #[error("unsupported: {0}")]
    Unsupported(String),
    /// More pixels than an image has.
    #[error("too large: {width}×{height} pixels, at most {} are decoded", MOST_PIXELS)]
    TooLarge {
        /// Columns.
        width: u64,
        /// Rows.
        height: u64,
    },
    /// The decoder did not get the memory it asked for.
    #[error("no memory to decode it")]
    OutOfMemory,
}

/// Larger images are refused, as Pillow refuses them: no image has so many pixels, but a
/// damaged header may.
pub const MOST_PIXELS: u64 = 178_956_970;
