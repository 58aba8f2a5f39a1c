//! Fine-tunes a model to find the answer to a question in a text: on SQuAD or your own questions.
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

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::process::ExitCode;
use std::slice::from_ref;

use lexopt::ValueExt;
use ndalbert::AlbertForQuestionAnswering;
use ndalbert::train::datasets::{
    AnswerOptions, AnswerPrediction, LoadedExamples, QuestionAnsweringExample,
    QuestionAnsweringFeatures, WindowOptions, evaluation_windows, joined_windows, predict_answers,
    read_squad, training_windows, write_predictions,
};
use ndalbert::train::metrics::{AnswerScorer, AnswerScores};

use cli::Failure;
use finetune::{Defaults, Task};
use predict::predict;

const HELP: &str = "\
Fine-tunes a model to find answers in a text. Without arguments, a small
untrained model learns from paragraphs about fictitious people in this
repository, some of which do not contain the answer.

Usage: finetune_question_answering [--train FILE --validation FILE]
                                   [--version-2] [--doc-stride N] [options]

  Files are SQuAD's JSON, nested or flattened as for run_qa. The answers to the
  held-out questions are written to predictions.json, in the format of the
  official scorers.

  --version-2         questions may have no answer, as in SQuAD 2.0 and in the
                      data of this repository
  --null-threshold X  score margin of \"no answer\" over the best [default: 0]
  --doc-stride N      overlap of the parts of a long text, in tokens
                      [default: 32]
  --max-answer N      maximum length of an answer, in tokens [default: 30]
  --n-best N          number of candidate answers [default: 20]
  --scorer NAME       squad, or cmrc for Chinese [default: squad]
";

const DEFAULTS: Defaults = Defaults {
    example: "finetune_question_answering",
    model: None,
    epochs: 24,
    rate: 1e-3,
    has_exits: false,
};

struct Options {
    common: finetune::Options,
    doc_stride: usize,
    answers: AnswerOptions,
    scorer: AnswerScorer,
}

fn main() -> ExitCode {
    let help = format!("{HELP}{}", DEFAULTS.help());
    cli::main(&help, parse, run)
}

fn run(options: Options, out: &mut dyn Write) -> Result<(), Failure> {
    let common = &options.common;
    let (train, validation) = common.files("facts", ["train.json", "held-out.json"]);
    let [mut train, mut validation] =
        common.read((train.as_deref(), &validation), |path| read_squad(path))?;
    // A text with several questions is one text of the vocabulary's.
    let contexts: BTreeSet<&str> = train.iter().map(|example| example.context.as_str()).collect();
    let questions = train.iter().map(|example| example.question.as_str());
    let tokenizer = common.tokenizer(questions.chain(contexts))?;
    let windows = WindowOptions { max_length: common.max_length, doc_stride: options.doc_stride };
    let mut features = |examples: &mut LoadedExamples<_>| {
        let prepare = |example: &_| training_windows(&tokenizer, from_ref(example), windows);
        finetune::encode(examples, out, prepare).map(joined_windows)
    };
    let (of_train, of_validation) = (features(&mut train)?, features(&mut validation)?);
    drop(train);
    let held_out = evaluation_windows(&tokenizer, &validation, windows)?;
    let task = Task {
        train: of_train,
        validation: of_validation,
        metric: "f1",
        measure: &|model: &_| {
            let answers = answer(model, &validation, &held_out, options.answers)?;
            let scores = score(options.scorer, &validation, |i| &answers[i].text)?;
            Ok(vec![("exact_match".to_owned(), scores.exact_match), ("f1".to_owned(), scores.f1)])
        },
        exits: None,
        baselines: vec![baseline(&options, &validation)?],
    };
    let model = common.load::<AlbertForQuestionAnswering>(&tokenizer, |_| ())?;
    let model = finetune::finetune(common, &tokenizer, model, task, out)?;
    if let Some(model) = model.filter(|_| !common.only_evaluates() || common.output.is_given()) {
        fs::create_dir_all(common.output.path())?;
        let path = common.output.path().join("predictions.json");
        write_predictions(&path, &answer(&model, &validation, &held_out, options.answers)?)?;
        writeln!(out, "answers: {}", path.display())?;
    }
    Ok(())
}

/// What can be had without reading: no answer to any question or, where there must be one, the whole text.
fn baseline(options: &Options, examples: &[QuestionAnsweringExample]) -> Result<String, Failure> {
    let (what, scores) = match options.answers.null_threshold {
        Some(_) => ("no answers", score(options.scorer, examples, |_| "")?),
        None => ("whole texts", score(options.scorer, examples, |i| &examples[i].context)?),
    };
    Ok(format!("{what}: exact_match {:.4}, f1 {:.4}", scores.exact_match, scores.f1))
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

fn parse(arguments: lexopt::Parser) -> Result<Option<Options>, Failure> {
    let (mut doc_stride, mut answers) = (32, AnswerOptions::default());
    let mut scorer = AnswerScorer::Squad;
    let (mut version_2, mut null_threshold) = (false, 0.0);
    let common = finetune::Options::parse(DEFAULTS, arguments, |name, arguments| {
        match name {
            "version-2" => version_2 = true,
            "null-threshold" => null_threshold = arguments.value()?.parse()?,
            "doc-stride" => doc_stride = arguments.value()?.parse()?,
            "max-answer" => answers.max_answer_length = arguments.value()?.parse()?,
            "n-best" => answers.n_best_size = arguments.value()?.parse()?,
            "scorer" => {
                scorer = arguments.value()?.parse_with(|name| match name {
                    "squad" => Ok(AnswerScorer::Squad),
                    "cmrc" => Ok(AnswerScorer::Cmrc),
                    _ => Err("expected squad or cmrc"),
                })?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    let Some(common) = common else { return Ok(None) };
    let may_be_none = version_2 || common.validation.is_none();
    answers.null_threshold = may_be_none.then_some(null_threshold);
    Ok(Some(Options { common, doc_stride, answers, scorer }))
}
