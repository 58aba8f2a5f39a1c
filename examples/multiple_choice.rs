//! Multiple choice: which of several choices fits a prompt? By default, the question at the end of the article
//! *自然语言处理 — ALBERT*, from which this crate started.
//!
//! ```text
//! cargo run --release --example multiple_choice
//! cargo run --release --example multiple_choice -- --model DIR --prompt … --choice … --choice …
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
use ndalbert::heads::MultipleChoiceOutput;
use ndalbert::ndarray::{Array1, Array2};
use ndalbert::nn::softmax;
use ndalbert::{
    AlbertForMultipleChoice, AlbertTokenizer, Batch, Encoding, Labels, LoadOptions, LoadReport,
    PreTrainedModel,
};

use cli::Failure;
use table::{Align, Table};

/// Fine-tuned to choose the sentence that comes next.
const MODEL: &str = "albert-chinese-next-sentence";

const HELP: &str = "\
Scores choices for a prompt.

Usage: multiple_choice [--model DIR] [--prompt TEXT --choice TEXT ...]
                       [--label LABEL] [--seed N] [--max-length N]

  --model DIR    a checkpoint: config.json, weights, vocabulary
                 [default: a small Chinese one in this repository]
  --prompt TEXT  the prompt [default: a Chinese example with four choices]
  --choice TEXT  a choice; repeat for each
  --label LABEL  the label of the loss: the right choice, counted from 0, or a
                 probability for each, such as 0,1,0,0
                 [default: 0,1,0,0 for the default choices, else none]
  --seed N       seed of a classifier that is newly initialised [default: 0]
  --max-length N truncate texts to N tokens [default: an error if too long]
  --help
";

/// The question of the article, its choices, and the right one.
const PROMPT: &str = "算法组的成员们精通各种AI算法.";
const CHOICES: [&str; 4] = [
    "成都动物园里的大熊猫人人都想摸一下.",
    "他们主要负责AI算法的研究和落地.",
    "我没吃上吉士果.",
    "你吃饭了吗?",
];
const LABELS: [f32; 4] = [0.0, 1.0, 0.0, 0.0];

#[derive(Default)]
struct Options {
    /// The one that comes with this crate if there is none.
    model: Option<PathBuf>,
    prompt: String,
    choices: Vec<String>,
    label: Option<Label>,
    seed: u64,
    /// Longer texts are cut to so many tokens; without it they are an error if the model has fewer positions.
    max_length: Option<usize>,
}

/// What the scores are compared with.
enum Label {
    Choice(i64),
    Distribution(Vec<f32>),
}

fn main() -> ExitCode {
    cli::main(HELP, parse, run)
}

fn run(options: Options, out: &mut dyn Write) -> Result<(), Failure> {
    let Options { model: directory, prompt, choices, label, seed, max_length } = options;
    let directory = directory.unwrap_or_else(|| checkpoint::shipped(MODEL));

    let load = LoadOptions::new().seed(seed);
    let (model, report) = AlbertForMultipleChoice::from_pretrained_with(&directory, &load)?;
    checkpoint::warn(&report);
    let mut tokenizer = AlbertTokenizer::from_pretrained(&directory)?;
    if let Some(max_length) = max_length {
        tokenizer = tokenizer.with_max_length(max_length)?;
    }

    // The prompt is paired with every choice. Nothing needs padding, and there is no attention mask.
    let encodings = tokenizer.encode_choices(&prompt, &choices)?;
    let batch = Batch::from_encodings(&encodings)?;
    let output = model.forward(&batch, choices.len())?;
    let loss = label.map(|label| loss(&output, label)).transpose()?;

    print_caveats(&report, out)?;
    writeln!(out, "prompt  {prompt}\n")?;
    print_choices(&choices, &encodings, &output, out)?;
    if let Some(loss) = loss {
        writeln!(out, "loss    {loss}")?;
    }
    Ok(())
}

