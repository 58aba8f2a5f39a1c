//! From ids back to text.

use tokenizers::Decoder;

use super::{AlbertTokenizer, refused};
use crate::error::{Error, Result};

impl AlbertTokenizer {
    /// Decodes `ids` to text, without special tokens if `skip_special_tokens`.
    ///
    /// As in `transformers`, this is not the inverse of encoding: dropped case, accents and spaces are not restored, and WordPiece puts spaces between words.
    ///
    /// # Errors
    /// If an id is not in the vocabulary (`transformers` ignores it).
    pub fn decode(&self, ids: &[u32], skip_special_tokens: bool) -> Result<String> {
        for (place, &id) in ids.iter().enumerate() {
            if self.id_to_token(id).is_none() {
                let expected = format!("an id of the vocabulary of {}", self.vocab_size());
                return Err(Error::input(format!("ids[{place}]"), expected, id.to_string()));
            }
        }
        let added = self.tokenizer.get_added_vocabulary();
        let is_kept = |&id: &u32| {
            !skip_special_tokens
                || !self.id_to_token(id).is_some_and(|token| added.is_special_token(&token))
        };
        // Some of the library's decoders count on a last token.
        if !ids.iter().any(is_kept) {
            return Ok(String::new());
        }
        let text = self.tokenizer.decode(ids, skip_special_tokens).map_err(refused)?;
        Ok(if self.clean_up_spaces { clean_up(text) } else { text })
    }

    /// As [`decode`](Self::decode), for many sequences of ids, in order.
    ///
    /// # Errors
    /// An [`Error::Item`] with the place of the first sequence that has one.
    pub fn decode_batch<T: AsRef<[u32]>>(
        &self,
        sequences: impl AsRef<[T]>,
        skip_special_tokens: bool,
    ) -> Result<Vec<String>> {
        let decode = |(index, ids): (usize, &T)| {
            self.decode(ids.as_ref(), skip_special_tokens).map_err(|error| error.of_item(index))
        };
        sequences.as_ref().iter().enumerate().map(decode).collect()
    }

    /// The text of tokens by their names, which need not be of the vocabulary:
    /// `convert_tokens_to_string`.
    pub(crate) fn tokens_to_string(&self, tokens: Vec<String>) -> Result<String> {
        match self.tokenizer.get_decoder() {
            Some(decoder) if !tokens.is_empty() => decoder.decode(tokens).map_err(refused),
            _ => Ok(tokens.join(" ")),
        }
    }
}

/// `clean_up_tokenization` of `transformers`: English spacing, for vocabularies that ask for it.
fn clean_up(text: String) -> String {
    const RULES: [(&str, &str); 10] = [
        (" .", "."),
        (" ?", "?"),
        (" !", "!"),
        (" ,", ","),
        (" ' ", "'"),
        (" n't", "n't"),
        (" 'm", "'m"),
        (" 's", "'s"),
        (" 've", "'ve"),
        (" 're", "'re"),
    ];
    RULES.iter().fold(text, |text, (from, to)| text.replace(from, to))
}
