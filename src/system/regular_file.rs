//! Opening files that the user or another program made: regular files only.
//!
//! A FIFO, a socket or a device under an expected name would block a program for ever, or give
//! bytes without end.

use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Read, Result};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

/// Opens a regular file, or a link to one, for reading; anything else is refused at once.
///
/// # Errors
/// Those of the system, and [`ErrorKind::InvalidInput`] with what it is instead of a regular file.
pub fn open(path: &Path) -> Result<File> {
    // Opening a device can have an effect of its own: it is not even tried.
    check(&std::fs::metadata(path)?)?;
    // What is there may be exchanged in between: opening a FIFO does not wait then.
    let file =
        OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    check(&file.metadata()?)?;
    Ok(file)
}

/// All bytes of a regular file.
///
/// # Errors
/// Those of [`open`] and of reading.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let mut file = open(path)?;
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(usize::try_from(length).unwrap_or(usize::MAX))?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The text of a regular file.
///
/// # Errors
/// Those of [`read`], and [`ErrorKind::InvalidData`] if it is no UTF-8.
pub fn read_to_string(path: &Path) -> Result<String> {
    String::from_utf8(read(path)?)
        .map_err(|_| Error::new(ErrorKind::InvalidData, "it is not UTF-8 text"))
}

fn check(metadata: &std::fs::Metadata) -> Result<()> {
    let kind = metadata.file_type();
    let name = if kind.is_file() {
        return Ok(());
    } else if kind.is_dir() {
        "a folder"
    } else if kind.is_fifo() {
        "a FIFO"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    };
    Err(Error::new(ErrorKind::InvalidInput, format!("it is {name}, not a regular file")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifo_a_socket_a_device_and_a_folder_are_refused_at_once_and_links_to_files_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("file"), "text").unwrap();
        std::os::unix::fs::symlink("file", at("link")).unwrap();
        assert_eq!(read_to_string(&at("link")).unwrap(), "text");
        std::fs::write(at("bytes"), b"\xff").unwrap();
        assert_eq!(read_to_string(&at("bytes")).unwrap_err().kind(), ErrorKind::InvalidData);
        let fifo = std::ffi::CString::new(at("fifo").to_str().unwrap()).unwrap();
        // SAFETY: the path is a string with its end.
        assert_eq!(unsafe { libc::mkfifo(fifo.as_ptr(), 0o600) }, 0);
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        for (path, what) in [
            (at("fifo"), "a FIFO"),
            (at("socket"), "a socket"),
            ("/dev/zero".into(), "a device"),
            (folder.path().to_path_buf(), "a folder"),
        ] {
            let error = read(&path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{path:?}");
            assert!(error.to_string().contains(what), "{path:?}: {error}");
        }
        assert_eq!(read(&at("missing")).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
