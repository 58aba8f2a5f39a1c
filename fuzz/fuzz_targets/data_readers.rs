//! Any bytes, as a file of each format of fine-tuning's data: read, without a panic or a large
//! allocation. The first byte picks the format.
//!
//! ```text
//! cargo +nightly fuzz run data_readers -- -malloc_limit_mb=256 -max_len=16384
//! ```
#![no_main]

#[path = "../../tests/common/any_format.rs"]
mod any_format;

use std::cell::OnceCell;

use any_format::read_any_format;
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

thread_local! {
    static DIRECTORY: OnceCell<TempDir> = const { OnceCell::new() };
}

fuzz_target!(|bytes: &[u8]| {
    DIRECTORY.with(|cell| {
        let directory = cell.get_or_init(|| tempfile::tempdir().expect("a temporary directory"));
        read_any_format(directory.path(), bytes);
    });
});
