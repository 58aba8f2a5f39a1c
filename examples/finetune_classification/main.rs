//! Fine-tunes a model to classify texts or pairs of texts, or to say a number of them: GLUE, or examples of one's own.
//!
//! ```text
//! cargo run --release --example finetune_classification
//! cargo run --release --example finetune_classification -- --model DIR --task cola --train train.tsv --validation dev.tsv
//! cargo run --release --example finetune_classification -- --model DIR --labels no,maybe,yes --train FILE --validation FILE
//! ```

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

use lexopt::prelude::*;
use ndalbert::train::datasets::{
    ClassificationExample, ClassificationFeatures, ClassificationTask, Examples, GlueTask,
    LabelNames, RawLabel, read_classification, read_tsv,
};
use ndalbert::{AlbertForSequenceClassification, ProblemType};

use cli::Failure;
use finetune::Task;

const HELP: &str = "\
Fine-tunes a model to classify texts or pairs of texts. Without arguments: praise
or complaint? Of sentences that come with this crate, and a small model that has
learnt nothing before.

Usage: finetune_classification [--train FILE --validation FILE]
                               [--task NAME | --labels A,B,... | --regression]
                               [--multi-label] [options]

  --task NAME         the files are GLUE's (TSV): cola, sst2, mrpc, qqp, stsb, mnli,
                      qnli, rte or wnli; otherwise they are JSON lines,
                      {\"text\", \"text_pair\", \"label\"}
  --labels A,B,...    the classes [default: all that the training file has]
  --multi-label       examples are of any number of classes: lists of them
  --regression        labels are numbers
  --metric NAME       what the best model is the best by: accuracy, f1, matthews,
                      pearson, spearman or loss [default: as the task has it]
";

struct Options {
    common: finetune::Options,
    task: Option<GlueTask>,
    labels: Option<LabelNames>,
    is_multi_label: bool,
    is_regression: bool,
    metric: Option<String>,
}

fn main() -> ExitCode {
    let help = format!("{HELP}{}", finetune::HELP);
    cli::main(&help, parse, run)
}

fn run(options: Options, out: &mut dyn Write) -> Result<(), Failure> {
    let common = &options.common;
    let files = common.files("sentiment", ["train.jsonl", "held-out.jsonl"])?;
    let [train, validation] = files.map(|path| read(options.task, &path));
    let (train, validation) = (train?, validation?);
    let task = task(&options, &train)?;
    let texts = train.iter().flat_map(|example| [Some(&example.text), example.text_pair.as_ref()]);
    let tokenizer = common.tokenizer(texts.flatten().map(String::as_str))?;
    let features = |examples: Vec<ClassificationExample>| {
        Examples::from(examples)
            .encode(|example| ClassificationFeatures::new(&tokenizer, &task, example))
    };
    let (train, validation) = (features(train)?, features(validation)?);

    let (problem_type, names) = match &task {
        ClassificationTask::SingleLabel(names) => {
            (ProblemType::SingleLabelClassification, Some(names))
        }
        ClassificationTask::MultiLabel(names) => {
            (ProblemType::MultiLabelClassification, Some(names))
        }
        ClassificationTask::Regression(_) => (ProblemType::Regression, None),
    };
    let model = common.load::<AlbertForSequenceClassification>(&tokenizer, |fields| {
        fields.problem_type = Some(problem_type);
        fields.labels = names.map_or(vec!["LABEL_0".into()], |names| names.names().to_vec());
    })?;
    if let (Some(names), Some((class, share))) = (names, measure::most_frequent(&validation)) {
        let name = &names.names()[class];
        writeln!(out, "held out, were all of them {name}: accuracy {share:.4}")?;
    }
    let held_out = validation.clone();
    let metric = metric(&options, &task);
    let measure = |model: &_| measure::measure(model, &task, &held_out);
    let task = Task { train, validation, metric, measure: &measure };
    finetune::finetune(common, model, task, out)?;
    Ok(())
}

fn read(
    task: Option<GlueTask>,
    path: &Path,
) -> Result<Vec<ClassificationExample>, ndalbert::Error> {
    let examples = match task {
        Some(task) => read_tsv(path, &task.layout(true))?,
        None => read_classification(path)?,
    };
    examples.collect()
}

/// What the labels mean.
fn task(options: &Options, train: &[ClassificationExample]) -> Result<ClassificationTask, Failure> {
    if let Some(task) = options.task {
        return Ok(task.task());
    }
    if options.is_regression {
        return Ok(ClassificationTask::Regression(1));
    }
    let names = match &options.labels {
        Some(names) => names.clone(),
        None => collect(train)?,
    };
    Ok(match options.is_multi_label {
        true => ClassificationTask::MultiLabel(names),
        false => ClassificationTask::SingleLabel(names),
    })
}

/// The names of classes that there are.
fn collect(train: &[ClassificationExample]) -> Result<LabelNames, Failure> {
    let mut names = Vec::new();
    for label in train.iter().filter_map(|example| example.label.as_ref()) {
        match label {
            RawLabel::Text(text) => names.push(text.as_str()),
            RawLabel::Texts(texts) => names.extend(texts.iter().map(String::as_str)),
            RawLabel::Number(_) | RawLabel::Numbers(_) => {
                return Err(
                    "the training file has numbers for labels: --labels must name the classes, \
                     or --regression say that they are none"
                        .into(),
                );
            }
        }
    }
    Ok(LabelNames::collect(names)?)
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

fn parse(mut arguments: lexopt::Parser) -> Result<Option<Options>, Failure> {
    let mut options = Options {
        common: finetune::Options::new("finetune_classification", 12, 5e-4),
        task: None,
        labels: None,
        is_multi_label: false,
        is_regression: false,
        metric: None,
    };
    while let Some(argument) = arguments.next()? {
        let name = match &argument {
            Long(name) => (*name).to_owned(),
            _ => return Err(argument.unexpected().into()),
        };
        match name.as_str() {
            "task" => {
                let task = arguments.value()?.parse_with(|name| {
                    GlueTask::from_name(name).ok_or("expected cola, sst2, ..., or wnli")
                })?;
                options.task = Some(task);
            }
            "labels" => {
                let names = arguments.value()?.string()?;
                options.labels = Some(LabelNames::new(names.split(',').map(str::trim))?);
            }
            "multi-label" => options.is_multi_label = true,
            "regression" => options.is_regression = true,
            "metric" => options.metric = Some(arguments.value()?.string()?),
            "help" => return Ok(None),
            other if options.common.take(other, &mut arguments)? => {}
            other => return Err(format!("invalid option '--{other}'").into()),
        }
    }
    let has_classes = options.labels.is_some() || options.is_multi_label;
    if [options.task.is_some(), has_classes, options.is_regression].iter().filter(|x| **x).count()
        > 1
    {
        return Err(
            "--task, --labels with --multi-label, and --regression exclude each other".into()
        );
    }
    if options.common.train.is_none() && (options.task.is_some() || options.is_regression) {
        return Err("--train and --validation are needed".into());
    }
    Ok(Some(options))
}
