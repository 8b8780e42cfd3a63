//! NCCL, which moves tensors from GPU to GPU, through a small library that is loaded only where
//! CUDA is (`nccl.cpp`; scripts/build-cuda-graph compiles it).

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow};
use tch::{Device, Tensor};

use crate::distributed::exchange::Exchange;
use crate::system::shared_library::{SharedLibrary, failure, load_for_others};

/// File name of the library; it lies beside the program.
const FILE: &str = "libresnet_nccl.so";

/// Names another place for it; `off` has ranks exchange through main memory.
const VARIABLE: &str = "RESNET_REPRO_NCCL";

/// NCCL itself. libtorch's CUDA half loads it first, from where it was installed.
const NCCL: &str = "libnccl.so.2";

/// Length of what the ranks of a communicator find one another by, in bytes.
pub const ID_LENGTH: usize = 128;

/// Room for a GPU's place on its machine's bus, as 0000:1b:00.0, in bytes.
const BUS_LENGTH: usize = 64;

/// The functions of the library.
pub struct Library {
    error: unsafe extern "C" fn() -> *const c_char,
    version: unsafe extern "C" fn() -> c_int,
    bus: unsafe extern "C" fn(c_int, *mut c_char, c_int) -> bool,
    id: unsafe extern "C" fn(*mut c_char) -> bool,
    join: unsafe extern "C" fn(*const c_char, c_int, c_int, c_int) -> *mut c_void,
    all_to_all: unsafe extern "C" fn(*mut c_void, *mut c_void, *mut c_void) -> bool,
    all_gather: unsafe extern "C" fn(*mut c_void, *mut c_void, *mut c_void) -> bool,
    wait: unsafe extern "C" fn(*mut c_void) -> bool,
    leave: unsafe extern "C" fn(*mut c_void),
}

/// The library, or why it cannot be had and what to do. libtorch's CUDA half must have been loaded
/// before, where it can be.
pub fn library() -> Result<&'static Library, String> {
    static LIBRARY: OnceLock<Result<Library, String>> = OnceLock::new();
    LIBRARY.get_or_init(load).as_ref().map_err(Clone::clone)
}

fn load() -> Result<Library, String> {
    if std::env::var_os(VARIABLE).is_some_and(|value| value == "off") {
        return Err(format!("turned off by {VARIABLE}=off"));
    }
    load_for_others(NCCL).map_err(|reason| {
        format!("no NCCL ({reason}): run scripts/setup --cuda, which installs it")
    })?;
    let library = SharedLibrary::open(FILE, VARIABLE).map_err(|reason| {
        format!("no library for NCCL ({reason}): run scripts/build-cuda-graph")
    })?;
    // SAFETY: nccl.cpp defines these functions with these types.
    unsafe {
        Ok(Library {
            error: library.function("resnet_nccl_error")?,
            version: library.function("resnet_nccl_version")?,
            bus: library.function("resnet_nccl_bus")?,
            id: library.function("resnet_nccl_id")?,
            join: library.function("resnet_nccl_join")?,
            all_to_all: library.function("resnet_nccl_all_to_all")?,
            all_gather: library.function("resnet_nccl_all_gather")?,
            wait: library.function("resnet_nccl_wait")?,
            leave: library.function("resnet_nccl_leave")?,
        })
    }
}

impl Library {
    /// NCCL's version, such as 2.28.9.
    pub fn version(&self) -> String {
        // SAFETY: asks for a number.
        written(unsafe { (self.version)() })
    }

    /// Where GPU `device` is on its machine's bus.
    pub fn bus(&self, device: usize) -> Result<String> {
        let mut name = [0u8; BUS_LENGTH];
        let (target, room) = (name.as_mut_ptr().cast(), BUS_LENGTH as c_int);
        // SAFETY: the buffer has the length that is given.
        self.checked(unsafe { (self.bus)(c_int::try_from(device)?, target, room) })?;
        Ok(CStr::from_bytes_until_nul(&name)?.to_string_lossy().into_owned())
    }

    /// What the ranks of a new communicator find one another by. The process that made it must
    /// live on until all have joined.
    pub fn id(&self) -> Result<[u8; ID_LENGTH]> {
        let mut id = [0u8; ID_LENGTH];
        // SAFETY: the buffer has the length that nccl.cpp writes.
        self.checked(unsafe { (self.id)(id.as_mut_ptr().cast()) })?;
        Ok(id)
    }

