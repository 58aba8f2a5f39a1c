//! Fine-tunes a model for multiple choice: on SWAG, RACE, C3, or your own questions.
//!
//! ```text
//! cargo run --release --example finetune_multiple_choice
//! cargo run --release --example finetune_multiple_choice -- --model DIR --train FILE --validation FILE --output DIR
//! ```

#[path = "../common/argmax.rs"]
mod argmax;
#[path = "../common/cli.rs"]
mod cli;
#[path = "../common/finetune/mod.rs"]
mod finetune;
mod measure;
#[path = "../common/predict.rs"]
mod predict;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use lexopt::ValueExt;
use ndalbert::AlbertForMultipleChoice;
use ndalbert::train::datasets::{
    Examples, Features, LoadedExamples, MultipleChoiceExample, MultipleChoiceFeatures, labelled,
    read_c3, read_choices, read_race, read_swag,
};

use cli::Failure;
use finetune::{Defaults, Task};

const HELP: &str = "\
Fine-tunes a model for multiple choice. Without arguments, a small Chinese model
learns which sentence comes next, on items in this repository.

Usage: finetune_multiple_choice [--train FILE --validation FILE]
                                [--format KIND] [options]

  --format KIND       jsonl ({\"prompt\", \"choices\", \"label\"}), swag (CSV), race
                      (a directory, or JSON lines) or c3 (JSON)
                      [default: jsonl]
";

const DEFAULTS: Defaults = Defaults {
    example: "finetune_multiple_choice",
    model: Some(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/albert-chinese-demo")),
    epochs: 3,
    rate: 1e-4,
    has_exits: true,
};

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
    let help = format!("{HELP}{}", DEFAULTS.help());
    cli::main(&help, parse, run)
}

fn run(options: Options, out: &mut dyn Write) -> Result<(), Failure> {
    let common = &options.common;
    let (train, validation) = common.files("next-sentence", ["train.jsonl", "test.jsonl"]);
    let tokenizer = common.tokenizer([])?;
    let [train, validation] =
        common.read((train.as_deref(), &validation), |path| read(options.format, path))?;
    let mut features = |mut examples: LoadedExamples<_>| {
        finetune::encode(&mut examples, out, |example| {
            labelled(MultipleChoiceFeatures::new(&tokenizer, example)?)
        })
    };
    let (train, validation) = (features(train)?, features(validation)?);
    let chance = chance(&validation);
    let held_out = validation.clone();
    let task = Task {
        train,
        validation,
        metric: "accuracy",
        // There is no more to it than loss and accuracy.
        measure: &|_: &AlbertForMultipleChoice| Ok(Vec::new()),
        exits: Some(&|model: &_| measure::by_exit(model, &held_out)),
        baselines: vec![format!("by chance: accuracy {chance:.4}")],
    };
    let model = common.load::<AlbertForMultipleChoice>(&tokenizer, |_| ())?;
    finetune::finetune(common, &tokenizer, model, task, out)?;
    Ok(())
}

/// How often a guess is right.
fn chance(features: &[MultipleChoiceFeatures]) -> f64 {
    let shares = features.iter().map(|features| 1.0 / features.inputs().len() as f64);
    shares.sum::<f64>() / features.len() as f64
}

fn read(format: Format, path: &Path) -> ndalbert::Result<Examples<MultipleChoiceExample>> {
    match format {
        Format::JsonLines => read_choices(path),
        Format::Swag => read_swag(path),
        Format::Race => read_race(path),
        Format::C3 => read_c3(path),
    }
}

fn parse(arguments: lexopt::Parser) -> Result<Option<Options>, Failure> {
    let mut format = Format::JsonLines;
    let common = finetune::Options::parse(DEFAULTS, arguments, |name, arguments| {
        if name != "format" {
            return Ok(false);
        }
        format = arguments.value()?.parse_with(|name| match name {
            "jsonl" => Ok(Format::JsonLines),
            "swag" => Ok(Format::Swag),
            "race" => Ok(Format::Race),
            "c3" => Ok(Format::C3),
            _ => Err("expected jsonl, swag, race or c3"),
        })?;
        Ok(true)
    })?;
    Ok(common.map(|common| Options { common, format }))
}
