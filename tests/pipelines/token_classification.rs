//! Tagged tokens, words and entities, as transformers tags them.

use ndalbert::pipelines::{Aggregation, Entity, Pipeline, PipelineOptions, TokenClassification};
use ndalbert::{AlbertForTokenClassification, LoadOptions, Model, PreTrainedModel};
use serde_json::{Value, json};

use crate::common::refused;
use crate::spans::{assert_same, checkpoint, count, options};
use crate::support::{cases, fixture, list, number, patched, text};

fn tagger(kind: &str) -> TokenClassification {
    let (directory, tokenizer) = checkpoint("tagger", kind);
    let (model, report) = AlbertForTokenClassification::from_pretrained(directory).unwrap();
    assert!(report.is_clean(), "{report}");
    TokenClassification::new(model, tokenizer).unwrap()
}

/// The same, with a config that does not name its labels.
fn nameless(kind: &str) -> TokenClassification {
    let (directory, tokenizer) = checkpoint("tagger", kind);
    let unnamed = json!({ "id2label": null, "label2id": null, "num_labels": 5 });
    let directory = patched(&directory, &unnamed);
    let (model, _) = AlbertForTokenClassification::from_pretrained(directory.path()).unwrap();
    TokenClassification::new(model, tokenizer).unwrap()
}

fn tagger_small() -> TokenClassification {
    TokenClassification::from_pretrained(fixture("tagger")).unwrap()
}

fn aggregation(name: &str) -> Aggregation {
    match name {
        "none" => Aggregation::None,
        "simple" => Aggregation::Simple,
        "first" => Aggregation::First,
        "average" => Aggregation::Average,
        "max" => Aggregation::Max,
        other => panic!("no aggregation {other}"),
    }
}

fn with_options(pipeline: TokenClassification, run: &Value) -> TokenClassification {
    let name = text(&run["aggregation_strategy"]);
    let pipeline = pipeline.aggregation(aggregation(name)).stride(count(run, "stride"));
    let ignored = run["ignore_labels"]
        .as_array()
        .map(|labels| labels.iter().map(|label| text(label).to_owned()).collect());
    pipeline.ignore_labels(ignored.unwrap_or_else(|| vec!["O".to_owned()]))
}

type Row = [String; 5];

fn found(entities: &[Entity]) -> Vec<(f32, Row)> {
    let row = |entity: &Entity| {
        let index = entity.index.map_or(String::new(), |index| index.to_string());
        let (start, end) = (entity.start.to_string(), entity.end.to_string());
        (entity.score, [entity.label.clone(), entity.word.clone(), start, end, index])
    };
    entities.iter().map(row).collect()
}

fn expected(run: &Value) -> Vec<(f32, Row)> {
    let shown = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let row = |entity: &Value| {
        let rest = [0, 2, 3, 4, 5].map(|place| shown(&entity[place]));
        (number(&entity[1]), rest)
    };
    list(&run["entities"]).iter().map(row).collect()
}

#[test]
fn entities_are_those_of_transformers() {
    let mut compared = 0;
    for kind in ["wordpiece", "sentencepiece", "chinese"] {
        let mut pipelines = [tagger(kind), nameless(kind)];
        for case in cases("tags.json", 90).iter().filter(|case| case["kind"] == kind) {
            let input = text(&case["text"]);
            for run in list(&case["runs"]) {
                pipelines = pipelines.map(|pipeline| with_options(pipeline, run));
                let is_nameless = run["nameless"].as_bool().unwrap_or(false);
                let pipeline = &pipelines[usize::from(is_nameless)];
                let entities = pipeline.run(input).unwrap();
                let what = format!("{kind} {input:?} {}", options(run, "entities"));
                assert_same(&what, &found(&entities), &expected(run));
                assert_places(input, &entities);
                compared += entities.len();
            }
        }
    }
    assert!(compared > 3000, "{compared}");
}

/// Bytes and characters say the same.
#[track_caller]
fn assert_places(text: &str, entities: &[Entity]) {
    for entity in entities {
        let by_chars: String = text.chars().take(entity.end).skip(entity.start).collect();
        assert_eq!(&text[entity.bytes.clone()], by_chars);
    }
}

#[test]
fn many_texts_have_the_entities_of_each() {
    let pipeline = tagger("chinese").aggregation(Aggregation::Simple).stride(8);
    let cases = cases("tags.json", 90);
    let texts: Vec<&str> = cases.iter().map(|case| text(&case["text"])).collect();
    let together = pipeline.run_many(texts.clone());
    assert_eq!(together.len(), texts.len());
    for (text, together) in texts.into_iter().zip(together) {
        assert_eq!(together.unwrap(), pipeline.run(text).unwrap(), "{text:?}");
    }
    assert!(pipeline.run_many([""; 0]).is_empty());
}

/// A text of many windows goes through the model a batch at a time.
#[test]
fn windows_may_be_more_than_a_batch() {
    let options = PipelineOptions::new().tokens_per_batch(100);
    let directory = fixture("tagger");
    let few = TokenClassification::from_pretrained_with(directory, &options).unwrap();
    let (few, many) = (few.stride(10), tagger_small().stride(10));
    let text = "Anna lives in Uppsala. Tom Ash has a house in New York. ".repeat(40);
    let few = few.aggregation(Aggregation::Average).run(&*text).unwrap();
    assert_eq!(few, many.aggregation(Aggregation::Average).run(&*text).unwrap());
    assert!(few.last().unwrap().start > text.len() - 30, "{:?}", few.last());
}

#[test]
fn a_stride_needs_aggregation_and_room() {
    let tag = tagger_small().stride(4);
    refused(tag.run("Anna"), &["aggregation", "stride", "none"]);
    let tag = tag.aggregation(Aggregation::Simple).stride(64);
    refused(tag.run("Anna ".repeat(80)), &["max_length", "64"]);
    assert!(tag.run("Anna").is_ok());
    assert!(tag.stride(None).run("Anna ".repeat(80)).is_ok());
}

#[test]
fn numbers_that_are_none_are_an_error_of_their_text_alone() {
    let directory = fixture("tagger");
    let (config, mut parameters, _) =
        AlbertForTokenClassification::load_parameters(directory, &LoadOptions::new()).unwrap();
    let tokenizer = checkpoint("tagger", "wordpiece").1;
    let mask = tokenizer.mask_token_id() as usize;
    parameters.albert.embeddings.word_embeddings.row_mut(mask).fill(f32::NAN);
    let model = AlbertForTokenClassification::from_parameters(config, parameters).unwrap();
    let tag = TokenClassification::new(model, tokenizer).unwrap();
    let results = tag.run_many(["Anna lives", "in [MASK]", "Uppsala"]);
    assert_eq!(results[0].as_ref().unwrap(), &tagger_small().run("Anna lives").unwrap());
    refused(results.into_iter().nth(1).unwrap(), &["logits", "finite", "NaN"]);
}
