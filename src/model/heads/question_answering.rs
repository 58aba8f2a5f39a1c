//! Extractive question answering: where in the text does the answer begin and end?

use std::cmp::Ordering;
use std::ops::Range;

use ndarray::{Array2, ArrayView1, s};

use super::impl_model;
use super::linear::LinearHead;
use crate::batch::{AttentionProbabilities, Batch, Packed};
use crate::config::AlbertConfig;
use crate::error::{Error, Result};
use crate::model::albert::{Albert, OutputOptions};
use crate::nn::Linear;
use crate::nn::loss::cross_entropy;

/// Begin and end.
const OUTPUTS: usize = 2;

/// The head's parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct QuestionAnsweringHeadParameters {
    /// H → 2.
    pub qa_outputs: Linear,
}

impl QuestionAnsweringHeadParameters {
    /// Zeros of the configuration's width, to be filled.
    pub fn zeros(config: &AlbertConfig) -> Self {
        Self { qa_outputs: Linear::zeros(config.hidden_size, OUTPUTS) }
    }
}

/// ALBERT for extractive question answering.
#[derive(Debug)]
pub struct AlbertForQuestionAnswering {
    albert: Albert,
    head: LinearHead,
}

impl_model!(
    AlbertForQuestionAnswering, "AlbertForQuestionAnswering", pooler: false, head: LinearHead,
    parameters: QuestionAnsweringHeadParameters,
    zeros: |config| QuestionAnsweringHeadParameters::zeros(config),
    build: |_, parameters| LinearHead::new(parameters.qa_outputs),
    unpack: |head| QuestionAnsweringHeadParameters { qa_outputs: head.to_linear() },
);

/// A span of tokens, by columns of the padded arrays.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct AnswerSpan {
    /// The first token's column.
    pub start: usize,
    /// The last token's column, which belongs to the span.
    pub end: usize,
    /// The sum of both scores.
    pub score: f32,
}

/// Scores of each token as the first and as the last of the answer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct QuestionAnsweringOutput {
    /// Two scores per token: as the answer's first and as its last.
    pub logits: Packed,
    /// As in [`AlbertOutput`](crate::AlbertOutput).
    pub hidden_states: Vec<Packed>,
    /// As in [`AlbertOutput`](crate::AlbertOutput).
    pub attentions: Vec<AttentionProbabilities>,
}

impl QuestionAnsweringOutput {
    /// Wraps logits that were computed by a separate head; hidden states and attentions are empty.
    ///
    /// # Errors
    /// [`Error::Input`] if there are not two scores per token.
    pub fn new(logits: Packed) -> Result<Self> {
        if logits.width() != OUTPUTS {
            let (expected, found) = (OUTPUTS.to_string(), logits.width().to_string());
            return Err(Error::input("scores per token", expected, found));
        }
        Ok(Self { logits, hidden_states: Vec::new(), attentions: Vec::new() })
    }

    /// Scores as the answer's first token, `[B, S]`.
    ///
    /// **Outside the attention mask they are 0, which exceeds negative scores: the maximum of a row may be at padding.** To choose a span, use [`best_span`](Self::best_span), or `logits.sequence(i)`, which has no padding.
    pub fn start_logits(&self) -> Array2<f32> {
        self.logits.to_padded().slice(s![.., .., 0]).to_owned()
    }

    /// Scores as the answer's last token, `[B, S]`.
    ///
    /// **Outside the attention mask they are 0, which exceeds negative scores**: see
    /// [`start_logits`](Self::start_logits).
    pub fn end_logits(&self) -> Array2<f32> {
        self.logits.to_padded().slice(s![.., .., 1]).to_owned()
    }

    /// The span with the largest sum of its first token's and its last token's score, among spans of at most
    /// `max_tokens` tokens inside the attention mask and inside `columns` of the padded arrays; `None` if there is none (or all scores are NaN).
    ///
    /// `columns` should be those of the text, so that no answer is found in the question or at `[CLS]`, which SQuAD 2 models use for "no answer".
    ///
    /// # Panics
    /// If there is no such sequence.
    pub fn best_span(
        &self,
        sequence: usize,
        columns: Range<usize>,
        max_tokens: usize,
    ) -> Option<AnswerSpan> {
        self.best_spans(sequence, columns, max_tokens, 1).pop()
    }

