//! A text → sentences of ids.

use std::ops::Range;

use crate::error::Result;
use crate::text::AlbertTokenizer;

/// The sentences of a document, one after the other.
#[derive(Debug, Default)]
pub(super) struct Document {
    ids: Vec<u32>,
    /// Where each sentence ends.
    ends: Vec<usize>,
}

impl Document {
    /// Tokenises a text of one sentence per line. A line that has no tokens is no sentence.
    pub(super) fn tokenize(text: &str, tokenizer: &AlbertTokenizer) -> Result<Self> {
        let mut document = Self::default();
        for line in text.lines() {
            document.push(&tokenizer.encode_ids(line)?);
        }
        Ok(document)
    }

    pub(super) fn push(&mut self, sentence: &[u32]) {
        if !sentence.is_empty() {
            self.ids.extend_from_slice(sentence);
            self.ends.push(self.ids.len());
        }
    }

    /// How many sentences it has.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The tokens of a range of sentences.
    pub(super) fn tokens(&self, sentences: Range<usize>) -> &[u32] {
        let end_before = |sentence: usize| match sentence {
            0 => 0,
            _ => self.ends[sentence - 1],
        };
        &self.ids[end_before(sentences.start)..end_before(sentences.end)]
    }
}
