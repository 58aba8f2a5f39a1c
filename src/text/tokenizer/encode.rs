//! Texts → encodings: pieces, cut as asked for, with special tokens around them.

use rayon::prelude::*;
use tokenizers::{EncodeInput, Encoding as Raw, InputSequence, PostProcessor, truncate_encodings};

use super::{AlbertTokenizer, refused};
use crate::error::{Error, Result};
use crate::text::Encoding;
use crate::text::encoding::Places;

impl AlbertTokenizer {
    /// `[CLS] text [SEP]`.
    ///
    /// # Errors
    /// If a truncation is set that this text cannot be cut to.
    pub fn encode(&self, text: &str) -> Result<Encoding> {
        self.encode_input(text, None)
    }

    /// `[CLS] first [SEP] second [SEP]`, type ids 0 up to the first `[SEP]` and 1 after it (0
    /// everywhere if `model_input_names` leaves `token_type_ids` out).
    ///
    /// An empty `second` is a text like any other, as in `transformers` for a batch of pairs
    /// (called with a single pair, `transformers` leaves an empty second text away).
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn encode_pair(&self, first: &str, second: &str) -> Result<Encoding> {
        self.encode_input(first, Some(second))
    }

    /// [`encode`](Self::encode) for many texts, in parallel and in order. Nothing is padded.
    ///
    /// # Errors
    /// As [`encode`](Self::encode), for any of them.
    pub fn encode_batch<T: AsRef<str> + Sync>(&self, texts: &[T]) -> Result<Vec<Encoding>> {
        texts.par_iter().map(|text| self.encode(text.as_ref())).collect()
    }

    /// [`encode_pair`](Self::encode_pair) for many pairs, in parallel and in order. Nothing is
    /// padded.
    ///
    /// # Errors
    /// As [`encode`](Self::encode), for any of them.
    pub fn encode_pairs<A, B>(&self, pairs: &[(A, B)]) -> Result<Vec<Encoding>>
    where
        A: AsRef<str> + Sync,
        B: AsRef<str> + Sync,
    {
        let encode = |(first, second): &(A, B)| self.encode_pair(first.as_ref(), second.as_ref());
        pairs.par_iter().map(encode).collect()
    }

    /// The prompt paired with each choice, in order: what a multiple-choice head scores.
    ///
    /// # Errors
    /// As [`encode`](Self::encode), and if there is no choice.
    pub fn encode_choices<T: AsRef<str> + Sync>(
        &self,
        prompt: &str,
        choices: &[T],
    ) -> Result<Vec<Encoding>> {
        if choices.is_empty() {
            return Err(Error::input("choices", "at least one", "none"));
        }
        choices.par_iter().map(|choice| self.encode_pair(prompt, choice.as_ref())).collect()
    }

    /// `[CLS] words [SEP]` of a text that is split into words already, as data sets of token
    /// classification are.
    ///
    /// A token's word is the one of `words` that it belongs to, and its offsets are places within
    /// that word. `transformers` calls it `is_split_into_words`.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn encode_words<T: AsRef<str>>(&self, words: &[T]) -> Result<Encoding> {
        let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
        let raw = self.finish(self.pieces(words.as_slice())?, None)?;
        Ok(self.encoding(&raw, &Places::of_words(&words)))
    }

    /// The ids of a text alone, without special tokens around it and without truncation.
    pub(crate) fn encode_ids(&self, text: &str) -> Result<Vec<u32>> {
        Ok(self.tokenizer.encode_fast(text, false).map_err(refused)?.get_ids().to_vec())
    }

    fn encode_input(&self, first: &str, second: Option<&str>) -> Result<Encoding> {
        let first_pieces = self.pieces(first)?;
        let second_pieces = second.map(|text| self.pieces(text)).transpose()?;
        let raw = self.finish(first_pieces, second_pieces)?;
        Ok(self.encoding(&raw, &Places::of_texts(first, second.unwrap_or(""))))
    }

    pub(super) fn encoding(&self, raw: &Raw, places: &Places) -> Encoding {
        let mut encoding = Encoding::from_raw(raw, places);
        if !self.gives_type_ids {
            encoding.type_ids.fill(0);
        }
        encoding
    }

    /// The tokens of a text, or of words, all of them and no special ones.
    pub(super) fn pieces<'s>(&self, text: impl Into<InputSequence<'s>>) -> Result<Raw> {
        // The library's own truncation stops reading early, and cut from the left it then counts
        // words anew.
        self.tokenizer.encode(EncodeInput::Single(text.into()), false).map_err(refused)
    }

    /// Cuts one or two lists of tokens as asked for, and puts the special ones around them.
    pub(super) fn finish(&self, first: Raw, second: Option<Raw>) -> Result<Raw> {
        let mut encodings = (first, second);
        if let Some(truncation) = self.truncation {
            let room = self.room(truncation.max_length, encodings.1.is_some())?;
            let raw = truncation.raw(room, self.truncation_side);
            encodings = truncate_encodings(encodings.0, encodings.1, &raw).map_err(refused)?;
            // The library keeps what it cut off, in parts, and the template would pair each part of
            // one text with each of the other.
            encodings.0.take_overflowing();
            encodings.1.as_mut().map(Raw::take_overflowing);
        }
        self.template.process(encodings.0, encodings.1, true).map_err(refused)
    }

    /// How many tokens of text fit beside the special ones.
    pub(super) fn room(&self, max_length: usize, is_pair: bool) -> Result<usize> {
        let special = self.template.added_tokens(is_pair);
        max_length.checked_sub(special).ok_or_else(|| {
            let expected = format!("at least {special}, the number of special tokens");
            Error::input("max_length", expected, max_length.to_string())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_off_is_not_kept() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tokenizers/chinese");
        let tokenizer = AlbertTokenizer::from_pretrained(directory).unwrap();
        let tokenizer = tokenizer.with_max_length(9).unwrap();
        let pieces = || tokenizer.pieces("word ".repeat(100).as_str()).unwrap();
        let raw = tokenizer.finish(pieces(), Some(pieces())).unwrap();
        assert_eq!((raw.len(), raw.get_overflowing().len()), (9, 0));
    }
}
