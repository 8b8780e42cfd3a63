//! Weight files: safetensors with torchvision's names.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use tch::{Kind, Tensor};

use crate::config::recipe::Normalize;
use crate::error::bad_input;
use crate::network::architecture::table::Architecture;
use crate::network::parameters::Network;
use crate::system::atomic_file;
use crate::system::hash;
use crate::system::regular_file;

/// PyTorch counts batches in each batch normalisation; nothing here needs the count, so a file may
/// have it.
const IGNORED_SUFFIX: &str = ".num_batches_tracked";

/// The metadata entry that says how pixels are normalised for these weights.
const NORMALIZE: &str = "normalize";

/// The metadata entry that says which network the weights are of.
const NETWORK: &str = "network";

/// A weight file in memory.
pub struct WeightFile {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl WeightFile {
    /// Reads a file as a whole.
    pub fn read(path: &Path) -> Result<WeightFile> {
        Ok(WeightFile { path: path.to_path_buf(), bytes: read(path)? })
    }

    /// Its SHA-256.
    pub fn sha256(&self) -> String {
        hash::sha256(&self.bytes)
    }

    /// The network that it says it is of; files of other programs do not say it.
    pub fn network(&self) -> Option<String> {
        let (_, header) = SafeTensors::read_metadata(&self.bytes).ok()?;
        header.metadata().as_ref()?.get(NETWORK).cloned()
    }

    /// How pixels were normalised for these weights; files of other programs do not say it.
    pub fn normalization(&self) -> Result<Option<Normalize>> {
        let (_, header) = SafeTensors::read_metadata(&self.bytes)
            .map_err(|error| not_safetensors(&self.path, error))?;
        let Some(value) = header.metadata().as_ref().and_then(|entries| entries.get(NORMALIZE))
        else {
            return Ok(None);
        };
        let known = <Normalize as clap::ValueEnum>::from_str(value, false);
        known.map(Some).map_err(|_| {
            let problem = format!("metadata {NORMALIZE} = \"{value}\"");
            let path = self.path.display();
            bad_input(format!("{path}: {problem} is unknown to this version")).into()
        })
    }

    /// Its tensors, but for those that nothing here needs.
    pub fn tensors(&self) -> Result<BTreeMap<String, TensorView<'_>>> {
        let file = SafeTensors::deserialize(&self.bytes)
            .map_err(|error| not_safetensors(&self.path, error))?;
        let all = file.tensors().into_iter();
        Ok(all.filter(|(name, _)| !name.ends_with(IGNORED_SUFFIX)).collect())
    }

    /// How many classes the last layer of `architecture` has in this file, if it has that layer.
    pub fn classes(&self, architecture: &Architecture) -> Result<Option<i64>> {
        let weight = format!("{}.weight", architecture.classifier().name);
        let tensors = self.tensors()?;
        let first = tensors.get(&weight).and_then(|tensor| tensor.shape().first().copied());
        Ok(first.map(|classes| classes as i64))
    }
}

impl Network {
    /// Overwrites every parameter and running statistic from `path`.
    ///
    /// The file must hold exactly this network's tensors, in float32 and finite; the error names
    /// the first that is missing, extra, misshapen, or holds NaN or infinity.
    pub fn load_weights(&mut self, path: &Path) -> Result<()> {
        self.load(&WeightFile::read(path)?, false)
    }

    /// The same from a file in memory. With `reset_classifier` the layers that tell the classes
    /// apart stay as they are, and what the file has of them is not looked at.
    pub fn load(&mut self, file: &WeightFile, reset_classifier: bool) -> Result<()> {
        let path = &file.path;
        let mut found = file.tensors()?;
        let name = self.architecture().name;
        let reset = if reset_classifier { self.architecture().classifiers() } else { Vec::new() };
        let is_reset = |tensor: &str| {
            reset.iter().any(|layer| {
                ["weight", "bias"].iter().any(|kind| *tensor == format!("{layer}.{kind}"))
            })
        };
        found.retain(|tensor, _| !is_reset(tensor));
        let mut copies = Vec::new();
        for (tensor_name, view) in self.named_views() {
            if is_reset(&tensor_name) {
                continue;
            }
            let given = found.remove(&tensor_name).ok_or_else(|| {
                bad_input(format!(
                    "{}: tensor \"{tensor_name}\" of {name} is missing",
                    path.display()
                ))
            })?;
            let values = values(&given, &view.size()).map_err(|problem| {
                bad_input(format!("{}: tensor \"{tensor_name}\" {problem}", path.display()))
            })?;
            copies.push((view, values));
        }
        if let Some(extra) = found.keys().next() {
            return Err(bad_input(format!(
                "{}: tensor \"{extra}\" does not belong to {name}",
                path.display()
            ))
            .into());
        }
        // Nothing is written before everything is checked.
        for (mut view, values) in copies {
            view.copy_(&values);
        }
        Ok(())
    }

    /// Writes every parameter and running statistic to `path`, replacing it as a whole, with a note
    /// of the network's name and of how pixels are normalised for it.
    pub fn save_weights(&self, path: &Path, normalize: Normalize) -> Result<()> {
        let name = self.architecture().name.to_string();
        let bytes = tensor_bytes(&self.named_tensors(), (NETWORK, name))
            .and_then(|bytes| with_entry(&bytes, NORMALIZE, &normalize.to_string()))
            .with_context(|| format!("{}: cannot be written as safetensors", path.display()))?;
        atomic_file::write_atomically(path, &bytes)
    }
}

