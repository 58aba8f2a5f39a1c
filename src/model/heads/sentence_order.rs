//! Sentence-order prediction: do two segments stand in their original order?

use ndarray::Array2;

use super::classifier::{ClassifierHead, ClassifierParameters};
use super::{Pooled, impl_model, pooled};
use crate::batch::{AttentionProbabilities, Batch, Packed};
use crate::config::AlbertConfig;
use crate::error::Result;
use crate::model::albert::{Albert, OutputOptions};
use crate::nn::Linear;
use crate::nn::loss::{IGNORE_INDEX, cross_entropy};

/// In order, or swapped.
const CLASSES: usize = 2;

/// The head's parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct SentenceOrderHeadParameters {
    /// H → 2, on the pooled output (`sop_classifier.classifier`).
    pub classifier: Linear,
}

impl SentenceOrderHeadParameters {
    pub(super) fn zeros(config: &AlbertConfig) -> Self {
        Self { classifier: Linear::zeros(config.hidden_size, CLASSES) }
    }
}

/// The classifier of [`SentenceOrderHeadParameters`].
pub(super) struct SentenceOrderHead(ClassifierHead);

impl SentenceOrderHead {
    pub(super) fn new(
        config: &AlbertConfig,
        parameters: SentenceOrderHeadParameters,
    ) -> Result<Self> {
        let parameters = ClassifierParameters { classifier: parameters.classifier };
        ClassifierHead::new(config, parameters).map(Self)
    }

    pub(super) fn to_parameters(&self) -> SentenceOrderHeadParameters {
        SentenceOrderHeadParameters { classifier: self.0.to_linear() }
    }

    pub(super) fn forward(&self, pooled: ndarray::ArrayView2<'_, f32>) -> Result<Array2<f32>> {
        self.0.forward(pooled)
    }
}

/// ALBERT that tells whether two segments are in order: pre-training's second objective alone.
///
/// transformers has no such class; the checkpoint is that of `AlbertForPreTraining` without the masked-LM head, and is
/// read from one.
pub struct AlbertForSentenceOrder {
    albert: Albert,
    head: SentenceOrderHead,
}

impl_model!(
    AlbertForSentenceOrder, "AlbertForPreTraining", pooler: true, head: SentenceOrderHead,
    SentenceOrderHeadParameters, |config| SentenceOrderHeadParameters::zeros(config)
);

/// Scores of "in order" and "swapped".
#[derive(Clone, Debug)]
pub struct SentenceOrderOutput {
    /// `[B, 2]`: 0 in order, 1 swapped.
    pub logits: Array2<f32>,
    /// As in [`AlbertOutput`](crate::AlbertOutput).
    pub hidden_states: Vec<Packed>,
    /// As in [`AlbertOutput`](crate::AlbertOutput).
    pub attentions: Vec<AttentionProbabilities>,
}

impl SentenceOrderOutput {
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

    /// As [`forward`](Self::forward), with hidden states and attentions where asked for.
    ///
    /// # Errors
    /// As [`Albert::forward`].
    pub fn forward_with(
        &self,
        batch: &Batch,
        options: OutputOptions,
    ) -> Result<SentenceOrderOutput> {
        let Pooled { pooled, hidden_states, attentions } = pooled(&self.albert, batch, options)?;
        let logits = self.head.forward(pooled.view())?;
        Ok(SentenceOrderOutput { logits, hidden_states, attentions })
    }
}
