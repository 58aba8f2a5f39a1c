//! `config.json` beside the weights, and saving over what is there.

mod common;

use std::fs;
use std::path::Path;

use common::compare::assert_same_tensors;
use common::directory::{config_json, saved, stored, weights_in};
use common::random::small_config;
use common::{golden, refused};
use ndalbert::checkpoint::Checkpoint;
use ndalbert::{
    Albert, AlbertConfig, AlbertForMaskedLM, AlbertTokenizer, Error, Model, PreTrainedModel,
};
use serde_json::json;

fn write_config(directory: &Path, text: &str) {
    fs::write(directory.join("config.json"), text).unwrap();
}

/// Everything in a directory, by name.
fn contents(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries
        .filter(|path| path.is_file())
        .map(|path| {
            (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap())
        })
        .collect();
    files.sort();
    files
}

#[test]
fn keys_that_are_not_known_survive() {
    let (directory, _) = saved::<Albert>(&small_config(|_| {}), 1);
    let mut json = config_json(directory.path());
    let unknown = [
        ("net_structure_type", json!(0)),
        ("down_scale_factor", json!(1.5)),
        (
            "task_specific_params",
            json!({"nested": [null, {"deep": "é"}], "large": 18446744073709551615u64}),
        ),
        ("transformers_version", json!("4.2.0")),
        ("torch_dtype", json!("float16")),
        ("id2label", json!({"0": "否", "1": "是"})),
    ];
    for (key, value) in &unknown {
        json[*key] = value.clone();
    }
    write_config(directory.path(), &json.to_string());
    let (model, _) = AlbertForMaskedLM::from_pretrained(directory.path()).unwrap();
    let target = tempfile::tempdir().unwrap();
    model.save_pretrained(target.path()).unwrap();
    let written = config_json(target.path());
    for (key, value) in &unknown {
        // The one that says what the file holds is brought up to date.
        let expected = if *key == "torch_dtype" { json!("float32") } else { value.clone() };
        assert_eq!(written[*key], expected, "{key}");
    }
    assert_eq!(written["label2id"], json!({"否": 0, "是": 1}));
    assert_eq!(written["architectures"], json!(["AlbertForMaskedLM"]));
}

