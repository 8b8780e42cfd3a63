//! Writing files so that a reader sees the old one or the new one, never half of one.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};

use crate::error::{BadInput, bad_input};

/// Makes sure that files can be made in `folder`, which `flag` named, before hours are spent.
pub fn check_writable(flag: &str, folder: &Path) -> Result<(), BadInput> {
    let refused = |error: std::io::Error| {
        bad_input(format!(
            "{flag} {}: cannot be written: {error}; choose another folder",
            folder.display()
        ))
    };
    std::fs::create_dir_all(folder).map_err(refused)?;
    let probe = folder.join(".writable");
    std::fs::write(&probe, "").map_err(refused)?;
    std::fs::remove_file(&probe).map_err(refused)
}

/// Ending of a file that is being written.
pub const PARTIAL_ENDING: &str = ".partial";

/// Writes `bytes` to a neighbour of `path`, makes sure that they are on the disk, and renames it to
/// `path`.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(PARTIAL_ENDING);
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    };
    write().with_context(|| format!("{}: cannot be written", path.display())).inspect_err(|_| {
        // Frees the space that half a file takes; that it can fail too changes nothing.
        let _ = std::fs::remove_file(&temporary);
    })
}
