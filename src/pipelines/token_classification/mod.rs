//! Which tokens of a text name something?

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

/// Entities of a text: what its tokens, its words or stretches of several words are labelled as
/// (`token-classification`, or `ner`, in transformers).
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
/// A text that is longer than the model's input is cut, unless there is a [`stride`](Self::stride): then it is read in
/// several windows.
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

/// What of a text is labelled.
///
/// `First`, `Average` and `Max` are for vocabularies of parts of words. Where these bear marks (`##`, in WordPiece), a word
/// is what the marks say; in SentencePiece, it is what stands between spaces, so that a text without any is one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Aggregation {
    /// Every token alone.
    #[default]
    None,
    /// Neighbouring tokens of the same kind together; `B-` and `I-` before a label say where an entity begins and goes on.
    Simple,
    /// As `Simple`, but all tokens of a word have the label of its first one.
    First,
    /// As `Simple`, but a word has the best label by the averages of its tokens' probabilities.
    Average,
    /// As `Simple`, but a word has the label of that of its tokens which is the surest of its own.
    Max,
}

/// A stretch of a text with a label.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Entity {
    /// What it is, by the checkpoint's `id2label`; without `B-` or `I-` where tokens are aggregated (transformers calls it
    /// `entity_group` then).
    pub label: String,
    /// The label's probability, on average if several tokens or words are aggregated.
    pub score: f32,
    /// The tokens as the vocabulary joins them: of a text in lower case if the tokenizer makes it so, and, as in transformers,
    /// without the spaces between words where `First`, `Average` or `Max` aggregate pieces of SentencePiece. What the text
    /// itself says is at [`bytes`](Self::bytes).
    pub word: String,
    /// Where it begins in the text, in characters (Unicode scalar values, as Python counts).
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// From where to where it goes in bytes, to cut it from the text.
    pub bytes: Range<usize>,
    /// The token's place in what the model reads, `[CLS]` being the first; none where tokens are aggregated.
    pub index: Option<usize>,
}

/// The words, their label and its probability: `New York LOC 0.991`.
impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:.3}", self.word, self.label, self.score)
    }
}

impl TokenClassification {
    /// What is labelled; by default, every token alone.
    #[must_use]
    pub fn aggregation(mut self, aggregation: Aggregation) -> Self {
        self.aggregation = aggregation;
        self
    }

    /// Labels that are left out of the results, without their `B-` or `I-` where tokens are aggregated; by default `O`.
    #[must_use]
    pub fn ignore_labels<L: Into<String>>(mut self, labels: impl IntoIterator<Item = L>) -> Self {
        self.ignored = labels.into_iter().map(Into::into).collect();
        self
    }

    /// Reads texts that are longer than the model's input in windows, each with the last `stride` tokens of the one before
    /// it. Of entities that overlap, the longest is returned, or the one with the greatest score. This goes with
    /// aggregation only.
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
