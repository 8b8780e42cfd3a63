//! Results that stand in JSON files of their own, beside the runs.

use std::path::Path;

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;

use crate::error::bad_input;
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
            // What it quotes of the file may be of any length.
            Err(reason) => problems.push(bad_input(format!("{}: {reason}", path.display())).0),
        }
    }
    Ok((found, problems))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::dataset_name::DatasetName;

    #[test]
    fn a_long_value_that_is_none_is_not_quoted_in_full() {
        let folder = tempfile::tempdir().unwrap();
        let text = format!("\"imagenet{}\"", "(".repeat(20_000));
        std::fs::write(folder.path().join("a.json"), text).unwrap();
        let (found, problems): (Vec<DatasetName>, _) =
            read_json(folder.path(), "*.json", "a dataset").unwrap();
        assert!(found.is_empty() && problems[0].contains("a.json: not a dataset (unknown"));
        assert!(problems[0].chars().count() < 2010, "{}", problems[0].len());
    }
}
