//! Heads without a model around them, and what models say of themselves.

use ndalbert::{AlbertForSentenceOrder, Model, PreTrainedModel};

const CHECKPOINT: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/albert-chinese-demo");

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
