//! The binary, run as a user runs it, on the models that come with the crate.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const DEMO: &str = "examples/data/albert-chinese-demo";
const CHOICES: &str = "examples/data/albert-chinese-next-sentence";
const CLASSIFIER: &str = "tests/golden/pipelines/classifier";
const TAGGER: &str = "tests/golden/pipelines/tagger";
const ANSWERER: &str = "tests/golden/pipelines/answerer";

/// The prompt and the choices of the article's demo.
const PROMPT: &str = "算法组的成员们精通各种AI算法.";
const WRONG: &str = "成都动物园里的大熊猫人人都想摸一下.";
const RIGHT: &str = "他们主要负责AI算法的研究和落地.";

struct Run {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Run {
    fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    #[track_caller]
    fn succeeds(self) -> Self {
        assert_eq!(self.code, Some(0), "{}{}", self.stdout, self.stderr);
        self
    }

    /// Asserts the exit code, and that standard error has all of these words.
    #[track_caller]
    fn fails(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        for word in words {
            assert!(self.stderr.contains(word), "expected {word:?} in: {}", self.stderr);
        }
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self
    }

    /// The lines of JSON.
    fn json(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn lines(&self) -> Vec<u64> {
        self.json().iter().map(|answer| answer["line"].as_u64().unwrap()).collect()
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ndalbert"));
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).env("HF_HUB_OFFLINE", "1");
    command
}

fn run(arguments: &[&str]) -> Run {
    Run::of(command(arguments).stdin(Stdio::null()).output().unwrap())
}

/// With this on standard input.
fn fed(arguments: &[&str], input: impl AsRef<[u8]>) -> Run {
    let mut command = command(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (mut stdin, input) = (child.stdin.take().unwrap(), input.as_ref().to_vec());
    // A command that ends early reads no further.
    let writer = std::thread::spawn(move || stdin.write_all(&input).unwrap_or_default());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    Run::of(output)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

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

/// What is wrong with one input is told with its line, and the others are answered.
#[test]
fn awkward_lines() {
    let lines = [
        "\"回归\"",
        "",
        "   ",
        "{",
        "{\"text\": 7}",
        "[]",
        "null",
        "{\"text\": \"分类\", \"more\": 1}",
        "\"\"",
        "7",
        "\"最后\"",
    ];
    let arguments = ["embed", "-m", DEMO, "-f", "jsonl"];
    let run = fed(&arguments, lines.join("\n")).fails(
        1,
        &[
            "error: line 4: not JSON: EOF while parsing",
            "error: line 5: expected an object with a string \"text\"",
            "error: line 6:",
            "error: line 7:",
            "error: line 10:",
            "error: 5 of 9 inputs could not be processed",
        ],
    );
    assert_eq!(run.lines(), [1, 8, 9, 11]);
    let bytes = [
        b"one\n".as_slice(),
        b"\xff\xfe\n",
        b"\n\r\n",
        "\u{1f469}\u{200d}\u{1f680}e\u{301}\n".as_bytes(),
        b"no end",
    ]
    .concat();
    let run = fed(&["embed", "-m", DEMO], bytes).fails(1, &["error: line 2: not UTF-8"]);
    assert_eq!(run.lines(), [1, 5, 6]);
    let nothing = fed(&["embed", "-m", DEMO], "").succeeds();
    assert!(nothing.stdout.is_empty() && nothing.stderr.is_empty());
    let spaces = fed(&["embed", "-m", DEMO], " \n\t\n").succeeds();
    assert!(spaces.stdout.is_empty());
}

#[test]
fn long_texts_are_cut() {
    let long = "回归".repeat(1000);
    let run = fed(&["embed", "-m", DEMO], format!("{long}\n短\n")).succeeds();
    assert_eq!(run.lines(), [1, 2]);
}

/// Many inputs keep their order, whatever their lengths.
#[test]
fn many_inputs() {
    let texts: Vec<String> = (0..200).map(|i| "回归分类"[..3].repeat(1 + i * 7 % 20)).collect();
    let together =
        fed(&["embed", "-m", DEMO, "--tokens-per-batch", "300"], texts.join("\n")).succeeds();
    assert!(together.lines().iter().copied().eq(1..=200));
    let alone = run(&["embed", "-m", DEMO, &texts[199]]).succeeds().json();
    assert_eq!(together.json()[199]["embedding"], alone[0]["embedding"]);
}

#[test]
fn whoever_has_seen_enough_may_go() {
    let mut command = command(&["embed", "-m", DEMO, "--tokens-per-batch", "100"]);
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer =
        std::thread::spawn(move || stdin.write_all("回归\n".repeat(3000).as_bytes()).is_ok());
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.starts_with("{\"line\":1,"));
    let run = Run::of(child.wait_with_output().unwrap());
    writer.join().unwrap();
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
}

/// Nobody looks at a bar that is written to a file.
#[test]
fn progress_is_for_terminals() {
    let run = fed(&["embed", "-m", DEMO], "回归\n".repeat(50)).succeeds();
    assert_eq!(run.stderr, "");
}

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

#[test]
fn usage() {
    for arguments in [
        &[][..],
        &["nonsense"],
        &["embed"],
        &["embed", "-m"],
        &["embed", "-m", DEMO, "--precision", "f8"],
        &["embed", "-m", DEMO, "--to", "xml"],
        &["embed", "-m", DEMO, "-i", "file", "text"],
        &["--threads", "0", "embed"],
        &["classify", "-m", DEMO, "--multi-label"],
        &["convert", DEMO],
        &["completions", "tcsh"],
    ] {
        run(arguments).fails(2, &["--help"]);
    }
    run(&["embed", "-m", "/nowhere", "a"]).fails(1, &["error: /nowhere"]);
    run(&["embed", "-m", DEMO, "-i", "/nowhere"]).fails(1, &["error: /nowhere: No such file"]);
    run(&["embed", "-m", DEMO, "-i", "/"]).fails(1, &["directory"]);
    // Of the Hub, if it can be asked: here it may not.
    let hint = if cfg!(feature = "hub") { "HF_HUB_OFFLINE" } else { "feature `hub`" };
    run(&["embed", "-m", "owner/model", "a"]).fails(1, &["owner/model", hint]);
}

#[test]
fn help() {
    let commands = [
        "fill-mask",
        "classify",
        "answer",
        "tag",
        "choose",
        "order",
        "embed",
        "tokenize",
        "convert",
        "inspect",
        "measure",
        "completions",
    ];
    let all = run(&["--help"]).succeeds().stdout;
    for command in commands {
        assert!(all.contains(command), "{command}");
        let help = run(&[command, "--help"]).succeeds().stdout;
        assert!(
            help.contains("Usage: ndalbert")
                && help.lines().all(|line| line.chars().count() <= 100),
            "{help}"
        );
    }
    assert!(run(&["--version"]).succeeds().stdout.starts_with("ndalbert "));
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        assert!(run(&["completions", shell]).succeeds().stdout.contains("fill-mask"));
    }
}
