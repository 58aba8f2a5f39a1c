//! `pretrain` and `next_sentence`, on a little of the text that comes with this crate.

use std::fs;
use std::path::Path;

use ndalbert::{AlbertForPreTraining, Model, PreTrainedModel};
use serde_json::{Value, json};

#[cfg(unix)]
use crate::common::example::interrupt;
use crate::common::example::{Run, fail, path, succeed};
use crate::place::{Place, assert_curve, assert_loss_falls, load, logged, weights};

/// A tiny model to be made of a little text, with dropout, so that resuming has that to get right, too.
struct Tiny {
    place: Place,
    text: String,
    held_out: String,
    config: String,
}

impl Tiny {
    fn new() -> Self {
        let place = Place::new();
        let config = json!({
            "embedding_size": 16, "hidden_size": 32, "num_hidden_layers": 2,
            "num_attention_heads": 2, "intermediate_size": 64, "max_position_embeddings": 32,
            "hidden_dropout_prob": 0.1, "initializer_range": 0.1,
        });
        Self {
            text: place.head("rust-book/train.txt", 150, "train.txt"),
            held_out: place.head("rust-book/held-out.txt", 40, "held-out.txt"),
            config: place.write("config.json", &config.to_string()),
            place,
        }
    }

    /// The options of a run of that many steps.
    fn options<'a>(&'a self, output: &'a str, steps: &'a str, every: &'a str) -> Vec<&'a str> {
        let given = ["--text", &self.text, "--held-out", &self.held_out, "--config", &self.config];
        let size = ["--train-vocabulary", "300", "--batch", "4", "--seq", "32"];
        let steps = ["--steps", steps, "--every", every, "--warmup", "2", "--rate", "5e-3"];
        [&given[..], &size, &steps, &["--output", output]].concat()
    }
}

#[test]
fn pretrain_makes_a_checkpoint_of_text_and_goes_on_to_the_bit() {
    let tiny = Tiny::new();
    let output = tiny.place.path("output");
    let arguments = tiny.options(&output, "60", "30");
    let run = succeed("pretrain", &arguments);
    for line in [
        "held out, after 0 steps: loss ",
        "held out, after 60 steps: loss ",
        "held out, without a model: all words ",
        "held out, without a model: all pairs ",
    ] {
        assert!(run.stdout.contains(line), "{line}: {}", run.stdout);
    }
    let (model, tokenizer) = load::<AlbertForPreTraining>(&output);
    assert_eq!(model.config().vocab_size, tokenizer.vocab_size());
    assert_loss_falls(&output, 60, 0.97);
    assert_eq!(logged(&output, "eval_loss").len(), 2);
    assert_curve(&output);

    // As if it had been stopped after the first checkpoint.
    let unbroken = weights(&output);
    fs::remove_dir_all(Path::new(&output).join("checkpoint-60")).unwrap();
    fs::remove_file(Path::new(&output).join("model.safetensors")).unwrap();
    // Another vocabulary must not take the place of the one that the checkpoint has learnt.
    let other = [&arguments[..], &["--train-vocabulary", "200"]].concat();
    let vocabulary = || fs::read(Path::new(&output).join("tokenizer.json")).unwrap();
    let before = vocabulary();
    fail("pretrain", &other, &["checkpoint-30", "resume"]);
    assert!(vocabulary() == before, "the vocabulary was replaced");
    let run = succeed("pretrain", &[&arguments[..], &["--resume"]].concat());
    assert!(run.stdout.contains("going on from") && run.stdout.contains("checkpoint-30"));
    assert!(weights(&output) == unbroken, "other weights than those of the unbroken run");
    assert_loss_falls(&output, 60, 0.97);
    // The learning curve is of the whole run.
    let curve = || fs::read_to_string(Path::new(&output).join("learning-curve.svg")).unwrap();
    let whole = curve();
    succeed("pretrain", &[&arguments[..], &["--resume"]].concat());
    assert_eq!(curve(), whole);
    // As a model to begin with, it brings its vocabulary along.
    let again = tiny.place.path("again");
    let more = ["--text", &tiny.text, "--held-out", &tiny.held_out, "--output", &again];
    let few = ["--batch", "4", "--seq", "32", "--steps", "4", "--every", "4", "--warmup", "1"];
    let kind = ["--objective", "next-sentence", "--optimizer", "lamb", "--masked", "0.3"];
    succeed("pretrain", &[&more[..], &few, &kind, &["--model", &output]].concat());
    assert!(fs::read(Path::new(&again).join("tokenizer.json")).unwrap() == vocabulary());
}

