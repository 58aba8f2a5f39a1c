//! Saved tokenizers: which files are written, with which settings, and what is not touched.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ndalbert::{AlbertTokenizer, TruncationSide};
use serde_json::{Value, json};
use tempfile::TempDir;

use common::refused;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tokenizers").join(name)
}

/// The tokenizer of a fixture's vocabulary beside these JSON files.
fn tokenizer(fixture_name: &str, vocabulary: &str, files: &[(&str, Value)]) -> AlbertTokenizer {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::copy(fixture(fixture_name).join(vocabulary), path.join(vocabulary)).unwrap();
    for (name, value) in files {
        fs::write(path.join(name), value.to_string()).unwrap();
    }
    AlbertTokenizer::from_pretrained(path).unwrap()
}

fn saved(tokenizer: &AlbertTokenizer) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    tokenizer.save_pretrained(directory.path()).unwrap();
    directory
}

fn json(directory: &TempDir, name: &str) -> Value {
    serde_json::from_slice(&fs::read(directory.path().join(name)).unwrap()).unwrap()
}

/// Every file of a directory, with what is in it.
fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    let name = |entry: &fs::DirEntry| entry.file_name().into_string().unwrap();
    entries.map(|entry| (name(&entry), fs::read(entry.path()).unwrap())).collect()
}

#[test]
fn the_vocabulary_is_saved_byte_by_byte_and_the_config_names_the_class() {
    for (name, vocabulary, class) in [
        ("sentencepiece", "spiece.model", "AlbertTokenizer"),
        ("converted", "tokenizer.json", "AlbertTokenizer"),
        ("chinese", "vocab.txt", "BertTokenizer"),
    ] {
        let directory = saved(&tokenizer(name, vocabulary, &[]));
        let found = files(directory.path());
        assert_eq!(found.keys().collect::<Vec<_>>().len(), 2, "{name}");
        assert_eq!(found[vocabulary], fs::read(fixture(name).join(vocabulary)).unwrap(), "{name}");
        assert_eq!(json(&directory, "tokenizer_config.json")["tokenizer_class"], class, "{name}");
    }
}

#[test]
fn a_tokenizer_that_is_taken_literally_stays_so() {
    let mut literal: Value =
        serde_json::from_slice(&fs::read(fixture("converted").join("tokenizer.json")).unwrap())
            .unwrap();
    literal["normalizer"] = Value::Null;
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("tokenizer.json"), literal.to_string()).unwrap();
    let config = json!({"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "<unk>",
        "pad_token": "<pad>", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"});
    fs::write(directory.path().join("tokenizer_config.json"), config.to_string()).unwrap();
    let tokenizer = AlbertTokenizer::from_pretrained(directory.path()).unwrap();
    let directory = saved(&tokenizer);
    let again = AlbertTokenizer::from_pretrained(directory.path()).unwrap();
    let text = "In [MASK] we TRÜST.";
    assert_eq!(again.encode(text).unwrap(), tokenizer.encode(text).unwrap());
    let found = json(&directory, "tokenizer_config.json");
    assert_eq!(found["tokenizer_class"], "PreTrainedTokenizerFast");
}

#[test]
fn settings_and_tokens_of_every_file_keep_their_effect() {
    let config = json!({"do_lower_case": false, "model_max_length": 77, "my_own_key": [1, null]});
    let map = json!({"mask_token": {"content": "[MASK]", "lstrip": true, "rstrip": false,
        "single_word": false, "normalized": false}});
    let files = [
        ("tokenizer_config.json", config),
        ("special_tokens_map.json", map),
        ("added_tokens.json", json!({"NEW": 1400})),
    ];
    let tokenizer = tokenizer("sentencepiece", "spiece.model", &files)
        .with_truncation_side(TruncationSide::Left);
    let directory = saved(&tokenizer);
    let again = AlbertTokenizer::from_pretrained(directory.path()).unwrap();
    let text = "A NEW [MASK], and a new one.";
    assert_eq!(again.encode(text).unwrap(), tokenizer.encode(text).unwrap());
    assert_eq!(again.model_max_length(), Some(77));
    assert_eq!(json(&directory, "tokenizer_config.json")["my_own_key"], json!([1, null]));
    let cut = |tokenizer: AlbertTokenizer| {
        tokenizer.with_max_length(5).unwrap().encode(text).unwrap().tokens
    };
    assert_eq!(cut(again), cut(tokenizer));
}

#[test]
fn a_directory_is_made_and_one_that_is_saved_to_twice_has_the_last() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("new/one");
    let chinese = tokenizer("chinese", "vocab.txt", &[]);
    chinese.save_pretrained(&directory).unwrap();
    let other = tokenizer("wordpiece", "vocab.txt", &[]);
    other.save_pretrained(&directory).unwrap();
    let again = AlbertTokenizer::from_pretrained(&directory).unwrap();
    assert_eq!(again.vocab_size(), other.vocab_size());
    assert_ne!(again.vocab_size(), chinese.vocab_size());
    // In the place that it was loaded from, too.
    again.save_pretrained(&directory).unwrap();
    assert_eq!(files(&directory).len(), 2);
}

#[test]
fn nothing_is_saved_beside_a_file_that_would_be_read_instead() {
    let tokenizer = tokenizer("chinese", "vocab.txt", &[]);
    for name in ["tokenizer.json", "spiece.model", "special_tokens_map.json", "added_tokens.json"] {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(name), "{}").unwrap();
        refused(tokenizer.save_pretrained(directory.path()), &[name, "vocab.txt"]);
        assert_eq!(files(directory.path()), [(name.to_owned(), b"{}".to_vec())].into());
    }
}

#[test]
fn a_save_that_fails_leaves_what_was_there() {
    let directory = saved(&tokenizer("chinese", "vocab.txt", &[]));
    // The last of the files that are written cannot be.
    fs::remove_file(directory.path().join("tokenizer_config.json")).unwrap();
    fs::create_dir(directory.path().join("tokenizer_config.json")).unwrap();
    let before = fs::read(directory.path().join("vocab.txt")).unwrap();
    let other = tokenizer("wordpiece", "vocab.txt", &[]);
    refused(other.save_pretrained(directory.path()), &["tokenizer_config.json", "directory"]);
    assert_eq!(fs::read(directory.path().join("vocab.txt")).unwrap(), before);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "a temporary file is left");
    refused(other.save_pretrained(""), &["empty path"]);
}
