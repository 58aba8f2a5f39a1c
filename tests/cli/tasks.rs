//! Each task: its inputs in every form, its settings, its answers.

use std::fs;

use ndalbert::{AlbertForSequenceClassification, AlbertTokenizer, LoadOptions, PreTrainedModel};
use serde_json::Value;

use crate::{CHOICES, DEMO, PROMPT, RIGHT, WRONG, fed, run, text};

const CLASSIFIER: &str = "tests/golden/pipelines/classifier";
const INFERENCE: &str = "tests/fixtures/inference";
const TAGGER: &str = "tests/golden/pipelines/tagger";
const ANSWERER: &str = "tests/golden/pipelines/answerer";

#[test]
fn masks() {
    let run = run(&[
        "fill-mask",
        "-m",
        DEMO,
        "--top-k",
        "3",
        "我们先介绍线性[MASK]归.",
        "[MASK]据[MASK]",
    ])
    .succeeds();
    let json = run.json();
    assert_eq!(run.lines(), [1, 2]);
    assert_eq!(json[0]["masks"].as_array().unwrap().len(), 1);
    assert_eq!(json[1]["masks"].as_array().unwrap().len(), 2);
    let words = json[0]["masks"][0].as_array().unwrap();
    assert!(words.len() == 3 && words.is_sorted_by_key(|word| -word["score"].as_f64().unwrap()));
    assert!(
        words[0]["sequence"].as_str().unwrap().contains(words[0]["token_str"].as_str().unwrap())
    );
    let few = self::run(&["fill-mask", "-m", DEMO, "--targets", "回,数", "线性[MASK]归"])
        .succeeds()
        .json();
    assert_eq!(few[0]["masks"][0].as_array().unwrap().len(), 2);
    self::run(&["fill-mask", "-m", DEMO, "没有"]).fails(1, &["line 1", "[MASK]", "1 of 1"]);
}

/// Labels in one string are trimmed, and empty ones dropped, wherever they are written.
#[test]
fn labels_in_one_string() {
    let classify = |labels: &str| {
        run(&["classify", "-m", INFERENCE, "--top-k", "0", "--labels", labels, "the a b c"])
    };
    let three = classify("a,b,c").succeeds();
    assert_eq!(classify(" a, b , c").succeeds().stdout, three.stdout);
    let two = classify("a,,c, ").succeeds();
    assert_eq!(two.json()[0]["classes"].as_array().unwrap().len(), 2);
    for none in ["", " , "] {
        classify(none).fails(1, &["--labels", "at least one"]);
    }
    let jsonl = |labels: Value| {
        let input = serde_json::json!({ "text": "the a b c", "labels": labels }).to_string();
        let arguments = ["classify", "-m", INFERENCE, "--top-k", "0", "--labels", "x"];
        fed(&[&arguments[..], &["--from", "jsonl"]].concat(), &input)
    };
    assert_eq!(jsonl("a , c,,".into()).succeeds().json(), two.json());
    assert_eq!(jsonl(vec!["a", "c"].into()).succeeds().json(), two.json());
    jsonl(Value::Array(Vec::new())).fails(1, &["labels", "at least one"]);
    jsonl(" ,".into()).fails(1, &["labels", "at least one"]);
}

#[test]
fn the_class_of_entailment_can_be_named() {
    let classify = |class: &str| {
        let arguments = ["classify", "-m", CLASSIFIER, "--labels", "a,b", "--entailment", class];
        run(&[&arguments[..], &["the compiler"]].concat())
    };
    assert_ne!(classify("0").succeeds().stdout, classify("1").succeeds().stdout);
    classify("9").fails(1, &["entailment_id", "9"]);
}

#[test]
fn embeddings_are_cut_and_prompted() {
    const SENTENCES: &str = "tests/golden/pipelines/sentence_transformer";
    let embed = |options: &[&str], text: &str| {
        run(&[&["embed", "-m", SENTENCES][..], options, &[text]].concat())
    };
    let vector = |options: &[&str], text: &str| {
        let json = embed(options, text).succeeds().json();
        let values = json[0]["embedding"].as_array().unwrap();
        values.iter().map(|value| value.as_f64().unwrap()).collect::<Vec<_>>()
    };
    let whole = vector(&[], "add then");
    assert_eq!(vector(&["--truncate-dim", "4"], "add then"), whole[..4]);
    let unit = vector(&["--truncate-dim", "4", "--normalize"], "add then");
    assert!((unit.iter().map(|value| value * value).sum::<f64>() - 1.0).abs() < 1e-5);
    embed(&["--truncate-dim", "0"], "x").fails(1, &["truncate_dim"]);
    assert_eq!(vector(&["--prompt", "add "], "then"), whole);
    assert_eq!(vector(&["--prompt-name", "query"], "add then"), whole);
    embed(&["--prompt-name", "other"], "x").fails(1, &["prompt_name", "query"]);
}

