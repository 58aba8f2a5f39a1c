//! Options of pre-training data.

use serde::{Deserialize, Serialize};

use super::corpus::Corpus;
use crate::config::AlbertConfig;
use crate::error::{Error, Result};
use crate::text::AlbertTokenizer;

/// The second objective, in addition to masked words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SentenceObjective {
    /// Sentence-order prediction, ALBERT's objective: two segments of a document, swapped half of the time (label 1).
    SentenceOrder,
    /// Next-sentence prediction, BERT's objective: the second segment is from another document half of the time (label 1).
    ///
    /// That is one of those that are [shuffled at once](PreTrainingOptions::buffer_bytes); where they are parts of one
    /// document for the most part, one of the whole text.
    NextSentence,
    /// None: a single segment, label −100. For [`AlbertForMaskedLM`](crate::AlbertForMaskedLM): to
    /// [`AlbertForPreTraining`](crate::AlbertForPreTraining), a batch without valid labels is an error.
    None,
}

/// Options of turning text into batches. Names and, unless noted, defaults are those of `create_pretraining_data.py` in google-research/albert.
///
/// Use `..PreTrainingOptions::default()`, so that code still compiles when fields are added.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PreTrainingOptions {
    /// Examples in a batch. 32 by default.
    pub batch_size: usize,
    /// The maximum length of an example in tokens, including `[CLS]` and `[SEP]`. 512 by default.
    pub max_seq_length: usize,
    /// The probability that an example is shorter, with a length drawn uniformly. 0.1 by default.
    ///
    /// Drawn for each example, as the paper says (section 4.1); Google's script draws once for all of a document.
    pub short_seq_prob: f64,
    /// The objective of pairs. Sentence order by default.
    pub objective: SentenceObjective,
    /// The share of tokens to mask. 0.15 by default.
    pub masked_lm_prob: f64,
    /// The maximum number of masked tokens in an example. None by default, so that only [`masked_lm_prob`](Self::masked_lm_prob) limits them; Google's 20 is 3.9 % of 512 tokens.
    pub max_predictions_per_seq: Option<usize>,
    /// The maximum length of masked n-grams in words. 3 by default.
    pub ngram: usize,
    /// Whether n-grams are 1/n times as likely as single words; otherwise, longer ones are more likely. True by default.
    pub favor_shorter_ngram: bool,
    /// Whether whole words are masked; otherwise, every token counts as a word. True by default.
    pub do_whole_word_mask: bool,
    /// Static masking: epochs cycle through this number of versions of each document (each cut, swapped and masked differently). None, the default, is dynamic masking: a new version in every epoch.
    pub dupe_factor: Option<u64>,
    /// The random seed. 12345 by default.
    pub random_seed: u64,
    /// Whether documents, and the examples within a block of them, are shuffled. True by default.
    pub shuffle: bool,
    /// The approximate number of bytes of text that are turned into examples and shuffled together. 4 MiB by default.
    pub buffer_bytes: usize,
    /// The maximum size of text in bytes whose tokens are kept after the first epoch, in up to four times as much memory. 64 MiB by default. Batches do not depend on it.
    pub cache_bytes: u64,
    /// The number of passes over the text. Unlimited by default.
    pub epochs: Option<u64>,
}

impl Default for PreTrainingOptions {
    fn default() -> Self {
        Self {
            batch_size: 32,
            max_seq_length: 512,
            short_seq_prob: 0.1,
            objective: SentenceObjective::SentenceOrder,
            masked_lm_prob: 0.15,
            max_predictions_per_seq: None,
            ngram: 3,
            favor_shorter_ngram: true,
            do_whole_word_mask: true,
            dupe_factor: None,
            random_seed: 12345,
            shuffle: true,
            buffer_bytes: 4 << 20,
            cache_bytes: 64 << 20,
            epochs: None,
        }
    }
}

impl PreTrainingOptions {
    /// These options for evaluation: one pass in the original order, with the same masks each time.
    #[must_use]
    pub fn for_evaluation(self) -> Self {
        Self { shuffle: false, dupe_factor: Some(1), epochs: Some(1), ..self }
    }

    /// The version of each document that an epoch takes.
    pub(super) fn copy_of(&self, epoch: u64) -> u64 {
        self.dupe_factor.map_or(epoch, |copies| epoch % copies)
    }

    /// How many of an example's tokens are special.
    pub(super) fn num_special(&self) -> usize {
        if self.objective == SentenceObjective::None { 2 } else { 3 }
    }

    /// The most tokens of text in an example.
    pub(super) fn max_tokens(&self) -> usize {
        self.max_seq_length.saturating_sub(self.num_special())
    }

    /// Whether these options say something that can be done with this model and this text.
    pub(super) fn check(
        &self,
        corpus: &Corpus,
        tokenizer: &AlbertTokenizer,
        config: &AlbertConfig,
    ) -> Result<()> {
        self.check_numbers()?;
        let positions = config.max_position_embeddings;
        let expected = format!("at most max_position_embeddings = {positions}");
        check(self.max_seq_length <= positions, "max_seq_length", expected, self.max_seq_length)?;
        let (entries, rows) = (tokenizer.vocab_size(), config.vocab_size);
        let expected = format!("at most the model's vocab_size = {rows}");
        check(entries <= rows, "tokens in the vocabulary", expected, entries)?;
        if self.objective == SentenceObjective::None {
            return Ok(());
        }
        let types = config.type_vocab_size;
        check(types >= 2, "type_vocab_size", "at least 2 for pairs of sentences", types)?;
        if self.objective == SentenceObjective::SentenceOrder {
            let found = "one in each";
            check(corpus.has_pairs(), "corpus", "a document of two sentences", found)
        } else {
            let documents = corpus.num_documents();
            let expected = "at least two documents (a blank line between them)";
            check(documents >= 2, "corpus", expected, documents)
        }
    }

    fn check_numbers(&self) -> Result<()> {
        let expected = "a probability from 0 to 1";
        let is_probability = |value: f64| (0.0..=1.0).contains(&value);
        check(
            is_probability(self.short_seq_prob),
            "short_seq_prob",
            expected,
            self.short_seq_prob,
        )?;
        let (share, expected) = (self.masked_lm_prob, "more than 0 and at most 1");
        check(share > 0.0 && is_probability(share), "masked_lm_prob", expected, share)?;
        let most = self.max_predictions_per_seq.unwrap_or(1);
        check(most >= 1, "max_predictions_per_seq", "at least 1", most)?;
        check(self.batch_size >= 1, "batch_size", "at least 1", self.batch_size)?;
        check((1..=64).contains(&self.ngram), "ngram", "a number from 1 to 64", self.ngram)?;
        let copies = self.dupe_factor.unwrap_or(1);
        check(copies >= 1, "dupe_factor", "at least 1", copies)?;
        let least = self.num_special() + 2;
        let expected = format!("at least {least}, two in addition to special tokens");
        check(self.max_seq_length >= least, "max_seq_length", expected, self.max_seq_length)
    }
}

fn check(
    holds: bool,
    what: &str,
    expected: impl Into<String>,
    found: impl std::fmt::Display,
) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::input(what, expected, found.to_string())) }
}
