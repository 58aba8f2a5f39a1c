//! Predicts the words for the `[MASK]`s of a text.
//!
//! ```text
//! cargo run --release --example fill_mask
//! cargo run --release --example fill_mask -- --model DIR --top-k 3 "The capital of [MASK] is Paris."
//! ```

#[path = "common/checkpoint.rs"]
mod checkpoint;
#[path = "common/cli.rs"]
mod cli;
#[path = "common/table.rs"]
mod table;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use lexopt::prelude::*;
use ndalbert::ndarray::Array1;
use ndalbert::nn::softmax;
use ndalbert::{AlbertForMaskedLM, AlbertTokenizer, Batch, Encoding, LoadOptions, PreTrainedModel};

use cli::Failure;
use table::{Align, Table};

/// Pre-trained on Chinese texts.
const MODEL: &str = "albert-chinese-demo";

const HELP: &str = "\
Prints the most probable words for each [MASK] in a text.

Usage: fill_mask [--model DIR] [--top-k K] [--seed N] [--max-length N] [TEXT]

  TEXT            with at least one [MASK] [default: a Chinese sentence]
  --model DIR     a checkpoint: config.json, weights, vocabulary
                  [default: a small Chinese one in this repository]
  --top-k K       number of words for each [MASK] [default: 5]
  --seed N        seed of a head that is newly initialised [default: 0]
  --max-length N  truncate the text to N tokens [default: an error if too long]
  --help
";

const TEXT: &str = "北京是中国的[MASK]都, 人口超过两千[MASK].";

struct Options {
    /// The one that comes with this crate if there is none.
    model: Option<PathBuf>,
    text: String,
    top_k: usize,
    seed: u64,
    /// Longer texts are cut to so many tokens; without it they are an error if the model has fewer positions.
    max_length: Option<usize>,
}

fn main() -> ExitCode {
    cli::main(HELP, parse, run)
}

fn run(options: Options, out: &mut dyn Write) -> Result<(), Failure> {
    let Options { model: directory, text, top_k, seed, max_length } = options;
    let directory = directory.unwrap_or_else(|| checkpoint::shipped(MODEL));

    let mut tokenizer = AlbertTokenizer::from_pretrained(&directory)?;
    if let Some(max_length) = max_length {
        tokenizer = tokenizer.with_max_length(max_length)?;
    }
    let encoding = tokenizer.encode(&text)?;
    let columns = masks(&encoding, &tokenizer)?;

    let load = LoadOptions::new().seed(seed);
    let (model, report) = AlbertForMaskedLM::from_pretrained_with(&directory, &load)?;
    checkpoint::warn(&report);

    // Scores of the whole vocabulary are computed for the masks only, not for every token.
    let batch = Batch::from_encodings([&encoding])?;
    let positions: Vec<(usize, usize)> = columns.iter().map(|&column| (0, column)).collect();
    let logits = model.logits_at(&batch, &positions)?;

    writeln!(out, "{text}")?;
    for ((number, column), logits) in (1..).zip(columns).zip(logits.outer_iter()) {
        writeln!(out, "\n[MASK] {number} of {}, token {column}:\n", positions.len())?;
        write!(out, "{}", words(&softmax(logits), top_k, &tokenizer))?;
    }
    Ok(())
}

/// The columns of the tokens to be guessed.
fn masks(encoding: &Encoding, tokenizer: &AlbertTokenizer) -> Result<Vec<usize>, Failure> {
    let is_mask = |column: &usize| encoding.ids[*column] == tokenizer.mask_token_id();
    let columns: Vec<usize> = (0..encoding.len()).filter(is_mask).collect();
    if columns.is_empty() {
        return Err("the text has no [MASK]: write one for each word that is to be guessed".into());
    }
    Ok(columns)
}

/// The `top_k` most probable words, best first.
fn words(probabilities: &Array1<f32>, top_k: usize, tokenizer: &AlbertTokenizer) -> Table<4> {
    let mut ids: Vec<u32> = (0u32..).take(probabilities.len()).collect();
    let probability = |id: u32| probabilities[id as usize];
    ids.sort_by(|&a, &b| probability(b).total_cmp(&probability(a)));
    let mut table = Table::new([
        ("#", Align::Right),
        ("word", Align::Left),
        ("id", Align::Right),
        ("probability", Align::Right),
    ]);
    for (rank, &id) in (1..).zip(ids.iter().take(top_k)) {
        // A model may have more rows than its vocabulary has words.
        let word = tokenizer.id_to_token(id).unwrap_or_else(|| "(none)".to_owned());
        let probability = format!("{:.6}", probability(id));
        table.row([format!("{rank}"), word, id.to_string(), probability]);
    }
    table
}

fn parse(mut arguments: lexopt::Parser) -> Result<Option<Options>, Failure> {
    let mut text = None;
    let mut options =
        Options { model: None, text: TEXT.to_owned(), top_k: 5, seed: 0, max_length: None };
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("model") => options.model = Some(arguments.value()?.into()),
            Long("top-k") => options.top_k = arguments.value()?.parse()?,
            Long("seed") => options.seed = arguments.value()?.parse()?,
            Long("max-length") => options.max_length = Some(arguments.value()?.parse()?),
            Long("help") | Short('h') => return Ok(None),
            Value(value) if text.is_none() => text = Some(value.string()?),
            Value(_) => return Err("one TEXT is expected: put it in quotes".into()),
            _ => return Err(argument.unexpected().into()),
        }
    }
    if options.top_k == 0 {
        return Err("--top-k: expected at least 1".into());
    }
    options.text = text.unwrap_or(options.text);
    Ok(Some(options))
}
