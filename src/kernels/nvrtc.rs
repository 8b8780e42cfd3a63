//! NVRTC, NVIDIA's compiler as a library: CUDA sources become machine code for a GPU, with neither
//! a GPU nor a driver. libtorch's CUDA installation has it, `scripts/setup --kernels` gets it alone.

use std::ffi::{CStr, CString, OsString, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::ptr::{null, null_mut};
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, bail};

use crate::kernels::nvrtc::log::{first_error, usages};
use crate::system::atomic_file::{create_folder, write_atomically};
use crate::system::device::libtorch_folder;
use crate::system::hash::sha256;
use crate::system::regular_file;
use crate::system::shared_library::{SharedLibrary, load_for_others};

pub use crate::kernels::nvrtc::log::Usage;

mod log;
#[cfg(test)]
mod tests;

/// File name of the compiler, of the CUDA that libtorch 2.11.0 is built with.
const FILE: &str = "libnvrtc.so.13";

/// What the compiler opens by name when it compiles, though nothing says where that lies.
const BUILTINS: &str = "libnvrtc-builtins.so.13.0";

/// Names the folder that holds both.
const VARIABLE: &str = "RESNET_REPRO_NVRTC";

/// Where both lie beside libtorch's own libraries, as pip installs them.
const BESIDE_LIBTORCH: &str = "../../nvidia/cu13/lib";

/// Length of the SHA-256 in hexadecimal that ends a kept file.
const HASH_LENGTH: usize = 64;

/// A CUDA source, with the headers that it includes by name.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// What messages call it.
    pub name: &'a str,
    /// The source itself.
    pub text: &'a str,
    /// Names and texts. Nothing else can be included.
    pub headers: &'a [(&'a str, &'a str)],
}

/// A source that was compiled.
#[derive(Debug)]
pub struct Compiled {
    /// Machine code for one architecture.
    pub cubin: Vec<u8>,
    /// The kernels in it.
    pub kernels: Vec<Usage>,
}

/// The functions of the compiler.
pub struct Nvrtc {
    error: unsafe extern "C" fn(c_int) -> *const c_char,
    version: unsafe extern "C" fn(*mut c_int, *mut c_int) -> c_int,
    create: unsafe extern "C" fn(
        *mut *mut c_void,
        *const c_char,
        *const c_char,
        c_int,
        *const *const c_char,
        *const *const c_char,
    ) -> c_int,
    compile: unsafe extern "C" fn(*mut c_void, c_int, *const *const c_char) -> c_int,
    log_size: Size,
    log: Text,
    cubin_size: Size,
    cubin: Text,
    destroy: unsafe extern "C" fn(*mut *mut c_void) -> c_int,
}

type Size = unsafe extern "C" fn(*mut c_void, *mut usize) -> c_int;
type Text = unsafe extern "C" fn(*mut c_void, *mut c_char) -> c_int;

/// The compiler, or why it cannot be had and what to do, in one line.
pub fn library() -> Result<&'static Nvrtc, String> {
    static LIBRARY: OnceLock<Result<Nvrtc, String>> = OnceLock::new();
    LIBRARY.get_or_init(|| load(std::env::var_os(VARIABLE))).as_ref().map_err(Clone::clone)
}

fn load(folder: Option<OsString>) -> Result<Nvrtc, String> {
    let library = open(folder).map_err(|reason| {
        format!(
            "no NVRTC ({reason}): run scripts/setup --kernels, and set {VARIABLE} to its folder \
             .libtorch-kernels/nvidia/cu13/lib"
        )
    })?;
    // SAFETY: nvrtc.h declares these functions with these types; its enumeration is an int.
    unsafe {
        Ok(Nvrtc {
            error: library.function("nvrtcGetErrorString")?,
            version: library.function("nvrtcVersion")?,
            create: library.function("nvrtcCreateProgram")?,
            compile: library.function("nvrtcCompileProgram")?,
            log_size: library.function("nvrtcGetProgramLogSize")?,
            log: library.function("nvrtcGetProgramLog")?,
            cubin_size: library.function("nvrtcGetCUBINSize")?,
            cubin: library.function("nvrtcGetCUBIN")?,
            destroy: library.function("nvrtcDestroyProgram")?,
        })
    }
}

/// From `folder`, else from beside libtorch, else from where the system's loader looks.
fn open(folder: Option<OsString>) -> Result<SharedLibrary, String> {
    let remedy = "run scripts/setup --kernels again";
    let beside = || libtorch_folder().map(|folder| folder.join(BESIDE_LIBTORCH));
    let named = folder.filter(|folder| !folder.is_empty()).map(PathBuf::from);
    match named.or_else(|| beside().filter(|folder| folder.join(FILE).is_file())) {
        Some(folder) => {
            // The compiler finds what is loaded already.
            load_for_others(folder.join(BUILTINS))?;
            SharedLibrary::open_at(folder.join(FILE), remedy)
        }
        None => SharedLibrary::open_at(PathBuf::from(FILE), remedy),
    }
}

/// Compiles `source` for GPUs of `architecture`, 90 for compute capability 9.0.
///
/// # Errors
/// The compiler's first error in one line, or why there is no compiler.
pub fn compile(source: &Source, architecture: u32) -> Result<Compiled> {
    let nvrtc = library().map_err(|reason| anyhow!(reason))?;
    let (cubin, log) = nvrtc.translate(source, architecture)?;
    let kernels = usages(&log).with_context(|| format!("{}: NVRTC's log", source.name))?;
    Ok(Compiled { cubin, kernels })
}

