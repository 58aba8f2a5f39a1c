//! The result of tokenizing a text.

use std::ops::Range;

use tokenizers::Encoding as Raw;

/// A tokenized text, pair or choice: parallel lists with one entry per token, including special tokens.
///
/// Nothing is padded: batches are packed, so there is no attention mask either.
///
/// ```
/// # fn main() -> ndalbert::Result<()> {
/// # let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tokenizers/chinese");
/// let tokenizer = ndalbert::AlbertTokenizer::from_pretrained(directory)?;
/// let text = "深度学习, hello";
/// let encoding = tokenizer.encode(text)?;
/// assert_eq!(encoding.tokens, ["[CLS]", "深", "度", "学", "习", ",", "hello", "[SEP]"]);
/// assert_eq!(encoding.offsets[6], (6, 11));
/// let (start, end) = encoding.byte_offsets[6];
/// assert_eq!(&text[start..end], "hello");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Encoding {
    /// The ids: rows of the embedding table.
    pub ids: Vec<u32>,
    /// 0 for the first segment and its special tokens, 1 for the second. All 0 if `model_input_names` in the tokenizer's files lacks `token_type_ids`.
    pub type_ids: Vec<u32>,
    /// The tokens as text. An unknown one is spelled as in the (normalized) text with SentencePiece, and as the unknown token with WordPiece.
    pub tokens: Vec<String>,
    /// Start and end of each token in its own text (or in its word, of `encode_words`), in characters (Unicode scalar values);
    /// `(0, 0)` for special tokens.
    pub offsets: Vec<(usize, usize)>,
    /// The same in bytes, for slicing the text.
    pub byte_offsets: Vec<(usize, usize)>,
    /// The word of its own text that a token belongs to, counted from 0; `None` for special tokens.
    ///
    /// Words are those of the pre-tokenizer: separated by white space for SentencePiece, and also by punctuation and around every Chinese character for WordPiece. For [`encode_words`](crate::AlbertTokenizer::encode_words), they are its arguments.
    pub word_ids: Vec<Option<u32>>,
    /// The text that a token comes from, 0 or 1; `None` for special tokens that the template added.
    pub sequence_ids: Vec<Option<usize>>,
    /// Whether the template added the token (a `[MASK]` written in the text does not count).
    pub special_tokens_mask: Vec<bool>,
}

impl Encoding {
    /// The number of tokens, special ones included.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are no tokens, which does not happen with ALBERT's templates.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The columns of the tokens of the first text (0) or the second (1), which stand next to each other.
    pub(crate) fn columns_of(&self, sequence: usize) -> Range<usize> {
        let is_of_it = |of: &Option<usize>| *of == Some(sequence);
        let start = self.sequence_ids.iter().position(is_of_it).unwrap_or(self.len());
        let end = self.sequence_ids.iter().rposition(is_of_it).map_or(start, |last| last + 1);
        start..end
    }

    /// From the library's encoding, whose offsets are bytes.
    pub(super) fn from_raw(raw: &Raw, places: &Places) -> Self {
        let sequence_ids = raw.get_sequence_ids();
        let byte_offsets = raw.get_offsets().to_vec();
        let in_chars = |((&(start, end), sequence), word): ((&(usize, usize), _), _)| {
            let places = places.of_token(sequence, word);
            places.map_or((0, 0), |places| (places.of(start), places.of(end)))
        };
        let tokens = byte_offsets.iter().zip(sequence_ids.iter().copied());
        let offsets = tokens.zip(raw.get_word_ids().iter().copied()).map(in_chars).collect();
        Self {
            ids: raw.get_ids().to_vec(),
            type_ids: raw.get_type_ids().to_vec(),
            tokens: raw.get_tokens().to_vec(),
            offsets,
            byte_offsets,
            word_ids: raw.get_word_ids().to_vec(),
            sequence_ids,
            special_tokens_mask: raw
                .get_special_tokens_mask()
                .iter()
                .map(|&bit| bit != 0)
                .collect(),
        }
    }
}

/// Byte place → character place within all that was tokenized.
pub(super) enum Places {
    /// One text or two.
    Texts([CharPlaces; 2]),
    /// The words of one text; places are counted within each.
    Words(Vec<CharPlaces>),
}

impl Places {
    pub fn of_texts(first: &str, second: &str) -> Self {
        Self::Texts([CharPlaces::new(first), CharPlaces::new(second)])
    }

    pub fn of_words(words: &[&str]) -> Self {
        Self::Words(words.iter().map(|word| CharPlaces::new(word)).collect())
    }

    /// Those of the text or word that a token comes from; none for special tokens.
    fn of_token(&self, sequence: Option<usize>, word: Option<u32>) -> Option<&CharPlaces> {
        let sequence = sequence?;
        match self {
            Self::Texts(texts) => texts.get(sequence),
            Self::Words(words) => words.get(word? as usize),
        }
    }
}

/// Byte place → character place within one text.
pub(super) struct CharPlaces {
    /// One entry per byte and one for the end; empty for ASCII, where the two are the same.
    table: Vec<usize>,
}

impl CharPlaces {
    fn new(text: &str) -> Self {
        if text.is_ascii() {
            return Self { table: Vec::new() };
        }
        let mut table = Vec::with_capacity(text.len() + 1);
        let mut chars = 0;
        for char in text.chars() {
            table.extend(std::iter::repeat_n(chars, char.len_utf8()));
            chars += 1;
        }
        table.push(chars);
        Self { table }
    }

    fn of(&self, byte: usize) -> usize {
        self.table.get(byte).copied().unwrap_or(byte)
    }
}
