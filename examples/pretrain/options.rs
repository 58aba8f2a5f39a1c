//! What the user asks for.

use std::path::PathBuf;

use lexopt::prelude::*;
use ndalbert::Precision;
use ndalbert::checkpoint::DType;
use ndalbert::text::VocabularyKind;
use ndalbert::train::ActivationPolicy;
use ndalbert::train::pretraining::{PreTrainingOptions, SentenceObjective};

use super::Failure;
use super::output::{Output, dtype};
use super::training::Algorithm;

pub const HELP: &str = "\
Pre-trains an ALBERT on plain text: one sentence per line, a blank line between
documents. Without arguments, a tiny model on text in this repository, in less
than two minutes on two cores.

Usage: pretrain [--text FILE...] [--held-out FILE...] [--output DIR] [--resume]
                [--config FILE | --preset NAME | --model DIR]
                [--tokenizer DIR | --train-vocabulary N [--vocabulary KIND]]
                [--objective KIND] [--ngram N] [--masked SHARE]
                [--max-predictions N] [--shorter SHARE] [--copies N]
                [--steps N] [--batch N] [--seq N] [--accumulation N]
                [--optimizer adamw|lamb] [--rate R] [--warmup N]
                [--weight-decay W] [--residual-scale F]
                [--precision f32|bf16] [--dtype f32|f16|bf16]
                [--recompute] [--every N] [--seed N]

  --text FILE...        training text
  --held-out FILE...    evaluation text, never trained on
  --output DIR          receives the model, its vocabulary, checkpoints,
                        metrics.jsonl and learning-curve.svg; needed with --text
                        [default: target/pretrain, emptied first]
  --resume              continue from the last checkpoint in it
  --config FILE         a config.json; its vocab_size is set to the vocabulary's
  --preset NAME         base, large, ..., chinese-tiny, ...
  --model DIR           a checkpoint to start from
                        [default: 4 layers, 128 wide]
  --tokenizer DIR       its vocabulary [default: that of --model]
  --train-vocabulary N  build one of N tokens from the text [default: 2000]
  --vocabulary KIND     unigram, wordpiece or characters [default: unigram]
  --objective KIND      for pairs: sentence-order, or next-sentence as in BERT
                        [default: sentence-order]
  --ngram N             maximum length of masked n-grams, in words [default: 1]
  --masked SHARE        share of masked tokens [default: 0.15]
  --max-predictions N   maximum number of masked tokens in an example
  --shorter SHARE       share of shorter examples [default: 0.1]
  --copies N            draw masks once, for N copies of the text
                        [default: new masks in every epoch]
  --steps N             updates [default: 1500]
  --batch N             examples in a batch [default: 32]
  --seq N               maximum length of an example, in tokens [default: 64]
  --accumulation N      batches per update [default: 1]
  --optimizer O         adamw as in PyTorch, or lamb as in Google's ALBERT
                        [default: adamw]
  --rate R              the highest learning rate [default: 0.001]
  --warmup N            updates of warm-up [default: 100]
  --weight-decay W      [default: 0.01]
  --residual-scale F    scale of new matrices that write to the residual
                        [default: 0.3]
  --precision P         precision of matrix products [default: f32]
  --dtype D             type of the saved weights [default: f32]
  --recompute           keep one layer's activations at a time
  --every N             updates between evaluations, and checkpoints
                        [default: 500]
  --seed N              seed of weights, data and masks [default: 1]
  --help
";

/// A small text, and another part of it.
const TEXT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/rust-book/train.txt");
const HELD_OUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/rust-book/held-out.txt");

pub struct Options {
    pub text: Vec<PathBuf>,
    pub held_out: Vec<PathBuf>,
    pub output: Output,
    pub resume: bool,
    pub begin: Begin,
    pub words: Words,
    pub steps: u64,
    pub batch: usize,
    pub seq: usize,
    pub accumulation: usize,
    /// What examples are made of text.
    pub examples: PreTrainingOptions,
    pub optimizer: Algorithm,
    pub learning_rate: f64,
    pub warmup: u64,
    pub weight_decay: f64,
    pub residual_scale: f32,
    pub precision: Precision,
    pub dtype: DType,
    pub activations: ActivationPolicy,
    pub every: u64,
    pub seed: u64,
}

/// What is trained.
pub enum Begin {
    Small,
    Preset(String),
    Config(PathBuf),
    Checkpoint(PathBuf),
}

/// Where the vocabulary comes from.
pub enum Words {
    Directory(PathBuf),
    Train { size: usize, kind: VocabularyKind },
}

