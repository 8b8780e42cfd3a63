//! From the bytes of a JPEG or PNG file to pixels.

pub mod crop;
pub mod decode;
pub mod error;
pub mod jpeg;
pub mod orientation;
pub mod png;
pub mod resample;
