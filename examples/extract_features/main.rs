//! What a model computes, written to a safetensors file: BERT's `extract_features.py` for ALBERT.
//!
//! ```text
//! cargo run --release --example extract_features
//! cargo run --release --example extract_features -- --model DIR --head base --text LINES.txt --output OUT.safetensors
//! ```
//!
//! Names and shapes of the tensors are stable, so that outputs can be compared; see `--help`. Everything
//! is held in memory until it is written: mind `prediction_logits`, V numbers per token.

#[path = "../common/checkpoint.rs"]
mod checkpoint;
#[path = "../common/cli.rs"]
mod cli;
mod heads;
mod inputs;
mod options;
#[path = "../common/read_text.rs"]
mod read_text;
#[path = "../common/table.rs"]
mod table;
mod tensors;

use std::io;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use ndalbert::{AlbertConfig, AlbertTokenizer, Error, LoadOptions};

use cli::Failure;
use heads::{Extract, Head};
use inputs::{Inputs, Lines};
use options::{HELP, Options, Source};
use read_text::read_text;
use tensors::Tensors;

/// What runs without arguments: a text and a pair.
const LINES: &str = "算法组的成员们精通各种AI算法.\n你吃饭了吗?\t我没吃上吉士果.";
/// The same for multiple choice: a prompt and two choices.
const CHOICES: &str = "你吃饭了吗?\t吃了.\t我没吃上吉士果.";

/// How long to compute before saying how far it is.
const SILENCE: Duration = Duration::from_secs(2);

/// Pre-trained on Chinese texts.
const MODEL: &str = "albert-chinese-demo";

fn main() -> ExitCode {
    cli::main(HELP, options::parse, run)
}

fn run(options: Options, out: &mut dyn Write) -> Result<(), Failure> {
    let path = match &options.output {
        Some(path) => path.clone(),
        None => temporary_file()?,
    };
    check_output(&path)?;
    let directory = options.model.clone();
    let directory = directory.unwrap_or_else(|| checkpoint::shipped(MODEL));
    let load = LoadOptions::new().seed(options.seed);
    let (model, report) = options.head.load(&directory, &load)?;
    checkpoint::warn(&report);

    let inputs = read_inputs(&options, &directory)?;
    let mut tensors = Tensors::default();
    if !matches!(options.source, Source::File(_)) {
        // The output includes the ids, since its readers have not seen the tokens.
        inputs.add_to(&mut tensors);
    }
    extract(model.as_ref(), &inputs, &options, &mut tensors)?;
    tensors.write(&path)?;
    write!(out, "{}", tensors.table())?;
    let place = if options.output.is_none() { " (a temporary directory)" } else { "" };
    Ok(writeln!(out, "\nWritten to {}{place}.", path.display())?)
}

/// Runs the model over the inputs, some rows at a time: what a row gives does not depend on the others.
fn extract(
    model: &dyn Extract,
    inputs: &Inputs,
    options: &Options,
    tensors: &mut Tensors,
) -> Result<(), Failure> {
    let total = inputs.num_rows();
    let mut spoken = Instant::now();
    for start in (0..total).step_by(options.batch_size) {
        let rows = start..total.min(start.saturating_add(options.batch_size));
        let features = inputs
            .batch(rows.clone())
            .and_then(|batch| model.extract(&batch, inputs.num_choices(), options.outputs));
        // The error's row is the batch's.
        let features = features.map_err(|error| match rows.start {
            0 => format!("{}: {error}", inputs.origin()),
            start => format!("{}, counting rows from {start}: {error}", inputs.origin()),
        })?;
        tensors.append(features, total.div_ceil(rows.len()));
        if spoken.elapsed() > SILENCE {
            eprintln!("{} of {total} rows", rows.end);
            spoken = Instant::now();
        }
    }
    Ok(())
}

fn read_inputs(options: &Options, directory: &Path) -> Result<Inputs, Failure> {
    let has_choices = options.head == Head::MultipleChoice;
    let (origin, text) = match &options.source {
        Source::File(path) => return Inputs::from_file(path, has_choices),
        Source::Text(path) => (path.display().to_string(), read_text(path)?),
        Source::Demo if has_choices => ("the demo text".to_owned(), CHOICES.to_owned()),
        Source::Demo => ("the demo text".to_owned(), LINES.to_owned()),
    };
    let mut tokenizer = AlbertTokenizer::from_pretrained(directory)?;
    if let Some(length) = options.max_length {
        tokenizer = tokenizer.with_max_length(length)?;
    }
    let positions = AlbertConfig::from_pretrained(directory)?.max_position_embeddings;
    Lines { origin, text: &text, has_choices }.encode(&tokenizer, positions)
}

/// Finds out before the work, not after it, that there is nowhere to put its result.
fn check_output(path: &Path) -> Result<(), Error> {
    let refuse = |path: &Path, kind, what| {
        Err(Error::Io { path: path.to_owned(), error: io::Error::new(kind, what) })
    };
    match path.parent() {
        _ if path.is_dir() => refuse(path, io::ErrorKind::IsADirectory, "is a directory"),
        Some(parent) if parent != Path::new("") && !parent.is_dir() => {
            refuse(parent, io::ErrorKind::NotFound, "no such directory to write to")
        }
        _ => Ok(()),
    }
}

/// A file in a directory that stays, for the user to look into.
fn temporary_file() -> io::Result<PathBuf> {
    let directory = tempfile::Builder::new().prefix("ndalbert-").tempdir()?.keep();
    Ok(directory.join("features.safetensors"))
}