pub fn parse(mut arguments: lexopt::Parser) -> Result<Option<Options>, Failure> {
    let mut options = Options {
        text: Vec::new(),
        held_out: Vec::new(),
        output: Output::of("pretrain"),
        resume: false,
        begin: Begin::Small,
        words: Words::Train { size: 2000, kind: VocabularyKind::Unigram },
        steps: 1500,
        batch: 32,
        seq: 64,
        accumulation: 1,
        examples: PreTrainingOptions { ngram: 1, ..PreTrainingOptions::default() },
        optimizer: Algorithm::AdamW,
        learning_rate: 1e-3,
        warmup: 100,
        weight_decay: 0.01,
        residual_scale: 0.3,
        precision: Precision::F32,
        dtype: DType::F32,
        activations: ActivationPolicy::Keep,
        every: 500,
        seed: 1,
    };
    let (mut size, mut kind, mut directory) = (None, None, None);
    let examples = &mut options.examples;
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("text") => options.text.extend(arguments.values()?.map(PathBuf::from)),
            Long("held-out") => options.held_out.extend(arguments.values()?.map(PathBuf::from)),
            Long("output") => options.output = Output::Given(arguments.value()?.into()),
            Long("resume") => options.resume = true,
            Long("config") => options.begin = Begin::Config(arguments.value()?.into()),
            Long("preset") => options.begin = Begin::Preset(arguments.value()?.string()?),
            Long("model") => options.begin = Begin::Checkpoint(arguments.value()?.into()),
            Long("tokenizer") => directory = Some(arguments.value()?.into()),
            Long("train-vocabulary") => size = Some(arguments.value()?.parse()?),
            Long("vocabulary") => kind = Some(arguments.value()?.parse_with(vocabulary_kind)?),
            Long("objective") => examples.objective = arguments.value()?.parse_with(objective)?,
            Long("ngram") => examples.ngram = arguments.value()?.parse()?,
            Long("masked") => examples.masked_lm_prob = arguments.value()?.parse()?,
            Long("max-predictions") => {
                examples.max_predictions_per_seq = Some(arguments.value()?.parse()?);
            }
            Long("shorter") => examples.short_seq_prob = arguments.value()?.parse()?,
            Long("copies") => examples.dupe_factor = Some(arguments.value()?.parse()?),
            Long("optimizer") => {
                options.optimizer = arguments.value()?.parse_with(|name| match name {
                    "adamw" => Ok(Algorithm::AdamW),
                    "lamb" => Ok(Algorithm::Lamb),
                    _ => Err("expected adamw or lamb"),
                })?;
            }
            Long("steps") => options.steps = arguments.value()?.parse()?,
            Long("batch") => options.batch = arguments.value()?.parse()?,
            Long("seq") => options.seq = arguments.value()?.parse()?,
            Long("accumulation") => options.accumulation = arguments.value()?.parse()?,
            Long("rate") => options.learning_rate = arguments.value()?.parse()?,
            Long("warmup") => options.warmup = arguments.value()?.parse()?,
            Long("weight-decay") => options.weight_decay = arguments.value()?.parse()?,
            Long("residual-scale") => options.residual_scale = arguments.value()?.parse()?,
            Long("precision") => options.precision = arguments.value()?.parse()?,
            Long("dtype") => options.dtype = arguments.value()?.parse_with(dtype)?,
            Long("recompute") => options.activations = ActivationPolicy::Recompute,
            Long("every") => options.every = arguments.value()?.parse()?,
            Long("seed") => options.seed = arguments.value()?.parse()?,
            Long("help") => return Ok(None),
            other => return Err(other.unexpected().into()),
        }
    }
    options.words = match (directory, &options.begin) {
        (Some(directory), _) => Words::Directory(directory),
        // Its embeddings are those of its own words.
        (None, Begin::Checkpoint(_)) if size.is_some() || kind.is_some() => {
            return Err("--model has a vocabulary: it takes no new one".into());
        }
        (None, Begin::Checkpoint(model)) => Words::Directory(model.clone()),
        (None, _) => Words::Train {
            size: size.unwrap_or(2000),
            kind: kind.unwrap_or(VocabularyKind::Unigram),
        },
    };
    if options.text.is_empty() {
        options.text = vec![TEXT.into()];
    } else if options.held_out.is_empty() || matches!(options.output, Output::Own(_)) {
        return Err("--text, --held-out and --output go together".into());
    }
    if options.held_out.is_empty() {
        options.held_out = vec![HELD_OUT.into()];
    }
    if options.every == 0 {
        return Err("--every: expected at least 1".into());
    }
    Ok(Some(options))
}

fn vocabulary_kind(name: &str) -> Result<VocabularyKind, &'static str> {
    match name {
        "unigram" => Ok(VocabularyKind::Unigram),
        "wordpiece" => Ok(VocabularyKind::WordPiece),
        "characters" => Ok(VocabularyKind::Characters),
        _ => Err("expected unigram, wordpiece or characters"),
    }
}

fn objective(name: &str) -> Result<SentenceObjective, &'static str> {
    match name {
        "sentence-order" => Ok(SentenceObjective::SentenceOrder),
        "next-sentence" => Ok(SentenceObjective::NextSentence),
        _ => Err("expected sentence-order or next-sentence"),
    }
}
