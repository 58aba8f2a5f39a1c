//! Any bytes, as the index of a TensorFlow checkpoint: opened and read, without a panic or a large
//! allocation.
//!
//! The first byte says what the others are: the whole file, or the inside of a block (of entries,
//! or of the index; as it is, or of Snappy's) whose checksum and surroundings are right.
//!
//! ```text
//! cargo +nightly fuzz run tensorflow_table fuzz/corpus/tensorflow_table -- -malloc_limit_mb=64 -max_len=16384
//! ```
#![no_main]

#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../../tests/checkpoint_support/tensorflow.rs"]
mod tensorflow;

use std::cell::OnceCell;
use std::fs::{self, File};
use std::io::Write;

use libfuzzer_sys::fuzz_target;
use ndalbert::checkpoint::Checkpoint;
use tempfile::TempDir;

thread_local! {
    static DIRECTORY: OnceCell<TempDir> = const { OnceCell::new() };
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&kind, bytes)) = bytes.split_first() else { return };
    let index = match kind % 4 {
        0 => bytes.to_vec(),
        1 | 2 => tensorflow::table_of(&[tensorflow::trailed(bytes, kind % 4 - 1)]),
        _ => tensorflow::table_with(Vec::new(), bytes),
    };
    DIRECTORY.with(|cell| {
        let directory = cell.get_or_init(|| {
            let directory = tempfile::tempdir().expect("a temporary directory");
            let values = directory.path().join(tensorflow::VALUES);
            fs::write(values, [0; 4096]).expect("room for it");
            directory
        });
        let path = directory.path().join(tensorflow::INDEX);
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
