//! Any bytes, as a file of each format: opened and read, without a panic or a large allocation.
//!
//! ```text
//! cargo +nightly fuzz run checkpoint_open fuzz/corpus/checkpoint_open tests/fixtures/checkpoints -- \
//!     -malloc_limit_mb=64 -max_len=16384
//! ```
#![no_main]

use std::cell::OnceCell;
use std::fs::File;
use std::io::Write;

use libfuzzer_sys::fuzz_target;
use ndalbert::checkpoint::Checkpoint;
use tempfile::TempDir;

thread_local! {
    static DIRECTORY: OnceCell<TempDir> = const { OnceCell::new() };
}

fuzz_target!(|bytes: &[u8]| {
    DIRECTORY.with(|cell| {
        let directory = cell.get_or_init(|| tempfile::tempdir().expect("a temporary directory"));
        for name in ["model.safetensors", "pytorch_model.bin", "model.safetensors.index.json"] {
            let path = directory.path().join(name);
            let file = File::options().create(true).truncate(false).write(true).open(&path);
            let mut file = file.expect("a temporary file");
            file.write_all(bytes).expect("room for it");
            file.set_len(bytes.len() as u64).expect("room for it");
            let Ok(checkpoint) = Checkpoint::open(&path) else { continue };
            for tensor in checkpoint.names() {
                let _ = checkpoint.read(tensor);
            }
        }
    });
});
