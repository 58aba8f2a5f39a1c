//! Special files: pipes and devices, which would be read forever, and files of implausible length.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use ndalbert::checkpoint::Checkpoint;
use ndalbert::{AlbertConfig, AlbertTokenizer};

/// Reads one file of a directory, or says why not.
type Load = fn(&Path) -> Result<(), String>;

const FILES: [(&str, Load); 12] = [
    ("config.json", config),
    ("tokenizer.json", tokenizer),
    ("spiece.model", tokenizer),
    ("vocab.txt", tokenizer),
    ("tokenizer_config.json", tokenizer),
    ("special_tokens_map.json", tokenizer),
    ("added_tokens.json", tokenizer),
    ("model.safetensors.index.json", checkpoint),
    ("albert_config.json", config),
    ("30k-clean.model", tokenizer),
    ("model.ckpt-best.index", checkpoint),
    ("model.safetensors", checkpoint),
];

fn config(directory: &Path) -> Result<(), String> {
    AlbertConfig::from_pretrained(directory).map(drop).map_err(|error| error.to_string())
}

fn tokenizer(directory: &Path) -> Result<(), String> {
    AlbertTokenizer::from_pretrained(directory).map(drop).map_err(|error| error.to_string())
}

fn checkpoint(directory: &Path) -> Result<(), String> {
    Checkpoint::open(directory).map(drop).map_err(|error| error.to_string())
}

/// Asserts that a file made by `make` is refused, soon and in these words, whichever of `files` it stands for.
#[track_caller]
fn refused(files: &[(&'static str, Load)], make: impl Fn(&Path), words: &[&str]) {
    for &(name, load) in files {
        let directory = tempfile::tempdir().unwrap();
        // What the tokenizer reads first must not be what it lacks.
        if !["tokenizer.json", "spiece.model", "vocab.txt", "30k-clean.model"].contains(&name) {
            fs::write(directory.path().join("vocab.txt"), "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n")
                .unwrap();
        }
        let path = directory.path().join(name);
        make(&path);
        let (sender, receiver) = mpsc::channel();
        let place = directory.path().to_owned();
        thread::spawn(move || sender.send(load(&place)));
        // A thread that hangs ends with the program.
        let result = receiver.recv_timeout(Duration::from_secs(20));
        let message = result.unwrap_or_else(|_| panic!("{name}: still reading")).unwrap_err();
        for word in words.iter().chain([&path.to_str().unwrap()]) {
            assert!(message.contains(word), "{name}: expected {word:?} in: {message}");
        }
    }
}

#[test]
fn pipes_are_not_waited_for() {
    let mkfifo = |path: &Path| Command::new("mkfifo").arg(path).status();
    let directory = tempfile::tempdir().unwrap();
    if !mkfifo(&directory.path().join("pipe")).is_ok_and(|status| status.success()) {
        eprintln!("skipped: there is no mkfifo here");
        return;
    }
    let make = |path: &Path| assert!(mkfifo(path).unwrap().success());
    refused(&FILES, make, &["expected a regular file", "found a pipe"]);
}

#[test]
fn devices_are_not_read() {
    let make = |path: &Path| symlink("/dev/null", path).unwrap();
    refused(&FILES, make, &["expected a regular file", "found a device"]);
}

/// The length of a file that has none on the disk is its length to `seek`, not to memory.
#[test]
fn files_that_are_too_long_are_not_read() {
    let make = |path: &Path| fs::File::create(path).unwrap().set_len(1 << 40).unwrap();
    let [files @ .., _safetensors] = &FILES;
    refused(files, make, &["expected", "at most", "bytes", "found 1099511627776"]);
}
