//! What the tests of token classification and of question answering share.

use std::path::PathBuf;

use ndalbert::AlbertTokenizer;
use serde_json::Value;

use crate::support::{SCORE, fixture, tokenizer};

/// The directory of a model of the golden files, and its tokenizer.
pub fn checkpoint(model: &str, kind: &str) -> (PathBuf, AlbertTokenizer) {
    let (directory, tokenizer_name) = match kind {
        "wordpiece" => (model.to_owned(), kind),
        "sentencepiece" => (format!("{model}-{kind}"), "converted"),
        _ => (format!("{model}-{kind}"), kind),
    };
    (fixture(&directory), tokenizer(tokenizer_name))
}

/// The same list, but for scores, which may differ by a hundred-thousandth; of a sum of scores that
/// is more than 1, by as much of it.
#[track_caller]
pub fn assert_same<const N: usize>(
    what: &str,
    found: &[(f32, [String; N])],
    expected: &[(f32, [String; N])],
) {
    let rest = |rows: &[(f32, [String; N])]| -> Vec<[String; N]> {
        rows.iter().map(|(_, rest)| rest.clone()).collect()
    };
    assert_eq!(rest(found), rest(expected), "{what}");
    for ((score, row), (expected, _)) in found.iter().zip(expected) {
        let tolerance = SCORE * expected.max(1.0);
        let is_near = (score - expected).abs() <= tolerance;
        assert!(is_near, "{what} {row:?}: expected {expected}, found {score}");
    }
}

pub fn count(value: &Value, key: &str) -> Option<usize> {
    value[key].as_u64().map(|count| count as usize)
}

/// What was asked for in a run of a golden file.
pub fn options(run: &Value, results: &str) -> String {
    let mut run = run.clone();
    run.as_object_mut().unwrap().remove(results);
    run.to_string()
}
