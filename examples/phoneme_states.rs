//! From phonemes to the states of PL-BERT, the ALBERT that reads the text in the speech models Kokoro and StyleTTS2.
//!
//! ```text
//! cargo run --release --example phoneme_states
//! cargo run --release --example phoneme_states -- --model DIR --output states.safetensors "hˈɛloʊ wˈɜːld"
//! ```
//!
//! DIR is as the models are published: Kokoro's `config.json` and its `kokoro-v1_0.pth`, say.

#[path = "common/checkpoint.rs"]
mod checkpoint;
#[path = "common/cli.rs"]
mod cli;
#[path = "common/table.rs"]
mod table;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use lexopt::prelude::*;
use ndalbert::checkpoint::write_safetensors;
use ndalbert::ndarray::{Array1, ArrayView2};
use ndalbert::{Albert, AlbertTokenizer, Batch, Encoding, LoadReport, PreTrainedModel};

use cli::Failure;
use table::{Align, Table};

/// Kokoro's vocabulary and layout, with random weights.
const MODEL: &str = "phonemes-demo";

/// "Hello, world!"
const PHONEMES: &str = "həlˈoʊ, wˈɜːld!";

const HELP: &str = "\
Computes the state of every phoneme with the text encoder of a speech model.

Usage: phoneme_states [--model DIR] [--output FILE] [PHONEMES]

  PHONEMES       a text in the phonetic alphabet of the model
                 [default: \"Hello, world!\"]
  --model DIR    a directory with config.json and weights, or a weight file
                 [default: a tiny, untrained one in Kokoro's layout]
  --output FILE  write ids and states as safetensors
  --help
";

/// How many values of a state are shown.
const SHOWN: usize = 4;

struct Options {
    /// The one that comes with this crate if there is none.
    model: Option<PathBuf>,
    output: Option<PathBuf>,
    phonemes: String,
}

fn main() -> ExitCode {
    cli::main(HELP, parse, run)
}

fn run(options: Options, out: &mut dyn Write) -> Result<(), Failure> {
    let directory = options.model.unwrap_or_else(|| checkpoint::shipped(MODEL));
    let tokenizer = AlbertTokenizer::from_pretrained(&directory)?;
    let encoding = tokenizer.encode(&options.phonemes)?;
    warn_of_unknown(&options.phonemes, &encoding);

    // The file has the other networks of the speech model, too.
    let (albert, report) = Albert::from_pretrained(&directory)?;
    checkpoint::warn(&LoadReport { unexpected: Vec::new(), ..report });
    let states = albert.forward(&Batch::from_encodings([&encoding])?)?.last_hidden_state;

    write!(out, "{}", shown(&encoding, states.sequence(0)))?;
    if let Some(path) = options.output {
        write_states(&path, &encoding, states.sequence(0))?;
    }
    Ok(())
}

/// Says which characters are left out, as the speech models do without a word.
fn warn_of_unknown(phonemes: &str, encoding: &Encoding) {
    let is_known = |place: usize| encoding.offsets.contains(&(place, place + 1));
    let unknown: String = phonemes
        .chars()
        .enumerate()
        .filter(|&(place, _)| !is_known(place))
        .map(|(_, c)| c)
        .collect();
    if !unknown.is_empty() {
        eprintln!("left out, since the vocabulary lacks them: {unknown}");
    }
}

/// A row for each token: the two ends, and the phonemes between them.
fn shown(encoding: &Encoding, states: ArrayView2<'_, f32>) -> Table<4> {
    let mut table = Table::new([
        ("phoneme", Align::Left),
        ("id", Align::Right),
        ("length", Align::Right),
        ("first values", Align::Left),
    ]);
    for ((token, id), state) in encoding.tokens.iter().zip(&encoding.ids).zip(states.outer_iter()) {
        let first: Vec<String> =
            state.iter().take(SHOWN).map(|value| format!("{value:+.4}")).collect();
        let length = state.dot(&state).sqrt();
        table.row([token.clone(), id.to_string(), format!("{length:.3}"), first.join(" ")]);
    }
    table
}

/// `input_ids` \[T\], as floats, and `last_hidden_state` \[T, H\].
fn write_states(
    path: &Path,
    encoding: &Encoding,
    states: ArrayView2<'_, f32>,
) -> Result<(), Failure> {
    let ids: Array1<f32> = encoding.ids.iter().map(|&id| id as f32).collect();
    let tensors = [("input_ids", ids.view().into_dyn()), ("last_hidden_state", states.into_dyn())];
    Ok(write_safetensors(path, tensors)?)
}

fn parse(mut arguments: lexopt::Parser) -> Result<Option<Options>, Failure> {
    let mut phonemes = None;
    let mut options = Options { model: None, output: None, phonemes: PHONEMES.to_owned() };
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("model") => options.model = Some(arguments.value()?.into()),
            Long("output") => options.output = Some(arguments.value()?.into()),
            Long("help") | Short('h') => return Ok(None),
            Value(value) if phonemes.is_none() => phonemes = Some(value.string()?),
            Value(_) => return Err("one PHONEMES is expected: put it in quotes".into()),
            _ => return Err(argument.unexpected().into()),
        }
    }
    options.phonemes = phonemes.unwrap_or(options.phonemes);
    Ok(Some(options))
}
