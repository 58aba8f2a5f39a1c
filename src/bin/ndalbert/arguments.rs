//! The command line.

use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use ndalbert::exits::{self, ExitPolicy};
use ndalbert::{LoadOptions, Precision};
use serde_json::Value;

use crate::convert;
use crate::inspect;
use crate::measure;
use crate::shard::Shard;
use crate::tasks::{answer, choose, classify, embed, fill_mask, order, tag};
use crate::tokenize;

/// Run ALBERT models on texts, and convert and inspect their files.
///
/// A model is a directory with config.json, weights and a vocabulary, or (if the program was built
/// with the feature `hub`) the name of one on the Hugging Face Hub: owner/model or
/// owner/model@revision.
#[derive(Parser)]
#[command(name = "ndalbert", version, max_term_width = 100, after_help = AFTER)]
pub struct Arguments {
    /// Number of threads [default: one per core]
    #[arg(long, global = true, value_name = "N")]
    pub threads: Option<NonZero<usize>>,
    #[command(subcommand)]
    pub command: Command,
}

const AFTER: &str = "\
Examples:
  ndalbert fill-mask -m voidful/albert_chinese_small '今天[MASK]情很好'
  ndalbert classify -m DIR --top-k 3 < reviews.txt > classes.jsonl
  ndalbert convert DIR NEW_DIR --dtype bf16";

/// The command. Its help is defined with its options.
#[derive(Subcommand)]
pub enum Command {
    FillMask(fill_mask::Options),
    Classify(classify::Options),
    Answer(answer::Options),
    Tag(tag::Options),
    Choose(choose::Options),
    Order(order::Options),
    Embed(embed::Options),
    Tokenize(tokenize::Options),
    Convert(convert::Options),
    Inspect(inspect::Options),
    Measure(measure::Options),
    /// Print shell completions for this command
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// How texts come in and answers go out.
#[derive(Args)]
pub struct InOut {
    /// Read inputs from a file instead of standard input
    #[arg(
        short,
        long,
        value_name = "FILE",
        conflicts_with = "texts",
        help_heading = "Input and output"
    )]
    pub input: Option<PathBuf>,
    /// Of the file's lines, process the I-th of N parts, counted from 0: a stretch of lines each, of
    /// about as many bytes. The parts' answers one after the other are those of the whole file
    #[arg(
        long,
        value_name = "I/N",
        requires = "input",
        conflicts_with = "texts",
        help_heading = "Input and output"
    )]
    pub shard: Option<Shard>,
    /// The format of input lines: text or JSON
    #[arg(
        short = 'f',
        long,
        value_enum,
        default_value = "text",
        value_name = "FORMAT",
        help_heading = "Input and output"
    )]
    pub from: From,
    /// Write answers as lines of JSON or as a table [default: table on a terminal, else jsonl]
    #[arg(short = 't', long, value_enum, value_name = "FORMAT", help_heading = "Input and output")]
    pub to: Option<To>,
}

/// What a line of the input is.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum From {
    /// A text; several texts of one input are separated by tabs
    Text,
    /// A JSON value
    Jsonl,
}

/// How answers are written.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum To {
    /// A table for people
    Table,
    /// A JSON object for each input
    Jsonl,
}

/// Which tensors of a file are the model's.
#[derive(Args)]
pub struct Tensors {
    /// The prefix of the model's tensors, if the file has several models [example: ema]
    #[arg(long = "tensors-under", value_name = "PATH")]
    pub under: Option<String>,
}

impl Tensors {
    /// How the model is loaded.
    pub fn load(&self) -> LoadOptions {
        match &self.under {
            Some(path) => LoadOptions::new().tensors_under(path),
            None => LoadOptions::new(),
        }
    }
}

/// Where inputs leave a model with exits.
#[derive(Args)]
pub struct Exit {
    /// Let each input leave the model at the first exit allowed by a policy: patience=3,
    /// confidence=0.9, entropy=0.2 or agreement=1.5. Answers show the number of layers used
    #[arg(long, value_name = "POLICY", value_parser = policy)]
    pub exit: Option<Arc<dyn ExitPolicy>>,
}

impl Exit {
    /// The pipeline with the policy that was asked for, if any was.
    pub fn set<P>(
        &self,
        pipeline: P,
        exit: impl FnOnce(P, Arc<dyn ExitPolicy>) -> ndalbert::Result<P>,
    ) -> ndalbert::Result<P> {
        match &self.exit {
            Some(policy) => exit(pipeline, policy.clone()),
            None => Ok(pipeline),
        }
    }

    /// An answer with its layers, where some may be left out.
    pub fn with_layers(&self, mut answer: Value, layers: usize) -> Value {
        if self.exit.is_some() {
            answer["layers"] = layers.into();
        }
        answer
    }
}

fn policy(text: &str) -> Result<Arc<dyn ExitPolicy>, String> {
    exits::parse(text).map_err(|error| error.to_string())
}

/// What all tasks have in common.
#[derive(Args)]
pub struct Common {
    /// The model: a directory, a file of weights, or owner/model on the Hugging Face Hub
    #[arg(short, long, value_name = "MODEL")]
    pub model: String,
    #[command(flatten)]
    pub tensors: Tensors,
    /// Precision of the layers: f32, bf16 or int8
    #[arg(long, default_value = "f32", value_parser = precision)]
    pub precision: Precision,
    /// Truncate texts to this number of tokens [default: the model's input length]
    #[arg(long, value_name = "N")]
    pub max_length: Option<usize>,
    /// Compute about this many tokens at a time; fewer answer sooner if inputs arrive slowly
    #[arg(long, value_name = "N")]
    pub tokens_per_batch: Option<usize>,
    #[command(flatten)]
    pub in_out: InOut,
}

pub fn precision(name: &str) -> Result<Precision, String> {
    name.parse().map_err(|error: ndalbert::Error| error.to_string())
}
