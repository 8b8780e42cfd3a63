//! Libraries that are loaded while the program runs, because they need what only some machines
//! have (scripts/build-cuda-graph makes some, NVIDIA others).

use std::ffi::{CStr, CString, c_char, c_void};
use std::path::{Path, PathBuf};

/// A library that stays loaded until the program ends.
pub struct SharedLibrary {
    handle: *mut c_void,
    path: PathBuf,
    /// What to do where a function is missing.
    remedy: &'static str,
}

impl SharedLibrary {
    /// Loads the file that the environment variable `variable` names, else `file` beside the
    /// program.
    ///
    /// # Errors
    /// The loader's reason, in one line.
    pub fn open(file: &str, variable: &str) -> Result<SharedLibrary, String> {
        let beside = || std::env::current_exe().ok().map(|program| program.with_file_name(file));
        let path = std::env::var_os(variable)
            .map(PathBuf::from)
            .or_else(beside)
            .unwrap_or_else(|| PathBuf::from(file));
        SharedLibrary::open_at(path, "run scripts/build-cuda-graph again")
    }

    /// Loads the library at `path`; a bare name is looked for where the system's loader looks.
    /// `remedy` is what to do where a function is missing.
    ///
    /// # Errors
    /// The loader's reason, in one line.
    pub fn open_at(path: PathBuf, remedy: &'static str) -> Result<SharedLibrary, String> {
        let handle = load(&path, libc::RTLD_LOCAL)?;
        Ok(SharedLibrary { handle, path, remedy })
    }

    /// A function of the library.
    ///
    /// # Errors
    /// A line that says what to run, if it has no such function.
    ///
    /// # Safety
    /// `Function` must be the type of a pointer to the function as the library's source has it.
    pub unsafe fn function<Function: Copy>(&self, name: &str) -> Result<Function, String> {
        const { assert!(size_of::<Function>() == size_of::<*mut c_void>()) };
        let text = CString::new(name).map_err(|_| format!("{name:?}: not a name"))?;
        // SAFETY: the handle is that of a loaded library.
        let address = unsafe { libc::dlsym(self.handle, text.as_ptr()) };
        if address.is_null() {
            let path = self.path.display();
            return Err(format!("{path}: has no {name}: {}", self.remedy));
        }
        // SAFETY: of one size, and what the caller vouches for.
        Ok(unsafe { std::mem::transmute_copy(&address) })
    }
}

/// The first line of what a library's `error` function says of this thread's last failure.
///
/// # Safety
/// `error` must return a C string that stays until this thread's next call into the library.
pub unsafe fn failure(error: unsafe extern "C" fn() -> *const c_char) -> String {
    // SAFETY: the caller's.
    let text = unsafe { CStr::from_ptr(error()) }.to_string_lossy();
    text.lines().next().unwrap_or("no message").to_string()
}

/// Loads a library whose functions others then find, unless it is loaded already.
///
/// # Errors
/// The loader's reason, in one line.
pub fn load_for_others(file: impl AsRef<Path>) -> Result<(), String> {
    load(file.as_ref(), libc::RTLD_GLOBAL).map(|_| ())
}

fn load(path: &Path, visibility: libc::c_int) -> Result<*mut c_void, String> {
    let name = CString::new(path.as_os_str().as_encoded_bytes())
        .map_err(|_| format!("{}: not a path", path.display()))?;
    // SAFETY: the libraries that are loaded here run no initialisers but those of C++'s standard
    // library, libtorch and NVIDIA's libraries.
    let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | visibility) };
    if handle.is_null() {
        // SAFETY: dlerror returns a string that is valid until the next dl call on this thread.
        let reason = unsafe { CStr::from_ptr(libc::dlerror()) };
        return Err(reason.to_string_lossy().into_owned());
    }
    Ok(handle)
}
