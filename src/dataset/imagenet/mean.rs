//! The mean image of photographs (section 3.4: "with the per-pixel mean subtracted"), computed once
//! in one pass and kept.

use anyhow::{Result, bail};

use crate::dataset::imagenet::decoder::decode::{Decoder, Quality};
use crate::dataset::imagenet::listing::cache;
use crate::dataset::imagenet::listing::index::Index;
use crate::dataset::imagenet::loader::{Unreadable, read};
use crate::dataset::imagenet::view;
use crate::dataset::imagenet::view::View;
use crate::system::atomic_file;
use crate::system::hash::sha256;
use crate::system::parallel::in_order;

/// The mean of the centre crops of all photographs that can be read: [crop, crop, 3], in [0, 1].
///
/// Sums are whole numbers, so that the number of threads changes nothing. It is kept in the cache
/// folder under the list's fingerprint. `unreadable` is told of each photograph that was left out.
pub fn mean_image(
    index: &Index,
    crop: u32,
    test_scale: u32,
    threads: usize,
    mut unreadable: impl FnMut(String),
) -> Result<Vec<f32>> {
    let values = (crop * crop * 3) as usize;
    let key =
        sha256(format!("mean image 1 {} {crop} {test_scale}", index.fingerprint()).as_bytes());
    let file = cache::folder().map(|folder| folder.join(format!("{key}.mean")));
    if let Some(kept) = file
        .as_ref()
        .and_then(|file| std::fs::read(file).ok())
        .filter(|bytes| bytes.len() == values * 4)
    {
        return Ok(kept
            .chunks_exact(4)
            .map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
            .collect());
    }
    let mut sums = vec![0u64; values];
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
        || (view::decoder(Quality::Fast), Vec::new()),
        make,
        |_, made| {
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
        bail!("no photograph can be read: there is no mean image");
    }
    let mean: Vec<f32> =
        sums.iter().map(|&sum| (sum as f64 / (readable as f64 * 255.0)) as f32).collect();
    // A cache that cannot be written costs time alone.
    if let Some(file) = file
        // A disk that was away gives another mean than the one that is to be kept.
        && !no_bytes
        && file.parent().is_some_and(|folder| std::fs::create_dir_all(folder).is_ok())
    {
        let bytes: Vec<u8> = mean.iter().flat_map(|value| value.to_le_bytes()).collect();
        let _ = atomic_file::write_atomically(&file, &bytes);
    }
    Ok(mean)
}
