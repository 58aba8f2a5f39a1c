//! Any bytes, as the index of a TensorFlow checkpoint: opened and read, without a panic or a large allocation.
//!
//! The first byte says what the others are: the whole file, or the inside of a block (of entries, or of the index; as it is, or of
//! Snappy's) whose checksum and surroundings are right.
//!
//! ```text
//! cargo +nightly fuzz run tensorflow_table fuzz/corpus/tensorflow_table -- -malloc_limit_mb=64 -max_len=16384
//! ```
#![no_main]

use std::cell::OnceCell;
use std::fs::{self, File};
use std::io::Write;

use libfuzzer_sys::fuzz_target;
use ndalbert::checkpoint::Checkpoint;
use tempfile::TempDir;

/// What a table ends with.
const MAGIC: u64 = 0xdb47_7524_8b80_fb57;

thread_local! {
    static DIRECTORY: OnceCell<TempDir> = const { OnceCell::new() };
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&kind, bytes)) = bytes.split_first() else { return };
    let index = match kind % 4 {
        0 => bytes.to_vec(),
        1 | 2 => table_of_block(bytes, kind % 4 - 1),
        _ => sealed_table(Vec::new(), bytes),
    };
    DIRECTORY.with(|cell| {
        let directory = cell.get_or_init(|| {
            let directory = tempfile::tempdir().expect("a temporary directory");
            let values = directory.path().join("model.ckpt.data-00000-of-00001");
            fs::write(values, [0; 4096]).expect("room for it");
            directory
        });
        let path = directory.path().join("model.ckpt.index");
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let mut file = file.expect("a temporary file");
        file.write_all(&index).expect("room for it");
        file.set_len(index.len() as u64).expect("room for it");
        let Ok(checkpoint) = Checkpoint::open(&path) else { return };
        for tensor in checkpoint.names() {
            let _ = checkpoint.read(tensor);
        }
    });
});

/// A table of one block of entries.
fn table_of_block(block: &[u8], compression: u8) -> Vec<u8> {
    let handle = [varint(0), varint(block.len() as u64)].concat();
    let entry = [&[0, 1, handle.len() as u8, b'k'], &handle[..], &[0; 4]].concat();
    sealed_table(sealed(block, compression), &entry)
}

/// A table of sealed blocks and the inside of an index block.
fn sealed_table(mut table: Vec<u8>, index: &[u8]) -> Vec<u8> {
    let mut footer = [vec![0, 0], varint(table.len() as u64), varint(index.len() as u64)].concat();
    footer.resize(40, 0);
    table.extend(sealed(index, 0));
    table.extend(footer);
    table.extend(MAGIC.to_le_bytes());
    table
}

fn sealed(block: &[u8], compression: u8) -> Vec<u8> {
    let mut bytes = [block, &[compression]].concat();
    let checksum = crc32c::crc32c(&bytes).rotate_right(15).wrapping_add(0xa282_ead8);
    bytes.extend(checksum.to_le_bytes());
    bytes
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}
