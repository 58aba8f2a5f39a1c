//! Sentence embeddings are those of sentence-transformers; its directories may say anything.

use std::fs;
use std::path::Path;

use ndalbert::Error;
use ndalbert::pipelines::{Pipeline, PipelineOptions, Pooling, SentenceEmbedding};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{assert_near, cases, copy, fixture, list, number, root, text};

/// The directory of the tests, with other files in it, or without some.
fn with_files(files: &Value) -> TempDir {
    let copy = copy(&fixture("sentence_transformer"));
    for (name, value) in files.as_object().unwrap() {
        let path = copy.path().join(name);
        match value {
            Value::Null => fs::remove_file(path).unwrap(),
            Value::String(text) => fs::write(path, text).unwrap(),
            value => fs::write(path, value.to_string()).unwrap(),
        }
    }
    copy
}

#[test]
fn directories_of_sentence_transformers_give_its_vectors() {
    for case in cases("embeddings.json", 20) {
        let directory = with_files(&case["files"]);
        let pipeline = SentenceEmbedding::from_pretrained(directory.path()).unwrap();
        let inputs = list(&case["inputs"]);
        for (input, (found, expected)) in inputs
            .iter()
            .zip(pipeline.run_many(inputs.iter().map(text)).into_iter().zip(list(&case["outputs"])))
        {
            let found = found.unwrap();
            assert_eq!(found.len(), list(expected).len());
            for (found, expected) in found.into_iter().zip(list(expected)) {
                assert_near(found, number(expected), &format!("{} {input}", case["files"]));
            }
        }
    }
}

#[test]
fn settings_replace_what_the_directory_says() {
    let load = || SentenceEmbedding::from_pretrained(fixture("sentence_transformer")).unwrap();
    let mean = load().normalize(false);
    let [both, all] = ["hello world", "now add then"].map(|text| mean.run(text).unwrap());
    assert!(both.dot(&both) > 1.1, "not normalised");
    let first = load().pooling(Pooling::Cls).normalize(false).run("hello world").unwrap();
    let last = load().pooling(Pooling::LastToken).normalize(false).run("hello world").unwrap();
    assert!(first != last && first != both && both != all);
    let prompted = load().prompt("now ").normalize(false).run("add then").unwrap();
    assert_eq!(prompted, all);
    // The directory says 12 tokens; the options may say otherwise.
    let long = "now add then ".repeat(9);
    let options = PipelineOptions::new().max_length(20);
    let longer =
        SentenceEmbedding::from_pretrained_with(fixture("sentence_transformer"), &options).unwrap();
    assert_ne!(longer.run(&long).unwrap(), load().run(&long).unwrap());
}

#[test]
fn vectors_are_cut_after_the_checkpoint_normalises_and_before_the_caller_does() {
    let load = || SentenceEmbedding::from_pretrained(fixture("sentence_transformer")).unwrap();
    let length = |vector: &ndalbert::ndarray::Array1<f32>| vector.dot(vector).sqrt();
    let whole = load().run("hello world").unwrap();
    let cut = load().truncate_dim(5).unwrap().run("hello world").unwrap();
    assert_near(length(&whole), 1.0, "the checkpoint's own");
    assert_eq!(cut.as_slice().unwrap(), &whole.as_slice().unwrap()[..5]);
    let unit = load().truncate_dim(5).unwrap().normalize(true).run("hello world").unwrap();
    assert_near(length(&unit), 1.0, "the caller's");
    for (cut, unit) in cut.iter().zip(&unit) {
        assert_near(cut / length(&cut_of(&whole)), *unit, "the same direction");
    }
    assert_eq!(load().truncate_dim(None).unwrap().run("hello world").unwrap(), whole);
    assert_eq!(load().truncate_dim(99).unwrap().run("hello world").unwrap(), whole);
    assert!(load().truncate_dim(0).is_err());
}

fn cut_of(vector: &ndalbert::ndarray::Array1<f32>) -> ndalbert::ndarray::Array1<f32> {
    vector.slice(ndalbert::ndarray::s![..5]).to_owned()
}

#[test]
fn prompts_are_known_by_their_names() {
    let prompts = json!({"prompts": {"query": "now ", "passage": null}});
    let directory = with_files(&json!({ "config_sentence_transformers.json": prompts }));
    let load = || SentenceEmbedding::from_pretrained(directory.path()).unwrap();
    let run = |pipeline: SentenceEmbedding| pipeline.run("add then").unwrap();
    assert_eq!(run(load().prompt_name("query").unwrap()), run(load().prompt("now ")));
    assert_eq!(run(load().prompt_name("passage").unwrap()), run(load()));
    let error = load().prompt_name("other").unwrap_err().to_string();
    assert!(error.contains("passage") && error.contains("other"), "{error}");
}

