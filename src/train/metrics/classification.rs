//! Classes: accuracy, precision, recall, F1, Matthews' correlation.

use ndarray::{Array2, ArrayView2};

use super::check_lengths;
use crate::error::{Error, Result};

/// The fraction of correct predictions.
///
/// # Errors
/// [`Error::Input`] if there are none, or if their numbers differ.
pub fn accuracy<T: PartialEq>(predictions: &[T], labels: &[T]) -> Result<f64> {
    check_lengths(predictions.len(), labels.len())?;
    let right = predictions.iter().zip(labels).filter(|(prediction, label)| prediction == label);
    Ok(right.count() as f64 / labels.len() as f64)
}

/// Counts of true and false positives and false negatives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// True positives.
    pub true_positives: u64,
    /// False positives.
    pub false_positives: u64,
    /// False negatives.
    pub false_negatives: u64,
}

/// Precision, recall and their harmonic mean.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Scores {
    /// tp / (tp + fp); 0 if both are 0.
    pub precision: f64,
    /// tp / (tp + fn); 0 if both are 0.
    pub recall: f64,
    /// 2·tp / (2·tp + fp + fn); 0 if all are 0.
    pub f1: f64,
}

impl Counts {
    /// Precision, recall and F1, with 0 for 0/0, as scikit-learn and `seqeval` do.
    pub fn scores(&self) -> Scores {
        let Self { true_positives, false_positives, false_negatives } = *self;
        let ratio = |part: u64, whole: u64| match whole {
            0 => 0.0,
            _ => part as f64 / whole as f64,
        };
        Scores {
            precision: ratio(true_positives, true_positives + false_positives),
            recall: ratio(true_positives, true_positives + false_negatives),
            f1: ratio(2 * true_positives, 2 * true_positives + false_positives + false_negatives),
        }
    }

    /// The scores of all classes' counts together.
    pub fn micro_average(counts: &[Self]) -> Scores {
        let sum = |count: fn(&Self) -> u64| counts.iter().map(count).sum();
        let all = Self {
            true_positives: sum(|counts| counts.true_positives),
            false_positives: sum(|counts| counts.false_positives),
            false_negatives: sum(|counts| counts.false_negatives),
        };
        all.scores()
    }

    /// The mean of the classes' scores; 0 for no class.
    pub fn macro_average(counts: &[Self]) -> Scores {
        let classes = counts.len().max(1) as f64;
        let mean = |score: fn(Scores) -> f64| {
            counts.iter().map(|counts| score(counts.scores())).sum::<f64>() / classes
        };
        Scores {
            precision: mean(|scores| scores.precision),
            recall: mean(|scores| scores.recall),
            f1: mean(|scores| scores.f1),
        }
    }
}

/// The counts of each class where an example may be of several: `[B, C]`, true where it is (or is said to be) of a class.
///
/// # Errors
/// [`Error::Input`] if there are none, or the shapes differ.
pub fn multi_label_counts(
    predictions: ArrayView2<'_, bool>,
    labels: ArrayView2<'_, bool>,
) -> Result<Vec<Counts>> {
    if predictions.dim() != labels.dim() || labels.is_empty() {
        let expected = format!("the labels' {:?}, not empty", labels.shape());
        let found = format!("{:?}", predictions.shape());
        return Err(Error::input("shape of predictions", expected, found));
    }
    let mut counts = vec![Counts::default(); labels.ncols()];
    for ((place, &prediction), &label) in predictions.indexed_iter().zip(labels) {
        let class = &mut counts[place.1];
        match (prediction, label) {
            (true, true) => class.true_positives += 1,
            (true, false) => class.false_positives += 1,
            (false, true) => class.false_negatives += 1,
            (false, false) => {}
        }
    }
    Ok(counts)
}

/// A confusion matrix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfusionMatrix {
    /// `[C, C]`, labels by predictions.
    counts: Array2<u64>,
}

impl ConfusionMatrix {
    /// The greatest number of classes.
    const MAX_CLASSES: usize = 1 << 14;

    /// Counts predictions `[B]` against labels `[B]`, all of them from 0 to C − 1.
    ///
    /// # Errors
    /// [`Error::Input`] if there are none, not as many of both, one is no class, or there are more than 16,384 classes.
    pub fn new(predictions: &[i64], labels: &[i64], num_classes: usize) -> Result<Self> {
        check_lengths(predictions.len(), labels.len())?;
        if num_classes > Self::MAX_CLASSES {
            let expected = format!("at most {}", Self::MAX_CLASSES);
            return Err(Error::input("number of classes", expected, num_classes.to_string()));
        }
        let mut counts = Array2::zeros((num_classes, num_classes));
        let class = |what: &str, i: usize, value: i64| {
            usize::try_from(value).ok().filter(|&class| class < num_classes).ok_or_else(|| {
                let expected = format!("a class below {num_classes}");
                Error::input(format!("{what}[{i}]"), expected, value.to_string())
            })
        };
        for (i, (&prediction, &label)) in predictions.iter().zip(labels).enumerate() {
            counts[[class("labels", i, label)?, class("predictions", i, prediction)?]] += 1;
        }
        Ok(Self { counts })
    }

    /// The counts, `[C, C]`, labels by predictions.
    pub fn counts(&self) -> ArrayView2<'_, u64> {
        self.counts.view()
    }

    /// The fraction of predictions that are right.
    pub fn accuracy(&self) -> f64 {
        self.counts.diag().sum() as f64 / self.counts.sum() as f64
    }

    /// The counts of a class, against all others: of class 1, they give F1 as GLUE has it for MRPC and QQP.
    ///
    /// # Panics
    /// If there is no such class.
    pub fn class(&self, class: usize) -> Counts {
        let true_positives = self.counts[[class, class]];
        Counts {
            true_positives,
            false_positives: self.counts.column(class).sum() - true_positives,
            false_negatives: self.counts.row(class).sum() - true_positives,
        }
    }

    /// Scores of all classes' counts together, which are all equal to the accuracy.
    pub fn micro_average(&self) -> Scores {
        Counts::micro_average(&self.present())
    }

    /// The mean scores of the classes that occur among predictions or labels, as in scikit-learn.
    pub fn macro_average(&self) -> Scores {
        Counts::macro_average(&self.present())
    }

    fn present(&self) -> Vec<Counts> {
        let classes = (0..self.counts.nrows()).map(|class| self.class(class));
        classes.filter(|counts| *counts != Counts::default()).collect()
    }

    /// Matthews' correlation of two or more classes (Gorodkin's R_K); 0 if predictions or labels are constant, as in
    /// scikit-learn.
    pub fn matthews(&self) -> f64 {
        let product = |a: &dyn Fn(usize) -> u64, b: &dyn Fn(usize) -> u64| -> f64 {
            (0..self.counts.nrows()).map(|class| a(class) as f64 * b(class) as f64).sum()
        };
        let (total, right) = (self.counts.sum() as f64, self.counts.diag().sum() as f64);
        let label = |class| self.counts.row(class).sum();
        let prediction = |class| self.counts.column(class).sum();
        let covariance = right * total - product(&label, &prediction);
        let spread_of_labels = total * total - product(&label, &label);
        let spread_of_predictions = total * total - product(&prediction, &prediction);
        let spread = spread_of_labels * spread_of_predictions;
        if spread == 0.0 { 0.0 } else { covariance / spread.sqrt() }
    }
}
