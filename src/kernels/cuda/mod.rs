//! Kernels on a GPU, through a small library that is loaded only where CUDA is (`launch.cpp`;
//! scripts/build-cuda-graph compiles it).

use std::collections::HashMap;
use std::ffi::{CString, c_char, c_int, c_void};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, anyhow};
use serde::Serialize;

use crate::kernels::launch::{Grid, Launch};
use crate::kernels::list::{Facts, File, HEADERS, THREADS, all};
use crate::kernels::nvrtc;
use crate::kernels::nvrtc::{Source, compile, kept};
use crate::system::cache;
use crate::system::shared_library::{SharedLibrary, failure};

/// File name of the library; it lies beside the program.
const FILE: &str = "libresnet_kernels.so";

/// Names another place for it.
const VARIABLE: &str = "RESNET_REPRO_KERNELS";

/// Oldest GPUs that have all that the kernels use: bfloat16 products and copies ahead.
const OLDEST: u32 = 80;

/// Oldest GPUs on which a kernel can start while the one before it ends.
const OLDEST_WITH_OVERLAP: u32 = 90;

/// The functions of the library.
struct Library {
    error: unsafe extern "C" fn() -> *const c_char,
    architecture: unsafe extern "C" fn(c_int) -> c_int,
    shared_memory: unsafe extern "C" fn(c_int) -> c_int,
    load: unsafe extern "C" fn(*const c_void, c_int) -> *mut c_void,
    find: unsafe extern "C" fn(*mut c_void, *const c_char, c_int, c_int) -> *mut c_void,
    facts: unsafe extern "C" fn(*mut c_void, c_int, c_int, c_int, *mut c_int) -> c_int,
    branch: unsafe extern "C" fn(c_int) -> c_int,
    main: unsafe extern "C" fn(c_int) -> c_int,
    join: unsafe extern "C" fn(c_int) -> c_int,
    launch: unsafe extern "C" fn(
        *mut c_void,
        c_int,
        c_int,
        c_int,
        c_int,
        *const c_void,
        c_int,
        c_int,
    ) -> c_int,
}

/// What is missing for own kernels on a GPU, in one line; asks CUDA nothing.
pub fn missing() -> Option<String> {
    library().err().or_else(|| nvrtc::library().err())
}

fn library() -> Result<&'static Library, String> {
    static LIBRARY: OnceLock<Result<Library, String>> = OnceLock::new();
    LIBRARY.get_or_init(load).as_ref().map_err(Clone::clone)
}

fn load() -> Result<Library, String> {
    let library = SharedLibrary::open(FILE, VARIABLE)
        .map_err(|reason| format!("{reason}: run scripts/build-cuda-graph"))?;
    // SAFETY: launch.cpp defines these functions with these types.
    unsafe {
        Ok(Library {
            error: library.function("resnet_kernels_error")?,
            architecture: library.function("resnet_kernels_architecture")?,
            shared_memory: library.function("resnet_kernels_shared_memory")?,
            load: library.function("resnet_kernels_load")?,
            find: library.function("resnet_kernels_find")?,
            facts: library.function("resnet_kernels_facts")?,
            branch: library.function("resnet_kernels_branch")?,
            main: library.function("resnet_kernels_main")?,
            join: library.function("resnet_kernels_join")?,
            launch: library.function("resnet_kernels_launch")?,
        })
    }
}

impl Library {
    fn failure(&self) -> anyhow::Error {
        // SAFETY: launch.cpp keeps the text until this thread's next call.
        anyhow!(unsafe { failure(self.error) })
    }

    fn checked(&self, pointer: *mut c_void) -> Result<Handle> {
        if pointer.is_null() { Err(self.failure()) } else { Ok(Handle(pointer)) }
    }
}

/// A library or kernel of CUDA's, which any thread may use.
#[derive(Clone, Copy)]
struct Handle(*mut c_void);

// SAFETY: CUDA's handles of libraries and kernels belong to no thread.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

/// What a loaded kernel takes of the GPU.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Taken {
    /// Of a thread.
    pub registers: i32,
    /// Bytes of local memory a thread: what did not fit into registers.
    pub spilled_bytes: i32,
    /// Blocks that fit on a multiprocessor.
    pub blocks: i32,
}

/// The kernels on one GPU.
pub struct Gpu {
    library: &'static Library,
    index: usize,
    architecture: u32,
    kernels: HashMap<&'static str, Handle>,
    overlap: AtomicBool,
    branch: AtomicBool,
}

/// What may run at the same time as what is before it; results are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Concurrency {
    /// A kernel may start while the one before it ends.
    pub overlap: bool,
    /// What is launched aside has a branch of its own.
    pub branch: bool,
}

