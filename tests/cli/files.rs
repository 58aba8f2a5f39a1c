//! Converting, inspecting and measuring checkpoints.

use std::fs;
use std::path::{Path, PathBuf};

use ndalbert::{AlbertForMultipleChoice, LoadOptions, PreTrainedModel, Precision};
use serde_json::Value;

use crate::{CHOICES, DEMO, PROMPT, RIGHT, WRONG, run, text};

/// A sharded checkpoint of PyTorch's, with a tokenizer.
fn torch_checkpoint(directory: &Path) -> PathBuf {
    let copy = directory.join("torch");
    fs::create_dir(&copy).unwrap();
    let sharded =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/checkpoints/albert_sharded_bin");
    for entry in fs::read_dir(&sharded).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
    }
    let config = serde_json::json!({
        "vocab_size": 13, "embedding_size": 4, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 12, "max_position_embeddings": 6, "my_own_key": [1, 2],
    });
    fs::write(copy.join("config.json"), config.to_string()).unwrap();
    fs::write(copy.join("vocab.txt"), "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n").unwrap();
    copy
}

#[test]
fn conversion() {
    let directory = tempfile::tempdir().unwrap();
    let source = torch_checkpoint(directory.path());
    let target = directory.path().join("new/bf16");
    let arguments = ["convert", text(&source), text(&target), "--dtype", "bf16"];
    let run = run(&arguments).succeeds();
    assert!(run.stdout.is_empty() && run.stderr.contains("bf16"), "{}", run.stderr);
    assert!(target.join("vocab.txt").is_file());
    let shown = self::run(&["inspect", text(&target)]).succeeds().json();
    assert!(shown[0]["tensors"].as_array().unwrap().iter().all(|tensor| tensor["dtype"] == "bf16"));
    let config = &shown[0]["config"];
    assert_eq!(
        (&config["dtype"], &config["my_own_key"][1]),
        (&Value::from("bfloat16"), &Value::from(2))
    );
    assert_eq!(config["architectures"], serde_json::json!(["AlbertModel"]));
    self::run(&arguments).fails(1, &["exists already", "--force"]);
    self::run(&[&arguments[..], &["--force"]].concat()).succeeds();
    // Another head, and the report of it.
    let answers = directory.path().join("answers");
    let run = self::run(&[
        "convert",
        text(&source),
        text(&answers),
        "--as",
        "AlbertForQuestionAnswering",
    ])
    .succeeds();
    assert!(run.stderr.contains("qa_outputs.weight"), "{}", run.stderr);
    self::run(&["convert", text(&source), text(&answers), "--as", "Bert", "--force"])
        .fails(1, &["AlbertForMaskedLM"]);
    // In place.
    self::run(&["convert", text(&source), text(&source), "--force", "--dtype", "f16"]).succeeds();
    assert!(fs::metadata(source.join("vocab.txt")).unwrap().len() > 0);
    self::run(&["convert", text(&directory.path().join("nowhere")), text(&target.join("nowhere"))])
        .fails(1, &["nowhere"]);
}

/// The same answers after conversion.
#[test]
fn conversion_keeps_the_answers() {
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("copy");
    run(&["convert", CHOICES, text(&target)]).succeeds();
    let ask = |model: &str| run(&["choose", "-m", model, PROMPT, WRONG, RIGHT]).succeeds().stdout;
    assert_eq!(ask(CHOICES), ask(text(&target)));
}

/// The same answers in int8, of which the file has a quarter of the bytes; and the library's file.
#[test]
fn conversion_to_int8_keeps_the_answers_of_int8() {
    let directory = tempfile::tempdir().unwrap();
    let [target, again, loaded] =
        ["bytes", "again", "loaded"].map(|name| directory.path().join(name));
    let run = run(&["convert", CHOICES, text(&target), "--dtype", "int8"]).succeeds();
    assert!(run.stderr.contains("i8"), "{}", run.stderr);
    let ask = |model: &str, precision: &str| {
        let arguments = ["choose", "-m", model, "--precision", precision, PROMPT, WRONG, RIGHT];
        self::run(&arguments).succeeds().stdout
    };
    assert_eq!(ask(CHOICES, "int8"), ask(text(&target), "int8"));
    assert_ne!(ask(CHOICES, "f32"), ask(text(&target), "f32"));
    self::run(&["convert", text(&target), text(&again), "--dtype", "int8"]).succeeds();
    let options = LoadOptions::new().precision(Precision::Int8);
    let (model, _) = AlbertForMultipleChoice::from_pretrained_with(CHOICES, &options).unwrap();
    model.save_pretrained(&loaded).unwrap();
    let file = |directory: &Path| fs::read(directory.join("model.safetensors")).unwrap();
    assert_eq!(file(&target), file(&again));
    assert_eq!(file(&target), file(&loaded));
    let shown = self::run(&["inspect", text(&target)]).succeeds().json();
    let is_bytes = |tensor: &&Value| tensor["dtype"] == "i8";
    let tensors = shown[0]["tensors"].as_array().unwrap();
    assert_eq!(tensors.iter().filter(is_bytes).count(), 9);
    // All that follows the header, scales and outliers included.
    let sizes: u64 = tensors.iter().map(|tensor| tensor["bytes"].as_u64().unwrap()).sum();
    let file = file(&target);
    let header = u64::from_le_bytes(file[..8].try_into().unwrap());
    assert_eq!(8 + header + sizes, file.len() as u64);
}

