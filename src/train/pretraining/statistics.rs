//! What became of the text.

use serde::{Deserialize, Serialize};

/// Counts of text that was read, used and skipped. All examples of the current block are included.
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
    /// Documents without a pair: those with one sentence, or without another document to pair with.
    pub skipped_documents: u64,
    /// Tokens skipped because there was no pair for them.
    pub skipped_tokens: u64,
    /// Examples skipped because they have no token to mask, only unknown ones.
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