impl Gpu {
    /// Compiles the kernels for GPU `index`, or gets them from the cache folder, and loads them.
    ///
    /// # Errors
    /// In one line, what is missing, or what the compiler or CUDA says.
    pub fn new(index: usize) -> Result<Gpu> {
        let library = library().map_err(|reason| anyhow!(reason))?;
        // SAFETY: asks CUDA.
        let architecture = unsafe { (library.architecture)(index as c_int) };
        let architecture = u32::try_from(architecture).map_err(|_| library.failure())?;
        anyhow::ensure!(
            architecture >= OLDEST,
            "GPU {index} has compute capability {}.{}, they need 8.0",
            architecture / 10,
            architecture % 10
        );
        // SAFETY: asks CUDA.
        let shared_memory = unsafe { (library.shared_memory)(index as c_int) };
        let shared_memory = u32::try_from(shared_memory).map_err(|_| library.failure())?;
        // On GPUs with less of it, convolutions that ask for too much are libtorch's.
        let fits = |facts: &Facts| facts.shared_bytes <= shared_memory;
        let mut kernels = HashMap::new();
        for (file, cubin) in cubins(architecture)? {
            // SAFETY: a cubin, which CUDA copies.
            let loaded = unsafe { (library.load)(cubin.as_ptr().cast(), index as c_int) };
            let loaded = library.checked(loaded).with_context(|| file.name().to_string())?;
            for facts in all().into_iter().filter(|facts| facts.file == file && fits(facts)) {
                let name = CString::new(facts.name)?;
                // SAFETY: the library was loaded.
                let kernel = unsafe {
                    (library.find)(
                        loaded.0,
                        name.as_ptr(),
                        facts.shared_bytes as c_int,
                        index as c_int,
                    )
                };
                kernels.insert(facts.name, library.checked(kernel)?);
            }
        }
        Ok(Gpu {
            library,
            index,
            architecture,
            kernels,
            overlap: false.into(),
            branch: false.into(),
        })
    }

    /// What may run at the same time from now on; nothing at first.
    pub fn set_concurrency(&self, concurrency: Concurrency) {
        let overlap = concurrency.overlap && self.architecture >= OLDEST_WITH_OVERLAP;
        self.overlap.store(overlap, Ordering::Relaxed);
        self.branch.store(concurrency.branch, Ordering::Relaxed);
    }

    fn kernel(&self, name: &str) -> Result<Handle> {
        self.kernels
            .get(name)
            .copied()
            .with_context(|| format!("{name} needs more shared memory than GPU {} has", self.index))
    }

    fn checked(&self, code: c_int) -> Result<()> {
        if code == 0 { Ok(()) } else { Err(self.library.failure()) }
    }

    /// What a kernel takes of this GPU.
    ///
    /// # Errors
    /// CUDA's, in one line.
    pub fn taken(&self, kernel: &Facts) -> Result<Taken> {
        let mut facts = [0; 3];
        let loaded = self.kernel(kernel.name)?;
        // SAFETY: the kernel was loaded; three numbers are written.
        let code = unsafe {
            (self.library.facts)(
                loaded.0,
                THREADS as c_int,
                kernel.shared_bytes as c_int,
                self.index as c_int,
                facts.as_mut_ptr(),
            )
        };
        let [registers, spilled_bytes, blocks] = facts;
        self.checked(code).map(|()| Taken { registers, spilled_bytes, blocks })
    }
}

/// Machine code of all files, compiled at the same time where the cache has none.
fn cubins(architecture: u32) -> Result<Vec<(File, Vec<u8>)>> {
    let one = |file: File| {
        let source = Source { name: file.name(), text: file.text(), headers: &HEADERS };
        match cache::folder() {
            Some(folder) => kept(&source, architecture, &folder),
            None => compile(&source, architecture).map(|compiled| compiled.cubin),
        }
    };
    std::thread::scope(|scope| {
        let threads = File::ALL.map(|file| (file, scope.spawn(move || one(file))));
        threads
            .into_iter()
            .map(|(file, thread)| {
                let cubin = thread.join().map_err(|_| anyhow!("{} did not compile", file.name()));
                Ok((file, cubin??))
            })
            .collect()
    })
}

impl Launch for Gpu {
    unsafe fn launch_raw(
        &self,
        kernel: &Facts,
        grid: Grid,
        parameter: *const c_void,
    ) -> Result<()> {
        let loaded = self.kernel(kernel.name)?;
        // SAFETY: the kernel was loaded; the caller answers for the parameter.
        let code = unsafe {
            (self.library.launch)(
                loaded.0,
                grid.0 as c_int,
                grid.1 as c_int,
                THREADS as c_int,
                kernel.shared_bytes as c_int,
                parameter,
                self.index as c_int,
                c_int::from(self.overlap.load(Ordering::Relaxed)),
            )
        };
        self.checked(code).context(kernel.name)
    }

    fn has(&self, kernel: &Facts) -> bool {
        self.kernels.contains_key(kernel.name)
    }

    fn aside(&self, launches: &mut dyn FnMut() -> Result<()>) -> Result<()> {
        if !self.branch.load(Ordering::Relaxed) {
            return launches();
        }
        let index = self.index as c_int;
        // SAFETY: the current stream is this thread's.
        self.checked(unsafe { (self.library.branch)(index) })?;
        let done = launches();
        // SAFETY: as above.
        self.checked(unsafe { (self.library.main)(index) })?;
        done
    }

    fn join(&self) -> Result<()> {
        if !self.branch.load(Ordering::Relaxed) {
            return Ok(());
        }
        // SAFETY: as above.
        self.checked(unsafe { (self.library.join)(self.index as c_int) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_the_library_or_a_gpu_one_line_says_what_is_missing() {
        let said = Gpu::new(0).err().map(|error| format!("{error:#}"));
        match library() {
            // CUDA's own words; on a machine with a GPU the kernels are there.
            Ok(_) => println!("the library is loaded; GPU 0: {said:?}"),
            Err(reason) => {
                assert!(reason.contains("run scripts/build-cuda-graph"), "{reason}");
                assert_eq!(said, Some(reason));
            }
        }
        assert!(said.is_none_or(|said| said.lines().count() == 1));
    }
}
