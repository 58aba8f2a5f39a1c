//! Sentence-order prediction: are two segments in their original order?

use ndarray::Array2;

use super::classifier::{ClassifierHead, Classifiers, Until, each};
use super::linear::exit_zeros;
use super::sequence_classification::first_row;
use super::{Pooled, impl_model, pooled};
use crate::batch::{AttentionProbabilities, Batch, Packed};
use crate::config::{AlbertConfig, ProblemType};
use crate::error::Result;
use crate::model::albert::{Albert, OutputOptions};
use crate::model::exits::{EarlyExit, ExitPolicy};
use crate::nn::Linear;
use crate::nn::loss::{IGNORE_INDEX, cross_entropy};

/// In order, or swapped.
const CLASSES: usize = 2;

/// The head's parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct SentenceOrderHeadParameters {
    /// H → 2, on the pooled output after the last layer (`sop_classifier.classifier`).
    pub classifier: Linear,
    /// H → 2, one for each exit before the last layer; none in pre-training, and in a model without
    /// [`exit_layers`](crate::ConfigFields::exit_layers).
    pub exits: Vec<Linear>,
}

impl SentenceOrderHeadParameters {
    /// Zeros of the configuration's width, to be filled, without exits.
    pub fn zeros(config: &AlbertConfig) -> Self {
        Self { classifier: Linear::zeros(config.hidden_size, CLASSES), exits: Vec::new() }
    }

    /// As [`zeros`](Self::zeros), with the configuration's exits.
    pub fn zeros_with_exits(config: &AlbertConfig) -> Self {
        Self { exits: exit_zeros(config, CLASSES), ..Self::zeros(config) }
    }
}

/// ALBERT for sentence-order prediction: the second objective of pre-training on its own.
///
/// transformers has no such class; it loads checkpoints of `AlbertForPreTraining`, and saves them without the masked-LM head.
#[derive(Debug)]
pub struct AlbertForSentenceOrder {
    albert: Albert,
    head: ClassifierHead,
}

impl_model!(
    AlbertForSentenceOrder, "AlbertForPreTraining", pooler: true, head: ClassifierHead,
    parameters: SentenceOrderHeadParameters,
    zeros: |config| SentenceOrderHeadParameters::zeros_with_exits(config),
    build: |_, parameters| parameters.build(),
    unpack: |head| Classifiers::unpack(head),
);

/// Scores of "in order" and "swapped".
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SentenceOrderOutput {
    /// `[B, 2]`: 0 in order, 1 swapped.
    pub logits: Array2<f32>,
    /// As in [`AlbertOutput`](crate::AlbertOutput).
    pub hidden_states: Vec<Packed>,
    /// As in [`AlbertOutput`](crate::AlbertOutput).
    pub attentions: Vec<AttentionProbabilities>,
}

impl SentenceOrderOutput {
    /// Wraps logits `[B, 2]` that were computed by a separate head; hidden states and attentions are empty.
    pub fn new(logits: Array2<f32>) -> Self {
        Self { logits, hidden_states: Vec::new(), attentions: Vec::new() }
    }

    /// Mean cross-entropy against labels `[B]`: 0 in order, 1 swapped.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) if there are not B labels or one of them is neither.
    pub fn loss(&self, labels: &[i64]) -> Result<f32> {
        cross_entropy(self.logits.view(), labels, IGNORE_INDEX)
    }
}

impl AlbertForSentenceOrder {
    /// Scores each sequence (a pair of segments).
    ///
    /// # Errors
    /// As [`Albert::forward`].
    pub fn forward(&self, batch: &Batch) -> Result<SentenceOrderOutput> {
        self.forward_with(batch, OutputOptions::default())
    }

    /// Like [`forward`](Self::forward), with hidden states and attentions if requested.
    ///
    /// # Errors
    /// As [`Albert::forward`].
    pub fn forward_with(
        &self,
        batch: &Batch,
        options: OutputOptions,
    ) -> Result<SentenceOrderOutput> {
        let Pooled { pooled, hidden_states, attentions } = pooled(&self.albert, batch, options)?;
        let logits = self.head.classifier().forward(pooled.view())?;
        Ok(SentenceOrderOutput { logits, hidden_states, attentions })
    }

    /// As [`forward`](Self::forward), but each sequence leaves at the first exit where `policy` lets it: see
    /// [`exits`](crate::exits).
    ///
    /// # Errors
    /// As [`forward`](Self::forward), and [`Error::Input`](crate::Error::Input) if the model has no exits, or the policy does not apply to its predictions.
    pub fn forward_until(
        &self,
        batch: &Batch,
        policy: &dyn ExitPolicy,
    ) -> Result<EarlyExit<SentenceOrderOutput>> {
        let problem = ProblemType::SingleLabelClassification;
        let (albert, head) = (&self.albert, &self.head);
        let until = Until { albert, head, policy, problem, predict: &first_row };
        let (logits, layers) = until.run(batch, &each(batch, 1))?;
        Ok(EarlyExit { output: SentenceOrderOutput::new(logits), layers })
    }

    /// The logits of every exit, `[B, 2]` each, in the order of
    /// [`exit_layers`](crate::ConfigFields::exit_layers): the output if all sequences left there, to evaluate the exits. All layers are computed. Without exits, only the logits after the last layer.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn forward_exits(&self, batch: &Batch) -> Result<Vec<Array2<f32>>> {
        self.head.forward_exits(&self.albert, batch)
    }
}
