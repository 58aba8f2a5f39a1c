//! The binary, run as a user runs it, on the models that come with the crate.

mod files;
mod shards;
mod tasks;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const DEMO: &str = "examples/data/albert-chinese-demo";
const CHOICES: &str = "examples/data/albert-chinese-next-sentence";

/// The question of the example `multiple_choice`, and its choices.
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

/// A failed input is reported by line number, and the others are answered.
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

/// No progress bar is written to a file.
#[test]
fn progress_is_for_terminals() {
    let run = fed(&["embed", "-m", DEMO], "回归\n".repeat(50)).succeeds();
    assert_eq!(run.stderr, "");
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
