//! Both objectives of pre-training: masked words and sentence order.

use ndarray::{Array2, ArrayView2};

use super::impl_model;
use super::linear::LinearHead;
use super::masked_lm::{MaskedLmHead, MaskedLmHeadParameters, logits_at, masked_lm_loss};
use super::sentence_order::SentenceOrderHeadParameters;
use crate::batch::{AttentionProbabilities, Batch, Packed};
use crate::config::AlbertConfig;
use crate::error::Result;
use crate::model::albert::{Albert, AlbertOutput, OutputOptions, no_pooler};
use crate::nn::loss::{IGNORE_INDEX, cross_entropy};

/// The parameters of both heads.
#[derive(Clone, Debug, PartialEq)]
pub struct PreTrainingHeadParameters {
    /// `predictions`.
    pub masked_lm: MaskedLmHeadParameters,
    /// `sop_classifier`.
    pub sentence_order: SentenceOrderHeadParameters,
}

impl PreTrainingHeadParameters {
    /// Zeros of the configuration's shapes, to be filled.
    pub fn zeros(config: &AlbertConfig) -> Self {
        Self {
            masked_lm: MaskedLmHeadParameters::zeros(config),
            sentence_order: SentenceOrderHeadParameters::zeros(config),
        }
    }
}

/// Both heads, to be executed.
#[derive(Debug)]
pub struct PreTrainingHead {
    /// On the states of all tokens.
    pub masked_lm: MaskedLmHead,
    /// On the pooled output.
    pub sentence_order: LinearHead,
}

impl PreTrainingHead {
    /// Packs the parameters of both heads.
    ///
    /// # Errors
    /// As [`MaskedLmHead::new`] and [`LinearHead::new`].
    pub fn new(config: &AlbertConfig, parameters: PreTrainingHeadParameters) -> Result<Self> {
        Ok(Self {
            masked_lm: MaskedLmHead::new(config, parameters.masked_lm)?,
            sentence_order: LinearHead::new(parameters.sentence_order.classifier)?,
        })
    }

    /// The parameters of both heads, bit-identical to those that were packed.
    pub fn to_parameters(&self) -> PreTrainingHeadParameters {
        PreTrainingHeadParameters {
            masked_lm: self.masked_lm.to_parameters(),
            sentence_order: SentenceOrderHeadParameters {
                classifier: self.sentence_order.to_linear(),
                exits: Vec::new(),
            },
        }
    }

    fn order_scores(&self, output: &AlbertOutput) -> Result<Array2<f32>> {
        let pooled = output.pooler_output.as_ref().ok_or_else(no_pooler)?;
        self.sentence_order.forward(pooled.view())
    }
}

/// ALBERT with both heads of its pre-training.
#[derive(Debug)]
pub struct AlbertForPreTraining {
    albert: Albert,
    head: PreTrainingHead,
}

impl_model!(
    AlbertForPreTraining, "AlbertForPreTraining", pooler: true, head: PreTrainingHead,
    parameters: PreTrainingHeadParameters,
    zeros: |config| PreTrainingHeadParameters::zeros(config),
    build: |config, parameters| PreTrainingHead::new(config, parameters),
    unpack: |head| head.to_parameters(),
);

/// Scores of words and of the order of segments.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PreTrainingOutput {
    /// V scores per token, before softmax.
    pub prediction_logits: Packed,
    /// `[B, 2]`: 0 in order, 1 swapped.
    pub sop_logits: Array2<f32>,
    /// As in [`AlbertOutput`](crate::AlbertOutput).
    pub hidden_states: Vec<Packed>,
    /// As in [`AlbertOutput`](crate::AlbertOutput).
    pub attentions: Vec<AttentionProbabilities>,
}

impl PreTrainingOutput {
    /// Wraps logits that were computed by separate heads, of words and of order `[B, 2]`; hidden states and attentions are empty.
    pub fn new(prediction_logits: Packed, sop_logits: Array2<f32>) -> Self {
        let (hidden_states, attentions) = (Vec::new(), Vec::new());
        Self { prediction_logits, sop_logits, hidden_states, attentions }
    }

    /// Masked-LM loss over the labels `[B, S]` that are not −100, plus sentence-order loss against labels `[B]`.
    ///
    /// # Errors
    /// As [`MaskedLmOutput::loss`](super::MaskedLmOutput::loss) and
    /// [`SentenceOrderOutput::loss`](super::SentenceOrderOutput::loss).
    pub fn loss(&self, labels: ArrayView2<'_, i64>, sentence_order: &[i64]) -> Result<f32> {
        let masked_lm = masked_lm_loss(&self.prediction_logits, labels)?;
        Ok(masked_lm + cross_entropy(self.sop_logits.view(), sentence_order, IGNORE_INDEX)?)
    }
}

impl AlbertForPreTraining {
    /// Scores words and order.
    ///
    /// # Errors
    /// As [`Albert::forward`].
    pub fn forward(&self, batch: &Batch) -> Result<PreTrainingOutput> {
        self.forward_with(batch, OutputOptions::default())
    }

    /// Like [`forward`](Self::forward), with hidden states and attentions if requested.
    ///
    /// # Errors
    /// As [`Albert::forward`].
    pub fn forward_with(&self, batch: &Batch, options: OutputOptions) -> Result<PreTrainingOutput> {
        let output = self.albert.forward_with(batch, options)?;
        let (states, table) = (output.last_hidden_state.rows(), self.albert.word_embeddings());
        let predictions = self.head.masked_lm.forward(states, table)?;
        let sop_logits = self.head.order_scores(&output)?;
        Ok(PreTrainingOutput {
            prediction_logits: Packed::new(predictions, batch.layout.clone()),
            sop_logits,
            hidden_states: output.hidden_states,
            attentions: output.attentions,
        })
    }

    /// Word scores `[N, V]` at N chosen positions (sequence, column), and order scores `[B, 2]`.
    ///
    /// # Errors
    /// As [`AlbertForMaskedLM::logits_at`](super::AlbertForMaskedLM::logits_at).
    pub fn logits_at(
        &self,
        batch: &Batch,
        positions: &[(usize, usize)],
    ) -> Result<(Array2<f32>, Array2<f32>)> {
        let output = self.albert.forward(batch)?;
        let (states, table) = (&output.last_hidden_state, self.albert.word_embeddings());
        let words = logits_at(states, &self.head.masked_lm, table, positions)?;
        Ok((words, self.head.order_scores(&output)?))
    }
}
