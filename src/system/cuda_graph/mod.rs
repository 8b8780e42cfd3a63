//! CUDA graphs, through a small library that is loaded only where CUDA is (`graph.cpp`;
//! scripts/build-cuda-graph compiles it).

use std::ffi::{c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use anyhow::{Result, anyhow};

use crate::system::shared_library::{SharedLibrary, failure};

/// File name of the library; it lies beside the program.
const FILE: &str = "libresnet_cuda_graph.so";

/// Names another place for it.
const VARIABLE: &str = "RESNET_REPRO_CUDA_GRAPH";

/// The functions of the library.
pub struct Library {
    error: unsafe extern "C" fn() -> *const c_char,
    new: unsafe extern "C" fn(c_int) -> *mut c_void,
    side_stream: unsafe extern "C" fn(*mut c_void, c_int) -> c_int,
    begin: unsafe extern "C" fn(*mut c_void) -> c_int,
    end: unsafe extern "C" fn(*mut c_void) -> c_int,
    abort: unsafe extern "C" fn(*mut c_void) -> c_int,
    replay: unsafe extern "C" fn(*mut c_void) -> c_int,
    free: unsafe extern "C" fn(*mut c_void),
    peak_memory: unsafe extern "C" fn(c_int) -> i64,
    reset_peak_memory: unsafe extern "C" fn(c_int),
}

/// The library, or why it cannot be had and what to do. libtorch's CUDA half must have been loaded
/// before.
pub fn library() -> Result<&'static Library, String> {
    static LIBRARY: OnceLock<Result<Library, String>> = OnceLock::new();
    LIBRARY.get_or_init(load).as_ref().map_err(Clone::clone)
}

fn load() -> Result<Library, String> {
    let library = SharedLibrary::open(FILE, VARIABLE)
        .map_err(|reason| format!("no CUDA graphs ({reason}): run scripts/build-cuda-graph"))?;
    // SAFETY: graph.cpp defines these functions with these types.
    unsafe {
        Ok(Library {
            error: library.function("resnet_graph_error")?,
            new: library.function("resnet_graph_new")?,
            side_stream: library.function("resnet_graph_side_stream")?,
            begin: library.function("resnet_graph_begin")?,
            end: library.function("resnet_graph_end")?,
            abort: library.function("resnet_graph_abort")?,
            replay: library.function("resnet_graph_replay")?,
            free: library.function("resnet_graph_free")?,
            peak_memory: library.function("resnet_cuda_peak_memory")?,
            reset_peak_memory: library.function("resnet_cuda_reset_peak_memory")?,
        })
    }
}

impl Library {
    fn checked(&self, code: c_int) -> Result<()> {
        if code == 0 { Ok(()) } else { Err(self.failure()) }
    }

    fn failure(&self) -> anyhow::Error {
        // SAFETY: graph.cpp keeps the text until this thread's next call.
        anyhow!("CUDA graph: {}", unsafe { failure(self.error) })
    }
}

/// Operations that are recorded once and then launched as one.
///
/// What is captured must use the same tensors every time: inputs are changed in place before a
/// replay, results read from where they were written. Tensors made within the capture live in the
/// graph's own memory, which nothing else uses.
pub struct CudaGraph {
    library: &'static Library,
    handle: *mut c_void,
}

impl CudaGraph {
    /// An empty graph for GPU `device`.
    pub fn new(device: usize) -> Result<CudaGraph> {
        let library = library().map_err(|reason| anyhow!(reason))?;
        // SAFETY: makes a stream and an empty graph.
        let handle = unsafe { (library.new)(device as c_int) };
        if handle.is_null() { Err(library.failure()) } else { Ok(CudaGraph { library, handle }) }
    }

    /// Does `work` on the stream that the capture will use.
    pub fn warm_up(&self, work: impl FnOnce() -> Result<()>) -> Result<()> {
        // SAFETY: the handle is this graph's.
        self.library.checked(unsafe { (self.library.side_stream)(self.handle, 1) })?;
        let outcome = caught(work);
        // SAFETY: as above.
        self.library.checked(unsafe { (self.library.side_stream)(self.handle, 0) })?;
        outcome
    }

    /// Records what `work` launches, without doing it.
    pub fn capture(&mut self, work: impl FnOnce() -> Result<()>) -> Result<()> {
        // SAFETY: the handle is this graph's.
        self.library.checked(unsafe { (self.library.begin)(self.handle) })?;
        match caught(work) {
            // SAFETY: a capture was begun.
            Ok(()) => self.library.checked(unsafe { (self.library.end)(self.handle) }),
            Err(error) => {
                // SAFETY: as above; the stream must not be left in capture.
                unsafe { (self.library.abort)(self.handle) };
                Err(error)
            }
        }
    }

    /// Launches what was recorded.
    pub fn replay(&self) -> Result<()> {
        // SAFETY: the handle is this graph's.
        self.library.checked(unsafe { (self.library.replay)(self.handle) })
    }
}

impl Drop for CudaGraph {
    fn drop(&mut self) {
        // SAFETY: nothing uses the handle after this.
        unsafe { (self.library.free)(self.handle) }
    }
}

/// tch reports libtorch's errors as panics.
fn caught(work: impl FnOnce() -> Result<()>) -> Result<()> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied());
        Err(anyhow!(
            "{}",
            text.and_then(|text| text.lines().next()).unwrap_or("stopped by an unexpected error")
        ))
    })
}

/// Largest memory of libtorch's allocator on GPU `device` since the last reset, in bytes, if the
/// library is there.
pub fn peak_memory(device: usize) -> Option<u64> {
    // SAFETY: asks the allocator.
    let bytes = unsafe { (library().ok()?.peak_memory)(device as c_int) };
    u64::try_from(bytes).ok()
}

/// Starts a new measurement of the largest memory.
pub fn reset_peak_memory(device: usize) {
    if let Ok(library) = library() {
        // SAFETY: resets a counter of the allocator.
        unsafe { (library.reset_peak_memory)(device as c_int) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_the_library_the_reason_says_what_to_run() {
        if let Err(reason) = library() {
            assert!(reason.contains("scripts/build-cuda-graph"), "{reason}");
            assert!(CudaGraph::new(0).is_err());
        }
    }
}
