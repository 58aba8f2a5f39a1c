//! Files of fine-tuning's data sets, and what readers make of them.

use std::fs;
use std::path::{Path, PathBuf};

use ndalbert::Result;
use ndalbert::train::datasets::Examples;
use tempfile::TempDir;

use super::refused;

/// A directory with one file.
pub fn file(name: &str, content: impl AsRef<[u8]>) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, content).unwrap();
    (directory, path)
}

/// What a reader makes of a file with this content.
pub fn read<T>(
    reader: impl Fn(&Path) -> Result<Examples<T>>,
    content: impl AsRef<[u8]>,
) -> Result<Vec<T>> {
    let (_directory, path) = file("data.file", content);
    reader(&path)?.collect()
}

/// Asserts that the content is refused with an error that has the file's name and these words.
#[track_caller]
pub fn refuses<T>(
    reader: impl Fn(&Path) -> Result<Examples<T>>,
    content: impl AsRef<[u8]>,
    words: &[&str],
) {
    refused(read(reader, content), &[&["data.file: "], words].concat());
}

/// What a reader makes of the records that it can use, and why it cannot use the others.
pub fn read_good<T: Clone>(
    reader: impl Fn(&Path) -> Result<Examples<T>>,
    content: impl AsRef<[u8]>,
) -> (Vec<T>, Vec<String>) {
    let (_directory, path) = file("data.file", content);
    let loaded = reader(&path).unwrap().load(true).unwrap();
    assert!(loaded.skipped().count() >= loaded.skipped().reasons().len());
    (loaded.to_vec(), loaded.skipped().reasons().to_vec())
}

/// Asserts that these are the reasons, a list of words each, and that each names the file.
#[track_caller]
pub fn because(reasons: &[String], expected: &[&[&str]]) {
    assert_eq!(reasons.len(), expected.len(), "{reasons:?}");
    for (reason, words) in reasons.iter().zip(expected) {
        for word in [&["data.file: "], *words].concat() {
            assert!(reason.contains(word), "expected {word:?} in: {reason}");
        }
    }
}
