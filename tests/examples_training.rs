//! The examples that train, run as a user runs them, on a little of the data that comes with this crate.
//!
//! As with `tests/examples.rs`, `cargo test` builds them.

mod common;

use std::fs;
use std::path::Path;

use common::example::{Run, fail, path, succeed};
use ndalbert::{
    AlbertConfig, AlbertForMultipleChoice, AlbertForPreTraining, AlbertForQuestionAnswering,
    AlbertForSequenceClassification, AlbertForTokenClassification, AlbertTokenizer,
    PreTrainedModel, ProblemType,
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A directory for data and what comes of it.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    /// The first lines of a file of the repository.
    fn head(&self, file: &str, lines: usize, name: &str) -> String {
        let text = fs::read_to_string(path("examples/data").join(file)).unwrap();
        let lines: Vec<&str> = text.lines().take(lines).collect();
        self.write(name, &(lines.join("\n") + "\n"))
    }
}

/// The lines of a log that have a key.
fn logged(output: &str, key: &str) -> Vec<Value> {
    let log = fs::read_to_string(Path::new(output).join("metrics.jsonl")).unwrap();
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line.get(key).is_some()).collect()
}

fn assert_curve(output: &str) {
    let curve = fs::read_to_string(Path::new(output).join("learning-curve.svg")).unwrap();
    assert!(curve.starts_with("<svg") && curve.ends_with("</svg>\n"), "{curve}");
    assert!(curve.contains("(training)") && curve.contains("(held out)"), "{curve}");
}

/// The model of a directory, with nothing made up, and its vocabulary.
fn load<M: PreTrainedModel>(output: &str) -> (M, AlbertTokenizer) {
    let (model, report) = M::from_pretrained(output).unwrap();
    assert!(report.is_clean(), "{report}");
    (model, AlbertTokenizer::from_pretrained(output).unwrap())
}

fn weights(output: &str) -> Vec<u8> {
    fs::read(Path::new(output).join("model.safetensors")).unwrap()
}

#[test]
fn pretrain_makes_a_checkpoint_of_text_and_goes_on_to_the_bit() {
    let place = Place::new();
    let text = place.head("rust-book/train.txt", 150, "train.txt");
    let held_out = place.head("rust-book/held-out.txt", 40, "held-out.txt");
    let config = json!({
        "embedding_size": 16, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 64, "max_position_embeddings": 32, "hidden_dropout_prob": 0.1,
    });
    let (config, output) = (place.write("config.json", &config.to_string()), place.path("output"));
    let arguments = |more: &[&'static str]| -> Run {
        let given = ["--text", &text, "--held-out", &held_out, "--config", &config];
        let size = ["--train-vocabulary", "300", "--batch", "4", "--seq", "32"];
        let steps = ["--steps", "6", "--every", "3", "--warmup", "1", "--output", &output];
        succeed("pretrain", &[&given[..], &size, &steps, more].concat())
    };
    let run = arguments(&[]);
    assert!(run.stdout.contains("held out: masked_lm_accuracy "), "{}", run.stdout);
    assert!(run.stdout.contains("were all masked words "), "{}", run.stdout);
    let (model, tokenizer) = load::<AlbertForPreTraining>(&output);
    assert_eq!(ndalbert::Model::config(&model).vocab_size, tokenizer.vocab_size());
    assert_eq!((logged(&output, "loss").len(), logged(&output, "eval_loss").len()), (6, 2));
    assert_curve(&output);

    // As if it had been stopped after the first checkpoint.
    let unbroken = weights(&output);
    fs::remove_dir_all(Path::new(&output).join("checkpoint-6")).unwrap();
    fs::remove_file(Path::new(&output).join("model.safetensors")).unwrap();
    let run = arguments(&["--resume"]);
    assert!(run.stdout.contains("going on from") && run.stdout.contains("checkpoint-3"));
    assert!(weights(&output) == unbroken, "other weights than those of the unbroken run");
    assert_eq!((logged(&output, "loss").len(), logged(&output, "eval_loss").len()), (6, 2));
}