/// Notes on how to read the numbers.
fn print_caveats(report: &LoadReport, out: &mut dyn Write) -> Result<(), Failure> {
    if report.newly_initialized.iter().any(|name| name.starts_with("classifier")) {
        writeln!(out, "The classifier is untrained: newly initialised, as in the article.\n")?;
    }
    Ok(())
}

/// A row for each choice, and which of them is chosen.
fn print_choices(
    choices: &[String],
    encodings: &[Encoding],
    output: &MultipleChoiceOutput,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    // Logits are `[B, N]`, and there is one prompt.
    let logits = output.logits.row(0);
    let probabilities = softmax(logits);
    let chosen = argmax(&probabilities);
    let mut table = Table::new([
        ("#", Align::Right),
        ("choice", Align::Left),
        ("tokens", Align::Right),
        ("logit", Align::Right),
        ("softmax", Align::Right),
    ]);
    for (i, choice) in choices.iter().enumerate() {
        table.row([
            format!("{}{i}", if i == chosen { "> " } else { "" }),
            choice.clone(),
            encodings[i].len().to_string(),
            format!("{:.4}", logits[i]),
            format!("{:.4}", probabilities[i]),
        ]);
    }
    writeln!(out, "{table}")?;
    writeln!(out, "argmax  {chosen}")?;
    Ok(writeln!(out, "chosen  {}", choices[chosen])?)
}

/// The place of the greatest value, the first of them if there are several.
fn argmax(values: &Array1<f32>) -> usize {
    let better = |best: usize, i: usize| if values[i] > values[best] { i } else { best };
    (0..values.len()).fold(0, better)
}

/// The loss, and what it was computed against.
fn loss(output: &MultipleChoiceOutput, label: Label) -> Result<String, Failure> {
    match label {
        Label::Choice(choice) => {
            let loss = output.loss(Labels::Classes(&[choice]))?;
            Ok(format!("{loss:.4} against choice {choice}"))
        }
        Label::Distribution(values) => {
            let numbers: Vec<String> = values.iter().map(f32::to_string).collect();
            let values = Array2::from_shape_vec((1, values.len()), values)?;
            let loss = output.loss(Labels::Values(values.view()))?;
            Ok(format!("{loss:.4} against [{}]", numbers.join(", ")))
        }
    }
}

fn parse(mut arguments: lexopt::Parser) -> Result<Option<Options>, Failure> {
    let mut options = Options::default();
    let mut prompt = None;
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("model") => options.model = Some(arguments.value()?.into()),
            Long("prompt") => prompt = Some(arguments.value()?.string()?),
            Long("choice") => options.choices.push(arguments.value()?.string()?),
            Long("label") => options.label = Some(arguments.value()?.parse_with(parse_label)?),
            Long("seed") => options.seed = arguments.value()?.parse()?,
            Long("max-length") => options.max_length = Some(arguments.value()?.parse()?),
            Long("help") | Short('h') => return Ok(None),
            _ => return Err(argument.unexpected().into()),
        }
    }
    match (prompt, options.choices.is_empty()) {
        (Some(prompt), false) => options.prompt = prompt,
        (None, true) => {
            options.prompt = PROMPT.to_owned();
            options.choices = CHOICES.map(str::to_owned).to_vec();
            options.label.get_or_insert(Label::Distribution(LABELS.to_vec()));
        }
        (Some(_), true) => return Err("--prompt needs at least one --choice".into()),
        (None, false) => return Err("--choice needs a --prompt".into()),
    }
    Ok(Some(options))
}

fn parse_label(text: &str) -> Result<Label, String> {
    if let Ok(choice) = text.parse() {
        return Ok(Label::Choice(choice));
    }
    let values = text.split(',').map(|value| value.trim().parse::<f32>());
    match values.collect::<Result<Vec<_>, _>>() {
        Ok(values) if values.iter().all(|value| (0.0..=1.0).contains(value)) => {
            Ok(Label::Distribution(values))
        }
        _ => Err("expected a choice's number or probabilities as 0,1,0,0".to_owned()),
    }
}
