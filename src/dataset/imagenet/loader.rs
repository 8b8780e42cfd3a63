//! Threads that decode images ahead of the training, into memory that a GPU reads directly.

use std::collections::VecDeque;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use tch::{Device, Kind, Tensor};

use crate::dataset::imagenet::decoder::crop::Size;
use crate::dataset::imagenet::decoder::decode::{Decoder, Quality};
use crate::dataset::imagenet::decoder::error::ImageError;
use crate::dataset::imagenet::listing::index::Index;
use crate::dataset::imagenet::view::View;

/// Images that a thread takes at once: small ones take less time than taking turns does.
const CHUNK: usize = 4;

/// An image that cannot be read is replaced by the next in the list that can, if one of so many
/// can.
const MOST_REPLACEMENTS: usize = 100;

/// A view of one image.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Its position in the index.
    pub position: usize,
    /// What of it is seen.
    pub view: View,
}

/// An image that could not be read, and what stands in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    /// Position in the batch.
    pub row: usize,
    /// Position in the index of the image that is there instead; none if none near it can be
    /// read either.
    pub by: Option<usize>,
    /// Which image, and what is wrong with it.
    pub reason: String,
}

/// Bytes of a batch: uint8, [images, crop, crop, 3]; page-locked for a GPU.
pub struct Buffer {
    /// The same bytes as a tensor.
    pub pixels: Tensor,
}

impl Buffer {
    /// A buffer for `images` squares of `crop` pixels that `device` will read.
    pub fn new(images: usize, crop: u32, device: Device) -> Buffer {
        let pixels = Tensor::zeros(
            [images as i64, i64::from(crop), i64::from(crop), 3],
            (Kind::Uint8, Device::Cpu),
        );
        Buffer { pixels: if device.is_cuda() { pixels.pin_memory(device) } else { pixels } }
    }
}

/// Threads that fill buffers.
pub struct Loader {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    index: Arc<Index>,
    /// Positions that are not trained on, sorted: they never stand in another's place.
    held_out: Vec<i64>,
    crop: u32,
    queue: Mutex<Queue>,
    wake: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<(Arc<Fill>, Range<usize>)>,
    closed: bool,
}

/// A buffer that is being filled.
struct Fill {
    samples: Vec<Sample>,
    memory: Memory,
    progress: Mutex<FillProgress>,
    done: Condvar,
}

struct FillProgress {
    left: usize,
    replacements: Vec<Replacement>,
}

/// The bytes of a buffer, of which each thread writes the images that it took.
struct Memory {
    start: *mut u8,
    /// Keeps the bytes where they are.
    _owner: Mutex<Tensor>,
}

// SAFETY: `start` points into `_owner`'s memory, which lives as long as this; threads write to
// disjoint parts of it only (each image of a fill is in one job), and nothing reads it before all
// of them are done.
unsafe impl Send for Memory {}

// SAFETY: as above.
unsafe impl Sync for Memory {}

/// A batch that will be there.
pub struct Filling {
    fill: Arc<Fill>,
    buffer: Buffer,
}

impl Loader {
    /// `threads` threads that cut squares of `crop` pixels out of the images of `index`, of
    /// which those at the sorted positions `held_out` are not trained on.
    pub fn new(index: Arc<Index>, held_out: Vec<i64>, crop: u32, threads: usize) -> Loader {
        let shared = Arc::new(Shared {
            index,
            held_out,
            crop,
            queue: Mutex::default(),
            wake: Condvar::new(),
        });
        let threads = (0..threads.max(1))
            .map(|_| {
                let shared = shared.clone();
                std::thread::spawn(move || shared.work())
            })
            .collect();
        Loader { shared, threads }
    }

    /// Starts to fill `buffer` with the samples, as many as it has room for; fills are done in the
    /// order in which they were started.
    pub fn fill(&self, samples: Vec<Sample>, buffer: Buffer) -> Filling {
        assert_eq!(
            samples.len() as i64,
            buffer.pixels.size()[0],
            "a buffer has room for one batch"
        );
        let memory = Memory {
            start: buffer.pixels.data_ptr().cast(),
            _owner: Mutex::new(buffer.pixels.shallow_clone()),
        };
        let count = samples.len();
        let progress = Mutex::new(FillProgress { left: count, replacements: Vec::new() });
        let fill = Arc::new(Fill { samples, memory, progress, done: Condvar::new() });
        let mut queue = locked(&self.shared.queue);
        for start in (0..count).step_by(CHUNK) {
            queue.jobs.push_back((fill.clone(), start..(start + CHUNK).min(count)));
        }
        drop(queue);
        self.shared.wake.notify_all();
        Filling { fill, buffer }
    }
}

