//! Saving: tensors → a safetensors file.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use half::{bf16, f16};
use ndarray::{ArrayViewD, aview1};
use safetensors::tensor::{Dtype, TensorInfo};

use super::dtype::DType;
use super::quantized::Stored;
use super::safetensors::{MAX_HEADER, METADATA_KEY};
use crate::files::{Staged, stage};
use crate::{Error, Result};

/// The header's length is a multiple of this, so that the data after it is aligned.
const ALIGNMENT: usize = 8;

/// Writes tensors to a safetensors file, atomically (see [`write_atomically`](super::write_atomically)), in the order of their names.
///
/// Each is written in row-major order through a buffer of fixed size, without a copy of the whole tensor.
/// The metadata has `format` = `pt`, which transformers requires.
///
/// # Errors
///
/// `Error::Tensor` if two have the same name, or one that the format reserves; otherwise those of
/// [`write_atomically`](super::write_atomically).
pub fn write_safetensors<'a, N: Into<String>>(
    path: impl AsRef<Path>,
    tensors: impl IntoIterator<Item = (N, ArrayViewD<'a, f32>)>,
) -> Result<()> {
    stage_safetensors(path.as_ref(), DType::F32, tensors)?.commit()
}

/// As [`write_safetensors`], with elements of another type: [`DType::F32`], [`DType::F16`] or [`DType::BF16`]. Values are rounded to
/// the nearest one that the type has.
///
/// # Errors
///
/// Those of [`write_safetensors`]; `Error::Tensor` for a finite value that is too large for the type, and for other types.
pub fn write_safetensors_as<'a, N: Into<String>>(
    path: impl AsRef<Path>,
    dtype: DType,
    tensors: impl IntoIterator<Item = (N, ArrayViewD<'a, f32>)>,
) -> Result<()> {
    stage_safetensors(path.as_ref(), dtype, tensors)?.commit()
}

/// The encoding of an element.
#[derive(Clone, Copy)]
enum Element {
    F32,
    F16,
    BF16,
}

impl Element {
    fn of(path: &Path, dtype: DType) -> Result<Self> {
        match dtype {
            DType::F32 => Ok(Self::F32),
            DType::F16 => Ok(Self::F16),
            DType::BF16 => Ok(Self::BF16),
            other => {
                let found = other.to_string();
                Err(Error::tensor(path, "(all)", "elements of type f32, f16 or bf16", found))
            }
        }
    }

    fn dtype(self) -> (Dtype, usize) {
        match self {
            Self::F32 => (Dtype::F32, 4),
            Self::F16 => (Dtype::F16, 2),
            Self::BF16 => (Dtype::BF16, 2),
        }
    }

    /// The first value that is finite, and would not be in this type.
    fn too_large(self, view: &ArrayViewD<'_, f32>) -> Option<f32> {
        let overflows = |value: f32| match self {
            Self::F32 => false,
            Self::F16 => f16::from_f32(value).is_infinite(),
            Self::BF16 => bf16::from_f32(value).is_infinite(),
        };
        view.iter().copied().find(|&value| value.is_finite() && overflows(value))
    }

    /// Appends a value, little-endian.
    fn push(self, value: f32, bytes: &mut Vec<u8>) {
        match self {
            Self::F32 => bytes.extend(value.to_le_bytes()),
            Self::F16 => bytes.extend(f16::from_f32(value).to_le_bytes()),
            Self::BF16 => bytes.extend(bf16::from_f32(value).to_le_bytes()),
        }
    }
}

