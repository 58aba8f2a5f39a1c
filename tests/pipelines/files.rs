//! What the files beside the weights say of labels, segments and lengths; and pipelines in files
//! again.

use std::fs;
use std::path::{Path, PathBuf};

use ndalbert::pipelines::{
    Classification, FillMask, Pipeline, Pooling, QuestionAnswering, SentenceEmbedding,
    TextClassification, TokenClassification, ZeroShotClassification,
};
use ndalbert::{AlbertTokenizer, LoadOptions, Model};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::refused;
use crate::support::{assert_near, copy, fixture, patched, root};

/// A small model of natural language inference, whose tokenizer gives it no type ids.
fn inference() -> PathBuf {
    root().join("tests/fixtures/inference")
}

fn json_file(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The scores of the labels a and b.
#[track_caller]
fn assert_scores(directory: &Path, input: &str, expected: [f32; 2]) {
    let zero_shot = ZeroShotClassification::from_pretrained(directory).unwrap().labels(["a", "b"]);
    let found = zero_shot.run(input).unwrap();
    let score = |label: &str| found.iter().find(|class| class.label == label).unwrap().score;
    for (label, expected) in ["a", "b"].into_iter().zip(expected) {
        assert_near(score(label), expected, label);
    }
}

#[test]
fn a_model_is_given_type_ids_if_its_input_names_have_them() {
    let directory = copy(&inference());
    assert_scores(directory.path(), "a b c", [0.52565, 0.47435]);
    let config = directory.path().join("tokenizer_config.json");
    fs::write(&config, r#"{"tokenizer_class": "BertTokenizer", "model_max_length": 128}"#).unwrap();
    let zero_shot = ZeroShotClassification::from_pretrained(directory.path()).unwrap();
    let best = zero_shot.labels(["a", "b"]).run("a b c").unwrap();
    assert_eq!(best[0].label, "b");
}

#[test]
fn entailment_is_named_by_either_map_of_labels() {
    let generic = json!({"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"});
    let with = |id2label: &Value, label2id: Value| {
        let maps = json!({"id2label": id2label, "label2id": label2id});
        let directory = patched(&inference(), &maps);
        let config = r#"{"tokenizer_class": "BertTokenizer"}"#;
        fs::write(directory.path().join("tokenizer_config.json"), config).unwrap();
        directory
    };
    let last = with(&generic, json!({"contradiction": 0, "neutral": 1, "Entails": 2}));
    assert_scores(last.path(), "the a b c", [0.54947, 0.45053]);
    let first = with(&generic, json!({"entailment": 0, "neutral": 1, "contradiction": 2}));
    assert_scores(first.path(), "the a b c", [0.6506, 0.3494]);
    let telling = json!({"0": "contradiction", "1": "neutral", "2": "entailment"});
    let only_ids = with(&telling, json!({"LABEL_0": 0, "LABEL_1": 1, "LABEL_2": 2}));
    assert_scores(only_ids.path(), "the a b c", [0.54947, 0.45053]);
    // Where neither does, it is not guessed.
    let neither = with(&generic, json!({"LABEL_0": 0, "LABEL_1": 1, "LABEL_2": 2}));
    let load = || ZeroShotClassification::from_pretrained(neither.path()).unwrap();
    refused(load().labels(["a"]).run("the a b c"), &["label2id", "entail", "entailment_id"]);
    assert!(load().entailment_id(2).unwrap().labels(["a"]).run("the a b c").is_ok());
}

#[test]
fn an_old_key_for_the_longest_input_cuts_texts() {
    let directory = copy(&inference());
    let long = "a b c ".repeat(30);
    let read = |config: &str| {
        fs::write(directory.path().join("tokenizer_config.json"), config).unwrap();
        let pipeline = TextClassification::from_pretrained(directory.path()).unwrap();
        pipeline.run(long.as_str()).unwrap()[0].score
    };
    let newer = read(r#"{"tokenizer_class": "BertTokenizer", "model_max_length": 16}"#);
    assert_eq!(read(r#"{"tokenizer_class": "BertTokenizer", "max_len": 16}"#), newer);
    assert_ne!(read(r#"{"tokenizer_class": "BertTokenizer"}"#), newer);
}

#[test]
fn files_with_a_byte_order_mark_are_read_as_without() {
    let directory = copy(&inference());
    fs::write(directory.path().join("special_tokens_map.json"), r#"{"unk_token": "[UNK]"}"#)
        .unwrap();
    fs::write(directory.path().join("added_tokens.json"), r#"{"[MASK]": 4}"#).unwrap();
    let input = "the a b c unheard";
    let plain = TextClassification::from_pretrained(directory.path()).unwrap().run(input).unwrap();
    for name in [
        "config.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "vocab.txt",
    ] {
        let path = directory.path().join(name);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("\u{FEFF}{text}")).unwrap();
        let load = || TextClassification::from_pretrained(directory.path());
        assert_eq!(load().unwrap().run(input).unwrap(), plain, "{name}");
        let utf16: Vec<u8> = text.encode_utf16().flat_map(|unit| unit.to_le_bytes()).collect();
        fs::write(&path, [&[0xFF, 0xFE][..], &utf16].concat()).unwrap();
        refused(load(), &[name, "UTF-16"]);
        fs::write(&path, text).unwrap();
    }
}

#[test]
fn modules_with_byte_order_marks_are_read_as_without() {
    let directory = copy(&fixture("sentence_transformer"));
    let run = || SentenceEmbedding::from_pretrained(directory.path()).unwrap().run("hello world");
    let plain = run().unwrap();
    for name in [
        "modules.json",
        "1_Pooling/config.json",
        "sentence_bert_config.json",
        "config_sentence_transformers.json",
        "tokenizer.json",
    ] {
        let path = directory.path().join(name);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, format!("\u{FEFF}{text}")).unwrap();
        assert_eq!(run().unwrap(), plain, "{name}");
    }
}

/// A pipeline's answers, and those of the same one after it was saved and loaded.
fn saved_and_loaded<P: Pipeline>(
    pipeline: &P,
    save: impl Fn(&P, &Path) -> ndalbert::Result<()>,
    load: impl Fn(&Path) -> ndalbert::Result<P>,
    inputs: Vec<P::Input>,
) -> (TempDir, [Vec<P::Output>; 2])
where
    P::Input: Clone,
{
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("made");
    save(pipeline, &path).unwrap();
    let again = load(&path).unwrap();
    let run = |pipeline: &P| {
        let answers = pipeline.run_many(inputs.clone()).into_iter();
        answers.collect::<ndalbert::Result<Vec<_>>>().unwrap()
    };
    (directory, [run(pipeline), run(&again)])
}

macro_rules! assert_saves {
    ($pipeline:ident, $loaded:expr, $inputs:expr) => {{
        let (directory, [before, after]) = saved_and_loaded(
            &$loaded,
            |pipeline: &$pipeline, path| pipeline.save_pretrained(path),
            |path| $pipeline::from_pretrained(path),
            $inputs,
        );
        assert_eq!(before, after, stringify!($pipeline));
        directory
    }};
}

#[test]
fn saved_pipelines_answer_as_before() {
    let texts = || vec!["the compiler shows an error".to_owned(), "word ".repeat(300)];
    let inputs = texts().into_iter().map(Into::into).collect();
    let classify = TextClassification::from_pretrained(fixture("classifier")).unwrap();
    assert_saves!(TextClassification, classify, inputs);
    let tagger = TokenClassification::from_pretrained(fixture("tagger")).unwrap();
    assert_saves!(TokenClassification, tagger, texts().into_iter().map(Into::into).collect());
    let fill = FillMask::from_pretrained(crate::support::demo()).unwrap();
    assert_saves!(FillMask, fill, vec!["线性[MASK]归".to_owned()]);
    let answer = QuestionAnswering::from_pretrained(fixture("answerer")).unwrap();
    let questions = vec![("what?", "the compiler shows an error").into()];
    assert_saves!(QuestionAnswering, answer, questions);
    // A setting of the pipeline's own, and the label that it goes by.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    ZeroShotClassification::from_pretrained(inference()).unwrap().save_pretrained(path).unwrap();
    assert_scores(path, "a b c", [0.52565, 0.47435]);
}

#[test]
fn a_saved_pipeline_cuts_where_it_cut() {
    let options = ndalbert::pipelines::PipelineOptions::new().max_length(7);
    let short = TextClassification::from_pretrained_with(fixture("classifier"), &options).unwrap();
    let long: Vec<_> = vec!["the compiler shows an error in the code of the library".into()];
    let directory = assert_saves!(TextClassification, short, long);
    let saved = directory.path().join("made");
    assert_eq!(json_file(&saved.join("tokenizer_config.json"))["model_max_length"], 7);
    let tokenizer = AlbertTokenizer::from_pretrained(saved).unwrap();
    assert_eq!(tokenizer.model_max_length(), Some(7));
}

#[test]
fn saved_embeddings_are_those_that_were_set() {
    let load = || SentenceEmbedding::from_pretrained(fixture("sentence_transformer")).unwrap();
    let inputs = || vec!["hello world".to_owned(), "now add then ".repeat(30)];
    assert_saves!(SentenceEmbedding, load(), inputs());
    assert_saves!(SentenceEmbedding, load().truncate_dim(5).unwrap(), inputs());
    let plain = load().normalize(false).pooling(Pooling::Max).prompt("now ");
    let directory = assert_saves!(SentenceEmbedding, plain, inputs());
    let saved = directory.path().join("made");
    let config = json_file(&saved.join("config_sentence_transformers.json"));
    assert_eq!(config["default_prompt_name"], "default");
    assert_eq!(config["prompts"], json!({"document": "", "query": "", "default": "now "}));
    assert_eq!(config["similarity_fn_name"], "cosine");
    assert_eq!(json_file(&saved.join("modules.json")).as_array().unwrap().len(), 2);
    // Poolings in another order than that of the flags, lower-casing and a prompt that is not
    // pooled.
    let source = copy(&fixture("sentence_transformer"));
    let write = |name: &str, value: Value| {
        fs::write(source.path().join(name), value.to_string()).unwrap();
    };
    let pooling = json!({"pooling_mode": ["lasttoken", "cls"], "include_prompt": false});
    write("1_Pooling/config.json", pooling);
    write("sentence_bert_config.json", json!({"max_seq_length": 9, "do_lower_case": true}));
    write(
        "tokenizer_config.json",
        json!({"tokenizer_class": "BertTokenizer", "do_lower_case": false}),
    );
    let prompts = json!({"prompts": {"query": "now "}, "default_prompt_name": "query"});
    write("config_sentence_transformers.json", prompts);
    let loaded = SentenceEmbedding::from_pretrained(source.path()).unwrap();
    assert_saves!(SentenceEmbedding, loaded, vec!["HELLO world".to_owned()]);
    // Of a checkpoint without modules, those that it is used with.
    let bare = SentenceEmbedding::from_pretrained(crate::support::demo()).unwrap();
    assert_saves!(SentenceEmbedding, bare.normalize(true), vec!["线性回归".to_owned()]);
    let cut = load().truncate_dim(5).unwrap().normalize(true);
    refused(cut.save_pretrained(directory.path()), &["normalize", "truncate_dim"]);
}

#[test]
fn labels_that_were_given_are_in_answers_and_files() {
    let load = LoadOptions::new().labels(["bad", "so so", "good"]);
    let options = ndalbert::pipelines::PipelineOptions::new().load(load);
    let directory = copy(&inference());
    let pipeline = TextClassification::from_pretrained_with(directory.path(), &options).unwrap();
    let classes: Vec<Classification> = pipeline.top_k(None).run("a b c").unwrap();
    let mut labels: Vec<&str> = classes.iter().map(|class| class.label.as_str()).collect();
    labels.sort_unstable();
    assert_eq!(labels, ["bad", "good", "so so"]);
    let pipeline = TextClassification::from_pretrained_with(directory.path(), &options).unwrap();
    let saved = tempfile::tempdir().unwrap();
    pipeline.save_pretrained(saved.path()).unwrap();
    assert_eq!(pipeline.model().config().labels[1], "so so");
    let config = json_file(&saved.path().join("config.json"));
    assert_eq!(config["id2label"], json!({"0": "bad", "1": "so so", "2": "good"}));
    assert_eq!(config["label2id"], json!({"bad": 0, "so so": 1, "good": 2}));
}

#[test]
fn labels_that_do_not_fit_are_refused() {
    let load = |options: LoadOptions| {
        let options = ndalbert::pipelines::PipelineOptions::new().load(options);
        TextClassification::from_pretrained_with(inference(), &options)
    };
    refused(load(LoadOptions::new().labels(["a", "b"])), &["classifier", "[2, 16]", "[3, 16]"]);
    let ignoring = LoadOptions::new().labels(["a", "b"]).ignore_mismatched_sizes(true);
    assert_eq!(load(ignoring).unwrap().model().config().labels, ["a", "b"]);
    refused(load(LoadOptions::new().labels(["a", "b", "a"])), &["labels", "\"a\"", "second"]);
    refused(load(LoadOptions::new().labels(Vec::<String>::new())), &["num_labels", "0"]);
    // The last one counts.
    let both = LoadOptions::new().labels(["a"]).num_labels(3);
    assert_eq!(load(both).unwrap().model().config().labels[2], "LABEL_2");
}
