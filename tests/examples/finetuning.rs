//! The examples that fine-tune, on a little of the data that comes with this crate.

use std::fs;
use std::path::Path;

use ndalbert::{
    AlbertConfig, AlbertForMultipleChoice, AlbertForPreTraining, AlbertForQuestionAnswering,
    AlbertForSequenceClassification, AlbertForTokenClassification, AlbertTokenizer, ConfigFields,
    Model, PreTrainedModel, ProblemType,
};
use serde_json::{Value, json};

#[cfg(unix)]
use crate::common::example::interrupt;
use crate::common::example::{Run, fail, path, succeed};
use crate::place::{Place, assert_curve, assert_loss_falls, load, logged, weights};

/// Fine-tunes for a few steps, in which the loss must fall.
fn finetune(example: &str, [train, validation, output]: [&str; 3], more: &[&str]) -> Run {
    let data = ["--train", train, "--validation", validation, "--output", output];
    let few = ["--steps", "60", "--batch", "8", "--every", "30", "--rate", "1e-3"];
    let run = succeed(example, &[&data[..], &few, &["--dropout", "0"], more].concat());
    for line in ["held out, after 0 steps: ", "held out, after 60 steps: ", "saved to "] {
        assert!(run.stdout.contains(line), "{line}: {}", run.stdout);
    }
    assert_loss_falls(output, 60, 0.8);
    assert_curve(output);
    // The last checkpoint can be used as it is.
    let tokenizer = |path: &Path| AlbertTokenizer::from_pretrained(path).unwrap();
    let text = "Ann ran in 北京.";
    let [saved, kept] = [Path::new(output), &Path::new(output).join("checkpoint-60")]
        .map(|path| tokenizer(path).encode(text).unwrap());
    assert_eq!(saved, kept);
    run
}

/// What another program has left under a name that checkpoints will have is refused, and nothing
/// happens to it.
#[test]
fn fine_tuning_leaves_checkpoints_of_others_alone() {
    let place = Place::new();
    let data = place.write("data.txt", "Ann B-PER\nran O\n\nBob B-PER\nsat O\n");
    let output = place.path("output");
    let theirs = Path::new(&output).join("checkpoint-2");
    fs::create_dir_all(&theirs).unwrap();
    fs::write(theirs.join("trainer_state.json"), "{\"global_step\": 2}").unwrap();
    fs::write(theirs.join("pytorch_model.bin"), "weights").unwrap();
    let files = ["--train", &data, "--validation", &data, "--output", &output];
    for more in [&["--steps", "4", "--every", "1"][..], &["--epochs", "4"], &["--steps", "2"]] {
        let words = ["checkpoint-2", "trainer_state.json", "move it away"];
        fail("finetune_tokens", &[&files[..], more].concat(), &words);
        assert_eq!(fs::read(theirs.join("pytorch_model.bin")).unwrap(), b"weights");
        assert_eq!(fs::read_dir(&theirs).unwrap().count(), 2);
    }
}

/// Evaluates what fine-tuning has left: the best of the evaluations must come out again.
fn evaluate(example: &str, output: &str, validation: &str, metric: &str, more: &[&str]) -> Run {
    let best = logged(output, &format!("eval_{metric}")).into_iter().fold(f64::MIN, f64::max);
    let data = ["--model", output, "--validation", validation];
    let run = succeed(example, &[&data[..], more].concat());
    assert!(run.stdout.contains(" examples to evaluate on"), "{}", run.stdout);
    assert!(run.stdout.contains(&format!("{metric} {best:.4}")), "{best}: {}", run.stdout);
    run
}

/// A tiny model that has learnt nothing, with the Chinese vocabulary that comes with this crate.
fn tiny_model(place: &Place) -> String {
    let (demo, directory) = (path("examples/data/albert-chinese-demo"), place.path("tiny"));
    fs::create_dir(&directory).unwrap();
    for file in ["vocab.txt", "tokenizer_config.json"] {
        fs::copy(demo.join(file), Path::new(&directory).join(file)).unwrap();
    }
    let config = AlbertConfig::new(ConfigFields {
        vocab_size: AlbertTokenizer::from_pretrained(&directory).unwrap().vocab_size(),
        embedding_size: 32,
        hidden_size: 64,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        intermediate_size: 128,
        initializer_range: 0.1,
        ..ConfigFields::default()
    });
    let config = config.unwrap();
    let parameters = AlbertForPreTraining::random_parameters(&config, 1).unwrap();
    AlbertForPreTraining::save_parameters(&directory, &config, &parameters).unwrap();
    directory
}