#[test]
fn a_checkpoint_without_a_pooler_is_enough() {
    let directory = copy(&fixture("masked_lm"));
    let vocabulary = root().join("tests/fixtures/tokenizers/sentencepiece/spiece.model");
    fs::copy(vocabulary, directory.path().join("spiece.model")).unwrap();
    let embed = SentenceEmbedding::from_pretrained(directory.path()).unwrap();
    assert_eq!(embed.run("").unwrap().len(), 16);
    let missing = &embed.load_report().unwrap().newly_initialized;
    assert_eq!(*missing, ["pooler.weight", "pooler.bias"]);
}

#[track_caller]
fn refused(files: Value, expected: &str) {
    let directory = with_files(&files);
    let error = SentenceEmbedding::from_pretrained(directory.path()).expect_err("it is refused");
    assert!(matches!(error, Error::Format { .. } | Error::Io { .. }), "{error:?}");
    assert!(error.to_string().contains(expected), "{error}");
}

fn modules(paths: [&str; 2], classes: [&str; 2]) -> Value {
    let module = |(path, class)| json!({"path": path, "type": class});
    let modules: Vec<Value> = paths.into_iter().zip(classes).map(module).collect();
    json!({ "modules.json": modules })
}

#[test]
fn paths_out_of_the_directory_are_refused() {
    let classes = ["a.Transformer", "b.Pooling"];
    for path in ["..", "../1_Pooling", "1_Pooling/../..", "/etc", "//", "./.././x"] {
        refused(modules(["", path], classes), "paths inside of the directory");
        refused(modules([path, "1_Pooling"], classes), "paths inside of the directory");
    }
    let dotted = with_files(&modules([".", "./1_Pooling"], classes));
    assert!(SentenceEmbedding::from_pretrained(dotted.path()).is_ok());
}

#[test]
fn hostile_directories_are_refused() {
    refused(json!({"modules.json": []}), "expected the modules");
    refused(modules(["", "2_Dense"], ["a.Transformer", "b.Dense"]), "Dense");
    refused(modules(["", "1_Pooling"], ["a.Pooling", "b.Transformer"]), "expected the modules");
    refused(json!({"modules.json": "{}"}), "modules.json");
    refused(json!({"modules.json": "[{\"path\": 1, \"type\": \"x\"}]"}), "modules.json");
    refused(json!({"modules.json": "\u{FEFF}"}), "modules.json");
    refused(json!({"1_Pooling/config.json": null}), "1_Pooling");
    refused(json!({"1_Pooling/config.json": {"pooling_mode": "median"}}), "median");
    refused(json!({"1_Pooling/config.json": {"pooling_mode": []}}), "pooling_mode");
    refused(json!({"1_Pooling/config.json": {"pooling_mode": [1]}}), "pooling_mode");
    refused(json!({"1_Pooling/config.json": {"pooling_mode_median_tokens": true}}), "median");
    refused(json!({"sentence_bert_config.json": {"max_seq_length": -1}}), "sentence_bert_config");
    let config = |entries: Value| json!({ "config_sentence_transformers.json": entries });
    for (entries, expected) in [
        (json!({"prompts": {"query": "now "}, "default_prompt_name": "passage"}), "passage"),
        (json!({"default_prompt_name": "query"}), "default_prompt_name"),
        (json!({"default_prompt_name": 3}), "default_prompt_name"),
        (json!({"prompts": ["now "]}), "prompts"),
        (json!({"truncate_dim": 0}), "truncate_dim"),
        (json!({"truncate_dim": -4}), "truncate_dim"),
        (json!({"truncate_dim": 4.5}), "truncate_dim"),
        (json!({"truncate_dim": "4"}), "truncate_dim"),
    ] {
        refused(config(entries), expected);
    }
    let transformer = |entries: Value| json!({ "sentence_bert_config.json": entries });
    refused(transformer(json!({"transformer_task": "fill-mask"})), "fill-mask");
    let cut = json!({"processing_kwargs": {"text": {"max_length": 3}}});
    refused(transformer(cut), "processing_kwargs");
    let directory = with_files(&json!({"sentence_bert_config.json": {"max_seq_length": 1}}));
    assert!(SentenceEmbedding::from_pretrained(directory.path()).is_err(), "no room for [SEP]");
    assert!(SentenceEmbedding::from_pretrained(Path::new("")).is_err());
}
