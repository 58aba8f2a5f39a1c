//! Checkpoints of TensorFlow's, made byte by byte.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// What a table ends with.
const MAGIC: u64 = 0xdb47_7524_8b80_fb57;

/// `PREFIX.index` and `PREFIX.data-00000-of-00001` of the checkpoints made here.
pub const INDEX: &str = "model.ckpt.index";
pub const VALUES: &str = "model.ckpt.data-00000-of-00001";

pub fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// A protobuf field that is a number.
pub fn number(tag: u64, number: i64) -> Vec<u8> {
    [varint(tag << 3), varint(number as u64)].concat()
}

/// A protobuf field that is a message or bytes.
pub fn message(tag: u64, bytes: &[u8]) -> Vec<u8> {
    [varint(tag << 3 | 2), varint(bytes.len() as u64), bytes.to_vec()].concat()
}

/// A checksum as files have it.
pub fn masked(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// A header of `shards` files.
pub fn header(shards: i64) -> Vec<u8> {
    [number(1, shards), message(3, &number(1, 1))].concat()
}

/// A variable's description.
#[derive(Clone)]
pub struct Entry {
    pub dtype: i64,
    pub shape: Vec<i64>,
    pub shard: i64,
    pub offset: i64,
    pub size: i64,
    pub checksum: u32,
}

impl Entry {
    /// Of `f32` values that begin at `offset` of `values`.
    pub fn f32(shape: &[i64], values: &[u8], offset: usize) -> Self {
        let size = 4 * shape.iter().product::<i64>();
        let bytes = values.get(offset..offset + size as usize).unwrap_or_default();
        let (shape, checksum) = (shape.to_vec(), masked(bytes));
        Self { dtype: 1, shape, shard: 0, offset: offset as i64, size, checksum }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let dims: Vec<u8> =
            self.shape.iter().flat_map(|&size| message(2, &number(1, size))).collect();
        let checksum = [varint(6 << 3 | 5), self.checksum.to_le_bytes().to_vec()].concat();
        let fields = [(3, self.shard), (4, self.offset), (5, self.size)];
        let fields = fields.iter().flat_map(|&(tag, value)| number(tag, value)).collect();
        [number(1, self.dtype), message(2, &dims), fields, checksum].concat()
    }
}

pub type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// An entry of a block.
pub fn block_entry(shared: u64, key: &[u8], value: &[u8]) -> Vec<u8> {
    let numbers = [shared, key.len() as u64, value.len() as u64];
    [numbers.into_iter().flat_map(varint).collect(), key.to_vec(), value.to_vec()].concat()
}

/// A block of sorted pairs, each key cut by what it has in common with the one before.
pub fn block(pairs: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut last: &[u8] = b"";
    for (key, value) in pairs {
        let shared = last.iter().zip(key).take_while(|(a, b)| a == b).count();
        bytes.extend(block_entry(shared as u64, &key[shared..], value));
        last = key;
    }
    [bytes, 0u32.to_le_bytes().to_vec(), 1u32.to_le_bytes().to_vec()].concat()
}

/// A block with its trailer, compressed if that is 1.
pub fn sealed(block: &[u8], compression: u8) -> Vec<u8> {
    match compression {
        1 => trailed(&snap::raw::Encoder::new().compress_vec(block).unwrap(), 1),
        _ => trailed(block, compression),
    }
}

/// Bytes with the trailer of a block that says they are compressed so.
pub fn trailed(bytes: &[u8], compression: u8) -> Vec<u8> {
    let checked = [bytes, &[compression]].concat();
    let checksum = masked(&checked);
    [checked, checksum.to_le_bytes().to_vec()].concat()
}

/// A file's end.
pub fn footer(index: (u64, u64)) -> Vec<u8> {
    let mut bytes: Vec<u8> = [0, 0, index.0, index.1].into_iter().flat_map(varint).collect();
    bytes.resize(40, 0);
    bytes.extend(MAGIC.to_le_bytes());
    bytes
}

/// A table of blocks that are sealed already.
pub fn table_of(blocks: &[Vec<u8>]) -> Vec<u8> {
    let (mut bytes, mut handles) = (Vec::new(), Vec::new());
    for (i, block) in blocks.iter().enumerate() {
        let handle = [varint(bytes.len() as u64), varint(block.len() as u64 - 5)].concat();
        handles.push((vec![b'k', i as u8], handle));
        bytes.extend(block);
    }
    table_with(bytes, &block(&handles))
}

/// A table of sealed blocks, one after the other, and of an index block without its trailer.
pub fn table_with(blocks: Vec<u8>, index: &[u8]) -> Vec<u8> {
    let place = (blocks.len() as u64, index.len() as u64);
    [blocks, sealed(index, 0), footer(place)].concat()
}

/// A table of one block.
pub fn table(pairs: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    table_of(&[sealed(&block(pairs), 0)])
}

/// The pairs of a checkpoint of one file.
pub fn pairs(entries: &[(&str, Entry)]) -> Pairs {
    let entries = entries.iter().map(|(name, entry)| (name.as_bytes().to_vec(), entry.bytes()));
    [(Vec::new(), header(1))].into_iter().chain(entries).collect()
}

/// A directory with an index and values; the index's path.
pub fn written(index: &[u8], values: &[u8]) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(INDEX);
    fs::write(&path, index).unwrap();
    fs::write(directory.path().join(VALUES), values).unwrap();
    (directory, path)
}

/// The only block of entries of a table that TensorFlow wrote, which begins with it.
pub fn only_block(index: &[u8]) -> &[u8] {
    let metaindex = &index[index.len() - 48..];
    let [low, high, ..] = *metaindex else { unreachable!() };
    let end = if low < 0x80 {
        usize::from(low)
    } else {
        usize::from(low & 0x7f) | usize::from(high) << 7
    };
    &index[..end - 5]
}

/// The path of an index of `tests/fixtures/tensorflow`.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tensorflow").join(name)
}
