//! Where what can be made again is kept from one start to the next.

use std::path::PathBuf;

/// Folder of what can be made again: `RESNET_REPRO_CACHE`, else `resnet-repro` in the user's cache
/// folder. None where there is no such folder.
pub fn folder() -> Option<PathBuf> {
    let of =
        |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let user = || of("XDG_CACHE_HOME").or_else(|| of("HOME").map(|home| home.join(".cache")));
    of("RESNET_REPRO_CACHE").or_else(|| user().map(|user| user.join("resnet-repro")))
}
