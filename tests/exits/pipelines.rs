//! Pipelines whose models have exits.

use std::path::{Path, PathBuf};

use ndalbert::exits::{Confidence, Patience};
use ndalbert::pipelines::Classification;
use ndalbert::pipelines::{
    MultipleChoice, Pipeline, PipelineOptions, SentenceOrder, TextClassification,
    ZeroShotClassification,
};
use ndalbert::{
    AlbertForMultipleChoice, AlbertForSentenceOrder, AlbertForSequenceClassification,
    AlbertTokenizer, LoadOptions, Model, PreTrainedModel,
};

use crate::common::refused;

const TEXTS: [&str; 6] = [
    "the compiler shows an error",
    "another pattern",
    "a",
    "this code is right and that one is wrong, but nobody knows why",
    "hello world",
    "",
];

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/pipelines").join(name)
}

/// A model of the goldens with an exit after each layer; newly initialised ones are different
/// enough.
fn with_exits<M: PreTrainedModel>() -> (M, AlbertTokenizer) {
    let directory = golden("classifier");
    let layers = ndalbert::AlbertConfig::from_pretrained(&directory).unwrap().num_hidden_layers;
    let options = LoadOptions::new().exit_layers(1..=layers).ignore_mismatched_sizes(true).seed(3);
    let (model, _) = M::from_pretrained_with(&directory, &options).unwrap();
    (model, AlbertTokenizer::from_pretrained(&directory).unwrap())
}

fn layers_of(classes: &[Vec<Classification>]) -> Vec<usize> {
    classes.iter().map(|classes| classes[0].layers).collect()
}

#[test]
fn answers_say_how_many_layers_they_took() {
    let classify = || {
        let (model, tokenizer) = with_exits::<AlbertForSequenceClassification>();
        TextClassification::new(model, tokenizer).unwrap().top_k(None)
    };
    let depth = classify().model().config().num_hidden_layers;
    let run = |classify: TextClassification| -> Vec<Vec<Classification>> {
        classify.run_many(TEXTS).into_iter().map(Result::unwrap).collect()
    };
    let full = run(classify());
    assert_eq!(layers_of(&full), [depth; 6]);
    let first = run(classify().exit(Patience::new(0)).unwrap());
    assert_eq!(layers_of(&first), [1; 6]);
    // No input is that certain, so all go through every layer, and the answers are the same.
    assert_eq!(run(classify().exit(Confidence::new(1.1)).unwrap()), full);
    // A stream is its inputs one by one.
    let patient = classify().exit(Patience::new(1)).unwrap();
    let together: Vec<_> = patient.run_many(TEXTS).into_iter().map(Result::unwrap).collect();
    for (text, answer) in TEXTS.iter().zip(&together) {
        assert_eq!(&patient.run(*text).unwrap(), answer, "{text:?}");
    }
}

#[test]
fn a_pipeline_without_exits_refuses_a_policy() {
    let directory = golden("classifier");
    let classify = TextClassification::from_pretrained(&directory).unwrap();
    refused(classify.exit(Patience::new(1)), &["exit_layers"]);
    let options = PipelineOptions::new().initialize_missing_head(true);
    let order = SentenceOrder::from_pretrained_with(&directory, &options).unwrap();
    refused(order.exit(Patience::new(1)), &["exit_layers"]);
}

#[test]
fn ranked_labels_leave_together_and_others_alone() {
    let zero_shot = |multi_label| {
        let (model, tokenizer) = with_exits::<AlbertForSequenceClassification>();
        ZeroShotClassification::new(model, tokenizer)
            .unwrap()
            .labels(["compiler", "library", "cooking", "weather"])
            .multi_label(multi_label)
            .entailment_id(0)
            .unwrap()
    };
    for multi_label in [false, true] {
        let full: Vec<_> = zero_shot(multi_label).run_many(TEXTS);
        let late: Vec<_> =
            zero_shot(multi_label).exit(Confidence::new(1.1)).unwrap().run_many(TEXTS);
        for (full, late) in full.into_iter().zip(late) {
            assert_eq!(full.unwrap(), late.unwrap());
        }
        let patient = zero_shot(multi_label).exit(Patience::new(1)).unwrap();
        let together = patient.run_many(TEXTS);
        for (text, answer) in TEXTS.iter().zip(together) {
            let answer = answer.unwrap();
            assert_eq!(patient.run(*text).unwrap(), answer, "{text:?}");
            if !multi_label {
                assert!(answer.iter().all(|class| class.layers == answer[0].layers));
            }
        }
        // One label is judged by itself, whatever was asked for.
        let one = patient.run((TEXTS[0], ["compiler"])).unwrap();
        assert!((0.0..1.0).contains(&one[0].score) && one[0].layers > 1);
    }
}

#[test]
fn choices_and_pairs_leave_early() {
    let (model, tokenizer) = with_exits::<AlbertForMultipleChoice>();
    let choose = MultipleChoice::new(model, tokenizer).unwrap().exit(Patience::new(1)).unwrap();
    // Prompts with different numbers of choices, together and alone.
    let inputs =
        [(TEXTS[0], vec![TEXTS[1], TEXTS[2]]), (TEXTS[3], TEXTS.to_vec()), (TEXTS[4], vec!["a"])];
    let together = choose.run_many(inputs.clone());
    for (input, ranked) in inputs.into_iter().zip(together) {
        let ranked = ranked.unwrap();
        assert_eq!(choose.run(input).unwrap(), ranked);
        assert!(ranked.iter().all(|choice| choice.layers == ranked[0].layers));
    }
    let (model, tokenizer) = with_exits::<AlbertForSentenceOrder>();
    let order = SentenceOrder::new(model, tokenizer).unwrap().exit(Patience::new(0)).unwrap();
    assert_eq!(order.run((TEXTS[0], TEXTS[1])).unwrap().layers, 1);
}
