use super::*;

fn read(text: &str) -> Result<AlbertConfig> {
    AlbertConfig::from_json(serde_json::from_str(text).unwrap())
}

#[test]
fn defaults_are_those_of_transformers() {
    let config = read("{}").unwrap();
    assert_eq!(config.to_fields(), ConfigFields::default());
    assert_eq!((config.hidden_size, config.layer_norm_eps), (4096, 1e-12));
    assert_eq!(config.classifier_dropout_prob, Some(0.1));
}

#[test]
fn unknown_keys_and_every_field_survive_a_round_trip() {
    let text = r#"{"down_scale_factor": 1, "net_structure_type": 0, "my": {"nested": [1, null]},
        "hidden_size": 60, "num_attention_heads": 5, "embedding_size": 7, "vocab_size": 99,
        "num_hidden_layers": 5, "num_hidden_groups": 2, "inner_group_num": 3, "hidden_act": "mish",
        "intermediate_size": 33, "hidden_dropout_prob": 0.25, "attention_probs_dropout_prob": 0.125,
        "max_position_embeddings": 17, "type_vocab_size": 3, "initializer_range": 0.5,
        "layer_norm_eps": 1e-7, "classifier_dropout_prob": null, "pad_token_id": 1,
        "bos_token_id": null, "eos_token_id": [4, 5], "parameter_sharing": "ffn",
        "tie_word_embeddings": false, "tie_decoder_bias": false,
        "id2label": {"1": "b", "0": "a", "2": "c"}, "problem_type": "regression", "exit_layers": [2, 5]}"#;
    let config = read(text).unwrap();
    assert_eq!(config.labels, ["a", "b", "c"]);
    assert_eq!(config.eos_token_id, Some(4));
    assert_eq!(config.bos_token_id, None);
    let written = config.to_json();
    assert_eq!(written["my"], json!({"nested": [1, null]}));
    assert_eq!(written["classifier_dropout_prob"], Value::Null);
    assert_eq!(written["eos_token_id"], json!([4, 5]));
    assert_eq!(written["parameter_sharing"], "ffn");
    assert_eq!(written["tie_word_embeddings"], json!(false));
    assert_eq!(AlbertConfig::from_json(written).unwrap(), config);
}

#[test]
fn every_violation_names_the_field_and_the_value() {
    for (text, field, found) in [
        (r#"{"num_attention_heads": 7}"#, "num_attention_heads", "7"),
        (r#"{"num_hidden_groups": 13}"#, "num_hidden_groups", "13"),
        (r#"{"vocab_size": 0}"#, "vocab_size", "0"),
        (r#"{"embedding_size": -3}"#, "embedding_size", "-3"),
        (r#"{"hidden_size": 1.5}"#, "hidden_size", "1.5"),
        (r#"{"hidden_size": 0}"#, "hidden_size", "0"),
        (r#"{"num_hidden_layers": 0}"#, "num_hidden_layers", "0"),
        (r#"{"num_hidden_groups": 0}"#, "num_hidden_groups", "0"),
        (r#"{"num_attention_heads": 0}"#, "num_attention_heads", "0"),
        (r#"{"intermediate_size": 0}"#, "intermediate_size", "0"),
        (r#"{"inner_group_num": 0}"#, "inner_group_num", "0"),
        (r#"{"max_position_embeddings": 0}"#, "max_position_embeddings", "0"),
        (r#"{"type_vocab_size": "two"}"#, "type_vocab_size", "two"),
        (r#"{"hidden_act": "swiglu"}"#, "hidden_act", "swiglu"),
        (r#"{"hidden_act": 3}"#, "hidden_act", "3"),
        (r#"{"layer_norm_eps": 0}"#, "layer_norm_eps", "0"),
        (r#"{"layer_norm_eps": 1e-60}"#, "layer_norm_eps", "0.000"),
        (r#"{"initializer_range": -0.02}"#, "initializer_range", "-0.02"),
        (r#"{"hidden_dropout_prob": 1.5}"#, "hidden_dropout_prob", "1.5"),
        (r#"{"attention_probs_dropout_prob": -0.1}"#, "attention_probs_dropout_prob", "-0.1"),
        (r#"{"classifier_dropout_prob": "x"}"#, "classifier_dropout_prob", "x"),
        (r#"{"parameter_sharing": "some"}"#, "parameter_sharing", "some"),
        (r#"{"parameter_sharing": "none", "num_hidden_groups": 2}"#, "num_hidden_groups", "2"),
        (r#"{"pad_token_id": 30000}"#, "pad_token_id", "30000"),
        (r#"{"id2label": {"0": "a", "x": "b"}}"#, "id2label", "x"),
        (r#"{"id2label": {"0": "a", "00": "b"}}"#, "id2label", "2 for 1 ids"),
        (r#"{"id2label": {"0": [1]}}"#, "id2label", "[1]"),
        (r#"{"num_hidden_layers": 4000000000}"#, "num_hidden_layers", "4000000000"),
        (r#"{"inner_group_num": 70000}"#, "num_hidden_layers", "70000"),
        (r#"{"layer_norm_eps": 1e300}"#, "layer_norm_eps", "1000"),
        (r#"{"initializer_range": 1e300}"#, "initializer_range", "1000"),
        (r#"{"id2label": {}}"#, "num_labels", "0"),
        (r#"{"num_labels": 99999999999}"#, "num_labels", "99999999999"),
        (r#"{"problem_type": "x"}"#, "problem_type", "x"),
        (r#"{"exit_layers": [6]}"#, "exit_layers", "[6]"),
        (r#"{"exit_layers": [0, 12]}"#, "exit_layers", "[0, 12]"),
        (r#"{"exit_layers": [4, 4, 12]}"#, "exit_layers", "[4, 4, 12]"),
        (r#"{"exit_layers": 12}"#, "exit_layers", "12"),
        (r#"{"exit_layers": [1.5, 12]}"#, "exit_layers", "1.5"),
        (r#"{"tie_word_embeddings": "false"}"#, "tie_word_embeddings", "false"),
        (r#"{"model_type": "bert"}"#, "model_type", "bert"),
        (
            r#"{"position_embedding_type": "relative_key"}"#,
            "position_embedding_type",
            "relative_key",
        ),
        (r#"{"hidden_size": 4000000000, "num_attention_heads": 1}"#, "hidden_size", "parameters"),
        (r#"[1]"#, "config", "[1]"),
    ] {
        let error = read(text).expect_err(text);
        let Error::Config { field: named, found: value, .. } = &error else {
            panic!("{text}: {error}");
        };
        assert_eq!(named, field, "{text}: {error}");
        assert!(value.contains(found), "{text}: {error}");
    }
    let nan = ConfigFields { layer_norm_eps: f64::NAN, ..ConfigFields::default() };
    assert!(AlbertConfig::new(nan).unwrap_err().to_string().contains("layer_norm_eps"));
}

#[test]
fn nothing_shared_is_one_group_per_layer() {
    let config = read(r#"{"parameter_sharing": "none", "hidden_size": 64}"#).unwrap();
    assert_eq!(config.num_hidden_groups, 12);
    assert_eq!(config.to_json()["num_hidden_groups"], 12);
}

#[test]
fn groups_are_found_in_floating_point() {
    let config =
        read(r#"{"num_hidden_layers": 7, "num_hidden_groups": 3, "hidden_size": 64}"#).unwrap();
    let groups: Vec<usize> = (0..7).map(|layer| config.group_of_layer(layer)).collect();
    assert_eq!(groups, [0, 0, 0, 1, 1, 2, 2]);
}
