//! Fine-tunes a model to tag words, such as names: on CoNLL or your own sentences.
//!
//! ```text
//! cargo run --release --example finetune_tokens
//! cargo run --release --example finetune_tokens -- --model DIR --train eng.train --validation eng.testa --output DIR
//! ```

#[path = "../common/argmax.rs"]
mod argmax;
mod by_heart;
#[path = "../common/cli.rs"]
mod cli;
#[path = "../common/finetune/mod.rs"]
mod finetune;
#[path = "../common/predict.rs"]
mod predict;
#[path = "../common/table.rs"]
mod table;

use std::io::Write;
use std::process::ExitCode;

use lexopt::ValueExt;
use ndalbert::AlbertForTokenClassification;
use ndalbert::ndarray::Axis;
use ndalbert::train::datasets::{
    ConllColumns, LabelNames, LoadedExamples, TokenClassificationFeatures, TokenLabelling,
    aligned_tags, read_conll,
};
use ndalbert::train::metrics::{Scores, SpanScores};

use argmax::argmax;
use cli::Failure;
use finetune::{Defaults, Task};
use predict::predict;
use table::{Align, Table};

const HELP: &str = "\
Fine-tunes a model to tag words. Without arguments, a small untrained model
learns to find people, places and dates in sentences in this repository.

Usage: finetune_tokens [--train FILE --validation FILE] [--word N] [--tag N]
                       [--label-all-tokens] [options]

  Files have a word per line and a blank line after each sentence (CoNLL). The
  tags of the training file are the labels.

  --word N            the column of words, from 0 [default: 0]
  --tag N             the column of tags [default: the last]
  --label-all-tokens  label all tokens of a word, not only the first
";

const DEFAULTS: Defaults =
    Defaults { example: "finetune_tokens", model: None, epochs: 16, rate: 1e-3, has_exits: false };

struct Options {
    common: finetune::Options,
    columns: ConllColumns,
    labelling: TokenLabelling,
}

fn main() -> ExitCode {
    let help = format!("{HELP}{}", DEFAULTS.help());
    cli::main(&help, parse, run)
}

fn run(options: Options, out: &mut dyn Write) -> Result<(), Failure> {
    let common = &options.common;
    let (train, validation) = common.files("entities", ["train.txt", "held-out.txt"]);
    let [mut train, mut validation] =
        common.read((train.as_deref(), &validation), |path| read_conll(path, options.columns))?;
    let names = match common.only_evaluates() {
        true => LabelNames::new(common.labels()?)?,
        false => LabelNames::collect(train.iter().flat_map(|e| &e.tags).map(String::as_str))?,
    };
    let words = train.iter().flat_map(|example| &example.words).map(String::as_str);
    let tokenizer = common.tokenizer(words)?;
    // Judged is one tag per word, whatever was learnt.
    let mut features = |examples: &mut LoadedExamples<_>, labellings: [TokenLabelling; 2]| {
        let features = finetune::encode(examples, out, |example| {
            let [first, second] = labellings.map(|labelling| {
                TokenClassificationFeatures::new(&tokenizer, &names, labelling, example)
            });
            Ok((first?, second?))
        })?;
        Ok::<(Vec<_>, Vec<_>), Failure>(features.into_iter().unzip())
    };
    let labellings = [options.labelling, TokenLabelling::FirstToken];
    let (of_train, _) = features(&mut train, labellings)?;
    let (of_validation, held_out) = features(&mut validation, labellings)?;
    let by_heart = match common.only_evaluates() {
        true => None,
        false => Some(by_heart::judge(&train, &validation)?.micro_average().f1),
    };
    let task = Task {
        train: of_train,
        validation: of_validation,
        metric: "f1",
        measure: &|model: &_| {
            let Scores { precision, recall, f1 } = judge(model, &names, &held_out)?.micro_average();
            let metrics = [("precision", precision), ("recall", recall), ("f1", f1)];
            Ok(metrics.map(|(name, value)| (name.to_owned(), value)).into())
        },
        exits: None,
        baselines: Vec::from_iter(
            by_heart.map(|f1| format!("the tags that words most often have: f1 {f1:.4}")),
        ),
    };
    let model = common.load::<AlbertForTokenClassification>(&tokenizer, |fields| {
        fields.labels = names.names().to_vec();
    })?;
    if let Some(model) = finetune::finetune(common, &tokenizer, model, task, out)? {
        write!(out, "{}", table(&judge(&model, &names, &held_out)?))?;
    }
    Ok(())
}

/// Compares the spans that a model finds with those that are there.
fn judge(
    model: &AlbertForTokenClassification,
    names: &LabelNames,
    features: &[TokenClassificationFeatures],
) -> ndalbert::Result<SpanScores> {
    let predictions = predict(features, |batch| {
        let logits = model.forward(batch)?.logits;
        let of_sentence = |logits: ndalbert::ndarray::ArrayView2<'_, f32>| -> Vec<i64> {
            logits.axis_iter(Axis(0)).map(argmax).collect()
        };
        Ok(logits.sequences().map(of_sentence).collect())
    })?;
    let mut scores = SpanScores::new();
    for (features, predictions) in features.iter().zip(&predictions) {
        let (found, right) = aligned_tags(names, predictions, features.token_labels())?;
        scores.add(&found, &right)?;
    }
    Ok(scores)
}

/// By kind, and overall.
fn table(scores: &SpanScores) -> Table<5> {
    let mut table = Table::new([
        ("spans", Align::Left),
        ("precision", Align::Right),
        ("recall", Align::Right),
        ("F1", Align::Right),
        ("held out", Align::Right),
    ]);
    let mut row = |name: &str, Scores { precision, recall, f1 }: Scores, count: u64| {
        let shown = |score: f64| format!("{:.1} %", 100.0 * score);
        let count = count.to_string();
        table.row([name.to_owned(), shown(precision), shown(recall), shown(f1), count]);
    };
    let mut all = 0;
    for (kind, counts) in scores.kinds() {
        let count = counts.true_positives + counts.false_negatives;
        row(kind, counts.scores(), count);
        all += count;
    }
    row("all", scores.micro_average(), all);
    table
}

fn parse(arguments: lexopt::Parser) -> Result<Option<Options>, Failure> {
    let (mut columns, mut labelling) = (ConllColumns::default(), TokenLabelling::FirstToken);
    let common = finetune::Options::parse(DEFAULTS, arguments, |name, arguments| {
        match name {
            "word" => columns.word = arguments.value()?.parse()?,
            "tag" => columns.tag = Some(arguments.value()?.parse()?),
            "label-all-tokens" => labelling = TokenLabelling::AllTokens,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(common.map(|common| Options { common, columns, labelling }))
}
