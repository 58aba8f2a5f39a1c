//! How good a classifier is.

use std::collections::BTreeMap;

use ndalbert::ndarray::{Array2, Axis};
use ndalbert::train::datasets::{ClassificationFeatures, ClassificationTask};
use ndalbert::train::metrics::{ConfusionMatrix, Counts, multi_label_counts, pearson, spearman};
use ndalbert::{AlbertForSequenceClassification, Error, Result};

use super::argmax::argmax;
use super::finetune::Metrics;
use super::predict::predict;

/// Judges a model as its task has it: F1 and Matthews' correlation of classes (accuracy comes with the loss), F1 where there may
/// be several, correlations of numbers.
pub fn measure(
    model: &AlbertForSequenceClassification,
    task: &ClassificationTask,
    features: &[ClassificationFeatures],
) -> Result<Metrics> {
    let logits = predict(features, |batch| {
        let logits = model.forward(batch)?.logits;
        Ok(logits.axis_iter(Axis(0)).map(|row| row.to_vec()).collect())
    })?;
    of_logits(&logits, task, features)
}

/// Judges each exit of a model in the same way, and by its accuracy.
pub fn by_exit(
    model: &AlbertForSequenceClassification,
    task: &ClassificationTask,
    features: &[ClassificationFeatures],
) -> Result<Vec<Metrics>> {
    // Of each example, those of all exits.
    let logits = predict(features, |batch| {
        let exits = model.forward_exits(batch)?;
        let of = |i| exits.iter().map(|logits| logits.row(i).to_vec()).collect::<Vec<_>>();
        Ok((0..batch.num_sequences()).map(of).collect())
    })?;
    let exits = logits.first().map_or(0, Vec::len);
    let of_exit = |exit: usize| logits.iter().map(|exits| exits[exit].clone()).collect::<Vec<_>>();
    let judge = |exit| {
        let logits = of_exit(exit);
        let mut metrics = of_logits(&logits, task, features)?;
        if let ClassificationTask::SingleLabel(_) = task {
            metrics.insert(0, ("accuracy".to_owned(), accuracy(&logits, features)));
        }
        Ok(metrics)
    };
    (0..exits).map(judge).collect()
}

/// The share of examples whose class is predicted.
fn accuracy(logits: &[Vec<f32>], features: &[ClassificationFeatures]) -> f64 {
    let pairs = logits.iter().zip(features);
    let right = pairs.filter(|(logits, features)| features.class() == Some(argmax(*logits)));
    right.count() as f64 / features.len() as f64
}

fn of_logits(
    logits: &[Vec<f32>],
    task: &ClassificationTask,
    features: &[ClassificationFeatures],
) -> Result<Metrics> {
    let metrics = match task {
        ClassificationTask::SingleLabel(names) => of_classes(logits, features, names.len())?,
        ClassificationTask::MultiLabel(names) => of_sets(logits, features, names.len())?,
        ClassificationTask::Regression(_) => of_numbers(logits, features)?,
    };
    Ok(metrics.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

type Named = Vec<(&'static str, f64)>;

/// F1 of class 1 where there are two, as GLUE has it, and the mean of all classes' where there are more.
fn of_classes(
    logits: &[Vec<f32>],
    features: &[ClassificationFeatures],
    num_classes: usize,
) -> Result<Named> {
    let predictions: Vec<i64> = logits.iter().map(argmax).collect();
    let labels: Vec<i64> = features.iter().filter_map(ClassificationFeatures::class).collect();
    let matrix = ConfusionMatrix::new(&predictions, &labels, num_classes)?;
    let f1 = match num_classes {
        2 => matrix.class(1).scores().f1,
        _ => matrix.macro_average().f1,
    };
    Ok(vec![("f1", f1), ("matthews", matrix.matthews())])
}

/// F1 of all classes' counts together, and the mean of theirs; a class is predicted that is likelier than not.
fn of_sets(
    logits: &[Vec<f32>],
    features: &[ClassificationFeatures],
    num_classes: usize,
) -> Result<Named> {
    let table = |values: Vec<bool>| {
        Array2::from_shape_vec((features.len(), num_classes), values).map_err(|error| {
            Error::Input {
                what: "labels".into(),
                expected: format!("{num_classes} for each example"),
                found: error.to_string(),
            }
        })
    };
    let predictions = table(logits.iter().flatten().map(|&logit| logit > 0.0).collect())?;
    let values = features.iter().filter_map(ClassificationFeatures::values).flatten();
    let labels = table(values.map(|&value| value > 0.5).collect())?;
    let counts = multi_label_counts(predictions.view(), labels.view())?;
    let (micro, macro_) = (Counts::micro_average(&counts), Counts::macro_average(&counts));
    Ok(vec![("f1", micro.f1), ("macro_f1", macro_.f1)])
}

fn of_numbers(logits: &[Vec<f32>], features: &[ClassificationFeatures]) -> Result<Named> {
    let numbers: Vec<f64> = logits.iter().flatten().copied().map(f64::from).collect();
    let labels = features.iter().filter_map(ClassificationFeatures::values).flatten();
    let labels: Vec<f64> = labels.copied().map(f64::from).collect();
    Ok(vec![("pearson", pearson(&numbers, &labels)?), ("spearman", spearman(&numbers, &labels)?)])
}

/// The baseline that ignores the texts: one class for all, or all classes for each. Numbers that are all the same
/// have no correlation.
pub fn baseline(
    task: &ClassificationTask,
    features: &[ClassificationFeatures],
) -> Result<Option<String>> {
    let logits = |len: usize| vec![vec![1.0; len]; features.len()];
    Ok(match task {
        ClassificationTask::SingleLabel(names) => most_frequent(features)
            .map(|(class, share)| format!("all {}: accuracy {share:.4}", names.names()[class])),
        ClassificationTask::MultiLabel(names) => {
            let scores = of_sets(&logits(names.len()), features, names.len())?;
            scores.first().map(|(name, f1)| format!("every class for all: {name} {f1:.4}"))
        }
        ClassificationTask::Regression(_) => None,
    })
}

/// The class that most examples are of, and their share.
fn most_frequent(features: &[ClassificationFeatures]) -> Option<(usize, f64)> {
    let mut counts = BTreeMap::new();
    for class in features.iter().filter_map(ClassificationFeatures::class) {
        *counts.entry(class).or_insert(0u32) += 1;
    }
    let (class, count) = counts.into_iter().max_by_key(|(_, count)| *count)?;
    Some((usize::try_from(class).ok()?, f64::from(count) / features.len() as f64))
}