    /// As [`best_span`](Self::best_span), the `count` best ones, best first; fewer if there are not as many. Of spans with the same score, the leftmost comes first.
    ///
    /// # Panics
    /// If there is no such sequence.
    pub fn best_spans(
        &self,
        sequence: usize,
        columns: Range<usize>,
        max_tokens: usize,
        count: usize,
    ) -> Vec<AnswerSpan> {
        let tokens = self.logits.columns(sequence).iter().map(|&column| column as usize);
        let scores = self.logits.sequence(sequence);
        let tokens: Vec<_> = tokens
            .zip(scores.outer_iter())
            .filter(|(column, _)| columns.contains(column))
            .collect();
        let mut spans = Vec::new();
        for (i, &(start, first)) in tokens.iter().enumerate() {
            let ends = tokens[i..].iter().take(max_tokens);
            let ending = |&(end, last): &(usize, ArrayView1<'_, f32>)| AnswerSpan {
                start,
                end,
                score: first[0] + last[1],
            };
            spans.extend(ends.map(ending).filter(|span| !span.score.is_nan()));
            // No more than these can be among the best, so that memory does not grow with the square of the length.
            if spans.len() > count.saturating_mul(2).saturating_add(MAX_UNSORTED) {
                keep_best(&mut spans, count);
            }
        }
        keep_best(&mut spans, count);
        spans
    }

    /// Mean of the cross-entropies of first and last position `[B]`.
    ///
    /// As in transformers, negative positions count as 0, and positions past the end (≥ S) are ignored. The softmax runs over unmasked tokens, whereas transformers includes padding.
    ///
    /// # Errors
    /// [`Error::Input`] if there are not B positions, one is outside the attention mask, or all are ignored.
    pub fn loss(&self, start_positions: &[i64], end_positions: &[i64]) -> Result<f32> {
        let start = self.position_loss("start_positions", start_positions, 0)?;
        let end = self.position_loss("end_positions", end_positions, 1)?;
        Ok((start + end) / 2.0)
    }

    fn position_loss(&self, name: &str, positions: &[i64], output: usize) -> Result<f32> {
        let batch = self.logits.num_sequences();
        if positions.len() != batch {
            return Err(Error::input(name, batch.to_string(), positions.len().to_string()));
        }
        let length = self.logits.layout().padded_length;
        let mut losses = Vec::new();
        for (index, &position) in positions.iter().enumerate() {
            let column = usize::try_from(position).unwrap_or(0);
            if column >= length {
                continue;
            }
            let columns = self.logits.columns(index);
            let label = columns.iter().position(|&c| c as usize == column).ok_or_else(|| {
                let what = format!("{name}[{index}]");
                Error::input(what, "a token inside the attention mask", position.to_string())
            })?;
            let scores = self.logits.sequence(index);
            let scores = scores.slice(s![.., output..output + 1]);
            losses.push(cross_entropy(scores.t(), &[label as i64], -1)?);
        }
        if losses.is_empty() {
            let expected = format!("at least one position below {length}");
            return Err(Error::input(name, expected, "none"));
        }
        Ok(losses.iter().sum::<f32>() / losses.len() as f32)
    }
}

/// How many spans are collected before the best of them are chosen.
const MAX_UNSORTED: usize = 1 << 14;

fn keep_best(spans: &mut Vec<AnswerSpan>, count: usize) {
    // The scores are no NaN, and -0 is no less than 0.
    let order = |a: &AnswerSpan, b: &AnswerSpan| {
        let by_score = b.score.partial_cmp(&a.score).unwrap_or(Ordering::Equal);
        by_score.then_with(|| (a.start, a.end).cmp(&(b.start, b.end)))
    };
    if count < spans.len() {
        spans.select_nth_unstable_by(count, order);
        spans.truncate(count);
    }
    spans.sort_unstable_by(order);
}

impl AlbertForQuestionAnswering {
    /// Scores each token as the answer's first and last.
    ///
    /// # Errors
    /// As [`Albert::forward`].
    pub fn forward(&self, batch: &Batch) -> Result<QuestionAnsweringOutput> {
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
    ) -> Result<QuestionAnsweringOutput> {
        let output = self.albert.forward_with(batch, options)?;
        let logits = self.head.forward(output.last_hidden_state.rows())?;
        Ok(QuestionAnsweringOutput {
            logits: Packed::new(logits, batch.layout.clone()),
            hidden_states: output.hidden_states,
            attentions: output.attentions,
        })
    }
}
