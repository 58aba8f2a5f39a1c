//! Each pipeline's strings, labels and order are transformers', and its scores within 1e-5.

use ndalbert::pipelines::{
    FillMask, Function, MultipleChoice, Pipeline, SentenceOrder, TextClassification, TextInput,
    ZeroShotClassification,
};
use ndalbert::{AlbertForMaskedLM, AlbertForSequenceClassification, PreTrainedModel};
use serde_json::Value;

use crate::support::{
    assert_classes, assert_near, cases, demo, fixture, list, number, patched, root, text, tokenizer,
};

fn text_classification(case: &Value) -> TextClassification {
    let directory = patched(&fixture(text(&case["model"])), &case["config"]);
    let (model, report) =
        AlbertForSequenceClassification::from_pretrained(directory.path()).unwrap();
    assert!(report.is_clean(), "{report}");
    let pipeline = TextClassification::new(model, tokenizer("wordpiece")).unwrap();
    let options = &case["options"];
    let pipeline = match options.get("top_k") {
        None => pipeline,
        Some(count) => pipeline.top_k(count.as_u64().map(|count| count as usize)),
    };
    match options.get("function_to_apply").map(text) {
        None => pipeline,
        Some("sigmoid") => pipeline.function(Function::Sigmoid),
        Some("softmax") => pipeline.function(Function::Softmax),
        Some(name) => {
            assert_eq!(name, "none");
            pipeline.function(Function::None)
        }
    }
}

#[test]
fn text_classification_is_transformers() {
    for case in cases("classification.json", 13) {
        let pipeline = text_classification(&case);
        let input = |input: &Value| TextInput {
            text: text(&input["text"]).to_owned(),
            pair: input.get("text_pair").map(|pair| text(pair).to_owned()),
        };
        let inputs = list(&case["inputs"]).iter().map(input);
        let what = format!("{} {} {}", case["model"], case["config"], case["options"]);
        for (i, found) in pipeline.run_many(inputs.clone()).into_iter().enumerate() {
            let what = format!("{what} {}", case["inputs"][i]);
            assert_classes(&found.unwrap(), &case["outputs"][i], &what);
        }
        // Alone, everything is bit-identical.
        for (input, together) in inputs.clone().zip(pipeline.run_many(inputs)) {
            assert_eq!(pipeline.run(input).unwrap(), together.unwrap());
        }
    }
}

#[test]
fn zero_shot_classification_is_transformers() {
    for case in cases("zero_shot.json", 9) {
        let directory = patched(&fixture("classifier"), &case["config"]);
        let options = &case["options"];
        let labels = list(&options["candidate_labels"]).iter().map(text);
        let mut pipeline = ZeroShotClassification::from_pretrained(directory.path())
            .unwrap()
            .labels(labels)
            .multi_label(options.get("multi_label") == Some(&Value::Bool(true)));
        if let Some(template) = options.get("hypothesis_template") {
            pipeline = pipeline.hypothesis_template(text(template)).unwrap();
        }
        let found = pipeline.run_many(list(&case["inputs"]).iter().map(text));
        for ((input, found), expected) in
            list(&case["inputs"]).iter().zip(found).zip(list(&case["outputs"]))
        {
            assert_classes(
                &found.unwrap(),
                expected,
                &format!("{} {options} {input}", case["config"]),
            );
        }
        // transformers refuses an empty text; here it is one like any other without words.
        assert_eq!(pipeline.run("").unwrap(), pipeline.run("  ").unwrap());
    }
}

fn fill_mask(case: &Value) -> FillMask {
    let pipeline = match text(&case["model"]) {
        "demo" => FillMask::from_pretrained(demo()).unwrap(),
        name => {
            let (model, _) = AlbertForMaskedLM::from_pretrained(fixture(name)).unwrap();
            FillMask::new(model, tokenizer("converted")).unwrap()
        }
    };
    let options = &case["options"];
    let pipeline = match options.get("top_k") {
        None => pipeline,
        Some(count) => pipeline.top_k(count.as_u64().unwrap() as usize),
    };
    match options.get("targets") {
        None => pipeline,
        Some(targets) => {
            pipeline.targets(&list(targets).iter().map(text).collect::<Vec<_>>()).unwrap()
        }
    }
}

#[test]
fn fill_mask_is_transformers() {
    for case in cases("fill_mask.json", 6) {
        let pipeline = fill_mask(&case);
        let found = pipeline.run_many(list(&case["inputs"]).iter().map(text));
        for ((input, found), expected) in
            list(&case["inputs"]).iter().zip(found).zip(list(&case["outputs"]))
        {
            let (found, what) = (found.unwrap(), format!("{} {input}", case["options"]));
            assert_eq!(found.len(), list(expected).len(), "{what}");
            for (found, expected) in found.iter().zip(list(expected)) {
                assert_eq!(found.len(), list(expected).len(), "{what}");
                for (found, expected) in found.iter().zip(list(expected)) {
                    assert_eq!(
                        u64::from(found.token),
                        expected["token"].as_u64().unwrap(),
                        "{what}"
                    );
                    assert_eq!(found.token_str, text(&expected["token_str"]), "{what}");
                    assert_eq!(found.sequence, text(&expected["sequence"]), "{what}");
                    assert_near(found.score, number(&expected["score"]), &what);
                }
            }
        }
    }
}

#[test]
fn multiple_choice_is_transformers_model() {
    let directory = root().join("examples/data/albert-chinese-next-sentence");
    let pipeline = MultipleChoice::from_pretrained(directory).unwrap();
    for case in cases("multiple_choice.json", 5) {
        let choices = list(&case["choices"]).iter().map(text);
        let found = pipeline.run((text(&case["prompt"]), choices)).unwrap();
        let expected = list(&case["output"]);
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert_eq!(found.index as u64, expected["index"].as_u64().unwrap(), "{case}");
            assert_eq!(found.choice, text(&expected["choice"]));
            assert_near(found.score, number(&expected["score"]), &found.choice);
            assert_near(found.logit, number(&expected["logit"]), &found.choice);
        }
    }
}

#[test]
fn sentence_order_is_transformers_model() {
    let pipeline = SentenceOrder::from_pretrained(demo()).unwrap();
    for case in cases("sentence_order.json", 5) {
        let found = pipeline.run((text(&case["first"]), text(&case["second"]))).unwrap();
        assert_near(found.in_order, number(&case["in_order"]), "in order");
        for (found, expected) in found.logits.into_iter().zip(list(&case["logits"])) {
            assert_near(found, number(expected), "logit");
        }
    }
}
