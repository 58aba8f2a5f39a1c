//! A `config.json` that does not fit the weights beside it is refused before memory is allocated for what it says.

mod checkpoint_support;

use std::fs;
use std::path::Path;

use checkpoint_support::{ALLOWED, peak_of};
use ndalbert::{AlbertForSequenceClassification, LoadOptions, PreTrainedModel};
use serde_json::{Value, json};

const MODEL: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/models/sequence_classification_3");

/// A directory with the model's weights and a config in which some keys are others.
fn directory(changes: &Value) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let from = Path::new(MODEL);
    fs::copy(from.join("model.safetensors"), directory.path().join("model.safetensors")).unwrap();
    let mut config: Value =
        serde_json::from_slice(&fs::read(from.join("config.json")).unwrap()).unwrap();
    for (key, value) in changes.as_object().unwrap() {
        config[key] = value.clone();
    }
    fs::write(directory.path().join("config.json"), config.to_string()).unwrap();
    directory
}

#[test]
fn sizes_that_the_weights_do_not_have_are_refused_before_memory_is_allocated() {
    let wild = 1_000_000_000;
    let deep = json!({"num_hidden_layers": 60_000, "num_hidden_groups": 60_000, "intermediate_size": wild});
    for (changes, words) in [
        (json!({"vocab_size": wild}), &["word_embeddings.weight", "[1000000000, "][..]),
        (json!({"max_position_embeddings": wild}), &["position_embeddings.weight", "1000000000"]),
        (json!({"type_vocab_size": wild}), &["token_type_embeddings.weight", "1000000000"]),
        (json!({"embedding_size": 100_000}), &["word_embeddings.weight", "100000"]),
        (json!({"hidden_size": 1_000_000}), &["embedding_hidden_mapping_in.weight", "1000000"]),
        (json!({"intermediate_size": wild}), &["ffn.weight", "1000000000"]),
        (json!({"num_hidden_layers": wild}), &["num_hidden_layers", "1000000000"]),
        (json!({"num_labels": wild}), &["num_labels", "1000000000"]),
        (deep, &["parameters"]),
    ] {
        for initialize in [false, true] {
            let options = LoadOptions::new().initialize_missing_backbone(initialize);
            assert_refused(&changes, &options, words);
        }
    }
    // So many layers could be newly initialised, if that is what somebody wants.
    for changes in [
        json!({"num_hidden_layers": 1, "inner_group_num": 65_536}),
        json!({"num_hidden_layers": 65_536, "num_hidden_groups": 65_536}),
    ] {
        assert_refused(&changes, &LoadOptions::new(), &["config.json makes", "in the checkpoint"]);
    }
}

#[track_caller]
fn assert_refused(changes: &Value, options: &LoadOptions, words: &[&str]) {
    let directory = directory(changes);
    let (result, peak) = peak_of(|| {
        AlbertForSequenceClassification::load_parameters(directory.path(), options)
            .map(|(config, _, _)| config)
    });
    let error = result.expect_err(&changes.to_string()).to_string();
    for word in words {
        assert!(error.contains(word), "{changes}: expected {word:?} in {error}");
    }
    assert!(peak <= ALLOWED, "{changes}: {peak} bytes were allocated");
}

/// More labels than any weights have, and than any classifier could be trained for.
#[test]
fn a_classifier_that_is_missing_is_not_made_up_at_any_size() {
    let directory = directory(&json!({}));
    for (labels, is_refused) in [(1_000, false), (1 << 22, true)] {
        let options = LoadOptions::new().num_labels(labels).ignore_mismatched_sizes(true);
        let (result, peak) = peak_of(|| {
            AlbertForSequenceClassification::load_parameters(directory.path(), &options)
                .map(|(config, _, _)| config.num_labels())
        });
        assert_eq!(result.is_err(), is_refused, "{labels} labels: {result:?}");
        assert!(peak < 512 << 20, "{labels} labels: {peak} bytes were allocated");
    }
}
