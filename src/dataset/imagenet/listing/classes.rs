//! The classes of a folder of images, and ImageNet's own list of them if it is there.

use std::path::{Path, PathBuf};

use crate::error::{BadInput, bad_input};
use crate::system::regular_file;

/// Lists of all classes, one a line, with the class's name first: Kaggle's, Caffe's, and the
/// development kit's of later years.
const LISTS: [&str; 3] = ["LOC_synset_mapping.txt", "synset_words.txt", "map_clsloc.txt"];

/// ImageNet's list of classes, sorted, if it is in `root`, in a folder there, or in a development
/// kit's `data` folder there.
pub fn listed(root: &Path) -> Result<Option<(PathBuf, Vec<String>)>, BadInput> {
    let mut folders = vec![root.to_path_buf()];
    for entry in std::fs::read_dir(root).into_iter().flatten().flatten() {
        folders.extend([entry.path(), entry.path().join("data")]);
    }
    folders[1..].sort();
    for file in folders.iter().flat_map(|folder| LISTS.map(|list| folder.join(list))) {
        if !file.exists() {
            continue;
        }
        let text = regular_file::read_to_string(&file)
            .map_err(|error| bad_input(format!("{}: {error}", file.display())))?;
        let mut names: Vec<String> = text
            .lines()
            .filter_map(|line| Some(line.split_whitespace().next()?.to_string()))
            .collect();
        let lines = names.len();
        names.sort();
        names.dedup();
        if names.len() != lines || names.is_empty() {
            return Err(bad_input(format!(
                "{}: not a list of classes, one a line, each once",
                file.display()
            )));
        }
        return Ok(Some((file, names)));
    }
    Ok(None)
}
