//! Results that stand in JSON files of their own, beside the runs.

use std::path::Path;

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;

use crate::system::regular_file;

/// Reads every file below `results` whose path fits `files` (such as `**/bench*.json`), in the
/// order of their names; also why some could not be read: one that has another form is "not
/// `what`".
pub fn read_json<T: DeserializeOwned>(
    results: &Path,
    files: &str,
    what: &str,
) -> Result<(Vec<T>, Vec<String>)> {
    let folder = results.to_str().context("the name of the results folder is not UTF-8")?;
    let pattern = format!("{}/{files}", glob::Pattern::escape(folder));
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    for path in glob::glob(&pattern)?.filter_map(Result::ok).filter(|path| !path.is_dir()) {
        let read = regular_file::read_to_string(&path).map_err(|error| error.to_string());
        match read.and_then(|text| {
            serde_json::from_str(&text).map_err(|error| format!("not {what} ({error})"))
        }) {
            Ok(content) => found.push(content),
            Err(reason) => problems.push(format!("{}: {reason}", path.display())),
        }
    }
    Ok((found, problems))
}
