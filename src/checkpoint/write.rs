//! Saving: tensors → a safetensors file.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use ndarray::ArrayViewD;
use safetensors::tensor::{Dtype, TensorInfo};

use super::safetensors::{MAX_HEADER, METADATA_KEY};
use crate::files::{Staged, stage};
use crate::{Error, Result};

/// The header's length is a multiple of this, so that the data after it is aligned.
const ALIGNMENT: usize = 8;

/// Writes tensors to a safetensors file, atomically (see [`write_atomically`](super::write_atomically)), in the order of their names.
///
/// Each is written from where it is, in row-major order, through a buffer of fixed size: nothing is copied as a whole.
/// The file says of itself `format` = `pt`, which transformers requires.
///
/// # Errors
///
/// `Error::Tensor` if two have the same name, or one that the format reserves; otherwise those of
/// [`write_atomically`](super::write_atomically).
pub fn write_safetensors<'a, N: Into<String>>(
    path: impl AsRef<Path>,
    tensors: impl IntoIterator<Item = (N, ArrayViewD<'a, f32>)>,
) -> Result<()> {
    stage_safetensors(path.as_ref(), tensors)?.commit()
}

/// As [`write_safetensors`], without putting the file in its place yet.
pub(super) fn stage_safetensors<'a, N: Into<String>>(
    path: &Path,
    tensors: impl IntoIterator<Item = (N, ArrayViewD<'a, f32>)>,
) -> Result<Staged> {
    let mut by_name = BTreeMap::new();
    for (name, view) in tensors {
        let name = name.into();
        if name == METADATA_KEY {
            return Err(Error::tensor(path, name, "a tensor's name", "a reserved one"));
        }
        if by_name.contains_key(&name) {
            return Err(Error::tensor(path, name, "one tensor of this name", "two"));
        }
        by_name.insert(name, view);
    }
    let header = header(path, &by_name)?;
    stage(path, |file| {
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(&header)?;
        by_name.values().try_for_each(|view| write_values(file, view))
    })
}

/// The header, padded with spaces.
fn header(path: &Path, tensors: &BTreeMap<String, ArrayViewD<'_, f32>>) -> Result<Vec<u8>> {
    let mut json = serde_json::Map::new();
    json.insert(METADATA_KEY.to_owned(), serde_json::json!({ "format": "pt" }));
    let mut start = 0;
    for (name, view) in tensors {
        // An array in memory has at most `isize::MAX` bytes, but views may share theirs.
        let too_large = || Error::format(path, "the tensors are too large for one file");
        let bytes = view.len().checked_mul(size_of::<f32>()).ok_or_else(too_large)?;
        let end = bytes.checked_add(start).ok_or_else(too_large)?;
        let entry = TensorInfo {
            dtype: Dtype::F32,
            shape: view.shape().to_vec(),
            data_offsets: (start, end),
        };
        json.insert(name.clone(), to_json(path, &entry)?);
        start = end;
    }
    let mut header = serde_json::to_vec(&json).map_err(|error| not_json(path, &error))?;
    header.resize(header.len().next_multiple_of(ALIGNMENT), b' ');
    if header.len() as u64 > MAX_HEADER {
        return Err(Error::format(
            path,
            format!("expected a header of at most {MAX_HEADER} bytes, found {}", header.len()),
        ));
    }
    Ok(header)
}

fn to_json(path: &Path, entry: &TensorInfo) -> Result<serde_json::Value> {
    serde_json::to_value(entry).map_err(|error| not_json(path, &error))
}

fn not_json(path: &Path, error: &serde_json::Error) -> Error {
    Error::format(path, format!("the header cannot be written: {error}"))
}

/// Writes the values in row-major order, little-endian.
fn write_values(file: &mut dyn Write, view: &ArrayViewD<'_, f32>) -> io::Result<()> {
    let mut buffer = [0u8; 4096];
    if let Some(values) = view.as_slice() {
        for piece in values.chunks(buffer.len() / size_of::<f32>()) {
            let mut used = 0;
            for (bytes, value) in buffer.as_chunks_mut().0.iter_mut().zip(piece) {
                *bytes = value.to_le_bytes();
                used += bytes.len();
            }
            file.write_all(buffer.get(..used).unwrap_or_default())?;
        }
        return Ok(());
    }
    view.iter().try_for_each(|value| file.write_all(&value.to_le_bytes()))
}
