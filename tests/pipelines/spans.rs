//! What the tests of taggers and of question answering share.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// How far scores may be from the reference's, of which the files have six digits; of a sum of scores, how far as a
/// part of it.
pub const TOLERANCE: f64 = 1e-5;

/// A file or directory of `tests/`.
pub fn of_tests(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(path)
}

/// The directory of a model of the golden files, and that of its tokenizer.
pub fn directories(model: &str, kind: &str) -> (PathBuf, PathBuf) {
    let (directory, tokenizer) = match kind {
        "wordpiece" => (model.to_owned(), "wordpiece"),
        "sentencepiece" => (format!("{model}-{kind}"), "converted"),
        _ => (format!("{model}-{kind}"), kind),
    };
    let tokenizer = of_tests("fixtures/tokenizers").join(tokenizer);
    (of_tests("golden/pipelines").join(directory), tokenizer)
}

/// The cases of a golden file.
pub fn cases(file: &str) -> Vec<Value> {
    let text = fs::read_to_string(of_tests("golden/pipelines").join(file)).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The same list, but for scores.
#[track_caller]
pub fn assert_same<const N: usize>(
    what: &str,
    found: &[(f32, [String; N])],
    expected: &[(f64, [String; N])],
) {
    let names = |(_, rest): &(_, [String; N])| rest.clone();
    let found_names: Vec<_> = found.iter().map(|(_, rest)| rest.clone()).collect();
    assert_eq!(found_names, expected.iter().map(names).collect::<Vec<_>>(), "{what}");
    for ((score, name), (expected, _)) in found.iter().zip(expected) {
        let difference = (f64::from(*score) - expected).abs();
        assert!(difference <= TOLERANCE * expected.max(1.0), "{what} {name:?}: expected {expected}, found {score}");
    }
}

pub fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap().to_owned()
}

pub fn count(value: &Value, key: &str) -> Option<usize> {
    value[key].as_u64().map(|count| count as usize)
}
