//! SHA-256 of bytes and files.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::system::regular_file;

/// SHA-256 in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// Bytes as lower-case hexadecimal digits.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SHA-256 of a file, in hexadecimal.
pub fn hash_file(path: &Path) -> Result<String> {
    let hash = || -> std::io::Result<String> {
        let (mut file, mut hasher, mut buffer) =
            (regular_file::open(path)?, Sha256::new(), vec![0; 1 << 20]);
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(hexadecimal(&hasher.finalize())),
                count => hasher.update(&buffer[..count]),
            }
        }
    };
    hash().with_context(|| format!("{}: cannot be read", path.display()))
}
