//! Heads without a model around them, and what models say of themselves.

use ndalbert::heads::{ClassifierHead, MaskedLmHead, MaskedLmHeadParameters};
use ndalbert::ndarray::{Array1, Array2};
use ndalbert::nn::{LayerNorm, Linear};
use ndalbert::{AlbertConfig, AlbertForSentenceOrder, ConfigFields, Model, PreTrainedModel};

const CHECKPOINT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/albert-chinese-demo");

#[test]
fn the_report_names_the_class_that_was_loaded_and_the_config_the_one_of_transformers() {
    let (model, report) = AlbertForSentenceOrder::from_pretrained(CHECKPOINT).unwrap();
    assert_eq!(report.architecture, "AlbertForSentenceOrder");
    let saved = tempfile::tempdir().unwrap();
    model.save_pretrained(saved.path()).unwrap();
    let json = std::fs::read_to_string(saved.path().join("config.json")).unwrap();
    assert!(json.contains(&format!("\"{}\"", AlbertForSentenceOrder::ARCHITECTURE)), "{json}");
    assert_eq!(AlbertForSentenceOrder::ARCHITECTURE, "AlbertForPreTraining");
}

/// V = 20, E = 6, H = 12.
fn config() -> AlbertConfig {
    AlbertConfig::new(ConfigFields {
        vocab_size: 20,
        embedding_size: 6,
        hidden_size: 12,
        num_attention_heads: 2,
        num_hidden_layers: 2,
        intermediate_size: 16,
        ..ConfigFields::default()
    })
    .unwrap()
}

#[test]
fn linear_layers_that_do_not_fit_are_refused() {
    for (weight, bias, expected) in [
        ([2, 12], 3, "length of a linear layer's bias: expected 2, found 3"),
        ([2, 12], 0, "length of a linear layer's bias: expected 2, found 0"),
        ([2, 0], 2, "[out, in], neither of them 0, found [2, 0]"),
        ([0, 12], 0, "[out, in], neither of them 0, found [0, 12]"),
    ] {
        let linear = Linear { weight: Array2::zeros(weight), bias: Array1::zeros(bias) };
        let error = ClassifierHead::from_linear(linear).err().unwrap().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let head = ClassifierHead::from_linear(Linear::zeros(12, 2)).unwrap();
    assert_eq!(head.forward(Array2::zeros((0, 12)).view()).unwrap().dim(), (0, 2));
    assert!(head.forward(Array2::zeros((3, 11)).view()).is_err());
}

#[test]
fn masked_lm_parameters_that_do_not_fit_are_refused() {
    let refused = |change: &dyn Fn(&mut MaskedLmHeadParameters), expected: &str| {
        let mut parameters = MaskedLmHeadParameters::zeros(&config());
        change(&mut parameters);
        let error = MaskedLmHead::new(&config(), parameters).err().unwrap().to_string();
        assert!(error.contains(expected), "{error}");
    };
    let norm = "`predictions.LayerNorm.weight`: expected [6], found";
    refused(&|p| p.layer_norm = LayerNorm::zeros(4), norm);
    refused(&|p| p.layer_norm = LayerNorm::zeros(0), norm);
    let bias = "`predictions.LayerNorm.bias`: expected [6], found [2]";
    refused(&|p| p.layer_norm.bias = Array1::zeros(2), bias);
    refused(&|p| p.dense.bias = Array1::zeros(0), "`predictions.dense.bias`: expected [6]");
    refused(&|p| p.dense = Linear::zeros(11, 6), "expected [6, 12], found [6, 11]");
    refused(&|p| p.bias = Array1::zeros(19), "`predictions.bias`: expected [20], found [19]");
}