#[test]
fn finetune_multiple_choice_begins_with_a_checkpoint() {
    let place = Place::new();
    let model = tiny_model(&place);
    let choices = ["吃了.", "没吃.", "我没吃上吉士果."];
    let item = |label: usize| {
        let prompt = format!("{}你吃饭了吗?", "今天".repeat(label));
        json!({ "prompt": prompt, "choices": choices, "label": label }).to_string()
    };
    let items = place.write("items.jsonl", &[item(0), item(1), item(2), item(0)].join("\n"));
    let output = place.path("output");
    let files = [items.as_str(), &items, &output];
    let run = finetune("finetune_multiple_choice", files, &["--model", &model]);
    assert!(run.stdout.contains("4 examples to train on, 4 held out"), "{}", run.stdout);
    assert!(run.stdout.contains("without a model: by chance: accuracy 0.3333"), "{}", run.stdout);
    assert!(run.stderr.contains("classifier.weight"), "{}", run.stderr);
    load::<AlbertForMultipleChoice>(&output);
    assert_eq!(logged(&output, "eval_accuracy").len(), 2);
    let run = evaluate("finetune_multiple_choice", &output, &items, "accuracy", &[]);
    assert!(run.stdout.contains("without a model: by chance: accuracy 0.3333"), "{}", run.stdout);
    let alone = ["--validation", items.as_str()];
    fail("finetune_multiple_choice", &alone, &["--train", "--model"]);
}

#[cfg(unix)]
#[test]
fn ctrl_c_saves_and_resuming_ends_where_an_unbroken_run_does() {
    let place = Place::new();
    let train = place.head("sentiment/train.jsonl", 40, "train.jsonl");
    let test = place.head("sentiment/held-out.jsonl", 12, "test.jsonl");
    let (whole, broken) = (place.path("whole"), place.path("broken"));
    let model = tiny_model(&place);
    let data = ["--train", &train, "--validation", &test, "--model", &model];
    let steps = ["--steps", "300", "--every", "30", "--rate", "1e-3", "--dropout", "0.1"];
    let arguments = |output| [&data[..], &steps, &["--output", output]].concat();
    succeed("finetune_classification", &arguments(&whole));
    // When the first checkpoint is there, many steps are still to come.
    let run = interrupt("finetune_classification", &arguments(&broken), "saved ");
    assert_eq!(run.code, Some(130), "{}", run.stderr);
    assert!(run.stdout.contains("stopped after step "), "{}", run.stdout);
    assert!(!Path::new(&broken).join("model.safetensors").exists());
    let run =
        succeed("finetune_classification", &[&arguments(&broken)[..], &["--resume"]].concat());
    assert!(run.stdout.contains("going on from "), "{}", run.stdout);
    assert!(weights(&broken) == weights(&whole), "other weights than those of the unbroken run");
    assert_eq!(logged(&broken, "loss"), logged(&whole, "loss"));
}

