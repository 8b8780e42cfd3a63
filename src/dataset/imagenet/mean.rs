//! The mean of all images (section 3.4: "with the per-pixel mean subtracted"), computed once
//! in one pass and kept.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, bail};
use sha2::{Digest, Sha256};

use crate::console::output::say;
use crate::dataset::imagenet::decoder::decode::{Decoder, Quality};
use crate::dataset::imagenet::listing::index::Index;
use crate::dataset::imagenet::loader::{Unreadable, read};
use crate::dataset::imagenet::view::View;
use crate::error::Stopped;
use crate::system::cache;
use crate::system::hash::sha256;
use crate::system::parallel::in_order;
use crate::system::{atomic_file, regular_file};

/// Bytes of the checksum at the end of a kept mean image.
const CHECKSUM: usize = 32;

/// The mean of the centre crops of all images that can be read: [crop, crop, 3], in [0, 1].
///
/// Sums are whole numbers, so that the number of threads does not affect results. It is kept in the
/// cache folder under the list's fingerprint. `unreadable` is told of each image that was left out.
///
/// # Errors
/// [`Stopped`] as soon as `stop` is set: a pass over ImageNet takes minutes, and has nothing to save.
pub fn mean_image(
    index: &Index,
    crop: u32,
    test_scale: u32,
    threads: usize,
    stop: &AtomicBool,
    mut unreadable: impl FnMut(String),
) -> Result<Vec<f32>> {
    let values = (crop * crop * 3) as usize;
    let key =
        sha256(format!("mean image 2 {} {crop} {test_scale}", index.fingerprint()).as_bytes());
    let file = cache::folder().map(|folder| folder.join(format!("{key}.mean")));
    match file.as_deref().map_or(Ok(None), |file| kept(file, values)) {
        Ok(Some(mean)) => return Ok(mean),
        Ok(None) => {}
        Err(reason) => say(&format!(
            "{}: {reason}: the mean image is computed again",
            file.as_deref().unwrap_or(Path::new("")).display()
        )),
    }
    let (mean, is_final) = computed(index, crop, test_scale, threads, stop, &mut unreadable)?;
    // A cache that cannot be written costs time alone.
    if let Some(file) = file
        && is_final
        && file.parent().is_some_and(|folder| std::fs::create_dir_all(folder).is_ok())
    {
        let _ = atomic_file::write_atomically(&file, &to_bytes(&mean));
    }
    Ok(mean)
}

/// The mean image, and whether it may be kept: a disk that was away gives another one.
fn computed(
    index: &Index,
    crop: u32,
    test_scale: u32,
    threads: usize,
    stop: &AtomicBool,
    unreadable: &mut dyn FnMut(String),
) -> Result<(Vec<f32>, bool)> {
    let mut sums = vec![0u64; (crop * crop * 3) as usize];
    let values = sums.len();
    let (mut readable, mut no_bytes) = (0u64, false);
    let view = View::Centre { shorter_side: test_scale };
    let make = |(decoder, bytes): &mut (Decoder, Vec<u8>),
                position: usize|
     -> Result<Vec<u8>, Unreadable> {
        let mut pixels = vec![0; values];
        read(index, (decoder, Quality::Fast), bytes, position, &view, crop, &mut pixels)?;
        Ok(pixels)
    };
    in_order(
        index.len(),
        threads,
        || (Decoder::new(Quality::Fast), Vec::new()),
        make,
        |_, made| {
            if stop.load(Ordering::Relaxed) {
                return Err(Stopped.into());
            }
            match made {
                Ok(pixels) => {
                    sums.iter_mut().zip(&pixels).for_each(|(sum, &pixel)| *sum += u64::from(pixel));
                    readable += 1;
                }
                Err(problem) => {
                    no_bytes |= problem.no_bytes;
                    unreadable(problem.reason);
                }
            }
            Ok(())
        },
    )?;
    if readable == 0 {
        bail!("no image can be read: there is no mean image");
    }
    let mean: Vec<f32> =
        sums.iter().map(|&sum| (sum as f64 / (readable as f64 * 255.0)) as f32).collect();
    Ok((mean, !no_bytes))
}

/// The mean image as it is kept: float32, little endian, and the SHA-256 of these bytes.
fn to_bytes(mean: &[f32]) -> Vec<u8> {
    let mut bytes: Vec<u8> = mean.iter().flat_map(|value| value.to_le_bytes()).collect();
    let checksum = Sha256::digest(&bytes);
    bytes.extend(checksum);
    bytes
}

/// The mean image of so many values that is kept in `file`; none if there is no such file.
///
/// # Errors
/// Why it is not used, if it is damaged.
fn kept(file: &Path, values: usize) -> Result<Option<Vec<f32>>, String> {
    let bytes = match regular_file::read(file) {
        Ok(bytes) => bytes,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(error.to_string()),
    };
    let (values, _) = bytes
        .split_at_checked(values * 4)
        .filter(|(values, checksum)| {
            checksum.len() == CHECKSUM && Sha256::digest(values)[..] == **checksum
        })
        .ok_or("the cached mean image is damaged")?;
    let (values, _) = values.as_chunks::<4>();
    Ok(Some(values.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_ends_the_pass_over_the_images() {
        let folder = tempfile::tempdir().unwrap();
        let class = folder.path().join("train/n0");
        std::fs::create_dir_all(&class).unwrap();
        for number in 0..50 {
            std::fs::write(class.join(format!("{number}.jpg")), "no image").unwrap();
        }
        let index = Index::open(folder.path(), "train", None).unwrap();
        let mut told = 0;
        let stop = AtomicBool::new(true);
        let error = mean_image(&index, 8, 8, 1, &stop, |_| told += 1).unwrap_err();
        assert!(error.is::<Stopped>() && told == 0, "{error:#}");
        stop.store(false, Ordering::Relaxed);
        let error = mean_image(&index, 8, 8, 1, &stop, |_| told += 1).unwrap_err();
        assert!(!error.is::<Stopped>() && told == 50, "{error:#}");
    }

    #[test]
    fn a_kept_mean_image_reads_back_and_no_flipped_bit_or_cut_of_it_does() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kept.mean");
        assert_eq!(kept(&file, 3), Ok(None));
        let (mean, bytes) = ([0.25, 0.5, 1.0], to_bytes(&[0.25, 0.5, 1.0]));
        std::fs::write(&file, &bytes).unwrap();
        assert_eq!(kept(&file, 3), Ok(Some(mean.to_vec())));
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            for damaged in [&flipped[..], &bytes[..at]] {
                std::fs::write(&file, damaged).unwrap();
                assert!(kept(&file, 3).is_err(), "{at}");
            }
        }
    }
}
