//! Weight files: safetensors with torchvision's names.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use anyhow::{Context, Result};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use tch::{Kind, Tensor};

use crate::error::bad_input;
use crate::network::parameters::Network;
use crate::system::atomic_file;
use crate::system::regular_file;

/// PyTorch counts batches in each batch normalisation; nothing here needs the count, so a file may
/// have it.
const IGNORED_SUFFIX: &str = ".num_batches_tracked";

impl Network {
    /// Overwrites every parameter and running statistic from `path`.
    ///
    /// The file must hold exactly this network's tensors, in float32 and finite; the error names
    /// the first that is missing, extra, misshapen, or holds NaN or infinity.
    pub fn load_weights(&mut self, path: &Path) -> Result<()> {
        let bytes = regular_file::read(path)
            .map_err(|error| bad_input(format!("{}: {error}", path.display())))?;
        let file = SafeTensors::deserialize(&bytes).map_err(|error| {
            bad_input(format!("{}: not a safetensors file ({error}); scripts/to_safetensors.py converts PyTorch checkpoints", path.display()))
        })?;
        let mut found: BTreeMap<String, TensorView> = file
            .tensors()
            .into_iter()
            .filter(|(name, _)| !name.ends_with(IGNORED_SUFFIX))
            .collect();
        let name = self.architecture().name;
        let mut copies = Vec::new();
        for (tensor_name, view) in self.named_views() {
            let given = found.remove(&tensor_name).ok_or_else(|| {
                bad_input(format!(
                    "{}: tensor \"{tensor_name}\" of {name} is missing",
                    path.display()
                ))
            })?;
            let shape: Vec<i64> = given.shape().iter().map(|&side| side as i64).collect();
            if shape != view.size() {
                return Err(bad_input(format!(
                    "{}: tensor \"{tensor_name}\" has shape {shape:?}, {name} needs {:?}",
                    path.display(),
                    view.size()
                ))
                .into());
            }
            if given.dtype() != Dtype::F32 {
                return Err(bad_input(format!(
                    "{}: tensor \"{tensor_name}\" is {:?}, only F32 is read",
                    path.display(),
                    given.dtype()
                ))
                .into());
            }
            let values = Tensor::from_data_size(given.data(), &shape, Kind::Float);
            let finite = values.isfinite().sum(Kind::Int64).int64_value(&[]);
            if finite < values.numel() as i64 {
                return Err(bad_input(format!(
                    "{}: tensor \"{tensor_name}\" holds NaN or infinity in {} of {} values: the file is damaged, or the training diverged",
                    path.display(),
                    values.numel() as i64 - finite,
                    values.numel()
                ))
                .into());
            }
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

    /// Writes every parameter and running statistic to `path`, replacing it as a whole.
    pub fn save_weights(&self, path: &Path) -> Result<()> {
        write_tensors(
            path,
            &self.named_tensors(),
            ("network", self.architecture().name.to_string()),
        )
    }
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
