//! Whether something compiled earlier is still what its sources and its compiler make of it.
//!
//! Cargo runs a build script as a whole, here at every change of the program, since that changes
//! what `git status` says. A stamp beside each library keeps it from being compiled again.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};

/// What a library is made of: the compiler with its arguments, and the contents of `sources`.
///
/// # Errors
/// If a source cannot be read.
pub fn key(compiler: &[String], sources: &[PathBuf]) -> io::Result<String> {
    let mut hasher = DefaultHasher::new();
    compiler.hash(&mut hasher);
    for path in sources {
        (path, std::fs::read(path)?).hash(&mut hasher);
    }
    Ok(format!("{:016x}", hasher.finish()))
}

/// The files in `folder` that are not Rust, in order.
///
/// # Errors
/// If the folder cannot be read.
pub fn sources(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    let mut files: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
    files.retain(|file| file.is_file() && file.extension().is_some_and(|ending| ending != "rs"));
    files.sort();
    Ok(files)
}

/// Calls `compile` unless `library` is there with this key beside it. Returns whether it did.
///
/// # Errors
/// If the stamp cannot be written.
pub fn once(library: &Path, key: &str, compile: impl FnOnce()) -> io::Result<bool> {
    let stamp = library.with_extension("key");
    if library.is_file() && std::fs::read_to_string(&stamp).is_ok_and(|found| found == key) {
        return Ok(false);
    }
    // One that was interrupted leaves no key that would count.
    let _ = std::fs::remove_file(&stamp);
    compile();
    std::fs::write(&stamp, key)?;
    Ok(true)
}