#[test]
fn next_sentence_makes_items_that_finetune_multiple_choice_learns_from() {
    let place = Place::new();
    let (text, items) = (path("examples/data/rust-book/train.txt"), place.path("items"));
    let counts = ["--train", "8", "--validation", "4", "--test", "6"];
    let lengths = ["--shortest", "20", "--longest", "60"];
    let files = ["--text", text.to_str().unwrap(), "--output", &items];
    let run = succeed("next_sentence", &[&files[..], &counts, &lengths].concat());
    assert!(run.stdout.contains("test: TF-IDF is right in"), "{}", run.stdout);
    let lines = |name: &str| fs::read_to_string(Path::new(&items).join(name)).unwrap();
    for (name, count) in [("train.jsonl", 8), ("validation.jsonl", 4), ("test.jsonl", 6)] {
        let items = lines(name);
        let items: Vec<Value> = items.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(items.len(), count, "{name}");
        assert!(items.iter().all(|item| item["choices"].as_array().unwrap().len() == 4));
    }
    assert!(lines("train.txt").lines().count() > lines("held-out.txt").lines().count());

    let (train, test) = (format!("{items}/train.jsonl"), format!("{items}/test.jsonl"));
    let output = place.path("output");
    let data = ["--train", &train, "--validation", &test, "--output", &output];
    let few = ["--steps", "2", "--batch", "2", "--every", "1", "--max-length", "24"];
    let run = succeed("finetune_multiple_choice", &[&data[..], &few].concat());
    assert!(run.stdout.contains("8 examples to train on, 6 held out"), "{}", run.stdout);
    load::<AlbertForMultipleChoice>(&output);
    assert_eq!(logged(&output, "eval_accuracy").len(), 2);
    assert_curve(&output);
}

/// Fine-tunes for a few steps.
fn finetune(example: &str, [train, validation, output]: [&str; 3], more: &[&str]) -> Run {
    let data = ["--train", train, "--validation", validation, "--output", output];
    let few = ["--steps", "4", "--batch", "4", "--every", "2"];
    succeed(example, &[&data[..], &few, more].concat())
}

#[test]
fn finetune_classification_leaves_labels_and_problem_in_the_config() {
    let place = Place::new();
    let train = place.head("sentiment/train.jsonl", 40, "train.jsonl");
    let test = place.head("sentiment/held-out.jsonl", 12, "test.jsonl");
    let output = place.path("output");
    let run = finetune("finetune_classification", [&train, &test, &output], &[]);
    assert!(run.stdout.contains("were all of them "), "{}", run.stdout);
    assert!(run.stdout.contains("held out, after:  accuracy "), "{}", run.stdout);
    load::<AlbertForSequenceClassification>(&output);
    let config: Value =
        serde_json::from_slice(&fs::read(Path::new(&output).join("config.json")).unwrap()).unwrap();
    assert_eq!(config["id2label"], json!({"0": "negative", "1": "positive"}));
    assert_eq!(config["label2id"], json!({"negative": 0, "positive": 1}));
    assert_eq!(config["problem_type"], "single_label_classification");
    let evaluations = logged(&output, "eval_matthews");
    assert!(evaluations.len() == 2 && evaluations[0].get("eval_f1").is_some());
    assert_curve(&output);

    // What came out is a model to begin with, too.
    let (labels, again) = (["--labels", "bad,good", "--model", &output], place.path("again"));
    let numbers = |name, lines: &str| {
        place.write(name, &lines.replace("\"negative\"", "0").replace("\"positive\"", "1"))
    };
    let [train, test] = [("a", &train), ("b", &test)]
        .map(|(name, file)| numbers(name, &fs::read_to_string(file).unwrap()));
    finetune("finetune_classification", [&train, &test, &again], &labels);
    assert_eq!(AlbertConfig::from_pretrained(&again).unwrap().labels, ["bad", "good"]);
    fail(
        "finetune_classification",
        &["--train", &train, "--validation", &test, "--output", &again],
        &["numbers", "--labels", "--regression"],
    );
}

