//! The command line.

use std::path::PathBuf;

use lexopt::prelude::*;
use ndalbert::OutputOptions;

use crate::cli::Failure;
use crate::heads::Head;

pub const HELP: &str = "\
Runs a checkpoint and writes its outputs to a safetensors file.

Usage: extract_features --model DIR (--input IN | --text FILE) --output OUT ...
       extract_features ...       a small case on the model of this crate

  --model DIR      a checkpoint: config.json, weights; for --text a vocabulary
  --head HEAD      base, pretraining, masked-lm, multiple-choice,
                   sequence-classification, token-classification or
                   question-answering [default: base]
  --input IN       a safetensors file: integers input_ids [B,S] and, optionally,
                   attention_mask, token_type_ids, position_ids, each of that
                   shape or [1,S]; in place of input_ids also f32 inputs_embeds
                   [B,S,E]. For multiple-choice [B,N,S] and [B,N,S,E]
  --text FILE      in place of --input: a line is a text, or two separated by a
                   tab; for multiple-choice a prompt and its choices
  --output OUT     the safetensors file to write, replaced atomically
  --hidden-states  write the states after the mapping E to H and every layer
  --attentions     write the attention probabilities of every layer
  --max-length N   truncate the texts of --text to N tokens
                   [default: an error if too long]
  --batch-size N   rows per batch [default: 32]
  --seed N         seed of weights that the checkpoint lacks (a classifier, a
                   pooler); a warning names them [default: 0]
  --help

The tensors of OUT, f32:

  base                     last_hidden_state [B,S,H], pooler_output [B,H]
  pretraining              prediction_logits [B,S,V], sop_logits [B,2]
  masked-lm                prediction_logits [B,S,V], and the same as logits,
                           which is transformers' name
  multiple-choice          logits [B,N]
  sequence-classification  logits [B,C]
  token-classification     logits [B,S,C]
  question-answering       start_logits [B,S], end_logits [B,S]
  all, if requested        hidden_states.0, ... [B,S,H],
                           attentions.0, ... [B,A,S,S];
                           multiple-choice has B*N in place of B

With --text also i64 input_ids, attention_mask and token_type_ids, padded at the
end with the vocabulary's padding token. Where the attention mask is 0, values
by position are 0, unlike in transformers.
";

pub struct Options {
    /// The one that comes with this crate if there is none.
    pub model: Option<PathBuf>,
    pub head: Head,
    pub source: Source,
    /// A temporary file if there is none.
    pub output: Option<PathBuf>,
    pub outputs: OutputOptions,
    pub max_length: Option<usize>,
    pub batch_size: usize,
    pub seed: u64,
}

/// Where the inputs come from.
pub enum Source {
    Demo,
    File(PathBuf),
    Text(PathBuf),
}

impl Default for Options {
    fn default() -> Self {
        Self {
            model: None,
            head: Head::Base,
            source: Source::Demo,
            output: None,
            outputs: OutputOptions::default(),
            max_length: None,
            batch_size: 32,
            seed: 0,
        }
    }
}

pub fn parse(mut arguments: lexopt::Parser) -> Result<Option<Options>, Failure> {
    let mut options = Options::default();
    let (mut input, mut text) = (None, None);
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("model") => options.model = Some(arguments.value()?.into()),
            Long("head") => options.head = arguments.value()?.parse_with(Head::from_name)?,
            Long("input") => input = Some(arguments.value()?.into()),
            Long("text") => text = Some(arguments.value()?.into()),
            Long("output") => options.output = Some(arguments.value()?.into()),
            Long("hidden-states") => options.outputs.hidden_states = true,
            Long("attentions") => options.outputs.attentions = true,
            Long("max-length") => options.max_length = Some(arguments.value()?.parse()?),
            Long("batch-size") => options.batch_size = arguments.value()?.parse()?,
            Long("seed") => options.seed = arguments.value()?.parse()?,
            Long("help") | Short('h') => return Ok(None),
            _ => return Err(argument.unexpected().into()),
        }
    }
    options.source = match (input, text) {
        (Some(_), Some(_)) => return Err("--input and --text exclude each other".into()),
        (Some(path), None) => Source::File(path),
        (None, Some(path)) => Source::Text(path),
        (None, None) => Source::Demo,
    };
    check(&options)?;
    Ok(Some(options))
}

/// The demo takes neither checkpoint nor files; everything else takes all of them.
fn check(options: &Options) -> Result<(), Failure> {
    let is_demo = matches!(options.source, Source::Demo);
    let given = [
        ("--model", options.model.is_some()),
        ("--input or --text", !is_demo),
        ("--output", options.output.is_some()),
    ];
    let missing = given.iter().find(|(_, given)| !given);
    if let Some((missing, _)) = missing.filter(|_| given.iter().any(|(_, given)| *given)) {
        return Err(format!("missing {missing}").into());
    }
    if options.batch_size == 0 {
        return Err("--batch-size: expected at least 1".into());
    }
    if options.max_length.is_some() && matches!(options.source, Source::File(_)) {
        return Err("--max-length cuts texts, not --input".into());
    }
    Ok(())
}
