//! From the bytes of a JPEG or PNG file to pixels.

mod budget;
pub mod crop;
pub mod decode;
pub mod error;
pub mod jpeg;
pub mod png;
pub mod resample;
pub mod segments;