#[test]
fn finetune_classification_knows_several_classes_and_numbers() {
    let place = Place::new();
    let sets = [r#"["warm"]"#, r#"["cold", "wet"]"#, "[]", r#"["wet"]"#];
    let lines = |sets: &[&str]| -> String {
        let line = |(i, set)| format!("{{\"text\": \"day {i} was so\", \"label\": {set}}}\n");
        sets.iter().enumerate().map(line).collect()
    };
    let file = place.write("sets.jsonl", &lines(&sets));
    let output = place.path("sets");
    finetune("finetune_classification", [&file, &file, &output], &["--multi-label"]);
    let config = AlbertConfig::from_pretrained(&output).unwrap();
    assert_eq!(config.problem_type, Some(ProblemType::MultiLabelClassification));
    assert_eq!(config.labels, ["cold", "warm", "wet"]);
    assert_eq!(logged(&output, "eval_macro_f1").len(), 2);

    let file = place.write("numbers.jsonl", &lines(&["0.5", "2", "-1", "4"]));
    let output = place.path("numbers");
    let run = finetune("finetune_classification", [&file, &file, &output], &["--regression"]);
    assert!(!run.stdout.contains("accuracy"), "{}", run.stdout);
    let config = AlbertConfig::from_pretrained(&output).unwrap();
    assert_eq!((config.problem_type, config.num_labels()), (Some(ProblemType::Regression), 1));
    assert_eq!(logged(&output, "eval_pearson").len(), 2);

    let rows = ["a\t1\t\tThe sun shines.", "b\t0\t*\tThe shines sun.", "c\t1\t\tIt rains."];
    let (file, output) = (place.write("cola.tsv", &rows.join("\n")), place.path("cola"));
    finetune("finetune_classification", [&file, &file, &output], &["--task", "cola"]);
    let config = AlbertConfig::from_pretrained(&output).unwrap();
    assert_eq!(config.labels, ["unacceptable", "acceptable"]);
    let state = fs::read(Path::new(&output).join("checkpoint-4/trainer_state.json")).unwrap();
    assert!(String::from_utf8(state).unwrap().contains("matthews"));
}

#[test]
fn finetune_tokens_takes_its_labels_from_the_training_file() {
    let place = Place::new();
    let train = place.head("entities/train.txt", 300, "train.txt");
    let test = place.head("entities/held-out.txt", 60, "test.txt");
    let output = place.path("output");
    let run = finetune("finetune_tokens", [&train, &test, &output], &[]);
    for kind in ["DATE", "LOC", "PER", "all"] {
        let rows = run.stdout.lines().filter(|line| line.trim_start().starts_with(kind));
        assert_eq!(rows.filter(|line| line.contains(" %")).count(), 1, "{kind}: {}", run.stdout);
    }
    let (model, _) = load::<AlbertForTokenClassification>(&output);
    let labels = ["B-DATE", "B-LOC", "B-PER", "I-DATE", "I-LOC", "I-PER", "O"];
    assert_eq!(ndalbert::Model::config(&model).labels, labels);
    assert_eq!(logged(&output, "eval_f1").len(), 2);
    assert_curve(&output);
}

/// The first paragraphs of a file in SQuAD's layout, and the ids of their questions.
fn paragraphs(file: &str, count: usize) -> (String, Vec<String>) {
    let text = fs::read_to_string(path("examples/data/facts").join(file)).unwrap();
    let mut document: Value = serde_json::from_str(&text).unwrap();
    let paragraphs = document["data"][0]["paragraphs"].as_array_mut().unwrap();
    paragraphs.truncate(count);
    let questions = paragraphs.iter().flat_map(|paragraph| paragraph["qas"].as_array().unwrap());
    let ids = questions.map(|question| question["id"].as_str().unwrap().to_owned()).collect();
    (document.to_string(), ids)
}

#[test]
fn finetune_question_answering_writes_predictions_for_the_scorer() {
    let place = Place::new();
    let (test, ids) = paragraphs("held-out.json", 2);
    let train = place.write("train.json", &paragraphs("train.json", 4).0);
    let (test, output) = (place.write("test.json", &test), place.path("output"));
    let more = ["--version-2", "--max-length", "32", "--doc-stride", "8"];
    let run = finetune("finetune_question_answering", [&train, &test, &output], &more);
    assert!(run.stdout.contains("was none of them answered: exact match 0.3333"), "{}", run.stdout);
    let predictions = fs::read(Path::new(&output).join("predictions.json")).unwrap();
    let predictions: Value = serde_json::from_slice(&predictions).unwrap();
    let predictions = predictions.as_object().unwrap();
    assert_eq!(predictions.keys().collect::<Vec<_>>(), ids.iter().collect::<Vec<_>>());
    assert!(predictions.values().all(Value::is_string));
    load::<AlbertForQuestionAnswering>(&output);
    assert_eq!(logged(&output, "eval_exact_match").len(), 2);
    assert_curve(&output);
}

#[test]
fn wrong_options_are_answered_in_one_line() {
    let place = Place::new();
    let output = place.path("output");
    for example in ["finetune_classification", "finetune_tokens", "finetune_question_answering"] {
        fail(example, &["--train", "a"], &["--train", "--validation"]);
        fail(example, &["--rate", "fast"], &["fast", "--help"]);
        fail(example, &["stray"], &["stray", "--help"]);
        let model = ["--model", "/nowhere", "--output", &output];
        fail(example, &model, &["/nowhere"]);
    }
    fail("finetune_classification", &["--task", "glue"], &["glue", "cola"]);
    fail("finetune_classification", &["--labels", "a,a"], &["each once"]);
    fail("finetune_classification", &["--labels", "a", "--regression"], &["exclude"]);
    fail("finetune_classification", &["--task", "rte"], &["--train"]);
    fail("finetune_question_answering", &["--scorer", "bleu"], &["bleu", "squad or cmrc"]);
    fail("finetune_multiple_choice", &["--format", "xml"], &["xml", "jsonl"]);
    fail("pretrain", &["--every", "0"], &["--every"]);
    fail("pretrain", &["--vocabulary", "words"], &["words", "unigram"]);
    fail("pretrain", &["--text", "/nowhere.txt", "--output", &output], &["/nowhere.txt"]);
    fail("next_sentence", &[], &["--text", "--output"]);
    fail("next_sentence", &["--text", "/nowhere.txt", "--output", &output], &["/nowhere.txt"]);

    let file = place.head("sentiment/train.jsonl", 8, "train.jsonl");
    let data = ["--train", &file, "--validation", &file, "--output", &output];
    let refused = |more: &[&str], parts: &[&str]| {
        fail("finetune_classification", &[&data[..], more].concat(), parts);
    };
    refused(&["--rate", "-1"], &["learning rate", "-1"]);
    refused(&["--batch", "0"], &["batch_size", "0"]);
    refused(&["--every", "0"], &["at least 1 step"]);
    refused(&["--warmup", "1"], &["warm-up"]);
    refused(&["--precision", "int8"], &["f32 or bf16", "int8"]);
    refused(&["--steps", "1", "--every", "1", "--metric", "bleu"], &["bleu", "accuracy"]);
    refused(&["--labels", "good,bad"], &["label", "good"]);
}

#[test]
fn wrong_files_are_named() {
    let place = Place::new();
    let refused = |example: &str, text: &str, parts: &[&str]| {
        let (file, output) = (place.write("data", text), place.path("output"));
        let data = ["--train", &file, "--validation", &file, "--output", &output];
        fail(example, &data, parts);
    };
    let (classes, tokens, questions) =
        ("finetune_classification", "finetune_tokens", "finetune_question_answering");
    refused(classes, "{\"text\": \"a\", \"label\": \"x\"}\nno JSON\n", &["data", "line 2"]);
    refused(classes, "{\"text\": \"a\", \"label\": {}}\n", &["data", "line 1", "label"]);
    refused(classes, "", &["at least one"]);
    refused(tokens, "Anna B-PER\nsleeps\n", &["data", "line 2", "2 columns"]);
    refused(tokens, "", &["at least one"]);
    refused(questions, "[]", &["data"]);
    refused(questions, "{\"data\": []}", &["at least one"]);
    let qas =
        r#"[{"id": "q", "question": "Who?", "answers": [{"text": "Bo", "answer_start": 3}]}]"#;
    let document = |qas| {
        format!(r#"{{"data": [{{"paragraphs": [{{"context": "Anna sings.", "qas": {qas}}}]}}]}}"#)
    };
    refused(questions, &document(qas), &["question q", "Bo", "character 3"]);
    refused("finetune_multiple_choice", "{\"prompt\": \"a\"}\n", &["data", "line 1", "choices"]);
}
