//! Windows over texts that are longer than a model's input, alone or with a question.

use super::{AlbertTokenizer, refused};
use crate::error::{Error, Result};
use crate::text::Encoding;
use crate::text::encoding::Places;

use tokenizers::{Encoding as Raw, PostProcessor};

impl AlbertTokenizer {
    /// `[CLS] first [SEP] part [SEP]` for as many parts of `second` as it takes, each encoding of at most `max_length`
    /// tokens, each part repeating the last `stride` tokens of the part before it. There is always at least one.
    ///
    /// Corresponds to `truncation="only_second"` with `return_overflowing_tokens` in `transformers`. The truncation length that is set is ignored, but not its side: from the left, the first part is the end of the text.
    ///
    /// # Errors
    /// If `first` and the special tokens leave no room for more than `stride` tokens (and `second` needs it).
    pub fn encode_windows(
        &self,
        first: &str,
        second: &str,
        max_length: usize,
        stride: usize,
    ) -> Result<Vec<Encoding>> {
        let first_pieces = self.pieces(first)?;
        let parts = self.parts(second, first_pieces.len(), true, max_length, stride)?;
        let places = Places::of_texts(first, second);
        parts
            .into_iter()
            .map(|part| self.window(first_pieces.clone(), Some(part), &places))
            .collect()
    }

    /// `[CLS] part [SEP]` for as many parts of a single text as it takes, as [`encode_windows`](Self::encode_windows).
    ///
    /// # Errors
    /// If the special tokens leave no room for more than `stride` tokens (and the text needs it).
    pub fn encode_text_windows(
        &self,
        text: &str,
        max_length: usize,
        stride: usize,
    ) -> Result<Vec<Encoding>> {
        let parts = self.parts(text, 0, false, max_length, stride)?;
        let places = Places::of_texts(text, "");
        parts.into_iter().map(|part| self.window(part, None, &places)).collect()
    }

    /// The tokens of a text in parts that fit together with `others` tokens of another one and the special ones.
    fn parts(
        &self,
        text: &str,
        others: usize,
        is_pair: bool,
        max_length: usize,
        stride: usize,
    ) -> Result<Vec<Raw>> {
        let mut pieces = self.pieces(text)?;
        let beside = self.room(max_length, is_pair)?;
        let room = beside.saturating_sub(others);
        if pieces.len() > room {
            if stride >= room {
                let special = max_length - beside;
                let of_another = match is_pair {
                    true => format!("{others} tokens of the first text and "),
                    false => String::new(),
                };
                let found = format!("{max_length}, with {of_another}{special} special ones");
                let expected = format!("room for more than stride = {stride} tokens");
                return Err(Error::input("max_length", expected, found));
            }
            pieces.truncate(room, stride, self.truncation_side.raw());
        }
        let further = pieces.take_overflowing();
        Ok(std::iter::once(pieces).chain(further).collect())
    }

    fn window(&self, first: Raw, second: Option<Raw>, places: &Places) -> Result<Encoding> {
        let raw = self.template.process(first, second, true).map_err(refused)?;
        Ok(self.encoding(&raw, places))
    }
}
