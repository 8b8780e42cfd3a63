//! State dicts in PyTorch's file format (`torch.save`, since 1.6): a ZIP archive with a pickle and
//! the bytes of each tensor. `torch.load(…, weights_only=True)` reads it: the pickle names nothing
//! but tensors in a dictionary.

use anyhow::{Context, Result};

use crate::system::zip;

/// A float32 tensor: its name, its shape and its bytes, little-endian, the last index running
/// fastest.
pub struct StateTensor {
    /// Its key in the state dict.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its values.
    pub bytes: Vec<u8>,
}

/// The bytes of a `.pth` file with these tensors, in order.
pub fn state_dict(tensors: Vec<StateTensor>) -> Result<Vec<u8>> {
    let mut entries = vec![
        ("archive/data.pkl".to_string(), pickle(&tensors)?),
        ("archive/byteorder".to_string(), b"little".to_vec()),
    ];
    let data = tensors.into_iter().enumerate();
    entries.extend(data.map(|(index, tensor)| (format!("archive/data/{index}"), tensor.bytes)));
    entries.push(("archive/version".to_string(), b"3\n".to_vec()));
    zip::stored(&entries)
}

/// The dictionary, as protocol 2 of pickle writes it. The opcodes are those of Python's
/// `pickletools`; a tensor is `torch._utils._rebuild_tensor_v2(storage, offset, size, stride,
/// requires_grad, hooks)`, and its storage a persistent id that names an entry of the archive.
fn pickle(tensors: &[StateTensor]) -> Result<Vec<u8>> {
    const DICT: &[u8] = b"ccollections\nOrderedDict\n)R";
    let mut out = b"\x80\x02".to_vec();
    out.extend(DICT);
    out.push(b'(');
    for (index, tensor) in tensors.iter().enumerate() {
        text(&mut out, &tensor.name);
        out.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text(&mut out, "storage");
        out.extend(b"ctorch\nFloatStorage\n");
        text(&mut out, &index.to_string());
        text(&mut out, "cpu");
        whole(&mut out, tensor.shape.iter().product())?;
        out.extend(b"tQ");
        whole(&mut out, 0)?;
        tuple(&mut out, &tensor.shape)?;
        tuple(&mut out, &strides(&tensor.shape))?;
        // requires_grad is false.
        out.push(0x89);
        out.extend(DICT);
        out.extend(b"tR");
    }
    out.extend(b"u.");
    Ok(out)
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.push(b'X');
    out.extend((text.len() as u32).to_le_bytes());
    out.extend(text.as_bytes());
}

fn whole(out: &mut Vec<u8>, value: usize) -> Result<()> {
    out.push(b'J');
    out.extend(i32::try_from(value).context("a tensor is too large")?.to_le_bytes());
    Ok(())
}

fn tuple(out: &mut Vec<u8>, values: &[usize]) -> Result<()> {
    out.push(b'(');
    values.iter().try_for_each(|&value| whole(out, value))?;
    out.push(b't');
    Ok(())
}

/// How far apart neighbours along each dimension are.
fn strides(shape: &[usize]) -> Vec<usize> {
    (0..shape.len()).map(|dimension| shape[dimension + 1..].iter().product()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strides_are_those_of_contiguous_tensors() {
        assert_eq!(strides(&[2, 3, 4]), [12, 4, 1]);
        assert_eq!(strides(&[5]), [1]);
    }
}