/// The decoder of its own is in the copy, which then says so and gives no more occasion for a warning.
#[test]
fn conversion_keeps_a_decoder_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["weight", "bias"] {
        let source = format!("tests/fixtures/untied_decoder/{name}");
        let target = directory.path().join(name);
        let fill = |model: &str| run(&["fill-mask", "-m", model, "a [MASK] c"]).succeeds();
        let expected = fill(&source);
        let report = run(&["convert", &source, text(&target)]).succeeds().stderr;
        let line = match name {
            "weight" => "decoder.weight differs from albert.embeddings.word_embeddings.weight",
            _ => "decoder.bias differs from predictions.bias",
        };
        assert!(expected.stderr.contains(line) && report.contains(line), "{report}");
        let found = fill(text(&target));
        assert_eq!((found.stdout, found.stderr), (expected.stdout, String::new()));
    }
}

/// For a file with two models, every command can select one; a model may also be named by the file's path.
#[test]
fn one_of_several_models_is_chosen() {
    let directory = tempfile::tempdir().unwrap();
    let source = torch_checkpoint(directory.path());
    for entry in fs::read_dir(&source).unwrap() {
        let path = entry.unwrap().path();
        if text(&path).contains("pytorch_model") {
            fs::remove_file(path).unwrap();
        }
    }
    let file = source.join("averaged.pt");
    fs::copy("tests/fixtures/checkpoints/published/averaged.pt", &file).unwrap();
    run(&["embed", "-m", text(&source), "a"]).fails(1, &["ema", "model", "--tensors-under"]);
    let embed = |model: &Path, under: &str| {
        run(&["embed", "-m", text(model), "--tensors-under", under, "a"]).succeeds().stdout
    };
    assert_ne!(embed(&source, "ema"), embed(&source, "model"));
    assert_eq!(embed(&file, "model"), embed(&source, "model"));
    let target = directory.path().join("ema");
    run(&["convert", text(&file), text(&target), "--tensors-under", "ema"]).succeeds();
    assert_eq!(embed(&target, ""), embed(&source, "ema"));
    let shown = run(&["inspect", text(&file), "--tensors-under", "ema"]).succeeds().json();
    let tensors = shown[0]["tensors"].as_array().unwrap();
    let is_average = |tensor: &Value| tensor["name"].as_str().unwrap().starts_with("ema.");
    assert!(tensors.len() == 25 && tensors.iter().all(is_average));
    let measure = ["measure", "-m", text(&file), "--seq", "3", "--iterations", "1"];
    run(&measure).fails(1, &["--tensors-under"]);
    run(&[&measure[..], &["--tensors-under", "model"]].concat()).succeeds();
}

#[test]
fn inspection() {
    let run = run(&["inspect", DEMO, "-t", "table"]).succeeds();
    for words in [
        "vocab_size",
        "embedding_hidden_mapping_in",
        "albert.embeddings.word_embeddings.weight",
        "tensors,",
    ] {
        assert!(run.stdout.contains(words), "{}", run.stdout);
    }
    let json =
        self::run(&["inspect", "tests/fixtures/checkpoints/tensors_legacy.bin"]).succeeds().json();
    assert_eq!((&json[0]["format"], &json[0]["config"]), (&Value::from("PyTorch"), &Value::Null));
    self::run(&["inspect", "tests/golden"]).fails(1, &["config.json"]);
}

/// Google's layout goes in, transformers' comes out, the vocabulary under its usual name.
#[test]
fn a_tensorflow_checkpoint_is_inspected_and_converted() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let directory = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(root.join("tests/fixtures/tensorflow/google")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), directory.path().join(entry.file_name())).unwrap();
    }
    let spiece = root.join("tests/fixtures/tokenizers/sentencepiece/spiece.model");
    fs::copy(&spiece, directory.path().join("30k-clean.model")).unwrap();
    let shown = run(&["inspect", text(directory.path())]).succeeds().json();
    assert_eq!(shown[0]["format"], "TensorFlow");
    assert_eq!(shown[0]["config"]["hidden_act"], "gelu_new");
    assert_eq!(shown[0]["tensors"].as_array().unwrap().len(), 32);
    for (model, output) in [("", "all"), ("model.ckpt-best", "one")] {
        let output = directory.path().join(output);
        let run = run(&["convert", text(&directory.path().join(model)), text(&output)]).succeeds();
        assert!(run.stderr.contains("AlbertForPreTraining"), "{}", run.stderr);
        assert_eq!(fs::read(output.join("spiece.model")).unwrap(), fs::read(&spiece).unwrap());
        let shown = self::run(&["inspect", text(&output)]).succeeds().json();
        assert_eq!(shown[0]["config"]["hidden_act"], "gelu_new");
        assert_eq!(shown[0]["tensors"].as_array().unwrap().len(), 32);
    }
}

#[test]
fn measurement() {
    let arguments = [
        "measure",
        "-m",
        DEMO,
        "--batch",
        "2",
        "--seq",
        "8",
        "--iterations",
        "2",
        "--threads",
        "1",
    ];
    let json = run(&arguments).succeeds().json();
    assert_eq!((&json[0]["tokens"], &json[0]["threads"]), (&Value::from(16), &Value::from(1)));
    run(&["measure", "--iterations", "0"]).fails(2, &["--iterations"]);
    run(&["measure", "--preset", "nonsense"]).fails(1, &["nonsense"]);
}