#[test]
fn finetune_classification_leaves_labels_and_problem_in_the_config() {
    let place = Place::new();
    let train = place.head("sentiment/train.jsonl", 16, "train.jsonl");
    let test = place.head("sentiment/held-out.jsonl", 12, "test.jsonl");
    let output = place.path("output");
    let run = finetune("finetune_classification", [&train, &test, &output], &[]);
    assert!(run.stdout.contains("without a model: all "), "{}", run.stdout);
    load::<AlbertForSequenceClassification>(&output);
    let config: Value =
        serde_json::from_slice(&fs::read(Path::new(&output).join("config.json")).unwrap()).unwrap();
    assert_eq!(config["id2label"], json!({"0": "negative", "1": "positive"}));
    assert_eq!(config["label2id"], json!({"negative": 0, "positive": 1}));
    assert_eq!(config["problem_type"], "single_label_classification");
    assert_eq!([logged(&output, "eval_matthews").len(), logged(&output, "eval_f1").len()], [2, 2]);
    evaluate("finetune_classification", &output, &test, "accuracy", &[]);

    // What came out is a model to begin with, too, and labels may be numbers.
    let again = place.path("again");
    let numbers = |name: &str, lines: &str| {
        place.write(name, &lines.replace("\"negative\"", "0").replace("\"positive\"", "1"))
    };
    let [train, test] = [("a", &train), ("b", &test)]
        .map(|(name, file)| numbers(name, &fs::read_to_string(file).unwrap()));
    let more = ["--labels", "bad,good", "--model", &output, "--steps", "2"];
    let data = ["--train", &train, "--validation", &test, "--output", &again];
    succeed("finetune_classification", &[&data[..], &more].concat());
    assert_eq!(AlbertConfig::from_pretrained(&again).unwrap().labels, ["bad", "good"]);
    fail("finetune_classification", &data, &["numbers", "--labels", "--regression"]);
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
    let state = fs::read(Path::new(&output).join("checkpoint-60/trainer_state.json")).unwrap();
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
    assert!(run.stdout.contains("the tags that words most often have: f1 "), "{}", run.stdout);
    let (model, _) = load::<AlbertForTokenClassification>(&output);
    let labels = ["B-DATE", "B-LOC", "B-PER", "I-DATE", "I-LOC", "I-PER", "O"];
    assert_eq!(model.config().labels, labels);
    assert_eq!(logged(&output, "eval_f1").len(), 2);
    let run = evaluate("finetune_tokens", &output, &test, "f1", &[]);
    assert!(run.stdout.contains("DATE") && !run.stdout.contains("without a model"));
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
    // Of the eight questions, two have no answer.
    assert!(run.stdout.contains("no answers: exact_match 0.2500, f1 0.2500"), "{}", run.stdout);
    let predictions = fs::read(Path::new(&output).join("predictions.json")).unwrap();
    let predictions: Value = serde_json::from_slice(&predictions).unwrap();
    let predictions = predictions.as_object().unwrap();
    assert_eq!(predictions.keys().collect::<Vec<_>>(), ids.iter().collect::<Vec<_>>());
    assert!(predictions.values().all(Value::is_string));
    load::<AlbertForQuestionAnswering>(&output);
    assert_eq!(logged(&output, "eval_exact_match").len(), 2);
    let (again, found) = (place.path("again"), Path::new(&output).join("predictions.json"));
    let more = [&more[..], &["--output", &again]].concat();
    evaluate("finetune_question_answering", &output, &test, "f1", &more);
    let same = fs::read(Path::new(&again).join("predictions.json")).unwrap();
    assert!(same == fs::read(found).unwrap(), "other answers");
}

/// The accuracy of each exit, as an example prints it at the end.
fn exits_shown(run: &Run) -> Vec<(usize, f64)> {
    let lines = run.stdout.lines().filter_map(|line| line.strip_prefix("after layer "));
    let exit = |line: &str| {
        let (layer, metrics) = line.split_once(": accuracy ").unwrap();
        let accuracy = metrics.split(',').next().unwrap();
        (layer.trim().parse().unwrap(), accuracy.parse().unwrap())
    };
    lines.map(exit).collect()
}

#[test]
fn exits_are_trained_and_each_is_judged() {
    let place = Place::new();
    let train = place.head("sentiment/train.jsonl", 16, "train.jsonl");
    let test = place.head("sentiment/held-out.jsonl", 12, "test.jsonl");
    let output = place.path("output");
    let files = [train.as_str(), &test, &output];
    let more = ["--exits", "all", "--exit-loss", "mean", "--distill", "0.5,2"];
    let run = finetune("finetune_classification", files, &more);
    let exits = exits_shown(&run);
    assert_eq!(exits.iter().map(|exit| exit.0).collect::<Vec<_>>(), [1, 2, 3]);
    let config = AlbertConfig::from_pretrained(&output).unwrap();
    assert_eq!(config.exit_layers, [1, 2, 3]);
    assert_eq!(load::<AlbertForSequenceClassification>(&output).0.head().num_exits(), 3);
    // The last exit is what the model is evaluated by.
    let run = evaluate("finetune_classification", &output, &test, "accuracy", &[]);
    assert_eq!(exits_shown(&run), exits);
    let shown = format!("accuracy {:.4}", exits[2].1);
    assert!(run.stdout.matches(&shown).count() >= 2, "{}", run.stdout);

    // What came out keeps its exits, or gets others.
    for (name, more, layers) in [
        ("kept", &[][..], &[1, 2, 3][..]),
        ("fewer", &["--exits", "2,3"], &[2, 3]),
        ("none", &["--exits", "3"], &[3]),
    ] {
        let again = place.path(name);
        let data = ["--train", &train, "--validation", &test, "--output", &again];
        let steps = ["--model", &output, "--steps", "2"];
        succeed("finetune_classification", &[&data[..], &steps, more].concat());
        assert_eq!(AlbertConfig::from_pretrained(&again).unwrap().exit_layers, layers, "{name}");
    }
}

