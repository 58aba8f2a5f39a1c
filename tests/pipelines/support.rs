//! What the tests of pipelines share.

use std::fs;
use std::path::{Path, PathBuf};

use ndalbert::AlbertTokenizer;
use ndalbert::pipelines::Classification;
use serde_json::{Map, Value};
use tempfile::TempDir;

/// How far a score may be from transformers': the 1e-5.
pub const SCORE: f32 = 1e-5;

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn fixture(name: &str) -> PathBuf {
    root().join("tests/golden/pipelines").join(name)
}

pub fn demo() -> PathBuf {
    root().join("examples/data/albert-chinese-demo")
}

pub fn tokenizer(name: &str) -> AlbertTokenizer {
    AlbertTokenizer::from_pretrained(root().join("tests/fixtures/tokenizers").join(name)).unwrap()
}

/// The cases of a golden file; `least` is how many there must be.
pub fn cases(name: &str, least: usize) -> Vec<Value> {
    let cases: Vec<Value> = serde_json::from_slice(&fs::read(fixture(name)).unwrap()).unwrap();
    assert!(cases.len() >= least, "{} cases in {name}", cases.len());
    cases
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

pub fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

/// A number that was written from a single-precision one.
pub fn number(value: &Value) -> f32 {
    value.as_f64().unwrap() as f32
}

#[track_caller]
pub fn assert_near(found: f32, expected: f32, what: &str) {
    assert!((found - expected).abs() <= SCORE, "{what}: expected {expected}, found {found}");
}

/// Classes of a pipeline, and those of a golden file.
#[track_caller]
pub fn assert_classes(found: &[Classification], expected: &Value, what: &str) {
    let labels: Vec<&str> = found.iter().map(|class| class.label.as_str()).collect();
    let expected_labels: Vec<&str> =
        list(expected).iter().map(|class| text(&class["label"])).collect();
    assert_eq!(labels, expected_labels, "{what}");
    for (class, expected) in found.iter().zip(list(expected)) {
        assert_near(class.score, number(&expected["score"]), what);
    }
}

/// A copy of a directory.
pub fn copy(directory: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    copy_into(directory, copy.path());
    copy
}

fn copy_into(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&target).unwrap();
            copy_into(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A copy of a checkpoint with some entries of its `config.json` changed, or removed where they are
/// null.
pub fn patched(directory: &Path, entries: &Value) -> TempDir {
    let copy = copy(directory);
    let path = copy.path().join("config.json");
    let mut config: Map<String, Value> = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    config.extend(entries.as_object().unwrap().clone());
    config.retain(|_, value| !value.is_null());
    fs::write(path, serde_json::to_vec(&config).unwrap()).unwrap();
    copy
}
