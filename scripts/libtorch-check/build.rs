//! Says what to do where libtorch is missing, before torch-sys fails in a C++ header minutes later.

use std::path::Path;

fn main() {
    println!("cargo::rerun-if-env-changed=LIBTORCH");
    // Set by .cargo/config.toml, or by the user.
    let folder = std::env::var("LIBTORCH").unwrap_or_default();
    let library = Path::new(&folder).join("lib/libtorch_cpu.so");
    println!("cargo::rerun-if-changed={}", library.display());
    if !library.exists() {
        println!("cargo::error=libtorch 2.11.0 is missing ({} does not exist): run scripts/setup, then build again", library.display());
    }
}
