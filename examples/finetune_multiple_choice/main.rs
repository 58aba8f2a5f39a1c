//! Fine-tunes a model to choose: SWAG, RACE, C3, or questions of one's own.
//!
//! ```text
//! cargo run --release --example finetune_multiple_choice
//! cargo run --release --example finetune_multiple_choice -- --model DIR --train FILE --validation FILE --output DIR
//! ```

#[path = "../common/chart.rs"]
mod chart;
#[path = "../common/cli.rs"]
mod cli;
#[path = "../common/finetune.rs"]
mod finetune;
#[path = "../common/progress.rs"]
mod progress;
#[path = "../common/tokenizer_files.rs"]
mod tokenizer_files;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use lexopt::prelude::*;
use ndalbert::train::datasets::{
    Examples, MultipleChoiceExample, MultipleChoiceFeatures, read_c3, read_choices, read_race,
    read_swag,
};
use ndalbert::{AlbertForMultipleChoice, AlbertTokenizer, LoadOptions};

use cli::Failure;

const HELP: &str = "\
Fine-tunes a model to choose what goes with a prompt. Without arguments: which
sentence comes next, of a small Chinese model and the items that come with this
crate.

Usage: finetune_multiple_choice [--train FILE] [--validation FILE]
                                [--format KIND] [options]

  --train FILE        items to learn from
  --validation FILE   items to evaluate on
  --format KIND       jsonl ({\"prompt\", \"choices\", \"label\"}), swag (CSV), race
                      (a directory, or JSON lines) or c3 (JSON)
                      [default: jsonl]
";

const MODEL: &str = "examples/data/albert-chinese-demo";
const ITEMS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/next-sentence");

struct Options {
    common: finetune::Options,
    train: PathBuf,
    validation: PathBuf,
    format: Format,
}

#[derive(Clone, Copy)]
enum Format {
    JsonLines,
    Swag,
    Race,
    C3,
}

fn main() -> ExitCode {
    let help = format!("{HELP}{}", finetune::HELP);
    cli::main(&help, parse, run)
}

fn run(options: Options, out: &mut dyn Write) -> Result<(), Failure> {
    let common = &options.common;
    let tokenizer =
        AlbertTokenizer::from_pretrained(&common.model)?.with_max_length(common.max_length)?;
    let features = |path: &Path| -> Result<Vec<MultipleChoiceFeatures>, Failure> {
        let examples = read(options.format, path)?;
        Ok(examples.encode(|example| MultipleChoiceFeatures::new(&tokenizer, example))?)
    };
    let examples = (features(&options.train)?, features(&options.validation)?);
    let model = common.load::<AlbertForMultipleChoice>(LoadOptions::new(), |_| ())?;
    finetune::finetune::<AlbertForMultipleChoice, _>(common, model, examples, "accuracy", out)?;
    Ok(())
}

fn read(format: Format, path: &Path) -> ndalbert::Result<Examples<MultipleChoiceExample>> {
    match format {
        Format::JsonLines => read_choices(path),
        Format::Swag => read_swag(path),
        Format::Race => read_race(path),
        Format::C3 => read_c3(path),
    }
}

fn parse(mut arguments: lexopt::Parser) -> Result<Option<Options>, Failure> {
    let mut options = Options {
        common: finetune::Options::new("finetune_multiple_choice", MODEL, 3, 1e-4),
        train: Path::new(ITEMS).join("train.jsonl"),
        validation: Path::new(ITEMS).join("test.jsonl"),
        format: Format::JsonLines,
    };
    while let Some(argument) = arguments.next()? {
        let name = match &argument {
            Long(name) => (*name).to_owned(),
            _ => return Err(argument.unexpected().into()),
        };
        match name.as_str() {
            "train" => options.train = arguments.value()?.into(),
            "validation" => options.validation = arguments.value()?.into(),
            "format" => {
                options.format = arguments.value()?.parse_with(|name| match name {
                    "jsonl" => Ok(Format::JsonLines),
                    "swag" => Ok(Format::Swag),
                    "race" => Ok(Format::Race),
                    "c3" => Ok(Format::C3),
                    _ => Err("expected jsonl, swag, race or c3"),
                })?;
            }
            "help" => return Ok(None),
            other if options.common.take(other, &mut arguments)? => {}
            other => return Err(format!("invalid option '--{other}'").into()),
        }
    }
    Ok(Some(options))
}
