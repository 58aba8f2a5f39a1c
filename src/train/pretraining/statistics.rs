//! What became of the text.

use serde::{Deserialize, Serialize};

/// Counts of what was read, made and left out, block by block: the examples of the current block are all counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PreTrainingStatistics {
    /// Documents read; of one of more than 64 KiB, its parts.
    pub documents: u64,
    /// Sentences in them.
    pub sentences: u64,
    /// Examples made.
    pub examples: u64,
    /// Tokens in them, special ones included.
    pub tokens: u64,
    /// Tokens cut off because an example would have been too long.
    pub truncated_tokens: u64,
    /// Documents that gave no pair, having one sentence, or for which there was no other document.
    pub skipped_documents: u64,
    /// Tokens left out because there was no pair for them.
    pub skipped_tokens: u64,
    /// Examples left out because there was nothing in them to be guessed: unknown tokens alone.
    pub skipped_examples: u64,
}

impl PreTrainingStatistics {
    pub(super) fn add(&mut self, more: &Self) {
        self.documents += more.documents;
        self.sentences += more.sentences;
        self.examples += more.examples;
        self.tokens += more.tokens;
        self.truncated_tokens += more.truncated_tokens;
        self.skipped_documents += more.skipped_documents;
        self.skipped_tokens += more.skipped_tokens;
        self.skipped_examples += more.skipped_examples;
    }
}
