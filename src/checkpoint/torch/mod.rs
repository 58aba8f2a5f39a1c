//! `pytorch_model.bin`: what `torch.save` writes, in both of its formats.
//!
//! Both are a pickle that describes the tensors and refers to storages, which follow outside of it:
//!
//! - since torch 1.6 a zip archive (`archive.rs`), a storage being an uncompressed entry of it;
//! - before, and today with `_use_new_zipfile_serialization=False`, a row of pickles (`legacy.rs`), the storages behind
//!   them. The Chinese models (`voidful/albert_chinese_small` and others) are such files.
//!
//! The pickles are read by a machine (`machine.rs`) that builds values in an arena and can call nothing: the few names
//! of `globals.rs` stand for themselves, and "calling" one makes the description of a tensor. `state_dict.rs` finds
//! the named tensors in the result, and here they are tied to bytes.

mod archive;
mod bystanders;
mod globals;
mod input;
mod legacy;
mod machine;
mod state_dict;
mod value;
mod zip;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;

use super::open::Contents;
use super::source::{Source, describe};
use super::tensor::{Layout, MANY_DIMS, MAX_DIMS, Storage, TensorInfo};
use crate::{Error, Result};
use state_dict::Named;
use value::{Object, RawTensor, StorageRef};

/// The length of a tar archive's first block, and where it says that it is one.
const TAR_BLOCK: usize = 512;
const TAR_MAGIC: usize = 257;

/// Reads the description of the tensors in a file of `torch.save`'s.
///
/// # Errors
///
/// `Error::Format` for a file of another format, and for one that is damaged or asks for more than tensors;
/// `Error::Tensor` for a tensor that does not lie in its storage, or a storage that does not lie in the file.
pub(super) fn open(source: &Arc<Source>) -> Result<Contents> {
    let head = source.head::<TAR_BLOCK>()?;
    let described = if head.starts_with(zip::LOCAL_HEADER) {
        archive::read(source)
    } else if matches!(head[..], [legacy::PICKLE, 1..=5, ..]) {
        legacy::read(source)
    } else if head.get(TAR_MAGIC..).is_some_and(|rest| rest.starts_with(b"ustar")) {
        Err(Fault::Reason(
            "a tar archive, the format of torch before 0.1.10, which is not supported: if you trust the file, load it \
             with torch (`weights_only=False`) and save its state_dict again"
                .into(),
        ))
    } else {
        Err(Fault::Reason(format!(
            "expected a file of torch.save's (a zip archive or an old pickle), found {}",
            describe(&head)
        )))
    };
    let (object, storages) = described.map_err(|fault| fault.at(source))?;
    let Named { tensors: named, mut foreign } =
        state_dict::tensors(&object).map_err(|reason| source.error(reason))?;
    let mut tensors = Vec::new();
    for (name, tensor) in named {
        match locate(source, &object, &storages, &name, tensor)? {
            Ok(info) => tensors.push((name, info)),
            Err(kind) => foreign.push((name, kind)),
        }
    }
    Ok(Contents { tensors, foreign, metadata: BTreeMap::new() })
}

/// Where the bytes of each storage are, by its key.
type Storages = HashMap<String, Storage>;

/// Links the tensor `name` to its bytes, or returns its kind if it cannot be read.
fn locate(
    source: &Arc<Source>,
    object: &Object,
    storages: &Storages,
    name: &str,
    tensor: &RawTensor,
) -> Result<Result<TensorInfo, &'static str>> {
    let refuse = |expected: &str, found: String| source.tensor_error(name, expected, found);
    let Some(reference) = object.storages.get(tensor.storage) else {
        return Err(refuse("a storage", "none".into()));
    };
    let Some(&storage) = storages.get(&*reference.key) else {
        return Err(refuse("its storage in the file", format!("no storage `{}`", reference.key)));
    };
    let part = part(reference, storage).ok_or_else(|| {
        let StorageRef { key, dtype, elements, view } = reference;
        let view = view.map(|(from, len)| format!(", of which {len} from {from}"));
        source.tensor_error(
            name,
            format!("its storage `{key}` within {} bytes", storage.len),
            format!("{elements} elements of {dtype}{}", view.unwrap_or_default()),
        )
    })?;
    if object.heap.dimensions(tensor.shape) > MAX_DIMS {
        return Ok(Err(MANY_DIMS));
    }
    let sizes = |id, what| {
        let sizes = object.heap.sizes(id, what);
        sizes.map_err(|reason| source.error(format!("tensor `{name}`: {reason}")))
    };
    let layout = Layout {
        dtype: tensor.dtype,
        shape: sizes(tensor.shape, "its shape")?,
        strides: sizes(tensor.strides, "its strides")?,
        offset: tensor.offset,
    };
    match TensorInfo::unreadable(source, &layout) {
        Some(kind) => Ok(Err(kind)),
        None => TensorInfo::new(source, name, part, layout).map(Ok),
    }
}

/// The part of a storage that a reference to it means, if it lies in it.
fn part(reference: &StorageRef, storage: Storage) -> Option<Storage> {
    let size = reference.dtype.size()? as u64;
    let whole = reference.elements.checked_mul(size).filter(|&len| len <= storage.len)?;
    let Some((from, elements)) = reference.view else {
        return Some(Storage { len: whole, ..storage });
    };
    let (from, len) = (from.checked_mul(size)?, elements.checked_mul(size)?);
    let end = from.checked_add(len)?;
    (end <= whole).then_some(())?;
    Some(Storage { start: storage.start.checked_add(from)?, len })
}

/// An error while parsing, before the file's path is known.
#[derive(Debug)]
enum Fault {
    /// The operating system could not read.
    Io(io::Error),
    /// The file is wrong.
    Reason(String),
    /// An error that knows its file already.
    Known(Error),
}

impl Fault {
    fn at(self, source: &Source) -> Error {
        match self {
            Self::Io(error) => Error::io(source.path(), error),
            Self::Reason(reason) => source.error(reason),
            Self::Known(error) => error,
        }
    }

    /// The same fault, its reason preceded by where it was found.
    fn within(self, place: impl FnOnce() -> String) -> Self {
        match self {
            Self::Reason(reason) => Self::Reason(format!("{}: {reason}", place())),
            other => other,
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<String> for Fault {
    fn from(reason: String) -> Self {
        Self::Reason(reason)
    }
}

impl From<&str> for Fault {
    fn from(reason: &str) -> Self {
        Self::Reason(reason.to_owned())
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Known(error)
    }
}