/// The same answers in all ways that inputs can come in.
#[test]
fn choices() {
    let tabs = [PROMPT, WRONG, RIGHT].join("\t");
    let object = serde_json::json!({ "prompt": PROMPT, "choices": [WRONG, RIGHT] }).to_string();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("inputs.txt");
    fs::write(&file, &tabs).unwrap();
    let runs = [
        run(&["choose", "-m", CHOICES, PROMPT, WRONG, RIGHT]),
        fed(&["choose", "-m", CHOICES], &tabs),
        fed(&["choose", "-m", CHOICES], format!("\u{feff}{tabs}\r\n")),
        run(&["choose", "-m", CHOICES, "-i", text(&file)]),
        fed(&["choose", "-m", CHOICES, "--from", "jsonl"], &object),
        run(&["choose", "-m", CHOICES, "--from", "jsonl", &object]),
    ];
    for run in &runs {
        assert_eq!((run.code, &run.stdout), (Some(0), &runs[0].stdout), "{}", run.stderr);
        let json = run.json();
        assert_eq!(json[0]["choices"][0]["choice"], RIGHT);
        assert_eq!(json[0]["choices"][0]["index"], 1);
    }
    run(&["choose", "-m", CHOICES, PROMPT]).fails(1, &["expected a text and choices"]);
    fed(&["choose", "-m", CHOICES, "-f", "jsonl"], r#"{"prompt": "a", "choices": []}"#)
        .fails(1, &["line 1"]);
}

#[test]
fn order() {
    let run = fed(
        &["order", "-m", DEMO, "-t", "table"],
        "我们先介绍线性回归.\t然后介绍分类.\n只有一句\n",
    )
    .fails(
        1,
        &["line 2: expected first and second, separated by tabs, found 1 texts", "1 of 2 inputs"],
    );
    assert!(run.stdout.contains("in order") && run.stdout.contains("然后介绍分类."));
}

#[test]
fn classes() {
    let one = run(&["classify", "-m", CLASSIFIER, "the compiler shows an error"]).succeeds().json();
    assert_eq!(one[0]["classes"].as_array().unwrap().len(), 1);
    let all = fed(
        &["classify", "-m", CLASSIFIER, "--top-k", "0", "--pairs", "--function", "sigmoid"],
        "a\tb\nc\n",
    );
    let all = all.fails(1, &["line 2", "separated by tabs"]);
    let classes = all.json()[0]["classes"].as_array().unwrap().clone();
    assert!(
        classes.len() > 1 && classes.is_sorted_by_key(|class| -class["score"].as_f64().unwrap())
    );
    let object = r#"{"text": "a", "pair": "b"}"#;
    let pair = fed(
        &["classify", "-m", CLASSIFIER, "--top-k", "0", "--function", "sigmoid", "-f", "jsonl"],
        object,
    );
    assert_eq!(pair.succeeds().json()[0]["classes"], Value::from(classes));
    run(&["classify", "-m", DEMO, "a"]).fails(1, &["classifier", "trained for something else"]);
}

#[test]
fn answers_say_where_inputs_left() {
    run(&["classify", "-m", CLASSIFIER, "--exit", "patience=1", "a"]).fails(1, &["exit_layers"]);
    run(&["classify", "-m", CLASSIFIER, "--exit", "patience", "a"]).fails(2, &["patience=N"]);

    let place = tempfile::tempdir().unwrap();
    let options = LoadOptions::new().exit_layers(1..=2);
    let (model, _) =
        AlbertForSequenceClassification::from_pretrained_with(CLASSIFIER, &options).unwrap();
    model.save_pretrained(place.path()).unwrap();
    let tokenizer = AlbertTokenizer::from_pretrained(CLASSIFIER).unwrap();
    tokenizer.save_pretrained(place.path()).unwrap();
    let place = place.path().to_str().unwrap();
    let layers = |exit: &[&str]| {
        let answer = run(&[&["classify", "-m", place, "a"], exit].concat()).succeeds().json();
        answer[0]["classes"][0]["layers"].clone()
    };
    assert_eq!(layers(&["--exit", "patience=0"]), 1);
    assert_eq!(layers(&["--exit", "confidence=1.1"]), 2);
    assert_eq!(layers(&[]), Value::Null);
}

/// A name is where it is said to be, in characters.
#[test]
fn tags() {
    let text = "小王住在北京市, 小李也住在那里.";
    let run = run(&["tag", "-m", TAGGER, "--ignore", "", text]).succeeds();
    let entities = run.json()[0]["entities"].as_array().unwrap().clone();
    assert!(!entities.is_empty());
    for entity in entities {
        let [start, end] = ["start", "end"].map(|key| entity[key].as_u64().unwrap() as usize);
        assert!(start < end && end <= text.chars().count() && entity.get("index").is_none());
    }
    let tokens =
        self::run(&["tag", "-m", TAGGER, "--aggregation", "none", "--ignore", "", text]).succeeds();
    assert!(tokens.json()[0]["entities"][0]["index"].is_u64());
    self::run(&["tag", "-m", TAGGER, "--aggregation", "none", "--stride", "2", text])
        .fails(1, &["aggregation"]);
    self::run(&["tag", "-m", TAGGER, "-t", "table", "--ignore", "", text]).succeeds();
}

#[test]
fn answers() {
    let (question, context) = ("小李住在哪里?", "小王住在北京市, 小李住在上海.");
    let object = serde_json::json!({ "question": question, "context": context }).to_string();
    let runs = [
        run(&["answer", "-m", ANSWERER, question, context]),
        run(&["answer", "-m", ANSWERER, "--question", question, context]),
        fed(&["answer", "-m", ANSWERER], format!("{question}\t{context}")),
        fed(&["answer", "-m", ANSWERER, "-f", "jsonl"], object),
    ];
    for run in &runs {
        assert_eq!((run.code, &run.stdout), (Some(0), &runs[0].stdout), "{}", run.stderr);
    }
    let answer = runs[0].json()[0]["answers"][0].clone();
    let [start, end] = ["start", "end"].map(|key| answer[key].as_u64().unwrap() as usize);
    let cut: String = context.chars().skip(start).take(end - start).collect();
    assert_eq!(answer["answer"], cut);
    let more = run(&["answer", "-m", ANSWERER, "--top-k", "3", "--impossible", question, context])
        .succeeds();
    assert!(more.json()[0]["answers"].as_array().unwrap().len() > 1);
    fed(&["answer", "-m", ANSWERER], "没有上下文\n")
        .fails(1, &["line 1: expected question and context"]);
    run(&["answer", "-m", ANSWERER, question, ""]).fails(1, &["context"]);
}

#[test]
fn vectors() {
    let run =
        run(&["embed", "-m", DEMO, "--normalize", "--pooling", "cls", "回归", "分类"]).succeeds();
    for answer in run.json() {
        let squares = answer["embedding"]
            .as_array()
            .unwrap()
            .iter()
            .map(|value| value.as_f64().unwrap().powi(2));
        assert!((squares.sum::<f64>() - 1.0).abs() < 1e-5);
    }
    let table = self::run(&["embed", "-m", DEMO, "-t", "table", "回归"]).succeeds();
    assert!(table.stdout.contains("first values"));
}

#[test]
fn tokens() {
    let run = fed(
        &["tokenize", "-m", DEMO, "-f", "jsonl"],
        "{\"text\": \"回归\", \"pair\": \"分类\"}\n\"a🎉\"\n",
    )
    .succeeds();
    let json = run.json();
    assert_eq!(
        json[0]["tokens"],
        serde_json::json!(["[CLS]", "回", "归", "[SEP]", "分", "类", "[SEP]"])
    );
    assert_eq!(json[0]["type_ids"], serde_json::json!([0, 0, 0, 0, 1, 1, 1]));
    assert_eq!(json[1]["line"], 2);
    let cut =
        self::run(&["tokenize", "-m", DEMO, "--max-length", "3", "回归回归"]).succeeds().json();
    assert_eq!(cut[0]["ids"].as_array().unwrap().len(), 3);
    let table = self::run(&["tokenize", "-m", DEMO, "--to", "table", "回归"]).succeeds().stdout;
    assert!(table.starts_with("  line  token") && table.lines().count() == 6, "{table}");
}