/// How pixels are normalised for the weights in `path`, if the file says so.
pub fn normalization_of(path: &Path) -> Result<Option<Normalize>> {
    WeightFile::read(path)?.normalization()
}

fn read(path: &Path) -> Result<Vec<u8>> {
    Ok(regular_file::read(path)
        .map_err(|error| bad_input(format!("{}: {error}", path.display())))?)
}

fn not_safetensors(path: &Path, error: safetensors::SafeTensorError) -> anyhow::Error {
    bad_input(format!(
        "{}: not a safetensors file ({error}); scripts/to_safetensors.py converts PyTorch checkpoints",
        path.display()
    ))
    .into()
}

/// A tensor's values, if they are finite, in float32, and of the shape that is wanted; else what is
/// wrong with it.
fn values(given: &TensorView, wanted: &[i64]) -> Result<Tensor, String> {
    let shape: Vec<i64> = given.shape().iter().map(|&side| side as i64).collect();
    if shape != wanted {
        return Err(format!("has shape {shape:?}, the network needs {wanted:?}"));
    }
    if given.dtype() != Dtype::F32 {
        return Err(format!("is {:?}, only F32 is read", given.dtype()));
    }
    let values = Tensor::from_data_size(given.data(), &shape, Kind::Float);
    let (finite, all) =
        (values.isfinite().sum(Kind::Int64).int64_value(&[]), values.numel() as i64);
    match finite < all {
        true => Err(format!(
            "holds NaN or infinity in {} of {all} values: the file is damaged, or the training diverged",
            all - finite
        )),
        false => Ok(values),
    }
}

/// A safetensors file with one more metadata entry, before those that it has: the crate takes them
/// as a map without an order, and the same weights must make the same bytes.
///
/// The format: <https://huggingface.co/docs/safetensors#format>
fn with_entry(file: &[u8], key: &str, value: &str) -> Result<Vec<u8>> {
    const METADATA: &str = "\"__metadata__\":{";
    let (length, rest) = file.split_first_chunk::<8>().context("no header")?;
    let length = u64::from_le_bytes(*length) as usize;
    let (header, data) = rest.split_at_checked(length).context("a header without its end")?;
    let header = std::str::from_utf8(header)?.trim_end();
    let entry = format!("{METADATA}{}:{},", serde_json::json!(key), serde_json::json!(value));
    let mut header = header.replacen(METADATA, &entry, 1);
    // The data begins at a multiple of eight.
    header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
    Ok([&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat())
}

/// Writes contiguous float32 CPU tensors as a safetensors file, which is complete or not there at
/// all.
pub fn write_tensors(
    path: &Path,
    tensors: &[(String, Tensor)],
    note: (&str, String),
) -> Result<()> {
    let bytes = tensor_bytes(tensors, note)
        .with_context(|| format!("{}: cannot be written as safetensors", path.display()))?;
    atomic_file::write_atomically(path, &bytes)
}

/// Contiguous float32 CPU tensors as the bytes of a safetensors file. The same tensors and note
/// make the same bytes: that is why there is one note, and not a map of them, whose order would be
/// random.
pub fn tensor_bytes(tensors: &[(String, Tensor)], note: (&str, String)) -> Result<Vec<u8>> {
    let data: Vec<Vec<u8>> = tensors
        .iter()
        .map(|(_, tensor)| {
            let mut bytes = vec![0; tensor.numel() * 4];
            tensor.copy_data_u8(&mut bytes, tensor.numel());
            bytes
        })
        .collect();
    let views = tensors.iter().zip(&data).map(|((name, tensor), bytes)| {
        let shape = tensor.size().iter().map(|&side| side as usize).collect();
        let view = TensorView::new(Dtype::F32, shape, bytes)
            .expect("the bytes are as many as the shape says");
        (name.clone(), view)
    });
    Ok(safetensors::serialize(views, Some(HashMap::from([(note.0.to_string(), note.1)])))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_more_leaves_the_tensors_as_they_are() {
        let tensors = [("a".to_string(), Tensor::from_slice(&[1.0f32, 2.0]))];
        let bytes = tensor_bytes(&tensors, ("network", "plain-20".to_string())).unwrap();
        let longer = with_entry(&bytes, "normalize", "pixel-mean").unwrap();
        let (header_bytes, metadata) = SafeTensors::read_metadata(&longer).unwrap();
        let entries = metadata.metadata().clone().unwrap();
        assert_eq!(
            (entries["network"].as_str(), entries["normalize"].as_str()),
            ("plain-20", "pixel-mean")
        );
        assert_eq!((header_bytes % 8, entries.len()), (0, 2));
        let file = SafeTensors::deserialize(&longer).unwrap();
        assert_eq!(file.tensor("a").unwrap().data(), [1.0f32, 2.0].map(f32::to_le_bytes).concat());
        assert_eq!(with_entry(&bytes, "normalize", "pixel-mean").unwrap(), longer);
    }
}
