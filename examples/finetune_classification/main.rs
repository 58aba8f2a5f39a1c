//! Fine-tunes a model to classify texts or pairs of texts, or to predict a number: on GLUE or your own data.
//!
//! ```text
//! cargo run --release --example finetune_classification
//! cargo run --release --example finetune_classification -- --model DIR --task cola --train train.tsv --validation dev.tsv
//! cargo run --release --example finetune_classification -- --model DIR --labels no,maybe,yes --train FILE --validation FILE
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
use ndalbert::train::datasets::{
    ClassificationExample, ClassificationFeatures, ClassificationTask, Examples, GlueTask,
    LabelNames, LoadedExamples, class_names, labelled, read_classification, read_tsv,
};
use ndalbert::{AlbertForSequenceClassification, ProblemType};

use cli::Failure;
use finetune::{Defaults, Task};

const HELP: &str = "\
Fine-tunes a model to classify texts or pairs of texts. Without arguments, a
small untrained model learns to tell praise from complaint, on sentences in this
repository.

Usage: finetune_classification [--train FILE --validation FILE]
                               [--task NAME | --labels A,B,... | --regression]
                               [--multi-label] [options]

  --task NAME         the files are GLUE's (TSV): cola, sst2, mrpc, qqp, stsb,
                      mnli, qnli, rte or wnli; otherwise they are JSON lines,
                      {\"text\", \"text_pair\", \"label\"}
  --labels A,B,...    the classes [default: all in the training file]
  --multi-label       an example may have several classes, as a list
  --regression        labels are numbers instead of classes
  --metric NAME       selects the best model: accuracy, f1, matthews, pearson,
                      spearman or loss [default: that of the task]
";

const DEFAULTS: Defaults = Defaults {
    example: "finetune_classification",
    model: None,
    epochs: 16,
    rate: 5e-4,
    has_exits: true,
};

struct Options {
    common: finetune::Options,
    task: Option<GlueTask>,
    labels: Option<LabelNames>,
    is_multi_label: bool,
    is_regression: bool,
    metric: Option<String>,
}

fn main() -> ExitCode {
    let help = format!("{HELP}{}", DEFAULTS.help());
    cli::main(&help, parse, run)
}

fn run(options: Options, out: &mut dyn Write) -> Result<(), Failure> {
    let common = &options.common;
    let (train, validation) = common.files("sentiment", ["train.jsonl", "held-out.jsonl"]);
    let [train, validation] =
        common.read((train.as_deref(), &validation), |path| read(options.task, path))?;
    let task = task(&options, &train)?;
    let texts = train.iter().flat_map(|example| [Some(&example.text), example.text_pair.as_ref()]);
    let tokenizer = common.tokenizer(texts.flatten().map(String::as_str))?;
    let mut features = |mut examples: LoadedExamples<_>| {
        finetune::encode(&mut examples, out, |example| {
            labelled(ClassificationFeatures::new(&tokenizer, &task, example)?)
        })
    };
    let (train, validation) = (features(train)?, features(validation)?);
    let model = common.load::<AlbertForSequenceClassification>(&tokenizer, |fields| {
        let (problem_type, labels) = outputs(&task);
        (fields.problem_type, fields.labels) = (Some(problem_type), labels);
    })?;
    let held_out = validation.clone();
    let task = Task {
        train,
        validation,
        metric: metric(&options, &task),
        measure: &|model: &_| measure::measure(model, &task, &held_out),
        exits: Some(&|model: &_| measure::by_exit(model, &task, &held_out)),
        baselines: measure::baseline(&task, &held_out)?.into_iter().collect(),
    };
    finetune::finetune(common, &tokenizer, model, task, out)?;
    Ok(())
}

/// What the configuration says of the model's outputs.
fn outputs(task: &ClassificationTask) -> (ProblemType, Vec<String>) {
    match task {
        ClassificationTask::SingleLabel(names) => {
            (ProblemType::SingleLabelClassification, names.names().to_vec())
        }
        ClassificationTask::MultiLabel(names) => {
            (ProblemType::MultiLabelClassification, names.names().to_vec())
        }
        ClassificationTask::Regression(_) => (ProblemType::Regression, vec!["LABEL_0".into()]),
    }
}

fn read(task: Option<GlueTask>, path: &Path) -> ndalbert::Result<Examples<ClassificationExample>> {
    match task {
        Some(task) => read_tsv(path, &task.layout(true)),
        None => read_classification(path),
    }
}

/// What the labels mean.
fn task(
    options: &Options,
    train: &LoadedExamples<ClassificationExample>,
) -> Result<ClassificationTask, Failure> {
    if let Some(task) = options.task {
        return Ok(task.task());
    }
    if options.is_regression {
        return Ok(ClassificationTask::Regression(1));
    }
    let names = match &options.labels {
        Some(names) => names.clone(),
        None if options.common.only_evaluates() => LabelNames::new(options.common.labels()?)?,
        None => class_names(train).map_err(|error| {
            let hint = "set --labels for classes, or --regression for numbers";
            format!("{error} (where labels are numbers, {hint})")
        })?,
    };
    Ok(match options.is_multi_label {
        true => ClassificationTask::MultiLabel(names),
        false => ClassificationTask::SingleLabel(names),
    })
}

/// What the best model is the best by.
fn metric<'a>(options: &'a Options, task: &ClassificationTask) -> &'a str {
    if let Some(metric) = &options.metric {
        return metric;
    }
    match (options.task, task) {
        (Some(GlueTask::Cola), _) => "matthews",
        (Some(GlueTask::Mrpc | GlueTask::Qqp), _) | (_, ClassificationTask::MultiLabel(_)) => "f1",
        (_, ClassificationTask::Regression(_)) => "pearson",
        _ => "accuracy",
    }
}

fn parse(arguments: lexopt::Parser) -> Result<Option<Options>, Failure> {
    let (mut task, mut labels, mut metric) = (None, None, None);
    let (mut is_multi_label, mut is_regression) = (false, false);
    let common = finetune::Options::parse(DEFAULTS, arguments, |name, arguments| {
        match name {
            "task" => {
                let known = arguments.value()?.parse_with(|name| {
                    GlueTask::from_name(name).ok_or("expected cola, sst2, ..., or wnli")
                })?;
                task = Some(known);
            }
            "labels" => {
                let names = arguments.value()?.string()?;
                labels = Some(LabelNames::new(names.split(',').map(str::trim))?);
            }
            "multi-label" => is_multi_label = true,
            "regression" => is_regression = true,
            "metric" => metric = Some(arguments.value()?.string()?),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    let Some(common) = common else { return Ok(None) };
    let kinds = [task.is_some(), labels.is_some() || is_multi_label, is_regression];
    if kinds.iter().filter(|is_asked_for| **is_asked_for).count() > 1 {
        return Err(
            "--task, --labels with --multi-label, and --regression exclude each other".into()
        );
    }
    if common.validation.is_none() && (task.is_some() || is_regression || is_multi_label) {
        return Err("--train, --validation and --output are needed for that".into());
    }
    Ok(Some(Options { common, task, labels, is_multi_label, is_regression, metric }))
}
