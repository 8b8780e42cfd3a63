//! Nothing: the check is in the build script.
