//! Classifies many short texts as a stream, and compares that with the same tokens in one packed batch.
//!
//! ```text
//! cargo run --release --example classify_many
//! cargo run --release --example classify_many -- --texts 2000 --precision f32 --threads 1
//! ```

#[path = "common/checkpoint.rs"]
#[allow(dead_code, reason = "nothing is loaded")]
mod checkpoint;
#[path = "common/cli.rs"]
mod cli;
#[path = "common/random.rs"]
#[allow(dead_code, reason = "nothing is shuffled")]
mod random;
#[path = "common/table.rs"]
mod table;
#[path = "common/timing.rs"]
mod timing;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;
use std::{fs, thread};

use lexopt::prelude::*;
use ndalbert::pipelines::{Pipeline, Progress, TextClassification};
use ndalbert::{
    AlbertConfig, AlbertForSequenceClassification, AlbertTokenizer, Batch, Model, Precision,
};
use rayon::ThreadPoolBuilder;
use serde_json::Value;

use cli::Failure;
use random::Random;
use table::{Align, Table};
use timing::{Seconds, peak_memory};

const HELP: &str = "\
Classifies many short texts of one to four Chinese sentences each with a model
of random weights: as a stream of texts, including tokenization, and as one
packed batch of their tokens. Prints seconds, tokens per second, and the peak
memory of the stream after a tenth of the texts and after all.

Usage: classify_many [--texts N] [--preset NAME] [--precision f32|bf16|int8]
                     [--threads N] [--rounds N] [--dump FILE]

  --texts N      [default: 10000]
  --preset NAME  base, large, xlarge, xxlarge, ... [default: base]
  --precision P  precision of the layers [default: int8]
  --threads N    [default: all]
  --rounds N     measure both this many times, in turns [default: 1]
  --dump FILE    write the texts, one per line, for use elsewhere
  --help
";

/// Where the sentences come from, and the vocabulary.
const SENTENCES: [&str; 2] = ["next-sentence/train.jsonl", "next-sentence/test.jsonl"];
const VOCABULARY: &str = "albert-chinese-demo";

struct Options {
    texts: usize,
    preset: String,
    precision: Precision,
    threads: usize,
    rounds: usize,
    dump: Option<PathBuf>,
}

fn main() -> ExitCode {
    cli::main(HELP, parse, run)
}

fn run(options: Options, out: &mut dyn Write) -> Result<(), Failure> {
    ThreadPoolBuilder::new().num_threads(options.threads).build_global()?;
    let texts = texts(options.texts)?;
    if let Some(path) = &options.dump {
        fs::write(path, texts.join("\n") + "\n")?;
    }
    let tokenizer = AlbertTokenizer::from_pretrained(checkpoint::shipped(VOCABULARY))?;
    let config = AlbertConfig::from_preset(&options.preset)?;
    let model = AlbertForSequenceClassification::from_config_in(config, 0, options.precision)?;
    let classify = TextClassification::new(model, tokenizer)?;
    let (mut streamed, mut packed, mut tokens, mut memory) = (Vec::new(), Vec::new(), 0, None);
    for _ in 0..options.rounds {
        let mut early = None;
        let watch = |progress: Progress| {
            tokens = progress.tokens;
            if early.is_none() && progress.done >= texts.len() / 10 {
                early = peak_memory();
            }
        };
        let start = Instant::now();
        for output in classify.stream(&texts).on_progress(watch) {
            output?;
        }
        streamed.push(start.elapsed().as_secs_f64());
        memory = memory.or(early.zip(peak_memory()));

        let encodings = classify.tokenizer().encode_batch(&texts)?;
        let batch = Batch::from_encodings(&encodings)?;
        let start = Instant::now();
        classify.model().forward(&batch)?;
        packed.push(start.elapsed().as_secs_f64());
    }
    let mut table = Table::new([
        ("", Align::Left),
        ("median s", Align::Right),
        ("least s", Align::Right),
        ("tokens/s", Align::Right),
    ]);
    for (what, seconds) in [("stream", streamed), ("one packed batch", packed)] {
        let seconds = Seconds::new(seconds);
        table.row([
            what.to_owned(),
            format!("{:.2}", seconds.median()),
            format!("{:.2}", seconds.least()),
            format!("{:.0}", tokens as f64 / seconds.median()),
        ]);
    }
    writeln!(out, "{} texts, {tokens} tokens, {} threads\n", texts.len(), options.threads)?;
    write!(out, "{table}")?;
    if let Some((early, late)) = memory {
        let (early, late) = (early >> 20, late >> 20);
        writeln!(out, "\nmemory  {early} MiB after a tenth of the stream, {late} MiB after all")?;
    }
    Ok(())
}

/// Texts of one to four sentences.
fn texts(count: usize) -> Result<Vec<String>, Failure> {
    let mut sentences = Vec::new();
    for name in SENTENCES {
        for line in fs::read_to_string(checkpoint::shipped(name))?.lines() {
            let item: Value = serde_json::from_str(line)?;
            let choices = item["choices"].as_array().into_iter().flatten();
            let texts = [&item["prompt"]].into_iter().chain(choices);
            sentences.extend(texts.filter_map(Value::as_str).map(str::to_owned));
        }
    }
    let mut random = Random::new(7);
    let mut text = || -> String {
        let parts = 1 + random.below(4);
        (0..parts).map(|_| sentences[random.below(sentences.len())].as_str()).collect()
    };
    Ok((0..count).map(|_| text()).collect())
}

fn parse(mut arguments: lexopt::Parser) -> Result<Option<Options>, Failure> {
    let mut options = Options {
        texts: 10_000,
        preset: "base".to_owned(),
        precision: Precision::Int8,
        threads: thread::available_parallelism().map_or(1, usize::from),
        rounds: 1,
        dump: None,
    };
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("texts") => options.texts = arguments.value()?.parse()?,
            Long("preset") => options.preset = arguments.value()?.string()?,
            Long("precision") => options.precision = arguments.value()?.parse()?,
            Long("threads") => options.threads = arguments.value()?.parse()?,
            Long("rounds") => options.rounds = arguments.value()?.parse()?,
            Long("dump") => options.dump = Some(arguments.value()?.into()),
            Long("help") => return Ok(None),
            other => return Err(other.unexpected().into()),
        }
    }
    if [options.texts, options.threads, options.rounds].contains(&0) {
        return Err("--texts, --threads and --rounds: expected at least 1".into());
    }
    Ok(Some(options))
}
