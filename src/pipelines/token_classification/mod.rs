//! Token classification: named entities and other spans of a text.

mod entities;
mod words;

use std::fmt;
use std::ops::Range;

use self::entities::Tagger;
use super::base::{Base, impl_construction};
use super::pipeline::{Group, Pipeline, Prepared};
use super::ranking::check_finite;
use super::windows::in_batches;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::model::heads::AlbertForTokenClassification;
use crate::nn::softmax;
use serde::Serialize;

/// Labels tokens, words, or spans of several words in a text (`token-classification`, or `ner`, in transformers).
///
/// ```
/// use ndalbert::pipelines::{Aggregation, Pipeline, TokenClassification};
///
/// # let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/pipelines/tagger");
/// let tag = TokenClassification::from_pretrained(directory)?.aggregation(Aggregation::First);
/// let text = "Anna lives in Uppsala.";
/// let entities = tag.run(text)?;
/// let named: Vec<_> = entities.iter().map(|e| (&*e.label, &text[e.bytes.clone()])).collect();
/// assert_eq!(named, [("PER", "Anna"), ("LOC", "Uppsala")]);
/// assert_eq!((&*entities[1].word, entities[1].start, entities[1].end), ("uppsala", 14, 21));
/// # Ok::<(), ndalbert::Error>(())
/// ```
///
/// A text longer than the model's input is truncated, unless a [`stride`](Self::stride) is set: then it is read in several windows.
#[derive(Debug)]
pub struct TokenClassification {
    base: Base<AlbertForTokenClassification>,
    aggregation: Aggregation,
    ignored: Vec<String>,
    stride: Option<usize>,
}

impl_construction!(TokenClassification, AlbertForTokenClassification, |base| {
    let (aggregation, ignored) = (Aggregation::default(), vec!["O".to_owned()]);
    Ok(Self { base, aggregation, ignored, stride: None })
});

/// The unit that is labelled.
///
/// `First`, `Average` and `Max` are for sub-word vocabularies. In WordPiece, continuations are marked by `##`; in SentencePiece, words are separated by spaces, so a text without spaces is one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Aggregation {
    /// Each token separately.
    #[default]
    None,
    /// Groups of adjacent tokens with the same label; the prefixes `B-` and `I-` mark the beginning and the continuation of an entity.
    Simple,
    /// Like `Simple`, but all tokens of a word get the label of its first one.
    First,
    /// Like `Simple`, but a word gets the best label by the mean of its tokens' probabilities.
    Average,
    /// Like `Simple`, but a word gets the label of its most confident token.
    Max,
}

/// A stretch of a text with a label.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Entity {
    /// Its label in the checkpoint's `id2label`, without `B-` or `I-` if tokens are aggregated (transformers calls it `entity_group` then).
    pub label: String,
    /// The probability of the label, averaged over aggregated tokens or words.
    pub score: f32,
    /// The decoded tokens: lower-cased if the tokenizer does so and, as in transformers, without spaces between words if `First`, `Average` or `Max` aggregate SentencePiece tokens. The original text is at [`bytes`](Self::bytes).
    pub word: String,
    /// Its beginning in the text, in characters (Unicode scalar values, as in Python).
    pub start: usize,
    /// Its end.
    pub end: usize,
    /// Its range in bytes, to slice the text.
    pub bytes: Range<usize>,
    /// The index of the token in the model's input, where `[CLS]` is 0; `None` if tokens are aggregated.
    pub index: Option<usize>,
}

/// The words, their label and its probability: `New York LOC 0.991`.
impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:.3}", self.word, self.label, self.score)
    }
}

impl TokenClassification {
    /// The unit that is labelled; by default, each token separately.
    #[must_use]
    pub fn aggregation(mut self, aggregation: Aggregation) -> Self {
        self.aggregation = aggregation;
        self
    }

    /// Labels to omit from the results, without `B-` or `I-` if tokens are aggregated; by default `O`.
    #[must_use]
    pub fn ignore_labels<L: Into<String>>(mut self, labels: impl IntoIterator<Item = L>) -> Self {
        self.ignored = labels.into_iter().map(Into::into).collect();
        self
    }

    /// Reads texts longer than the model's input in windows that overlap by `stride` tokens. Of overlapping entities, the longest is returned, or the one with the highest score. Requires aggregation.
    #[must_use]
    pub fn stride(mut self, tokens: impl Into<Option<usize>>) -> Self {
        self.stride = tokens.into();
        self
    }
}

impl Pipeline for TokenClassification {
    type Input = String;
    type Output = Vec<Entity>;
    type Kept = String;

    fn prepare(&self, text: String) -> Result<Prepared<String>> {
        let tokenizer = &self.base.tokenizer;
        let encodings = match self.stride {
            Some(_) if self.aggregation == Aggregation::None => {
                return Err(Error::input("aggregation", "one, since there is a stride", "none"));
            }
            Some(stride) => tokenizer.encode_text_windows(&text, self.base.max_length(), stride)?,
            None => vec![tokenizer.encode(&text)?],
        };
        Ok(Prepared { encodings, kept: text })
    }

    fn infer(&self, group: Group<'_, String>) -> Result<Vec<Result<Vec<Entity>>>> {
        let mut probabilities = Vec::new();
        in_batches(group, self.base.tokens_per_batch, |batch| {
            let logits = self.base.model.forward(&batch)?.logits;
            let sequences = (0..logits.num_sequences()).map(|index| logits.sequence(index));
            probabilities.extend(
                sequences.map(|logits| check_finite("logits", logits).map(|()| softmax(logits))),
            );
            Ok(())
        })?;
        let tagger = Tagger {
            tokenizer: &self.base.tokenizer,
            labels: &self.base.model.config().labels,
            aggregation: self.aggregation,
            ignored: &self.ignored,
        };
        let mut probabilities = probabilities.into_iter();
        let entities = group.items().map(|(windows, Prepared { encodings, kept: text })| {
            // All of them are taken, even if one is an error.
            let of_windows: Vec<_> = probabilities.by_ref().take(windows.len()).collect();
            let of_windows: Vec<_> = of_windows.into_iter().collect::<Result<_>>()?;
            tagger.entities(text, encodings, &of_windows)
        });
        Ok(entities.collect())
    }

    fn tokens_per_batch(&self) -> usize {
        self.base.tokens_per_batch
    }
}
