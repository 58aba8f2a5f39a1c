//! The loss of models with exits by the reference.

use ndalbert::train::{Distillation, ExitLoss, Targets, TrainingOptions};
use ndalbert::{
    AlbertConfig, AlbertForMultipleChoice, AlbertForSentenceOrder, AlbertForSequenceClassification,
    ProblemType,
};
use ndarray::{Array2, ArrayView1, ArrayView2};

use super::Reference;
use super::heads::{Judged, rows};
use super::loss::{
    binary_cross_entropy, cross_entropy, log_probability, mean_squared_error, soft_cross_entropy,
};
use crate::common::inputs::Inputs;

/// A model that may have exits: classifiers of the pooled output after several layers.
pub trait Exiting: Judged {
    /// What precedes the names of its classifiers.
    const PREFIX: &'static str = "";

    /// The loss of logits `[B, C]`, or `[B·N, 1]` of choices.
    fn loss_of(config: &AlbertConfig, logits: Array2<f64>, labels: &Self::Labels) -> f64;

    /// Logits in rows, of which each is a distribution, as far as they count; nothing in a
    /// regression.
    fn distributions(
        config: &AlbertConfig,
        logits: &Array2<f64>,
        labels: &Self::Labels,
    ) -> Option<Array2<f64>>;
}

/// The logits after every exit, or after the last layer.
pub fn exit_logits<M: Exiting>(reference: &Reference<'_>, inputs: &Inputs) -> Vec<Array2<f64>> {
    let config = reference.config;
    if config.exit_layers.len() < 2 {
        let classifier = format!("{}classifier", M::PREFIX);
        return vec![reference.linear(&classifier, &reference.pooled(inputs))];
    }
    let exits = config.exit_layers.iter().enumerate();
    let logits = exits.map(|(exit, &layer)| {
        let classifier = format!("{}classifiers.{exit}", M::PREFIX);
        reference.linear(&classifier, &reference.pooled_after(layer, inputs))
    });
    logits.collect()
}

/// The loss of all exits, of which the last is seen by earlier ones as `teacher` has it.
pub fn exit_loss<M: Exiting>(
    reference: &Reference<'_>,
    (inputs, labels): (&Inputs, &M::Labels),
    options: TrainingOptions,
    teacher: &Array2<f64>,
) -> f64 {
    let config = reference.config;
    let exits = exit_logits::<M>(reference, inputs);
    let last = exits.len() - 1;
    let (mut sum, mut weights) = (0.0, 0.0);
    for (exit, logits) in exits.into_iter().enumerate() {
        let weight = match options.exit_loss {
            ExitLoss::ByLayer if last > 0 => config.exit_layers[exit] as f64,
            _ => 1.0,
        };
        let further = options.distillation.filter(|_| exit < last).map_or(0.0, |how| {
            let [student, teacher] =
                [&logits, teacher].map(|logits| M::distributions(config, logits, labels).unwrap());
            how.weight * divergence(&student, &teacher, how)
        });
        sum += weight * (M::loss_of(config, logits, labels) + further);
        weights += weight;
    }
    sum / weights
}

/// T²·KL(softmax(teacher / T) ‖ softmax(student / T)), the mean over rows.
fn divergence(student: &Array2<f64>, teacher: &Array2<f64>, how: Distillation) -> f64 {
    let [student, teacher] = [student, teacher].map(|logits| logits / how.temperature);
    let of_row = |student: ArrayView1<'_, f64>, teacher: ArrayView1<'_, f64>| -> f64 {
        let terms = (0..student.len()).map(|class| {
            let [p, q] = [teacher, student].map(|row| log_probability(row, class));
            p.exp() * (p - q)
        });
        terms.sum()
    };
    let pairs = student.outer_iter().zip(teacher.outer_iter());
    let sum: f64 = pairs.map(|(student, teacher)| of_row(student, teacher)).sum();
    how.temperature.powi(2) * sum / student.nrows() as f64
}

/// The rows that have a label.
fn counted(logits: &Array2<f64>, labels: &[i64]) -> Array2<f64> {
    let rows: Vec<usize> = (0..labels.len()).filter(|&row| labels[row] != -100).collect();
    super::select(logits, &rows)
}

impl Exiting for AlbertForSentenceOrder {
    const PREFIX: &'static str = "sop_classifier.";

    fn loss_of(_: &AlbertConfig, logits: Array2<f64>, labels: &Self::Labels) -> f64 {
        cross_entropy(&logits, labels)
    }

    fn distributions(
        _: &AlbertConfig,
        logits: &Array2<f64>,
        labels: &Self::Labels,
    ) -> Option<Array2<f64>> {
        Some(counted(logits, labels))
    }
}

/// Logits `[B·N, 1]` as `[B, N]`.
fn by_prompt(logits: Array2<f64>, labels: &Targets) -> Array2<f64> {
    let shape = (rows(labels), logits.len() / rows(labels));
    logits.into_shape_with_order(shape).unwrap()
}

impl Exiting for AlbertForMultipleChoice {
    fn loss_of(_: &AlbertConfig, logits: Array2<f64>, labels: &Self::Labels) -> f64 {
        let logits = by_prompt(logits, labels);
        match labels {
            Targets::Classes(classes) => cross_entropy(&logits, classes),
            Targets::Values(values) => soft_cross_entropy(&logits, values.view()),
        }
    }

    fn distributions(
        _: &AlbertConfig,
        logits: &Array2<f64>,
        labels: &Self::Labels,
    ) -> Option<Array2<f64>> {
        let logits = by_prompt(logits.clone(), labels);
        Some(match labels {
            Targets::Classes(classes) => counted(&logits, classes),
            Targets::Values(_) => logits,
        })
    }
}

impl Exiting for AlbertForSequenceClassification {
    fn loss_of(config: &AlbertConfig, logits: Array2<f64>, labels: &Self::Labels) -> f64 {
        match (config.problem_type.unwrap(), labels) {
            (ProblemType::SingleLabelClassification, Targets::Classes(classes)) => {
                cross_entropy(&logits, classes)
            }
            (ProblemType::Regression, Targets::Values(values)) => {
                mean_squared_error(&logits, values.view())
            }
            (ProblemType::MultiLabelClassification, Targets::Values(values)) => {
                binary_cross_entropy(&logits, values.view())
            }
            other => panic!("no reference for {other:?}"),
        }
    }

    fn distributions(
        config: &AlbertConfig,
        logits: &Array2<f64>,
        labels: &Self::Labels,
    ) -> Option<Array2<f64>> {
        match (config.problem_type.unwrap(), labels) {
            (ProblemType::SingleLabelClassification, Targets::Classes(classes)) => {
                Some(counted(logits, classes))
            }
            (ProblemType::MultiLabelClassification, _) => Some(with_zeros(logits.view())),
            _ => None,
        }
    }
}

/// Every logit beside a 0: its softmax is its sigmoid.
fn with_zeros(logits: ArrayView2<'_, f64>) -> Array2<f64> {
    let logits: Vec<f64> = logits.iter().flat_map(|&logit| [logit, 0.0]).collect();
    Array2::from_shape_vec((logits.len() / 2, 2), logits).unwrap()
}