    fn checked(&self, done: bool) -> Result<()> {
        if done { Ok(()) } else { Err(self.failure()) }
    }

    /// The first line of this thread's last error.
    fn failure(&self) -> anyhow::Error {
        // SAFETY: nccl.cpp keeps the text until this thread's next call.
        anyhow!(unsafe { failure(self.error) })
    }
}

/// A version as NCCL counts it: 22809 is 2.28.9.
fn written(version: c_int) -> String {
    format!("{}.{}.{}", version / 10_000, version / 100 % 100, version % 100)
}

/// This process, with one GPU, among those that exchange tensors from GPU to GPU.
pub struct Nccl {
    library: &'static Library,
    handle: *mut c_void,
    world: usize,
    device: usize,
}

impl Nccl {
    /// Joins the others that have the same `id`, each with another GPU, and waits for them.
    ///
    /// # Errors
    /// NCCL's reason, in one line.
    pub fn join(
        library: &'static Library,
        id: &[u8; ID_LENGTH],
        (rank, world): (usize, usize),
        device: usize,
    ) -> Result<Nccl> {
        let [own, all, gpu] = [rank, world, device].map(c_int::try_from);
        // SAFETY: the bytes are as many as nccl.cpp reads.
        let handle = unsafe { (library.join)(id.as_ptr().cast(), own?, all?, gpu?) };
        if handle.is_null() {
            return Err(library.failure()).context("NCCL cannot be used (RESNET_REPRO_NCCL=off)");
        }
        Ok(Nccl { library, handle, world, device })
    }
}

impl Exchange for Nccl {
    fn world(&self) -> usize {
        self.world
    }

    fn device(&self) -> Device {
        Device::Cuda(self.device)
    }

    fn all_to_all(&self, input: &Tensor) -> Result<Tensor> {
        let mut output = input.empty_like();
        let input = input.as_ptr().cast_mut().cast();
        // SAFETY: live tensors, whose sizes and places nccl.cpp checks.
        let done =
            unsafe { (self.library.all_to_all)(self.handle, output.as_mut_ptr().cast(), input) };
        self.library.checked(done)?;
        Ok(output)
    }

    fn all_gather(&self, own: &Tensor) -> Result<Tensor> {
        let count = own.size()[0] * self.world as i64;
        let mut output = Tensor::empty([count], (own.kind(), own.device()));
        let own = own.as_ptr().cast_mut().cast();
        // SAFETY: as above.
        let done =
            unsafe { (self.library.all_gather)(self.handle, output.as_mut_ptr().cast(), own) };
        self.library.checked(done)?;
        Ok(output)
    }

    fn wait(&self) -> Result<()> {
        // SAFETY: the handle is this communicator's.
        self.library.checked(unsafe { (self.library.wait)(self.handle) })
    }
}

impl Drop for Nccl {
    fn drop(&mut self) {
        // SAFETY: the handle is not used again.
        unsafe { (self.library.leave)(self.handle) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::device::{Cuda, register_cuda};

    #[test]
    fn a_version_is_written_as_nvidia_does() {
        assert_eq!(written(22_809), "2.28.9");
        assert_eq!(written(21_805), "2.18.5");
        assert_eq!(written(30_000), "3.0.0");
    }

    #[test]
    fn without_the_library_the_reason_says_what_to_run() {
        if let Err(reason) = library() {
            let told = reason.contains("scripts/") || reason.contains(VARIABLE);
            assert!(told, "{reason}");
        }
    }

    #[test]
    fn without_a_driver_an_id_is_made_and_joining_fails_in_one_clear_line() {
        let library = match library() {
            Ok(library) => library,
            Err(reason) => return eprintln!("SKIPPED: {reason}"),
        };
        assert!(library.version().starts_with("2."), "{}", library.version());
        let ids = [library.id().unwrap(), library.id().unwrap()];
        assert_ne!(ids[0], ids[1]);
        if matches!(register_cuda(), Cuda::Available(_)) {
            return eprintln!("SKIPPED: there is a GPU");
        }
        for error in
            [Nccl::join(library, &ids[0], (0, 1), 0).err().unwrap(), library.bus(0).unwrap_err()]
        {
            let told = format!("{error:#}");
            let without = ["CUDA driver version is insufficient", "no CUDA-capable device"];
            assert!(without.iter().any(|reason| told.contains(reason)), "{told}");
            assert_eq!(told.lines().count(), 1, "{told}");
        }
    }
}