#[cfg(unix)]
#[test]
fn ctrl_c_saves_and_nothing_is_lost() {
    let tiny = Tiny::new();
    let (whole, broken) = (tiny.place.path("whole"), tiny.place.path("broken"));
    succeed("pretrain", &tiny.options(&whole, "600", "50"));
    let arguments = tiny.options(&broken, "600", "50");
    // When the first checkpoint is there, many steps are still to come.
    let run = interrupt("pretrain", &arguments, "saved ");
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stderr.contains("stopping after this step"), "{}", run.stderr);
    let stopped = run.stdout.lines().last().unwrap();
    assert!(stopped.starts_with("stopped after step "), "{}", run.stdout);
    let (_, checkpoint) = stopped.split_once("--resume continues from ").unwrap();
    let (_, report) = AlbertForPreTraining::from_pretrained(checkpoint).unwrap();
    assert!(report.is_clean(), "{report}");
    let run = succeed("pretrain", &[&arguments[..], &["--resume"]].concat());
    assert!(run.stdout.contains(&format!("going on from {checkpoint}")), "{}", run.stdout);
    assert!(weights(&broken) == weights(&whole), "other weights than those of the unbroken run");
    assert_eq!(logged(&broken, "loss"), logged(&whole, "loss"));
}

#[test]
fn next_sentence_makes_items_of_documents_held_out() {
    let place = Place::new();
    // A mark before the text is no part of it.
    let text = fs::read_to_string(path("examples/data/rust-book/train.txt")).unwrap();
    let (text, items) = (place.write("text", &format!("\u{feff}{text}")), place.path("items"));
    let counts = ["--train", "8", "--validation", "4", "--test", "6"];
    let lengths = ["--shortest", "20", "--longest", "60"];
    let files = ["--text", &text, "--output", &items];
    let run: Run = succeed("next_sentence", &[&files[..], &counts, &lengths].concat());
    assert!(run.stdout.contains("test: TF-IDF is right in"), "{}", run.stdout);
    let lines = |name: &str| fs::read_to_string(Path::new(&items).join(name)).unwrap();
    let held_out = lines("held-out.txt");
    for (name, count) in [("train.jsonl", 8), ("validation.jsonl", 4), ("test.jsonl", 6)] {
        let items = lines(name);
        let items: Vec<Value> = items.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(items.len(), count, "{name}");
        for item in &items {
            let choices = item["choices"].as_array().unwrap();
            let right = choices[item["label"].as_u64().unwrap() as usize].as_str().unwrap();
            let pair = format!("{}\n{right}\n", item["prompt"].as_str().unwrap());
            assert_eq!((choices.len(), held_out.contains(&pair)), (4, name != "train.jsonl"));
        }
    }
    assert!(lines("train.txt").lines().count() > held_out.lines().count());
    assert!(![lines("train.txt"), held_out].concat().contains('\u{feff}'));
}

#[test]
fn what_cannot_be_pretrained_on_is_named() {
    let place = Place::new();
    let output = place.path("output");
    let nowhere = ["--text", "/nowhere.txt", "--held-out", "/nowhere.txt", "--output", &output];
    fail("pretrain", &nowhere, &["/nowhere.txt"]);
    fail("pretrain", &nowhere[..4], &["--text", "--held-out", "--output"]);
    fail("pretrain", &["--every", "0"], &["--every"]);
    fail("pretrain", &["--vocabulary", "words"], &["words", "unigram"]);
    fail("pretrain", &["--objective", "none"], &["none", "next-sentence"]);
    fail("pretrain", &["--optimizer", "sgd"], &["sgd", "lamb"]);
    let new = ["--model", "/nowhere", "--train-vocabulary", "9", "--output", &output];
    fail("pretrain", &new, &["--model", "vocabulary"]);
    fail("next_sentence", &[], &["--text", "--output"]);
    fail("next_sentence", &["--text", "/nowhere.txt", "--output", &output], &["/nowhere.txt"]);
}