impl Filling {
    /// Waits until the buffer is full. Replacements are in the order of their rows.
    pub fn wait(self) -> (Buffer, Vec<Replacement>) {
        let mut progress = locked(&self.fill.progress);
        while progress.left > 0 {
            progress = self.fill.done.wait(progress).unwrap_or_else(PoisonError::into_inner);
        }
        let mut replacements = std::mem::take(&mut progress.replacements);
        replacements.sort_by_key(|replacement| replacement.row);
        drop(progress);
        (self.buffer, replacements)
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        let mut queue = locked(&self.shared.queue);
        queue.closed = true;
        queue.jobs.clear();
        drop(queue);
        self.shared.wake.notify_all();
        for thread in self.threads.drain(..) {
            // A thread cannot panic but in a decoder, which is caught.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn work(&self) {
        let mut decoder = Decoder::new(Quality::Fast);
        let mut bytes = Vec::new();
        while let Some((fill, rows)) = self.next() {
            let length = (self.crop * self.crop * 3) as usize;
            let mut replacements = Vec::new();
            for row in rows.clone() {
                // SAFETY: the buffer has `length` bytes for each sample, and no other job has this
                // row (see `Memory`).
                let out = unsafe {
                    std::slice::from_raw_parts_mut(fill.memory.start.add(row * length), length)
                };
                replacements.extend(self.make(
                    &mut decoder,
                    &mut bytes,
                    &fill.samples[row],
                    row,
                    out,
                ));
            }
            let mut progress = locked(&fill.progress);
            progress.replacements.extend(replacements);
            progress.left -= rows.len();
            if progress.left == 0 {
                fill.done.notify_all();
            }
        }
    }

    fn next(&self) -> Option<(Arc<Fill>, Range<usize>)> {
        let mut queue = locked(&self.queue);
        loop {
            if queue.closed {
                return None;
            }
            match queue.jobs.pop_front() {
                Some(job) => return Some(job),
                None => queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Makes one image, or the next in the list that can be read in its place.
    fn make(
        &self,
        decoder: &mut Decoder,
        bytes: &mut Vec<u8>,
        sample: &Sample,
        row: usize,
        out: &mut [u8],
    ) -> Option<Replacement> {
        let mut wrong = None;
        let following =
            (0..self.index.len()).map(|step| (sample.position + step) % self.index.len());
        let trained =
            following.filter(|&position| self.held_out.binary_search(&(position as i64)).is_err());
        for position in trained.take(MOST_REPLACEMENTS) {
            match read(
                &self.index,
                (decoder, Quality::Fast),
                bytes,
                position,
                &sample.view,
                self.crop,
                out,
            ) {
                Ok(()) => {
                    return wrong.map(|reason| Replacement { row, by: Some(position), reason });
                }
                Err(unreadable) => wrong = wrong.or(Some(unreadable.reason)),
            }
        }
        out.fill(0);
        wrong.map(|reason| Replacement { row, by: None, reason })
    }
}

/// An image that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Which, and what is wrong with it.
    pub reason: String,
    /// Whether its bytes could not be had, which may be otherwise another time, or could not be
    /// decoded.
    pub no_bytes: bool,
}

/// A decoder with its quality, which a new one gets in its place after a panic.
pub type Reader<'a> = (&'a mut Decoder, Quality);

/// Reads an image into `bytes` and has `decode` make something of it. A decoder that panics is
/// an image that cannot be read.
pub fn read_with<T>(
    index: &Index,
    (decoder, quality): Reader,
    bytes: &mut Vec<u8>,
    position: usize,
    decode: impl FnOnce(&mut Decoder, &[u8]) -> Result<T, ImageError>,
) -> Result<T, Unreadable> {
    let unreadable = |no_bytes, reason: String| Unreadable {
        reason: format!("{}: {reason}", index.path(position)),
        no_bytes,
    };
    index.read(position, bytes).map_err(|error| unreadable(true, error.to_string()))?;
    match catch_unwind(AssertUnwindSafe(|| decode(decoder, bytes))) {
        Ok(result) => result.map_err(|error| unreadable(false, error.to_string())),
        Err(_) => {
            *decoder = Decoder::new(quality);
            Err(unreadable(false, "the decoder failed on it".to_string()))
        }
    }
}

/// Reads and decodes one view.
pub fn read(
    index: &Index,
    reader: Reader,
    bytes: &mut Vec<u8>,
    position: usize,
    view: &View,
    crop: u32,
    out: &mut [u8],
) -> Result<(), Unreadable> {
    read_with(index, reader, bytes, position, |decoder, bytes| {
        view.decode(decoder, bytes, crop, out)
    })
}

/// Reads a whole image, scaled to a shorter side: its size, and its pixels as [height, width,
/// 3].
pub fn read_whole(
    index: &Index,
    reader: Reader,
    bytes: &mut Vec<u8>,
    position: usize,
    shorter_side: u32,
) -> Result<(Size, Vec<u8>), Unreadable> {
    read_with(index, reader, bytes, position, |decoder, bytes| decoder.scaled(bytes, shorter_side))
}

/// A mutex whose holder panicked guards whole data all the same: nothing that can panic is done
/// under a lock.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
