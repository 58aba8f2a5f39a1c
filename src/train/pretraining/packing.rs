//! A document's sentences → examples, as `create_instances_from_document` of google-research/albert makes them, where
//! nothing else is said.

use std::sync::Arc;

use ndarray_rand::rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::document::Document;
use super::options::{PreTrainingOptions, SentenceObjective};
use super::statistics::PreTrainingStatistics;
use crate::error::Result;

/// A label that does not count.
pub(super) const IGNORED: i64 = -100;

/// `[CLS] A [SEP]` or `[CLS] A [SEP] B [SEP]`, with nothing masked yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Example {
    pub(super) ids: Vec<u32>,
    /// How many tokens from the beginning are of type 0.
    pub(super) first: usize,
    pub(super) label: i64,
    /// Where it came from: the document and the number in it, which its masks are drawn by.
    pub(super) place: u64,
}

/// What became of a document.
#[derive(Debug, Default)]
pub(super) struct Packed {
    pub(super) examples: Vec<Example>,
    pub(super) statistics: PreTrainingStatistics,
}

/// Makes examples.
#[derive(Debug)]
pub(super) struct Packer {
    objective: SentenceObjective,
    /// The most tokens of text in an example.
    max_tokens: usize,
    short_seq_prob: f64,
    cls: u32,
    sep: u32,
}

impl Packer {
    pub(super) fn new(options: &PreTrainingOptions, cls: u32, sep: u32) -> Self {
        Self {
            objective: options.objective,
            max_tokens: options.max_tokens(),
            short_seq_prob: options.short_seq_prob,
            cls,
            sep,
        }
    }

    /// Packs sentences to the length meant, chunk by chunk, and makes an example of each.
    ///
    /// `other` draws another document, if there is one.
    ///
    /// # Errors
    /// Those of `other`.
    pub(super) fn pack(
        &self,
        number: u32,
        document: &Document,
        other: impl Fn(&mut ChaCha8Rng) -> Result<Option<Arc<Document>>>,
        random: &mut ChaCha8Rng,
    ) -> Result<Packed> {
        let mut packed = Packed::default();
        packed.statistics.documents = 1;
        packed.statistics.sentences = document.len() as u64;
        let mut out = Output { packer: self, document: number, packed };
        let mut start = 0;
        while start < document.len() {
            let target = self.target(random);
            let end = self.chunk_end(document, start, target);
            start = match self.objective {
                SentenceObjective::None => {
                    out.push(document.tokens(start..end), &[], IGNORED, random);
                    end
                }
                SentenceObjective::SentenceOrder => out.push_order(document, start, end, random),
                SentenceObjective::NextSentence => {
                    out.push_next(document, start, end, target, &other, random)?
                }
            };
        }
        Ok(out.packed)
    }

    /// The length to aim for. Only the longest is a limit: the last sentence may go beyond any other.
    fn target(&self, random: &mut ChaCha8Rng) -> usize {
        if random.random_bool(self.short_seq_prob) {
            random.random_range(2..=self.max_tokens)
        } else {
            self.max_tokens
        }
    }

    /// The sentence at which a chunk ends.
    ///
    /// For sentence order, a sentence as long as a whole chunk is combined with the next one. Google pairs it with a
    /// random document and calls it swapped, so that the topic gives the label away.
    fn chunk_end(&self, document: &Document, start: usize, target: usize) -> usize {
        let least = if self.objective == SentenceObjective::SentenceOrder { 2 } else { 1 };
        let is_short =
            |end: usize| end - start < least || document.tokens(start..end).len() < target;
        let mut end = start;
        while end < document.len() && is_short(end) {
            end += 1;
        }
        end
    }
}

/// The examples of a document so far.
struct Output<'a> {
    packer: &'a Packer,
    document: u32,
    packed: Packed,
}

impl Output<'_> {
    /// A pair in order or swapped. Returns where the next chunk begins.
    ///
    /// A last sentence that is left over is paired with the one before it, which was in an example already. A document of one sentence has no order and is skipped.
    fn push_order(
        &mut self,
        document: &Document,
        start: usize,
        end: usize,
        random: &mut ChaCha8Rng,
    ) -> usize {
        let start = if end - start == 1 { start.saturating_sub(1) } else { start };
        if end - start == 1 {
            self.skip(document.tokens(start..end));
            return end;
        }
        let split = random.random_range(start + 1..end);
        let (first, second) = (document.tokens(start..split), document.tokens(split..end));
        if random.random_bool(0.5) {
            self.push(second, first, 1, random);
        } else {
            self.push(first, second, 0, random);
        }
        end
    }

    /// A pair from one document or two. Returns where the next chunk begins: sentences that gave way to another document's
    /// are put back. A chunk of one sentence always gets another document's, as in BERT.
    fn push_next(
        &mut self,
        document: &Document,
        start: usize,
        end: usize,
        target: usize,
        other: impl Fn(&mut ChaCha8Rng) -> Result<Option<Arc<Document>>>,
        random: &mut ChaCha8Rng,
    ) -> Result<usize> {
        let is_single = end - start == 1;
        let split = if is_single { end } else { random.random_range(start + 1..end) };
        let first = document.tokens(start..split);
        let is_random = is_single || random.random_bool(0.5);
        let drawn = if is_random { other(random)? } else { None };
        if let Some(drawn) = drawn {
            let from = random.random_range(0..drawn.len());
            let room = target.saturating_sub(first.len());
            let mut to = from + 1;
            while to < drawn.len() && drawn.tokens(from..to).len() < room {
                to += 1;
            }
            self.push(first, drawn.tokens(from..to), 1, random);
            return Ok(split);
        }
        if is_single {
            self.skip(first);
        } else {
            self.push(first, document.tokens(split..end), 0, random);
        }
        Ok(end)
    }

    fn push(&mut self, first: &[u32], second: &[u32], label: i64, random: &mut ChaCha8Rng) {
        let whole = first.len() + second.len();
        let (first, second) = truncate(first, second, self.packer.max_tokens, random);
        let Packer { cls, sep, .. } = *self.packer;
        let mut ids = Vec::with_capacity(first.len() + second.len() + 3);
        ids.push(cls);
        ids.extend_from_slice(first);
        ids.push(sep);
        if !second.is_empty() {
            ids.extend_from_slice(second);
            ids.push(sep);
        }
        let Packed { examples, statistics } = &mut self.packed;
        statistics.examples += 1;
        statistics.tokens += ids.len() as u64;
        statistics.truncated_tokens += (whole - first.len() - second.len()) as u64;
        let place = u64::from(self.document) << 32 | examples.len() as u64;
        examples.push(Example { ids, first: first.len() + 2, label, place });
    }

    fn skip(&mut self, tokens: &[u32]) {
        self.packed.statistics.skipped_documents += 1;
        self.packed.statistics.skipped_tokens += tokens.len() as u64;
    }
}

/// Takes tokens from the longer of two, at its front or its back, until both fit.
fn truncate<'a>(
    mut first: &'a [u32],
    mut second: &'a [u32],
    max_tokens: usize,
    random: &mut ChaCha8Rng,
) -> (&'a [u32], &'a [u32]) {
    while first.len() + second.len() > max_tokens {
        let longer = if first.len() > second.len() { &mut first } else { &mut second };
        *longer = match random.random_bool(0.5) {
            true => &longer[1..],
            false => &longer[..longer.len() - 1],
        };
    }
    (first, second)
}

#[cfg(test)]
mod tests;