/// The machine code of `source` from `folder` if it was kept there, else compiled, and kept if
/// `folder` can be written.
///
/// # Errors
/// Those of [`compile`].
pub fn kept(source: &Source, architecture: u32, folder: &Path) -> Result<Vec<u8>> {
    let nvrtc = library().map_err(|reason| anyhow!(reason))?;
    let key = key(source, &options(architecture), &nvrtc.version()?);
    kept_or_made(&folder.join(format!("{key}.cubin")), || {
        nvrtc.translate(source, architecture).map(|(cubin, _)| cubin)
    })
}

/// What machine code depends on, in one SHA-256.
fn key(source: &Source, options: &[String], version: &str) -> String {
    let headers = source.headers.iter().flat_map(|(name, text)| [*name, *text]);
    let options = options.iter().map(String::as_str);
    let parts = [version, source.name, source.text].into_iter().chain(options).chain(headers);
    // With their lengths, so that no two lists of parts look the same.
    let whole: String = parts.map(|part| format!("{}\n{part}\n", part.len())).collect();
    sha256(whole.as_bytes())
}

/// The bytes at `path`, if they are as they were written; else those of `make`, which are then kept
/// there.
fn kept_or_made(path: &Path, make: impl FnOnce() -> Result<Vec<u8>>) -> Result<Vec<u8>> {
    let kept = regular_file::read(path).ok().and_then(|mut bytes| {
        let hash = bytes.split_off(bytes.len().checked_sub(HASH_LENGTH)?);
        (sha256(&bytes).as_bytes() == hash).then_some(bytes)
    });
    if let Some(kept) = kept {
        return Ok(kept);
    }
    let made = make()?;
    // Tools that read machine code do not mind what follows it.
    let with_hash = [&made, sha256(&made).as_bytes()].concat();
    let parent = path.parent().unwrap_or(Path::new("."));
    if create_folder(parent).is_ok() {
        // What could not be kept is compiled anew the next time.
        let _ = write_atomically(path, &with_hash);
    }
    Ok(made)
}

fn options(architecture: u32) -> Vec<String> {
    let architecture = format!("--gpu-architecture=sm_{architecture}");
    // Products are fused with sums where the source says so, and there alone. A header that was not
    // given is missed, wherever the program was started.
    let others = ["--std=c++17", "--fmad=false", "--no-source-include", "--ptxas-options=-v"];
    [architecture.as_str()].iter().chain(&others).map(ToString::to_string).collect()
}

/// A source within the compiler.
struct Program<'a> {
    nvrtc: &'a Nvrtc,
    handle: *mut c_void,
}

impl Drop for Program<'_> {
    fn drop(&mut self) {
        // SAFETY: the handle is this program's, and not used again.
        unsafe { (self.nvrtc.destroy)(&mut self.handle) };
    }
}

impl Nvrtc {
    /// Version of the compiler, such as 13.0.
    pub fn version(&self) -> Result<String> {
        let (mut major, mut minor) = (0, 0);
        // SAFETY: writes two numbers.
        self.checked(unsafe { (self.version)(&mut major, &mut minor) })?;
        Ok(format!("{major}.{minor}"))
    }

    /// Machine code and the compiler's log.
    fn translate(&self, source: &Source, architecture: u32) -> Result<(Vec<u8>, String)> {
        let program = self.program(source)?;
        let options = options(architecture).into_iter().map(CString::new);
        let options = options.collect::<Result<Vec<_>, _>>()?;
        // SAFETY: as many options as are told, alive until the call is done.
        let code = unsafe {
            (self.compile)(program.handle, options.len() as c_int, pointers(&options).as_ptr())
        };
        let log = self.bytes(&program, self.log_size, self.log)?;
        let log = String::from_utf8_lossy(&log).trim_end_matches('\0').to_string();
        let reason = || first_error(&log).map_or_else(|| self.name_of(code), str::to_string);
        if code != 0 {
            bail!("{} for sm_{architecture}: {}", source.name, reason());
        }
        Ok((self.bytes(&program, self.cubin_size, self.cubin)?, log))
    }

    fn program(&self, source: &Source) -> Result<Program<'_>> {
        let text = |text: &str| {
            CString::new(text).with_context(|| format!("{}: a zero byte", source.name))
        };
        let (name, whole) = (text(source.name)?, text(source.text)?);
        let names = source.headers.iter().map(|(name, _)| text(name));
        let names = names.collect::<Result<Vec<_>>>()?;
        let texts = source.headers.iter().map(|(_, header)| text(header));
        let texts = texts.collect::<Result<Vec<_>>>()?;
        let mut program = Program { nvrtc: self, handle: null_mut() };
        // SAFETY: strings and as many headers as are told; the compiler copies them.
        self.checked(unsafe {
            (self.create)(
                &mut program.handle,
                whole.as_ptr(),
                name.as_ptr(),
                names.len() as c_int,
                pointers(&texts).as_ptr(),
                pointers(&names).as_ptr(),
            )
        })?;
        Ok(program)
    }

    fn bytes(&self, program: &Program, size: Size, write: Text) -> Result<Vec<u8>> {
        let mut length = 0;
        // SAFETY: writes a length.
        self.checked(unsafe { size(program.handle, &mut length) })?;
        let mut bytes = vec![0u8; length];
        // SAFETY: the buffer has the length that was told.
        self.checked(unsafe { write(program.handle, bytes.as_mut_ptr().cast()) })?;
        Ok(bytes)
    }

    fn checked(&self, code: c_int) -> Result<()> {
        if code == 0 { Ok(()) } else { Err(anyhow!("NVRTC: {}", self.name_of(code))) }
    }

    fn name_of(&self, code: c_int) -> String {
        // SAFETY: a constant of the library for every number.
        unsafe { CStr::from_ptr((self.error)(code)) }.to_string_lossy().into_owned()
    }
}

fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    // An array of C must not be empty to have an address.
    strings.iter().map(|string| string.as_ptr()).chain([null()]).collect()
}