#[test]
fn errors_of_the_config_name_the_file_and_the_field() {
    let (directory, _) = saved::<Albert>(&small_config(|_| {}), 1);
    let path = directory.path().join("config.json");
    let load = || Albert::from_pretrained(directory.path());
    for (text, words) in [
        (r#"{"hidden_size": 10, "num_attention_heads": 3}"#, ["num_attention_heads", "3"]),
        (r#"{"hidden_size": "wide"}"#, ["hidden_size", "wide"]),
        (r#"{"hidden_act": "swiglu"}"#, ["hidden_act", "swiglu"]),
        (r#"{"parameter_sharing": "some"}"#, ["parameter_sharing", "some"]),
        (r#"{"model_type": "bert"}"#, ["model_type", "bert"]),
        (r#"{"hidden_size": 1"#, ["not valid JSON", "line 1"]),
        ("[]", ["a JSON object", "[]"]),
        ("", ["not valid JSON", "EOF"]),
    ] {
        write_config(directory.path(), text);
        refused(load(), &[path.to_str().unwrap(), words[0], words[1]]);
    }
    // What can be asked of the error is what its text says.
    write_config(directory.path(), r#"{"hidden_size": "wide"}"#);
    let error = load().err().unwrap();
    let Error::Config { path: at, field, found, .. } = &error else { panic!("{error:?}") };
    assert_eq!((at.as_deref(), &**field, &**found), (Some(&*path), "hidden_size", "\"wide\""));
    fs::remove_file(&path).unwrap();
    assert!(matches!(load(), Err(Error::Io { path: named, .. }) if named == path));
    refused(Albert::from_pretrained(directory.path().join("none")), &["none"]);
}

#[test]
fn a_directory_without_weights_is_an_error_that_says_what_was_looked_for() {
    let directory = tempfile::tempdir().unwrap();
    small_config(|_| {}).save(directory.path().join("config.json")).unwrap();
    let words = [directory.path().to_str().unwrap(), "no weights", "model.safetensors"];
    refused(Albert::from_pretrained(directory.path()), &words);
}

/// Another model in the same place: nothing of the old one is left, and files of other names are
/// not touched.
#[test]
fn saving_replaces_what_was_there() {
    let (directory, _) = saved::<AlbertForMaskedLM>(&small_config(|f| f.hidden_size = 30), 1);
    fs::write(directory.path().join("vocab.txt"), "[PAD]\n").unwrap();
    fs::write(directory.path().join("pytorch_model.bin"), "old").unwrap();
    let model = Albert::from_config(small_config(|_| {}), 2).unwrap();
    model.save_pretrained(directory.path()).unwrap();
    let (loaded, report) = Albert::from_pretrained(directory.path()).unwrap();
    assert!(report.is_clean(), "{report}");
    assert_same_tensors("replaced", &weights_in(&model), &weights_in(&loaded));
    let names: Vec<String> = contents(directory.path()).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["config.json", "model.safetensors", "pytorch_model.bin", "vocab.txt"]);
    assert!(!stored(directory.path()).keys().any(|name| name.starts_with("predictions")));
}

#[test]
fn saving_is_the_same_to_the_byte_each_time() {
    let case = golden::case("masked_lm");
    let (model, _) = AlbertForMaskedLM::from_pretrained(&case.directory).unwrap();
    let [first, second] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    // Directories are made, also inside each other.
    let deep = second.path().join("a/b");
    model.save_pretrained(first.path()).unwrap();
    model.save_pretrained(&deep).unwrap();
    assert_eq!(contents(first.path()), contents(&deep));
    // Reading and saving the saved adds nothing and loses nothing.
    let (again, _) = AlbertForMaskedLM::from_pretrained(&deep).unwrap();
    again.save_pretrained(&deep).unwrap();
    assert_eq!(contents(first.path()), contents(&deep));
}

/// The weights cannot be put in their place: the config of the old ones stays, and nothing else
/// appears.
#[test]
fn a_save_that_fails_leaves_what_was_there() {
    let model = Albert::from_config(small_config(|_| {}), 2).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let weights = directory.path().join("model.safetensors");
    fs::create_dir(&weights).unwrap();
    write_config(directory.path(), "{}");
    let error = model.save_pretrained(directory.path()).unwrap_err();
    assert!(matches!(error, Error::Io { path, .. } if path == weights));
    assert_eq!(contents(directory.path()), [("config.json".to_owned(), b"{}".to_vec())]);
    let file = directory.path().join("config.json");
    refused(model.save_pretrained(&file), &[file.to_str().unwrap()]);
    assert_eq!(fs::read(&file).unwrap(), b"{}");
}

#[test]
fn a_config_alone_is_written_and_read() {
    let directory = tempfile::tempdir().unwrap();
    let config = small_config(|fields| fields.classifier_dropout_prob = None);
    config.save(directory.path().join("config.json")).unwrap();
    assert_eq!(AlbertConfig::from_pretrained(directory.path()).unwrap(), config);
}

/// An empty path is neither the working directory nor a file that could not be found.
#[test]
fn an_empty_path_is_refused_by_name() {
    let model = Albert::from_config(small_config(|_| {}), 2).unwrap();
    refused(model.save_pretrained(""), &["\"\"", "a directory to save to", "an empty path"]);
    refused(Albert::from_pretrained(""), &["\"\"", "a checkpoint's directory", "an empty path"]);
    refused(AlbertConfig::from_pretrained(""), &["\"\"", "a checkpoint's directory"]);
    refused(AlbertTokenizer::from_pretrained(""), &["\"\"", "a tokenizer's directory"]);
    refused(Checkpoint::open(""), &["\"\"", "a checkpoint", "an empty path"]);
    refused(AlbertConfig::from_file(""), &["\"\"", "a config.json", "an empty path"]);
    refused(small_config(|_| {}).save(""), &["\"\"", "a file to write", "an empty path"]);
}

/// What says how a decoder is tied is kept by models that have none.
#[test]
fn models_without_a_decoder_keep_what_the_config_says_of_it() {
    let (directory, _) = saved::<AlbertForMaskedLM>(&small_config(|_| {}), 1);
    let mut json = config_json(directory.path());
    json["tie_word_embeddings"] = json!(false);
    write_config(directory.path(), &json.to_string());
    let (albert, _) = Albert::from_pretrained(directory.path()).unwrap();
    let target = tempfile::tempdir().unwrap();
    albert.save_pretrained(target.path()).unwrap();
    assert_eq!(config_json(target.path())["tie_word_embeddings"], json!(false));
}
