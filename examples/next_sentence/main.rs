//! Which sentence comes next? Makes items to fine-tune and to judge a multiple-choice model of
//! plain text.
//!
//! ```text
//! cargo run --release --example next_sentence -- --text FILE... --output DIR
//! ```

#[path = "../common/cli.rs"]
mod cli;
mod items;
#[path = "../common/random.rs"]
mod random;
#[path = "../common/read_text.rs"]
mod read_text;
mod tf_idf;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use lexopt::prelude::*;

use cli::Failure;
use items::{Document, Item, draw};
use random::Random;
use read_text::read_text;
use tf_idf::TfIdf;

const HELP: &str = "\
Turns text into multiple-choice items: a sentence and four choices for the next
one, three of which are from other documents. Whole documents are held out.
Prints the accuracy of TF-IDF over characters and pairs of them.

Usage: next_sentence --text FILE... --output DIR [--held-out SHARE]
                     [--train N] [--validation N] [--test N] [--shortest N]
                     [--longest N] [--seed N]

  --text FILE...    a sentence per line, a blank line between documents
  --output DIR      receives the documents (train.txt, held-out.txt) and the
                    items (train.jsonl; validation.jsonl and test.jsonl from
                    held-out documents)
  --held-out SHARE  share of held-out documents [default: 0.04]
  --train N         training items [default: 100000]
  --validation N    validation items [default: 500]
  --test N          test items [default: 2000]
  --shortest N      minimum length of a sentence in characters [default: 8]
  --longest N       maximum length [default: 80]
  --seed N          [default: 1]
  --help
";

struct Options {
    text: Vec<PathBuf>,
    output: PathBuf,
    held_out: f64,
    train: usize,
    validation: usize,
    test: usize,
    lengths: (usize, usize),
    seed: u64,
}

fn main() -> ExitCode {
    cli::main(HELP, parse, run)
}

fn run(options: Options, out: &mut dyn Write) -> Result<(), Failure> {
    let mut documents = Vec::new();
    for path in &options.text {
        documents.extend(items::documents(&read_text(path)?));
    }
    let mut random = Random::new(options.seed);
    random.shuffle(&mut documents);
    let count = (documents.len() as f64 * options.held_out) as usize;
    let train = documents.split_off(count);
    let held_out = documents;
    writeln!(out, "{} documents, {} held out", train.len(), held_out.len())?;

    fs::create_dir_all(&options.output)
        .map_err(|error| format!("{}: {error}", options.output.display()))?;
    write_documents(&options.output.join("train.txt"), &train)?;
    write_documents(&options.output.join("held-out.txt"), &held_out)?;
    let of_train = draw(&train, options.train, options.lengths, &mut random)?;
    let count = options.validation + options.test;
    let mut of_held_out = draw(&held_out, count, options.lengths, &mut random)?;
    let test = of_held_out.split_off(options.validation);
    let tf_idf = TfIdf::new(train.iter().flat_map(|document| &document.sentences));
    for (name, items) in [("validation", &of_held_out), ("test", &test)] {
        let right = items.iter().filter(|item| tf_idf.choose(item) == item.label).count();
        let share = 100.0 * right as f64 / items.len().max(1) as f64;
        writeln!(out, "{name}: TF-IDF is right in {share:.1} % of {} items", items.len())?;
    }
    let files = [("train", of_train), ("validation", of_held_out), ("test", test)];
    for (name, items) in files {
        write_items(&options.output.join(format!("{name}.jsonl")), &items)?;
    }
    Ok(())
}

fn write_documents(path: &Path, documents: &[Document]) -> Result<(), Failure> {
    let documents: Vec<String> =
        documents.iter().map(|document| document.sentences.join("\n")).collect();
    write(path, &(documents.join("\n\n") + "\n"))
}

fn write_items(path: &Path, items: &[Item]) -> Result<(), Failure> {
    let lines: Vec<String> = items.iter().map(|item| item.to_json().to_string()).collect();
    write(path, &(lines.join("\n") + "\n"))
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()).into())
}

fn parse(mut arguments: lexopt::Parser) -> Result<Option<Options>, Failure> {
    let mut options = Options {
        text: Vec::new(),
        output: PathBuf::new(),
        held_out: 0.04,
        train: 100_000,
        validation: 500,
        test: 2000,
        lengths: (8, 80),
        seed: 1,
    };
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("text") => options.text.extend(arguments.values()?.map(PathBuf::from)),
            Long("output") => options.output = arguments.value()?.into(),
            Long("held-out") => options.held_out = arguments.value()?.parse()?,
            Long("train") => options.train = arguments.value()?.parse()?,
            Long("validation") => options.validation = arguments.value()?.parse()?,
            Long("test") => options.test = arguments.value()?.parse()?,
            Long("shortest") => options.lengths.0 = arguments.value()?.parse()?,
            Long("longest") => options.lengths.1 = arguments.value()?.parse()?,
            Long("seed") => options.seed = arguments.value()?.parse()?,
            Long("help") => return Ok(None),
            other => return Err(other.unexpected().into()),
        }
    }
    if options.text.is_empty() || options.output.as_os_str().is_empty() {
        return Err("--text and --output are needed".into());
    }
    if !(0.0..=1.0).contains(&options.held_out) {
        return Err(format!("--held-out: expected 0 to 1, found {}", options.held_out).into());
    }
    Ok(Some(options))
}
