//! Fine-tunes a model to find the answer to a question in a text: SQuAD, or questions of one's own.
//!
//! ```text
//! cargo run --release --example finetune_question_answering
//! cargo run --release --example finetune_question_answering -- --model DIR --version-2 \
//!     --train train-v2.0.json --validation dev-v2.0.json --max-length 384 --doc-stride 128 --output DIR
//! ```

#[path = "../common/cli.rs"]
mod cli;
#[path = "../common/finetune/mod.rs"]
mod finetune;
#[path = "../common/predict.rs"]
mod predict;

use std::io::Write;
use std::process::ExitCode;

use lexopt::prelude::*;
use ndalbert::AlbertForQuestionAnswering;
use ndalbert::train::datasets::{
    AnswerOptions, AnswerPrediction, QuestionAnsweringExample, QuestionAnsweringFeatures,
    WindowOptions, evaluation_windows, predict_answers, read_squad, training_windows,
    write_predictions,
};
use ndalbert::train::metrics::{AnswerScorer, AnswerScores};

use cli::Failure;
use finetune::Task;
use predict::predict;

const HELP: &str = "\
Fine-tunes a model to find answers in a text. Without arguments: in paragraphs
about made-up people that come with this crate, some of which do not have the
answer, with a small model that has learnt nothing before.

Usage: finetune_question_answering [--train FILE --validation FILE]
                                   [--version-2] [--doc-stride N] [options]

  Files are SQuAD's JSON. What the model answers to the questions held out is
  left in predictions.json, as the official scorers take it.

  --version-2         a text may not have the answer, as in SQuAD 2.0 (so is the
                      data that comes with this crate)
  --null-threshold X  by how much none must be likelier then [default: 0]
  --doc-stride N      tokens that parts of a long text have in common
                      [default: 32]
  --max-answer N      tokens in an answer, at most [default: 30]
  --n-best N          answers that are looked at [default: 20]
  --scorer NAME       squad, or cmrc for Chinese [default: squad]
";

struct Options {
    common: finetune::Options,
    doc_stride: usize,
    answers: AnswerOptions,
    scorer: AnswerScorer,
}

fn main() -> ExitCode {
    let help = format!("{HELP}{}", finetune::HELP);
    cli::main(&help, parse, run)
}

fn run(options: Options, out: &mut dyn Write) -> Result<(), Failure> {
    let common = &options.common;
    let [train, validation] = common.files("facts", ["train.json", "held-out.json"])?;
    let train: Vec<_> = read_squad(train)?.collect::<ndalbert::Result<_>>()?;
    let validation: Vec<_> = read_squad(validation)?.collect::<ndalbert::Result<_>>()?;
    let texts = train.iter().flat_map(|example| [&example.question, &example.context]);
    let tokenizer = common.tokenizer(texts.map(String::as_str))?;
    let windows = WindowOptions { max_length: common.max_length, doc_stride: options.doc_stride };
    let held_out = evaluation_windows(&tokenizer, &validation, windows)?;
    if options.answers.null_threshold.is_some() {
        let none = score(options.scorer, &validation, |_| "")?;
        writeln!(out, "held out, was none of them answered: exact match {:.4}", none.exact_match)?;
    }
    let task = Task {
        train: training_windows(&tokenizer, &train, windows)?,
        validation: training_windows(&tokenizer, &validation, windows)?,
        metric: "f1",
        measure: &|model: &_| {
            let answers = answer(model, &validation, &held_out, options.answers)?;
            let scores = score(options.scorer, &validation, |i| &answers[i].text)?;
            Ok(vec![("exact_match".to_owned(), scores.exact_match), ("f1".to_owned(), scores.f1)])
        },
    };
    let model = common.load::<AlbertForQuestionAnswering>(&tokenizer, |_| ())?;
    if let Some(model) = finetune::finetune(common, model, task, out)? {
        let path = common.output.join("predictions.json");
        write_predictions(&path, &answer(&model, &validation, &held_out, options.answers)?)?;
        writeln!(out, "answers: {}", path.display())?;
    }
    Ok(())
}

/// What a model answers to each question.
fn answer(
    model: &AlbertForQuestionAnswering,
    examples: &[QuestionAnsweringExample],
    windows: &[QuestionAnsweringFeatures],
    options: AnswerOptions,
) -> ndalbert::Result<Vec<AnswerPrediction>> {
    let scores = predict(windows, |batch| {
        let logits = model.forward(batch)?.logits;
        Ok(logits.sequences().map(|scores| scores.to_owned()).collect())
    })?;
    predict_answers(examples, windows, &scores, options)
}

/// Compares an answer to each question with the right ones.
fn score<'a>(
    scorer: AnswerScorer,
    examples: &[QuestionAnsweringExample],
    answer: impl Fn(usize) -> &'a str,
) -> ndalbert::Result<AnswerScores> {
    let right = |example: &QuestionAnsweringExample| -> Vec<String> {
        example.answers.iter().flatten().map(|answer| answer.text.clone()).collect()
    };
    let right: Vec<Vec<String>> = examples.iter().map(right).collect();
    AnswerScores::new(scorer, right.iter().enumerate().map(|(i, right)| (answer(i), &right[..])))
}

fn parse(mut arguments: lexopt::Parser) -> Result<Option<Options>, Failure> {
    let mut options = Options {
        common: finetune::Options::new("finetune_question_answering", 30, 1e-3),
        doc_stride: 32,
        answers: AnswerOptions::default(),
        scorer: AnswerScorer::Squad,
    };
    let (mut version_2, mut null_threshold) = (false, 0.0);
    while let Some(argument) = arguments.next()? {
        let name = match &argument {
            Long(name) => (*name).to_owned(),
            _ => return Err(argument.unexpected().into()),
        };
        match name.as_str() {
            "version-2" => version_2 = true,
            "null-threshold" => null_threshold = arguments.value()?.parse()?,
            "doc-stride" => options.doc_stride = arguments.value()?.parse()?,
            "max-answer" => options.answers.max_answer_length = arguments.value()?.parse()?,
            "n-best" => options.answers.n_best_size = arguments.value()?.parse()?,
            "scorer" => {
                options.scorer = arguments.value()?.parse_with(|name| match name {
                    "squad" => Ok(AnswerScorer::Squad),
                    "cmrc" => Ok(AnswerScorer::Cmrc),
                    _ => Err("expected squad or cmrc"),
                })?;
            }
            "help" => return Ok(None),
            other if options.common.take(other, &mut arguments)? => {}
            other => return Err(format!("invalid option '--{other}'").into()),
        }
    }
    let may_be_none = version_2 || options.common.train.is_none();
    options.answers.null_threshold = may_be_none.then_some(null_threshold);
    Ok(Some(options))
}
