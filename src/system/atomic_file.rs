//! Writing files so that a reader sees the old one or the new one, never half of one, and so that
//! a power cut leaves one of the two.
//!
//! What a kill or a power cut can leave anywhere is a file whose name [`is_leftover`] knows: half
//! of a file that was being written, or the probe of [`check_writable`]. None is ever read, none
//! stops a run, and `verify` does not count them; the ones in a run's folder are removed when the
//! run is resumed.

use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::error::{BadInput, bad_input};

/// Ending of a file that is being written.
pub const PARTIAL_ENDING: &str = ".partial";

/// The probe of earlier versions.
const EARLIER_PROBE: &str = ".writable";

/// No file is written for so long.
const OLD: Duration = Duration::from_secs(3600);

/// Whether a file of this name is what a process that was killed may have left.
pub fn is_leftover(name: &str) -> bool {
    name == EARLIER_PROBE || name.ends_with(PARTIAL_ENDING)
}

/// Removes the leftovers in `folder`. Only for a folder that no other process writes to.
pub fn remove_leftovers(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if is_leftover(&entry.file_name().to_string_lossy()) {
            // One file too many costs space and nothing else.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Removes the leftovers in `folder` and those below it that are older than an hour: a folder that
/// another process may be writing to. A link to a folder is not followed.
pub fn remove_old_leftovers(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(metadata) = entry.metadata() else { continue };
        let age = metadata.modified().ok().and_then(|time| time.elapsed().ok());
        if metadata.is_dir() {
            remove_old_leftovers(&entry.path());
        } else if is_leftover(&entry.file_name().to_string_lossy())
            && age.is_some_and(|age| age > OLD)
        {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Makes sure that files can be made in `folder`, which `flag` named, before hours are spent.
pub fn check_writable(flag: &str, folder: &Path) -> Result<(), BadInput> {
    let probe = || -> io::Result<()> {
        create_folder(folder)?;
        let (file, path) = temporary_file(&folder.join(EARLIER_PROBE))?;
        drop(file);
        std::fs::remove_file(path)
    };
    probe().map_err(|error| {
        bad_input(format!(
            "{flag} {}: cannot be written: {error}; choose another folder",
            folder.display()
        ))
    })
}

/// Writes `bytes` to a new neighbour of `path`, makes sure that they are on the disk, renames it to
/// `path`, and makes sure that the new name is on the disk. A symbolic link at `path` is replaced,
/// not followed.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || -> io::Result<()> {
        let (mut file, temporary) = temporary_file(path)?;
        file.write_all(bytes)
            .and_then(|()| file.sync_all())
            .and_then(|()| std::fs::rename(&temporary, path))
            .inspect_err(|_| {
                // Frees the space that half a file takes; that it can fail too changes nothing.
                let _ = std::fs::remove_file(&temporary);
            })?;
        sync_parent(path)
    };
    write().with_context(|| format!("{}: cannot be written", path.display()))
}

/// Makes `folder` and those above it that are missing, each of them on the disk.
pub fn create_folder(folder: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = folder.ancestors().take_while(|path| !path.exists()).collect();
    std::fs::create_dir_all(folder)?;
    missing.into_iter().filter(|path| !path.as_os_str().is_empty()).try_for_each(sync_parent)
}

/// Opens a file of a run for writing, and makes it if it is not there. What stands in its place and
/// is no regular file, a symbolic link for one, is refused.
pub fn open_own(path: &Path) -> Result<File> {
    let context = || format!("{}: cannot be opened for writing", path.display());
    let is_new = match std::fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.is_file() => {
            bail!("{}: is not a regular file; remove it", path.display())
        }
        Ok(_) => false,
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => return Err(error).with_context(context),
    };
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)
        .with_context(context)?;
    if is_new {
        sync_parent(path).with_context(context)?;
    }
    Ok(file)
}

/// A new file beside `path`, with a name that nobody can foresee and no link can be put in place of
/// (`O_EXCL`).
pub fn temporary_file(path: &Path) -> io::Result<(File, PathBuf)> {
    at_new_name(path, create_new)
}

/// The same with a folder.
pub fn temporary_folder(path: &Path) -> io::Result<PathBuf> {
    at_new_name(path, |folder| std::fs::create_dir(folder)).map(|((), folder)| folder)
}

/// Makes a file that is not there, and follows no link that is.
pub fn create_new(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).custom_flags(libc::O_NOFOLLOW).open(path)
}

fn at_new_name<T>(path: &Path, make: impl Fn(&Path) -> io::Result<T>) -> io::Result<(T, PathBuf)> {
    loop {
        // Each state of the standard library's hash tables has random keys of its own.
        let random = RandomState::new().build_hasher().finish();
        // A name has at most 255 bytes.
        let temporary = path.with_file_name(format!(".{random:016x}{PARTIAL_ENDING}"));
        match make(&temporary) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            made => return made.map(|made| (made, temporary)),
        }
    }
}

/// Makes sure that the name of `path` is on the disk.
pub fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let folder = match File::open(parent.unwrap_or(Path::new("."))) {
        // One that may be written to and not read.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(()),
        folder => folder?,
    };
    match folder.sync_all() {
        // Some file systems have no such operation.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(()),
        synced => synced,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_at_the_place_of_a_file_are_replaced_and_never_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (victim, path) = (folder.path().join("victim"), folder.path().join("out/run.toml"));
        std::fs::write(&victim, "kept").unwrap();
        create_folder(path.parent().unwrap()).unwrap();
        // Names of earlier versions could be foreseen.
        for name in ["run.toml", "run.toml.partial", ".writable"] {
            symlink(&victim, path.with_file_name(name)).unwrap();
        }
        check_writable("--out", path.parent().unwrap()).unwrap();
        write_atomically(&path, b"new").unwrap();
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "kept");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
        assert!(!std::fs::symlink_metadata(&path).unwrap().is_symlink());
    }

    #[test]
    fn a_link_or_a_pipe_in_place_of_a_log_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (victim, log) = (folder.path().join("victim"), folder.path().join("train.csv"));
        std::fs::write(&victim, "kept").unwrap();
        symlink(&victim, &log).unwrap();
        let message = open_own(&log).unwrap_err().to_string();
        assert!(message.contains("train.csv: is not a regular file; remove it"), "{message}");
        std::fs::remove_file(&log).unwrap();
        std::process::Command::new("mkfifo").arg(&log).status().unwrap();
        assert!(open_own(&log).is_err());
    }

    #[test]
    fn a_probe_that_a_kill_left_stops_nothing() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(".writable"), "").unwrap();
        check_writable("--out", folder.path()).unwrap();
        assert!(is_leftover(".writable") && is_leftover(".0123.partial"));
        remove_leftovers(folder.path());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_write_that_fails_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        // A folder cannot be replaced by a file.
        let path = folder.path().join("taken");
        std::fs::create_dir(&path).unwrap();
        let message = format!("{:#}", write_atomically(&path, b"new").unwrap_err());
        assert!(message.contains("taken: cannot be written"), "{message}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
