//! `model.safetensors`: a length, a JSON header, the tensors' bytes.
//!
//! The format is <https://github.com/huggingface/safetensors#format>. The header is checked twice: each tensor here,
//! against the real length of the file and with a message that names it; then all of them together by the
//! `safetensors` crate, which demands that they cover the data without a hole or an overlap.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use safetensors::tensor::{Metadata, TensorInfo as Entry};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};

use super::dtype::DType;
use super::open::Contents;
use super::source::{Source, describe};
use super::tensor::{Layout, Storage, TensorInfo, row_major};
use crate::Result;

/// The longest header, the same limit as in the reference implementation.
pub(super) const MAX_HEADER: u64 = 100_000_000;

/// The bytes before the header: its length.
const PREFIX: u64 = 8;

/// The key of a header's metadata, next to the names of tensors.
pub(super) const METADATA_KEY: &str = "__metadata__";

/// Reads the header of a safetensors file.
///
/// # Errors
///
/// `Error::Format` for a file whose header is not one, or does not describe exactly this file; `Error::Tensor` for a
/// tensor whose offsets, type and shape contradict each other or the file's length.
pub(super) fn open(source: &Arc<Source>) -> Result<Contents> {
    let (header, data) = read_header(source)?;
    let Header { metadata, entries } = serde_json::from_slice(&header).map_err(|error| {
        source.error(format!("the header is not that of a safetensors file: {error}"))
    })?;
    let (mut tensors, mut foreign) = (Vec::new(), Vec::new());
    for (name, entry) in &entries {
        match locate(source, name, entry, data)? {
            Ok(info) => tensors.push((name.clone(), info)),
            Err(kind) => foreign.push((name.clone(), kind)),
        }
    }
    check_cover(source, entries, data)?;
    Ok(Contents { tensors, foreign, metadata })
}

/// The header's bytes, and the position of the data after it.
fn read_header(source: &Source) -> Result<(Vec<u8>, u64)> {
    let len = source.len();
    if len < PREFIX {
        return Err(source.error(format!(
            "truncated: expected at least the {PREFIX} bytes of a header's length, found {len}"
        )));
    }
    let mut prefix = [0; PREFIX as usize];
    source.read_exact_at(0, &mut prefix)?;
    let header_len = u64::from_le_bytes(prefix);
    let room = len - PREFIX;
    if header_len > MAX_HEADER || header_len > room {
        let head = source.head::<16>()?;
        if header_len <= MAX_HEADER && head.get(PREFIX as usize) == Some(&b'{') {
            return Err(source.error(format!(
                "truncated: expected a header of {header_len} bytes, found {room}"
            )));
        }
        return Err(source.error(format!(
            "expected a safetensors header of at most {} bytes (the file has {len}), found the length {header_len}; \
             the file begins like {}",
            room.min(MAX_HEADER),
            describe(&head),
        )));
    }
    // At most MAX_HEADER, which fits everywhere.
    let mut header = vec![0; header_len as usize];
    source.read_exact_at(PREFIX, &mut header)?;
    Ok((header, PREFIX + header_len))
}

/// Checks one tensor of the header, or returns its kind if it cannot be read.
fn locate(
    source: &Arc<Source>,
    name: &str,
    entry: &Entry,
    data: u64,
) -> Result<Result<TensorInfo, &'static str>> {
    let (start, end) = (entry.data_offsets.0 as u64, entry.data_offsets.1 as u64);
    let room = source.len() - data;
    if start > end || end > room {
        return Err(source.tensor_error(
            name,
            format!("offsets within the {room} bytes of data"),
            format!("{start}..{end}"),
        ));
    }
    let bits = entry
        .shape
        .iter()
        .try_fold(entry.dtype.bitsize(), |product, &size| product.checked_mul(size))
        .map(|bits| bits as u64);
    if bits.is_none_or(|bits| !bits.is_multiple_of(8) || bits / 8 != end - start) {
        return Err(source.tensor_error(
            name,
            format!("the bytes of a {:?} of {}", entry.shape, entry.dtype),
            format!("{} (offsets {start}..{end})", end - start),
        ));
    }
    let layout = Layout {
        dtype: DType::from_safetensors(entry.dtype),
        shape: entry.shape.clone(),
        strides: row_major(&entry.shape),
        offset: 0,
    };
    match TensorInfo::unreadable(source, &layout) {
        Some(kind) => Ok(Err(kind)),
        None => {
            let storage = Storage { start: data + start, len: end - start };
            TensorInfo::new(source, name, storage, layout).map(Ok)
        }
    }
}

/// Checks that the tensors cover the data once, and all of it.
fn check_cover(source: &Source, mut entries: Vec<(String, Entry)>, data: u64) -> Result<()> {
    entries.sort_by_key(|(_, entry)| entry.data_offsets);
    let covered = Metadata::new(None, entries).map_err(|error| {
        source.error(format!("the tensors overlap or leave a hole between them: {error}"))
    })?;
    let (expected, found) = (source.len() - data, covered.data_len() as u64);
    if expected != found {
        return Err(source.error(format!(
            "expected tensors that cover the {expected} bytes of data, found {found} bytes of tensors: the file is \
             truncated or has something after them"
        )));
    }
    Ok(())
}

/// A header in the order of the file.
///
/// The crate's own type reads it into a map, in which the second of two tensors of one name hides the first.
#[derive(Debug, Default)]
struct Header {
    metadata: BTreeMap<String, String>,
    entries: Vec<(String, Entry)>,
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HeaderVisitor)
    }
}

struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = Header;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map from the names of tensors to their type, shape and offsets")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
        let mut header = Header::default();
        let mut seen = HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            let in_tensor = |error| A::Error::custom(format!("`{name}`: {error}"));
            if !seen.insert(name.clone()) {
                return Err(A::Error::custom(format!("`{name}` occurs twice")));
            }
            if name == METADATA_KEY {
                let metadata: Option<HashMap<String, String>> =
                    map.next_value().map_err(in_tensor)?;
                header.metadata.extend(metadata.into_iter().flatten());
            } else {
                let entry = map.next_value().map_err(in_tensor)?;
                header.entries.push((name, entry));
            }
        }
        Ok(header)
    }
}
