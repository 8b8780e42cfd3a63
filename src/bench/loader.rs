//! Streamed a second: from files in memory to the numbers that a network gets.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use serde::{Deserialize, Serialize};

use crate::config::dataset_name::DatasetName;
use crate::config::recipe::Recipe;
use crate::dataset::imagenet::decoder::decode::{Decoder, Quality};
use crate::error::bad_input;
use crate::system::regular_file;
use crate::training::batches::streamed::ViewPlan;
use crate::training::batches::{IMAGENET_DEVIATION, IMAGENET_MEAN};

/// One measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoaderRow {
    /// Threads, each with a decoder of its own.
    pub threads: usize,
    /// Views that were made.
    pub images: usize,
    /// Views a second.
    pub images_per_second: f64,
    /// Views a second of CPU time, of all threads together: what other programs on the
    /// machine distort less.
    pub images_per_processor_second: f64,
}

/// The files of `folder` and of the folders in it, in memory, in the order of their paths.
pub fn read_folder(folder: &Path) -> Result<Vec<Vec<u8>>> {
    let entries = |folder: &Path| -> Result<Vec<PathBuf>> {
        let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
        entries.map(|entry| Ok(entry?.path())).collect()
    };
    let mut files = Vec::new();
    for path in entries(folder)? {
        if path.is_dir() { files.extend(entries(&path)?) } else { files.push(path) }
    }
    files.retain(|path| path.is_file());
    files.sort();
    if files.is_empty() {
        return Err(bad_input(format!(
            "--loader {}: there are no files in it or its subfolders",
            folder.display()
        ))
        .into());
    }
    files
        .iter()
        .map(|file| regular_file::read(file).with_context(|| file.display().to_string()))
        .collect()
}

/// Makes one training view of every file, `passes` times: decodes, scales to a random shorter side,
/// cuts at a random place, mirrors every other, shifts the colours, and normalises to float32
/// planes, [3, 224, 224]. Draws are those of seed 0.
pub fn measure(
    files: &[Vec<u8>],
    quality: Quality,
    threads: usize,
    passes: usize,
) -> Result<LoaderRow> {
    let (next, images) = (AtomicUsize::new(0), files.len() * passes);
    let recipe = Recipe::for_dataset(DatasetName::Imagenet);
    let (plan, crop) = (ViewPlan::new(0, &recipe), recipe.image_side() as usize);
    let work = || -> Result<()> {
        let mut decoder = Decoder::new(quality);
        let mut pixels = vec![0; crop * crop * 3];
        let mut planes = vec![0.0; crop * crop * 3];
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= images {
                return Ok(());
            }
            for (view, shift) in plan.views(index as u64 + 1, 1) {
                view.decode(&mut decoder, &files[index % files.len()], crop as u32, &mut pixels)
                    .with_context(|| {
                        format!(
                            "file {} of the folder, in the order of their paths",
                            index % files.len() + 1
                        )
                    })?;
                normalise(&pixels, shift, &mut planes);
            }
            std::hint::black_box(&planes);
        }
    };
    let (started, processor) = (Instant::now(), processor_seconds());
    std::thread::scope(|scope| -> Result<()> {
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        handles.into_iter().try_for_each(|handle| {
            handle.join().map_err(|_| anyhow!("a thread of the measurement panicked"))?
        })
    })?;
    Ok(LoaderRow {
        threads,
        images,
        images_per_second: images as f64 / started.elapsed().as_secs_f64(),
        images_per_processor_second: images as f64 / (processor_seconds() - processor),
    })
}

/// Processor time of this process so far, in seconds.
fn processor_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: it writes one time, for which there is room.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// Pixels [.., 3] to planes [3, ..].
fn normalise(pixels: &[u8], shift: [f32; 3], planes: &mut [f32]) {
    let count = planes.len() / 3;
    for (colour, plane) in planes.chunks_exact_mut(count).enumerate() {
        let scale = 1.0 / (255.0 * IMAGENET_DEVIATION[colour]);
        let offset = (shift[colour] - IMAGENET_MEAN[colour]) / IMAGENET_DEVIATION[colour];
        for (value, pixel) in plane.iter_mut().zip(pixels.as_chunks::<3>().0) {
            *value = f32::from(pixel[colour]) * scale + offset;
        }
    }
}
