//! The loss of every model by the reference, and by the crate's own inference.

use std::fmt::Debug;

use ndalbert::train::{AnswerPositions, PreTrainingLabels, Targets, TrainableModel};
use ndalbert::{
    AlbertForMaskedLM, AlbertForMultipleChoice, AlbertForPreTraining, AlbertForQuestionAnswering,
    AlbertForSentenceOrder, AlbertForSequenceClassification, AlbertForTokenClassification, Batch,
    Model, ProblemType, Result,
};
use ndarray::{Array2, Axis};

use super::loss::{
    binary_cross_entropy, cross_entropy, mean_squared_error, position_loss, soft_cross_entropy,
};
use super::{Reference, select};
use crate::common::inputs::Inputs;

/// A model whose loss can be computed in three ways.
pub trait Judged:
    TrainableModel + Model<Parameters: Clone + PartialEq + Debug + Send + Sync>
{
    /// The loss by the reference.
    fn reference_loss(reference: &Reference<'_>, inputs: &Inputs, labels: &Self::Labels) -> f64;

    /// The loss by the model that is built for inference.
    fn inference_loss(&self, batch: &Batch, labels: &Self::Labels) -> Result<f32>;
}

/// Scores of the vocabulary where there are labels, against these.
fn masked_lm(reference: &Reference<'_>, inputs: &Inputs, labels: &Array2<i64>) -> f64 {
    by_token(reference, inputs, labels, |states| reference.words(states))
}

fn by_token(
    reference: &Reference<'_>,
    inputs: &Inputs,
    labels: &Array2<i64>,
    head: impl Fn(&Array2<f64>) -> Array2<f64>,
) -> f64 {
    let (mut logits, mut counted) = (Vec::new(), Vec::new());
    for (sequence, labels) in labels.outer_iter().enumerate() {
        let columns: Vec<usize> = (0..labels.len()).filter(|&i| labels[i] != -100).collect();
        let states = reference.states(inputs, sequence);
        logits.push(head(&select(&states, &columns)));
        counted.extend(columns.into_iter().map(|column| labels[column]));
    }
    let views: Vec<_> = logits.iter().map(|logits| logits.view()).collect();
    cross_entropy(&ndarray::concatenate(Axis(0), &views).unwrap(), &counted)
}

fn sentence_order(reference: &Reference<'_>, inputs: &Inputs, labels: &[i64]) -> f64 {
    let pooled = reference.pooled(inputs);
    cross_entropy(&reference.linear("sop_classifier.classifier", &pooled), labels)
}

impl Judged for AlbertForMaskedLM {
    fn reference_loss(reference: &Reference<'_>, inputs: &Inputs, labels: &Self::Labels) -> f64 {
        masked_lm(reference, inputs, labels)
    }

    fn inference_loss(&self, batch: &Batch, labels: &Self::Labels) -> Result<f32> {
        self.forward(batch)?.loss(labels.view())
    }
}

impl Judged for AlbertForPreTraining {
    fn reference_loss(reference: &Reference<'_>, inputs: &Inputs, labels: &Self::Labels) -> f64 {
        masked_lm(reference, inputs, &labels.masked_lm)
            + sentence_order(reference, inputs, &labels.sentence_order)
    }

    fn inference_loss(&self, batch: &Batch, labels: &Self::Labels) -> Result<f32> {
        let PreTrainingLabels { masked_lm, sentence_order } = labels;
        self.forward(batch)?.loss(masked_lm.view(), sentence_order)
    }
}

impl Judged for AlbertForSentenceOrder {
    fn reference_loss(reference: &Reference<'_>, inputs: &Inputs, labels: &Self::Labels) -> f64 {
        sentence_order(reference, inputs, labels)
    }

    fn inference_loss(&self, batch: &Batch, labels: &Self::Labels) -> Result<f32> {
        self.forward(batch)?.loss(labels)
    }
}

/// The number of prompts.
fn rows(labels: &Targets) -> usize {
    match labels {
        Targets::Classes(classes) => classes.len(),
        Targets::Values(values) => values.nrows(),
    }
}

impl Judged for AlbertForMultipleChoice {
    fn reference_loss(reference: &Reference<'_>, inputs: &Inputs, labels: &Self::Labels) -> f64 {
        let logits = reference.linear("classifier", &reference.pooled(inputs));
        let logits =
            logits.into_shape_with_order((rows(labels), inputs.sequences() / rows(labels)));
        match labels {
            Targets::Classes(classes) => cross_entropy(&logits.unwrap(), classes),
            Targets::Values(values) => soft_cross_entropy(&logits.unwrap(), values.view()),
        }
    }

    fn inference_loss(&self, batch: &Batch, labels: &Self::Labels) -> Result<f32> {
        self.forward(batch, batch.num_sequences() / rows(labels))?.loss(labels.as_labels())
    }
}

impl Judged for AlbertForSequenceClassification {
    fn reference_loss(reference: &Reference<'_>, inputs: &Inputs, labels: &Self::Labels) -> f64 {
        let logits = reference.linear("classifier", &reference.pooled(inputs));
        match (reference.config.problem_type.unwrap(), labels) {
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

    fn inference_loss(&self, batch: &Batch, labels: &Self::Labels) -> Result<f32> {
        self.forward(batch)?.loss(labels.as_labels())
    }
}

impl Judged for AlbertForTokenClassification {
    fn reference_loss(reference: &Reference<'_>, inputs: &Inputs, labels: &Self::Labels) -> f64 {
        by_token(reference, inputs, labels, |states| reference.linear("classifier", states))
    }

    fn inference_loss(&self, batch: &Batch, labels: &Self::Labels) -> Result<f32> {
        self.forward(batch)?.loss(labels.view())
    }
}

impl Judged for AlbertForQuestionAnswering {
    fn reference_loss(reference: &Reference<'_>, inputs: &Inputs, labels: &Self::Labels) -> f64 {
        let mut scores = [0, 1].map(|_| Array2::zeros(inputs.ids.dim()));
        for sequence in 0..inputs.sequences() {
            let logits = reference.linear("qa_outputs", &reference.states(inputs, sequence));
            for (scores, logits) in scores.iter_mut().zip(logits.columns()) {
                scores.row_mut(sequence).assign(&logits);
            }
        }
        let [start, end] = scores;
        let start = position_loss(&start, &inputs.mask, &labels.start);
        let end = position_loss(&end, &inputs.mask, &labels.end);
        (start + end) / 2.0
    }

    fn inference_loss(&self, batch: &Batch, labels: &Self::Labels) -> Result<f32> {
        let AnswerPositions { start, end } = labels;
        self.forward(batch)?.loss(start, end)
    }
}
