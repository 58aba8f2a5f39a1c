//! Texts that are longer than a model's input: the same question with one stretch of the paragraph after another.

use super::{AlbertTokenizer, Raw, refused};
use crate::error::{Error, Result};
use crate::text::Encoding;
use crate::text::encoding::Places;

use tokenizers::{PostProcessor, TruncationDirection};

impl AlbertTokenizer {
    /// `[CLS] first [SEP] part [SEP]` for as many parts of `second` as it takes, each encoding of at most `max_length`
    /// tokens, each part repeating the last `stride` tokens of the part before it. There is always at least one.
    ///
    /// This is what `transformers` answers to `truncation="only_second"` with `return_overflowing_tokens`. A truncation
    /// that is set plays no part in it.
    ///
    /// # Errors
    /// If beside `first` and the special tokens there is not room for more than `stride` tokens (and `second` needs it).
    pub fn encode_windows(
        &self,
        first: &str,
        second: &str,
        max_length: usize,
        stride: usize,
    ) -> Result<Vec<Encoding>> {
        let (first_pieces, mut second_pieces) = (self.pieces(first)?, self.pieces(second)?);
        let room = self.room(max_length, true)?.saturating_sub(first_pieces.len());
        if second_pieces.len() > room {
            if stride >= room {
                let special = max_length - self.room(max_length, true)?;
                let found = format!(
                    "{max_length}, with {} tokens of the first text and {special} special ones",
                    first_pieces.len()
                );
                let expected = format!("room for more than stride = {stride} tokens");
                return Err(Error::input("max_length", expected, found));
            }
            second_pieces.truncate(room, stride, TruncationDirection::Right);
        }
        let places = Places::of_texts(first, second);
        let further = second_pieces.take_overflowing();
        std::iter::once(second_pieces)
            .chain(further)
            .map(|part| self.window(&first_pieces, part, &places))
            .collect()
    }

    fn window(&self, first: &Raw, part: Raw, places: &Places) -> Result<Encoding> {
        let raw = self.template.process(first.clone(), Some(part), true).map_err(refused)?;
        Ok(Encoding::from_raw(&raw, places))
    }
}
