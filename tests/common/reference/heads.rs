//! The loss of every model by the reference, and by the crate's own inference.

use std::fmt::Debug;

use ndalbert::train::{AnswerPositions, PreTrainingLabels, Targets, TrainableModel};
use ndalbert::{
    AlbertForMaskedLM, AlbertForMultipleChoice, AlbertForPreTraining, AlbertForQuestionAnswering,
    AlbertForSentenceOrder, AlbertForSequenceClassification, AlbertForTokenClassification, Batch,
    Model, Result,
};
use ndarray::{Array2, Axis};

use super::exits::{Exiting, exit_logits};
use super::loss::{cross_entropy, position_loss};
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

/// The loss after the last layer, of a model without exits.
fn full_depth<M: Exiting>(reference: &Reference<'_>, inputs: &Inputs, labels: &M::Labels) -> f64 {
    let [logits] = exit_logits::<M>(reference, inputs).try_into().unwrap();
    M::loss_of(reference.config, logits, labels)
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
            + full_depth::<AlbertForSentenceOrder>(reference, inputs, &labels.sentence_order)
    }

    fn inference_loss(&self, batch: &Batch, labels: &Self::Labels) -> Result<f32> {
        let PreTrainingLabels { masked_lm, sentence_order } = labels;
        self.forward(batch)?.loss(masked_lm.view(), sentence_order)
    }
}

impl Judged for AlbertForSentenceOrder {
    fn reference_loss(reference: &Reference<'_>, inputs: &Inputs, labels: &Self::Labels) -> f64 {
        full_depth::<Self>(reference, inputs, labels)
    }

    fn inference_loss(&self, batch: &Batch, labels: &Self::Labels) -> Result<f32> {
        self.forward(batch)?.loss(labels)
    }
}

/// The number of prompts.
pub fn rows(labels: &Targets) -> usize {
    match labels {
        Targets::Classes(classes) => classes.len(),
        Targets::Values(values) => values.nrows(),
    }
}

impl Judged for AlbertForMultipleChoice {
    fn reference_loss(reference: &Reference<'_>, inputs: &Inputs, labels: &Self::Labels) -> f64 {
        full_depth::<Self>(reference, inputs, labels)
    }

    fn inference_loss(&self, batch: &Batch, labels: &Self::Labels) -> Result<f32> {
        self.forward(batch, batch.num_sequences() / rows(labels))?.loss(labels.as_labels())
    }
}

impl Judged for AlbertForSequenceClassification {
    fn reference_loss(reference: &Reference<'_>, inputs: &Inputs, labels: &Self::Labels) -> f64 {
        full_depth::<Self>(reference, inputs, labels)
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