/// As [`write_safetensors_as`], without putting the file in its place yet.
pub(super) fn stage_safetensors<'a, N: Into<String>>(
    path: &Path,
    dtype: DType,
    tensors: impl IntoIterator<Item = (N, ArrayViewD<'a, f32>)>,
) -> Result<Staged> {
    let element = Element::of(path, dtype)?;
    let mut by_name = BTreeMap::new();
    for (name, view) in tensors {
        let name = name.into();
        if name == METADATA_KEY {
            return Err(Error::tensor(path, name, "a tensor's name", "a reserved one"));
        }
        if by_name.contains_key(&name) {
            return Err(Error::tensor(path, name, "one tensor of this name", "two"));
        }
        if let Some(value) = element.too_large(&view) {
            let expected = format!("values that {dtype} can hold");
            return Err(Error::tensor(path, name, expected, value.to_string()));
        }
        by_name.insert(name, view);
    }
    let (dtype, size) = element.dtype();
    let entries = by_name.iter().map(|(name, view)| Entry {
        name,
        dtype,
        shape: view.shape(),
        bytes: view.len().checked_mul(size),
    });
    let header = header(path, entries)?;
    stage(path, |file| {
        write_header(file, &header)?;
        by_name.values().try_for_each(|view| write_values(file, element, view))
    })
}

/// Writes the tensors of a model in int8, without putting the file in its place yet.
pub(super) fn stage_stored(path: &Path, tensors: Vec<(String, Stored<'_>)>) -> Result<Staged> {
    let mut tensors = tensors;
    // Bytes come last, so that what has four of them to a value is aligned.
    tensors.sort_by_cached_key(|(name, tensor)| {
        (matches!(tensor, Stored::Bytes { .. }), name.clone())
    });
    let entries = tensors.iter().map(|(name, tensor)| {
        let (dtype, shape) = match tensor {
            Stored::Floats(view) => (Dtype::F32, view.shape()),
            Stored::Values { shape, .. } => (Dtype::F32, &shape[..]),
            Stored::Bytes { shape, .. } => (Dtype::I8, &shape[..]),
        };
        let size = if dtype == Dtype::I8 { 1 } else { size_of::<f32>() };
        let bytes = shape.iter().try_fold(size, |bytes, &count| bytes.checked_mul(count));
        Entry { name, dtype, shape, bytes }
    });
    let header = header(path, entries)?;
    stage(path, |file| {
        write_header(file, &header)?;
        tensors.iter().try_for_each(|(_, tensor)| match tensor {
            Stored::Floats(view) => write_values(file, Element::F32, view),
            Stored::Values { values, .. } => {
                write_values(file, Element::F32, &aview1(values).into_dyn())
            }
            Stored::Bytes { bytes, .. } => file.write_all(bytes),
        })
    })
}

/// A tensor of a file's header. Its bytes are `None` where their number overflows.
struct Entry<'a> {
    name: &'a str,
    dtype: Dtype,
    shape: &'a [usize],
    bytes: Option<usize>,
}

fn write_header(file: &mut dyn Write, header: &[u8]) -> io::Result<()> {
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(header)
}

/// The header, padded with spaces.
fn header<'a>(path: &Path, tensors: impl Iterator<Item = Entry<'a>>) -> Result<Vec<u8>> {
    let mut json = serde_json::Map::new();
    json.insert(METADATA_KEY.to_owned(), serde_json::json!({ "format": "pt" }));
    let mut start = 0_usize;
    for Entry { name, dtype, shape, bytes } in tensors {
        // An array in memory has at most `isize::MAX` bytes, but views may share theirs.
        let end = bytes.and_then(|bytes| bytes.checked_add(start));
        let end =
            end.ok_or_else(|| Error::format(path, "the tensors are too large for one file"))?;
        let entry = TensorInfo { dtype, shape: shape.to_vec(), data_offsets: (start, end) };
        json.insert(name.to_owned(), to_json(path, &entry)?);
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
fn write_values(
    file: &mut dyn Write,
    element: Element,
    view: &ArrayViewD<'_, f32>,
) -> io::Result<()> {
    /// How many values are converted before they are handed on.
    const PIECE: usize = 1024;
    let mut bytes = Vec::with_capacity(PIECE * size_of::<f32>());
    let mut write = |piece: &mut dyn Iterator<Item = f32>| {
        bytes.clear();
        piece.for_each(|value| element.push(value, &mut bytes));
        file.write_all(&bytes)
    };
    if let Some(values) = view.as_slice() {
        return values.chunks(PIECE).try_for_each(|piece| write(&mut piece.iter().copied()));
    }
    let mut values = view.iter().copied().peekable();
    while values.peek().is_some() {
        write(&mut values.by_ref().take(PIECE))?;
    }
    Ok(())
}
