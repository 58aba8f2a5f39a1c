//! Token classification, such as named entity recognition.

use ndarray::ArrayView2;

use super::linear::{ClassifierParameters, LinearHead};
use super::{impl_model, labelled};
use crate::batch::{AttentionProbabilities, Batch, Packed};
use crate::error::Result;
use crate::model::albert::{Albert, OutputOptions};
use crate::nn::loss::{IGNORE_INDEX, cross_entropy};

/// ALBERT for token classification.
#[derive(Debug)]
pub struct AlbertForTokenClassification {
    albert: Albert,
    head: LinearHead,
}

impl_model!(
    AlbertForTokenClassification, "AlbertForTokenClassification", pooler: false, head: LinearHead,
    parameters: ClassifierParameters,
    zeros: |config| ClassifierParameters::zeros(config, config.num_labels()),
    build: |_, parameters| LinearHead::new(parameters.classifier),
    unpack: |head| ClassifierParameters { classifier: head.to_linear(), exits: Vec::new() },
);

/// Scores of classes, token by token.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TokenClassificationOutput {
    /// C scores per token, before softmax.
    pub logits: Packed,
    /// As in [`AlbertOutput`](crate::AlbertOutput).
    pub hidden_states: Vec<Packed>,
    /// As in [`AlbertOutput`](crate::AlbertOutput).
    pub attentions: Vec<AttentionProbabilities>,
}

impl TokenClassificationOutput {
    /// Wraps logits that were computed by a separate head; hidden states and attentions are empty.
    pub fn new(logits: Packed) -> Self {
        Self { logits, hidden_states: Vec::new(), attentions: Vec::new() }
    }

    /// Mean cross-entropy over the labels `[B, S]` that are not −100.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) if the shape differs, a label is out of range or outside the attention mask, or all labels are −100.
    pub fn loss(&self, labels: ArrayView2<'_, i64>) -> Result<f32> {
        let (logits, labels) = labelled(&self.logits, labels)?;
        cross_entropy(logits.view(), &labels, IGNORE_INDEX)
    }
}

impl AlbertForTokenClassification {
    /// Scores each token.
    ///
    /// # Errors
    /// As [`Albert::forward`].
    pub fn forward(&self, batch: &Batch) -> Result<TokenClassificationOutput> {
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
    ) -> Result<TokenClassificationOutput> {
        let output = self.albert.forward_with(batch, options)?;
        let logits = self.head.forward(output.last_hidden_state.rows())?;
        Ok(TokenClassificationOutput {
            logits: Packed::new(logits, batch.layout.clone()),
            hidden_states: output.hidden_states,
            attentions: output.attentions,
        })
    }
}
