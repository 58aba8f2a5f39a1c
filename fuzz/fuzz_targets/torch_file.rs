//! Files of `torch.save`'s: found, opened, read, and searched for an ALBERT, without a panic or a
//! large allocation.
//!
//! Bytes that begin like an archive or like the old format are a file as they are. All others are
//! the pickle of an archive with one storage, so that what is mutated is mostly instructions.
//!
//! ```text
//! cargo +nightly fuzz run torch_file fuzz/corpus/torch_file -- -malloc_limit_mb=96 -max_len=32768
//! ```
#![no_main]

use std::cell::OnceCell;
use std::fs;
use std::io::{Cursor, Write};

use libfuzzer_sys::fuzz_target;
use ndalbert::LoadOptions;
use ndalbert::checkpoint::Checkpoint;
use tempfile::TempDir;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// What archives and the old format begin with.
const STARTS: [&[u8]; 2] = [b"PK\x03\x04", b"\x80\x02\x8a\x0a\x6c\xfc"];

thread_local! {
    static DIRECTORY: OnceCell<TempDir> = const { OnceCell::new() };
}

fuzz_target!(|bytes: &[u8]| {
    let is_file = STARTS.iter().any(|start| bytes.starts_with(start));
    let file = if is_file { bytes.to_vec() } else { archive(bytes) };
    DIRECTORY.with(|cell| {
        let directory = cell.get_or_init(|| tempfile::tempdir().expect("a temporary directory"));
        fs::write(directory.path().join("model.pth"), file).expect("room for it");
        let Ok(checkpoint) = Checkpoint::open(directory.path()) else { return };
        for tensor in checkpoint.names() {
            let _ = checkpoint.read(tensor);
        }
        for options in [LoadOptions::new(), LoadOptions::new().tensors_under("model")] {
            let _ = checkpoint.albert_tensors(&options);
        }
    });
});

fn archive(pickle: &[u8]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, bytes) in [("archive/data.pkl", pickle), ("archive/data/0", &[0; 256])] {
        zip.start_file(name, stored).expect("an entry");
        zip.write_all(bytes).expect("an entry");
    }
    zip.finish().expect("an archive").into_inner()
}
