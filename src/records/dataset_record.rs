//! What `run.toml`, and the record of an analysis, say of the data.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use crate::config::dataset_name::DatasetName;
use crate::console::escape::one_line;
use crate::dataset::data::{DataStatus, Dataset};

/// The data a run was trained on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatasetRecord {
    /// Which dataset.
    pub name: DatasetName,
    /// What own images are called, in one line.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "title")]
    pub title: Option<String>,
    /// Official, subset or other.
    pub status: DataStatus,
    /// SHA-256 of all labels and pixels.
    pub fingerprint: String,
    /// Training images, before a validation set is taken from them.
    pub training_images: usize,
    /// Test images.
    pub test_images: usize,
    /// Classes. Records of earlier versions are all of datasets with ten.
    #[serde(default = "ten")]
    pub classes: usize,
    /// Names of the classes of own images, in label order, each in one line.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "names")]
    pub class_names: Vec<String>,
    /// Share of own images that was held out as test images, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_percent: Option<f64>,
}

impl DatasetRecord {
    /// As a title has it: own images under their own name.
    pub fn title(&self) -> &str {
        self.title.as_deref().unwrap_or(self.name.title())
    }
}

fn ten() -> usize {
    10
}

/// A title, which goes into files that a line break in it would split.
fn title<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let title = Option::<String>::deserialize(from)?;
    title.map(in_one_line).transpose().map_err(D::Error::custom)
}

fn names<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let names = Vec::<String>::deserialize(from)?;
    names.into_iter().map(in_one_line).collect::<Result<_, _>>().map_err(D::Error::custom)
}

fn in_one_line(text: String) -> Result<String, String> {
    match one_line(&text) == text {
        true => Ok(text),
        false => Err("a control character in the name of data or of a class".to_string()),
    }
}

impl From<&Dataset> for DatasetRecord {
    fn from(data: &Dataset) -> DatasetRecord {
        let own = data.own.as_ref();
        DatasetRecord {
            name: data.name,
            title: own.map(|own| own.title.clone()),
            status: data.status,
            fingerprint: data.fingerprint.clone(),
            training_images: data.train.len(),
            test_images: data.test.len(),
            classes: data.classes.len(),
            class_names: own.map(|_| shown(&data.classes)).unwrap_or_default(),
            test_percent: own.and_then(|own| own.split.held_out_percent()),
        }
    }
}

fn shown(names: &[String]) -> Vec<String> {
    names.iter().map(|name| one_line(name).into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<DatasetRecord, String> {
        let rest = "name = \"folder\"\nstatus = \"other\"\nfingerprint = \"f\"\ntraining_images = 3\ntest_images = 1\n";
        toml::from_str(&format!("{rest}{line}\n")).map_err(|error| error.message().to_string())
    }

    #[test]
    fn names_that_would_split_a_line_are_written_escaped_and_not_read() {
        assert_eq!(shown(&["a\nb".to_string(), "ä c".to_string()]), ["a\\nb", "ä c"]);
        assert_eq!(read("").unwrap().title(), "own images");
        let record = read("title = \"My pets\"\nclass_names = [\"cat\"]").unwrap();
        assert_eq!(record.title(), "My pets");
        assert_eq!(record.class_names, ["cat"]);
        for line in ["title = \"a\\nb\"", "class_names = [\"cat\", \"a\\u001bb\"]"] {
            let message = read(line).unwrap_err();
            assert!(message.contains("control character") && !message.contains('\n'), "{message}");
        }
    }
}
