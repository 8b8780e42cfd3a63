//! Measurements that `bench --json` wrote, where they stand among the results.

use std::path::Path;

use anyhow::Result;

use crate::records::json::read_json;
use crate::records::measurements::Measurements;

/// Files with measurements, below the folder of results.
pub const FILES: &str = "**/bench*.json";

/// Reads every file of measurements below `results`, in the order of their names; also why some
/// could not be read.
pub fn read(results: &Path) -> Result<(Vec<Measurements>, Vec<String>)> {
    read_json(results, FILES, "what \"bench --json\" writes")
}
