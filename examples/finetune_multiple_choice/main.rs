//! Fine-tunes a model to choose: SWAG, RACE, C3, or questions of one's own.
//!
//! ```text
//! cargo run --release --example finetune_multiple_choice
//! cargo run --release --example finetune_multiple_choice -- --model DIR --train FILE --validation FILE --output DIR
//! ```

#[path = "../common/cli.rs"]
mod cli;
#[path = "../common/finetune/mod.rs"]
mod finetune;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use lexopt::prelude::*;
use ndalbert::AlbertForMultipleChoice;
use ndalbert::train::datasets::{
    Examples, MultipleChoiceExample, MultipleChoiceFeatures, read_c3, read_choices, read_race,
    read_swag,
};

use cli::Failure;
use finetune::Task;

const HELP: &str = "\
Fine-tunes a model to choose what goes with a prompt. Without arguments: which
sentence comes next, of a small Chinese model and the items that come with this
crate.

Usage: finetune_multiple_choice [--train FILE --validation FILE]
                                [--format KIND] [options]

  --format KIND       jsonl ({\"prompt\", \"choices\", \"label\"}), swag (CSV), race
                      (a directory, or JSON lines) or c3 (JSON)
                      [default: jsonl]
";

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/albert-chinese-demo");

struct Options {
    common: finetune::Options,
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
    let [train, validation] = common.files("next-sentence", ["train.jsonl", "test.jsonl"])?;
    let tokenizer = common.tokenizer([])?;
    let features = |path: &Path| -> Result<Vec<MultipleChoiceFeatures>, Failure> {
        let examples = read(options.format, path)?;
        Ok(examples.encode(|example| MultipleChoiceFeatures::new(&tokenizer, example))?)
    };
    let task = Task {
        train: features(&train)?,
        validation: features(&validation)?,
        metric: "accuracy",
        measure: &|_: &AlbertForMultipleChoice| Ok(Vec::new()),
    };
    let model = common.load::<AlbertForMultipleChoice>(&tokenizer, |_| ())?;
    finetune::finetune(common, model, task, out)?;
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
        common: finetune::Options::new("finetune_multiple_choice", 3, 1e-4),
        format: Format::JsonLines,
    };
    options.common.model = Some(MODEL.into());
    while let Some(argument) = arguments.next()? {
        let name = match &argument {
            Long(name) => (*name).to_owned(),
            _ => return Err(argument.unexpected().into()),
        };
        match name.as_str() {
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
