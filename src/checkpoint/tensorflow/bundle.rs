//! The contents of a table: how many files hold the values, and where each variable is in them.
//!
//! `tensorflow/core/protobuf/tensor_bundle.proto` and `tensorflow/core/util/tensor_bundle/tensor_bundle.cc` are the
//! definition. The header's key is empty, a variable's is its name; the parts of variables that are stored in slices
//! have keys that begin with a zero byte.

use prost::Message;

use super::super::dtype::DType;
use super::table;

/// The version of the format that this reader knows, TensorFlow's `kTensorBundleVersion`.
const VERSION: i32 = 1;

/// The most files of values, all of which may be open at the same time.
const MAX_SHARDS: i32 = 128;

/// The longest description of a variable. One takes some 30 bytes, and 10 for each slice.
const MAX_DESCRIPTION: usize = 64 << 10;

#[derive(Clone, PartialEq, Message)]
struct BundleHeader {
    #[prost(int32, tag = "1")]
    num_shards: i32,
    #[prost(int32, tag = "2")]
    endianness: i32,
    #[prost(message, optional, tag = "3")]
    version: Option<VersionDef>,
}

#[derive(Clone, PartialEq, Message)]
struct VersionDef {
    #[prost(int32, tag = "2")]
    min_consumer: i32,
}

#[derive(Clone, PartialEq, Message)]
struct BundleEntry {
    #[prost(int32, tag = "1")]
    dtype: i32,
    #[prost(message, optional, tag = "2")]
    shape: Option<TensorShape>,
    #[prost(int32, tag = "3")]
    shard_id: i32,
    #[prost(int64, tag = "4")]
    offset: i64,
    #[prost(int64, tag = "5")]
    size: i64,
    #[prost(fixed32, tag = "6")]
    crc32c: u32,
    #[prost(message, repeated, tag = "7")]
    slices: Vec<TensorSlice>,
}

#[derive(Clone, PartialEq, Message)]
struct TensorShape {
    #[prost(message, repeated, tag = "2")]
    dims: Vec<Dim>,
    #[prost(bool, tag = "3")]
    unknown_rank: bool,
}

#[derive(Clone, PartialEq, Message)]
struct Dim {
    #[prost(int64, tag = "1")]
    size: i64,
}

/// Its extents do not matter: variables in slices are refused.
#[derive(Clone, PartialEq, Message)]
struct TensorSlice {}

/// One variable, nothing compared with the files of values yet.
#[derive(Debug)]
pub(super) struct Variable {
    pub name: String,
    /// `None`: strings, resources and other things without a fixed size.
    pub dtype: Option<DType>,
    pub shape: Vec<usize>,
    pub shard: u32,
    pub offset: u64,
    pub len: u64,
    /// Of the values' bytes, masked.
    pub checksum: u32,
    /// How many slices it is stored in; 0: it is whole.
    pub slices: usize,
}

impl Variable {
    pub fn is_float(&self) -> bool {
        self.dtype.is_some_and(DType::is_float)
    }
}

/// A checkpoint's variables.
#[derive(Debug)]
pub(super) struct Bundle {
    pub num_shards: u32,
    pub variables: Vec<Variable>,
}

/// Reads the table of a checkpoint.
///
/// # Errors
///
/// An error in the table, the header or the description of a variable.
pub(super) fn read(bytes: &[u8]) -> Result<Bundle, String> {
    let (mut num_shards, mut variables) = (None, Vec::new());
    table::for_each(bytes, &mut |key, value| match (key, num_shards) {
        (b"", _) => {
            num_shards = Some(header(value)?);
            Ok(())
        }
        (_, None) => Err("expected the checkpoint's header to come first".into()),
        // A part of a variable, which has an entry of its own.
        ([0, ..], _) => Ok(()),
        (name, Some(num_shards)) => {
            let name = str::from_utf8(name)
                .map_err(|_| format!("variable \"{}\": not UTF-8", name.escape_ascii()))?;
            let variable = variable(name, value, num_shards);
            variables.push(variable.map_err(|reason| format!("variable `{name}`: {reason}"))?);
            Ok(())
        }
    })?;
    let num_shards = num_shards.ok_or("expected the checkpoint's header, found an empty table")?;
    Ok(Bundle { num_shards, variables })
}

/// The number of files.
fn header(value: &[u8]) -> Result<u32, String> {
    let header = BundleHeader::decode(value).map_err(|error| format!("the header: {error}"))?;
    match header.endianness {
        0 => {}
        1 => {
            return Err("expected little-endian values, found those of a big-endian machine".into());
        }
        other => return Err(format!("expected the byte order 0 or 1, found {other}")),
    }
    let needed = header.version.map_or(0, |version| version.min_consumer);
    if needed > VERSION {
        return Err(format!("expected version {VERSION} of the format, found {needed}"));
    }
    match u32::try_from(header.num_shards) {
        Ok(count) if (1..=MAX_SHARDS).contains(&header.num_shards) => Ok(count),
        _ => {
            Err(format!("expected 1 to {MAX_SHARDS} files of values, found {}", header.num_shards))
        }
    }
}

fn variable(name: &str, value: &[u8], num_shards: u32) -> Result<Variable, String> {
    if value.len() > MAX_DESCRIPTION {
        return Err(format!("expected at most {MAX_DESCRIPTION} bytes, found {}", value.len()));
    }
    let entry = BundleEntry::decode(value).map_err(|error| error.to_string())?;
    let natural = |what: &str, number: i64| {
        u64::try_from(number).map_err(|_| format!("expected {what} of 0 or more, found {number}"))
    };
    let shape = entry.shape.unwrap_or_default();
    if shape.unknown_rank {
        return Err("expected a shape, found one of unknown rank".into());
    }
    let size = |dim: &Dim| {
        let size = natural("a size", dim.size)?;
        usize::try_from(size).map_err(|_| format!("expected a size that fits in memory, {size}"))
    };
    let shard = u32::try_from(entry.shard_id).ok().filter(|&shard| shard < num_shards);
    let shard = shard
        .ok_or_else(|| format!("expected a file below {num_shards}, found {}", entry.shard_id))?;
    Ok(Variable {
        name: name.to_owned(),
        dtype: dtype(entry.dtype),
        shape: shape.dims.iter().map(size).collect::<Result<_, _>>()?,
        shard,
        offset: natural("an offset", entry.offset)?,
        len: natural("a size", entry.size)?,
        checksum: entry.crc32c,
        slices: entry.slices.len(),
    })
}

/// The type of a number in `tensorflow/core/framework/types.proto`, if its elements have a fixed size.
fn dtype(number: i32) -> Option<DType> {
    Some(match number {
        1 => DType::F32,
        2 => DType::F64,
        3 => DType::I32,
        4 => DType::U8,
        5 => DType::I16,
        6 => DType::I8,
        8 => DType::C64,
        9 => DType::I64,
        10 => DType::Bool,
        14 => DType::BF16,
        17 => DType::U16,
        18 => DType::C128,
        19 => DType::F16,
        22 => DType::U32,
        23 => DType::U64,
        _ => return None,
    })
}