#[test]
fn choices_are_trained_with_exits() {
    let place = Place::new();
    let model = tiny_model(&place);
    // Two choices, and three.
    let item = |label: usize, choices: &[&str]| {
        let prompt = "今天".repeat(label + 1);
        json!({ "prompt": prompt, "choices": choices, "label": label }).to_string()
    };
    let two = ["吃了.", "没吃."];
    let three = ["吃了.", "没吃.", "我没吃上吉士果."];
    let items = [item(0, &two), item(1, &two), item(2, &three), item(0, &three)].join("\n");
    let items = place.write("items.jsonl", &items);
    let output = place.path("output");
    let more = ["--model", &model, "--exits", "1,2"];
    let run = finetune("finetune_multiple_choice", [&items, &items, &output], &more);
    let exits = exits_shown(&run);
    assert_eq!(exits.iter().map(|exit| exit.0).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(load::<AlbertForMultipleChoice>(&output).0.head().num_exits(), 2);
    let run = evaluate("finetune_multiple_choice", &output, &items, "accuracy", &[]);
    assert_eq!(exits_shown(&run), exits);
}

#[test]
fn wrong_options_are_answered_in_one_line() {
    let place = Place::new();
    let output = place.path("output");
    for example in ["finetune_classification", "finetune_tokens", "finetune_question_answering"] {
        fail(example, &["--train", "a"], &["--train", "--validation", "--output"]);
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
    refused(&["--exits", "some"], &["some", "all", "2,4,6"]);
    refused(&["--exits", "1,2"], &["exit_layers", "[1, 2]", "num_hidden_layers = 3"]);
    refused(&["--exits", "all", "--exit-loss", "sum"], &["sum", "by-layer or mean"]);
    refused(&["--exits", "all", "--distill", "much"], &["much", "weight"]);
    refused(&["--exits", "all", "--distill", "-1"], &["weight of distillation", "-1"]);
    refused(&["--distill", "1"], &["--distill", "--exits"]);
    fail("finetune_tokens", &["--exits", "all"], &["--exits"]);
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

#[test]
fn bad_records_are_refused_by_file_and_line_or_skipped_and_shown() {
    let place = Place::new();
    let model = tiny_model(&place);
    let question = |id: u32, start: usize| {
        format!(
            "{{\"id\": {id}, \"context\": \"Anna sings.\", \"question\": \"Who?\", \
             \"answers\": {{\"text\": [\"Anna\"], \"answer_start\": [{start}]}}}}"
        )
    };
    let questions = [question(1, 0), question(2, 5)].join("\n");
    let from_model = ["--model", &model];
    let cases: [(&str, &str, &[&str], &str); 4] = [
        (
            "finetune_classification",
            "index\tsentence1\tsentence2\tgold_label\n0\ta\tb\tneutral\n1\ta\tb\t-\n",
            &["--task", "mnli"],
            "line 3: label: expected one of entailment, neutral, contradiction, found \"-\"",
        ),
        (
            "finetune_multiple_choice",
            "{\"prompt\": \"p\", \"choices\": [\"a\", \"b\"], \"label\": 1}\n{\"prompt\": \"p\", \"choices\": [\"a\"]}",
            &from_model,
            "line 2: label: expected one, found none",
        ),
        (
            "finetune_tokens",
            "# id = 1\nAnna B-PER\nsings O\n\nBo\n",
            &[],
            "line 5: expected 2 columns, as before, found 1",
        ),
        (
            "finetune_question_answering",
            &questions,
            &[],
            "line 2: question 2: answer: expected \"Anna\" at character 5 of the paragraph",
        ),
    ];
    for (example, text, more, reason) in cases {
        let (file, output) = (place.write("data.jsonl", text), place.path(example));
        let data = ["--train", &file, "--validation", &file, "--output", &output, "--steps", "1"];
        let arguments = [&data[..], more].concat();
        fail(example, &arguments, &["data.jsonl: ", reason]);
        fs::remove_dir_all(&output).ok();
        let run = succeed(example, &[&arguments[..], &["--skip-bad"]].concat());
        let shown = format!("1 record skipped:\n  {file}: {reason}");
        assert!(run.stdout.contains(&shown), "{example}: {}", run.stdout);
        let counted = "1 examples to train on, 1 held out";
        assert!(run.stdout.contains(counted), "{example}: {}", run.stdout);
    }
}
