//! The tokenizer of a checkpoint directory, whichever of ALBERT's three kinds it is.
//!
//! Files → [`settings`] and [`added`] (what the JSON files say), [`tokenizer_json`],
//! [`sentencepiece`] or [`wordpiece`] (the vocabulary, put into a [`pipeline`]) → [`load`] (special
//! tokens and template) → [`AlbertTokenizer`] → [`source`] (the files again).

mod added;
mod charsmap;
mod config_files;
mod decode;
mod guard;
mod load;
mod phonemes;
pub(super) mod pipeline;
mod sentencepiece;
pub(super) mod settings;
pub(super) mod source;
mod tokenizer_json;
mod windows;
mod wordpiece;
mod words;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;
use tokenizers::normalizers::NormalizerWrapper;
use tokenizers::normalizers::utils::{Lowercase, Sequence as NormalizerSequence};
use tokenizers::processors::PostProcessorWrapper;
use tokenizers::{
    EncodeInput, Encoding as Raw, InputSequence, PostProcessor, Tokenizer, truncate_encodings,
};

use self::pipeline::Family;
use self::source::Source;
use super::encoding::Places;
use super::{Encoding, Truncation, TruncationSide, TruncationStrategy};
use crate::error::{Error, Result};

/// Text → ids and back, as the checkpoint's authors meant it. Cheap to clone, and shared freely between threads.
///
/// Encodings are as long as the text unless a [truncation](Self::with_truncation) is set; none is by default, not even
/// [`model_max_length`](Self::model_max_length).
///
/// ```
/// # fn main() -> ndalbert::Result<()> {
/// # let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tokenizers/sentencepiece");
/// use ndalbert::AlbertTokenizer;
///
/// let tokenizer = AlbertTokenizer::from_pretrained(directory)?;
/// let encoding = tokenizer.encode("In [MASK] we TRÜST.")?;
/// assert_eq!(encoding.tokens[..4], ["[CLS]", "▁in", "[MASK]", "▁we"]);
/// assert_eq!(encoding.ids[2], tokenizer.mask_token_id());
/// assert_eq!(tokenizer.decode(&encoding.ids, true)?, "in we trust.");
/// # Ok(())
/// # }
/// ```
///
/// # Which rules
///
/// The reference is what `transformers` 5.23 answers for the same directory with `AlbertTokenizer`, or `BertTokenizer`
/// where the vocabulary is WordPiece. Texts go through the `tokenizers` crate, which is the same code; how
/// `transformers` assembles it from files holds three surprises, all of them matched:
///
/// - **`tokenizer.json` gives its pieces, not its rules.** Vocabulary, charsmap, added tokens and (for Unigram) the
///   template come from the file; quotes, accents, case and words follow `tokenizer_config.json` and its defaults, so
///   `do_lower_case` there wins over the file's normalizer. If `tokenizer_class` names a class other than these two
///   (`PreTrainedTokenizerFast`, say), the file is taken literally.
/// - **`spiece.model` alone is not quite the published tokenizer.** The `tokenizer.json` files on the Hub were written
///   by an older converter. It lowered the score of pieces like `9,` by 100 (the original tokenizer splits that comma
///   off), left the user-defined symbols ``( ) " - . – £ €`` to the model, and let `[MASK]` swallow the space before
///   it. From `spiece.model`, `transformers` 5 does none of this: scores stay, each user-defined symbol splits the text
///   first (`(a` becomes `(`, `▁a`), `[MASK]` takes no space. Prefer the `tokenizer.json` of a checkpoint if it has
///   one; with both files there, that is the one that is read.
/// - **`special_tokens_map.json` and `added_tokens.json` count only** if `tokenizer_config.json`
///   has no `added_tokens_decoder`; then what they say wins over it, whatever keys the former has
///   (`do_lower_case`, …).
///
/// Where `transformers` goes on with something that cannot work, this is an error instead: a vocabulary without
/// `[MASK]` (it would invent an id beyond the embedding table), a `spiece.model` of another algorithm or cut off, a
/// class whose rules only a missing `tokenizer.json` could tell.
#[derive(Clone)]
pub struct AlbertTokenizer {
    /// Without post-processor, truncation and padding: those follow in `encode_input`.
    tokenizer: Arc<Tokenizer>,
    /// Puts the special tokens around one or two encodings.
    template: Arc<PostProcessorWrapper>,
    /// What it was read from, to be saved again.
    source: Arc<Source>,
    special: SpecialIds,
    truncation: Option<Truncation>,
    truncation_side: TruncationSide,
    model_max_length: Option<usize>,
    clean_up_spaces: bool,
    gives_type_ids: bool,
    family: Family,
}

/// What it is, not its thousands of pieces.
impl fmt::Debug for AlbertTokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AlbertTokenizer")
            .field("vocab_size", &self.vocab_size())
            .field("special", &self.special)
            .field("truncation", &self.truncation)
            .field("truncation_side", &self.truncation_side)
            .field("model_max_length", &self.model_max_length)
            .finish_non_exhaustive()
    }
}

/// The id of a special token that a vocabulary lacks.
const NO_TOKEN: u32 = u32::MAX;

/// The ids of the five tokens that every ALBERT vocabulary has, but for those of phonemes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SpecialIds {
    pad: u32,
    unk: u32,
    cls: u32,
    sep: u32,
    mask: u32,
}

impl AlbertTokenizer {
    /// Reads the tokenizer of a checkpoint directory, or of a model of the Hub (see
    /// [`hub`](crate::hub)): its `tokenizer.json`, else its `spiece.model` (SentencePiece), else
    /// its `vocab.txt` (WordPiece: the Chinese models), with the options of `tokenizer_config.json`
    /// (`do_lower_case`, `keep_accents`, `strip_accents`, `tokenize_chinese_chars`,
    /// `add_prefix_space`, `split_special_tokens`, `clean_up_tokenization_spaces`,
    /// `truncation_side`, `model_max_length` or, before it was called so, `max_len`,
    /// `model_input_names`, special and added tokens), `special_tokens_map.json` and
    /// `added_tokens.json`.
    ///
    /// Where there is none of the three, a `vocab` in `config.json` is one of phonemes, as the speech model Kokoro has it:
    /// each character is a token or, if the vocabulary lacks it, nothing, and id 0 is put at both ends.
    ///
    /// # Errors
    /// Names the file and what is wrong in it: none of the three there, unreadable, malformed, a value of the wrong
    /// type, a vocabulary without one of the padding, unknown, `[CLS]`, `[SEP]` and `[MASK]` tokens.
    pub fn from_pretrained(directory: impl AsRef<Path>) -> Result<Self> {
        load::load(directory.as_ref())
    }

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
    /// An empty `second` is a text like any other, as in `transformers` for a batch of pairs (called with a single
    /// pair, `transformers` leaves an empty second text away).
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

    /// [`encode_pair`](Self::encode_pair) for many pairs, in parallel and in order. Nothing is padded.
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

    /// `[CLS] words [SEP]` of a text that is split into words already, as data sets of token classification are.
    ///
    /// A token's word is the one of `words` that it belongs to, and its offsets are places within that word.
    /// `transformers` calls it `is_split_into_words`.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn encode_words<T: AsRef<str>>(&self, words: &[T]) -> Result<Encoding> {
        let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
        let raw = self.finish(self.pieces(words.as_slice())?, None)?;
        Ok(self.encoding(&raw, &Places::of_words(&words)))
    }

    /// Cuts every encoding from now on to `truncation.max_length` tokens.
    ///
    /// # Errors
    /// If not even the special tokens around a single text fit.
    pub fn with_truncation(mut self, truncation: Truncation) -> Result<Self> {
        self.room(truncation.max_length, false)?;
        self.truncation = Some(truncation);
        Ok(self)
    }

    /// [`with_truncation`](Self::with_truncation), longest text first.
    ///
    /// # Errors
    /// If not even the special tokens around a single text fit.
    pub fn with_max_length(self, max_length: usize) -> Result<Self> {
        self.with_truncation(Truncation { max_length, strategy: TruncationStrategy::LongestFirst })
    }

    /// The truncation that is set.
    pub fn truncation(&self) -> Option<Truncation> {
        self.truncation
    }

    /// Which end a truncation cuts off; by default what `truncation_side` of `tokenizer_config.json` says, else the
    /// right one.
    #[must_use]
    pub fn with_truncation_side(mut self, side: TruncationSide) -> Self {
        self.truncation_side = side;
        self
    }

    /// The id of `token`, if there is one.
    pub fn token_to_id(&self, token: &str) -> Option<u32> {
        self.tokenizer.token_to_id(token)
    }

    /// The token with this id, if there is one.
    pub fn id_to_token(&self, id: u32) -> Option<String> {
        self.tokenizer.id_to_token(id)
    }

    /// How many tokens there are, added ones included: `len(tokenizer)` in `transformers`.
    pub fn vocab_size(&self) -> usize {
        self.tokenizer.get_vocab_size(true)
    }

    /// The longest input the checkpoint says it is meant for, in tokens; only said, never enforced.
    pub fn model_max_length(&self) -> Option<usize> {
        self.model_max_length
    }

    /// The id of the padding token, `<pad>` or `[PAD]`.
    pub fn pad_token_id(&self) -> u32 {
        self.special.pad
    }

    /// The id of the unknown token, `<unk>` or `[UNK]`. A vocabulary of phonemes has none: `u32::MAX`, which no model takes.
    pub fn unk_token_id(&self) -> u32 {
        self.special.unk
    }

    /// The id of `[CLS]`, the first token of every encoding.
    pub fn cls_token_id(&self) -> u32 {
        self.special.cls
    }

    /// The id of `[SEP]`, the last token of every text.
    pub fn sep_token_id(&self) -> u32 {
        self.special.sep
    }

    /// The id of `[MASK]`, the token to be guessed. A vocabulary of phonemes has none: `u32::MAX`, which no model takes.
    pub fn mask_token_id(&self) -> u32 {
        self.special.mask
    }

    /// The ids of all special tokens, ascending: those that decoding can skip and masking must spare.
    pub fn special_token_ids(&self) -> Vec<u32> {
        let SpecialIds { pad, unk, cls, sep, mask } = self.special;
        let added = self.tokenizer.get_added_vocabulary().get_added_tokens_decoder();
        let special = added.iter().filter(|(_, token)| token.special).map(|(&id, _)| id);
        let there = [pad, unk, cls, sep, mask].into_iter().filter(|&id| id != NO_TOKEN);
        let mut ids: Vec<u32> = special.chain(there).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// The ids of a text alone, without special tokens around it and without truncation.
    pub(crate) fn encode_ids(&self, text: &str) -> Result<Vec<u32>> {
        Ok(self.tokenizer.encode_fast(text, false).map_err(refused)?.get_ids().to_vec())
    }

    /// The same, but `[MASK]` in a text is six characters like any other.
    pub(crate) fn for_plain_text(&self) -> Self {
        let mut tokenizer = Tokenizer::clone(&self.tokenizer);
        tokenizer.set_encode_special_tokens(true);
        Self { tokenizer: Arc::new(tokenizer), ..self.clone() }
    }

    /// The same, but letters are lower-cased before all else; special tokens in a text stay what they are.
    ///
    /// # Errors
    /// If the library refuses that.
    pub(crate) fn lower_cased(&self) -> Result<Self> {
        let mut tokenizer = Tokenizer::clone(&self.tokenizer);
        let further = tokenizer.get_normalizer().cloned();
        let steps = [NormalizerWrapper::from(Lowercase)].into_iter().chain(further).collect();
        tokenizer.with_normalizer(Some(NormalizerSequence::new(steps))).map_err(refused)?;
        Ok(Self { tokenizer: Arc::new(tokenizer), ..self.clone() })
    }

    /// Whether a token is the beginning of a word, for masking of whole words.
    pub(crate) fn begins_word(&self, token: &str) -> bool {
        words::begins_word(self.family, token)
    }

    fn encode_input(&self, first: &str, second: Option<&str>) -> Result<Encoding> {
        let first_pieces = self.pieces(first)?;
        let second_pieces = second.map(|text| self.pieces(text)).transpose()?;
        let raw = self.finish(first_pieces, second_pieces)?;
        Ok(self.encoding(&raw, &Places::of_texts(first, second.unwrap_or(""))))
    }

    fn encoding(&self, raw: &Raw, places: &Places) -> Encoding {
        let mut encoding = Encoding::from_raw(raw, places);
        if !self.gives_type_ids {
            encoding.type_ids.fill(0);
        }
        encoding
    }

    /// The tokens of a text, or of words, all of them and no special ones.
    fn pieces<'s>(&self, text: impl Into<InputSequence<'s>>) -> Result<Raw> {
        // The library's own truncation stops reading early, and cut from the left it then counts words anew.
        self.tokenizer.encode(EncodeInput::Single(text.into()), false).map_err(refused)
    }

    /// Cuts one or two lists of tokens as asked for, and puts the special ones around them.
    fn finish(&self, first: Raw, second: Option<Raw>) -> Result<Raw> {
        let mut encodings = (first, second);
        if let Some(truncation) = self.truncation {
            let room = self.room(truncation.max_length, encodings.1.is_some())?;
            let raw = truncation.raw(room, self.truncation_side);
            encodings = truncate_encodings(encodings.0, encodings.1, &raw).map_err(refused)?;
            // The library keeps what it cut off, in parts, and the template would pair each part of one text with each of
            // the other.
            encodings.0.take_overflowing();
            encodings.1.as_mut().map(Raw::take_overflowing);
        }
        self.template.process(encodings.0, encodings.1, true).map_err(refused)
    }

    /// How many tokens of text fit beside the special ones.
    fn room(&self, max_length: usize, is_pair: bool) -> Result<usize> {
        let special = self.template.added_tokens(is_pair);
        max_length.checked_sub(special).ok_or_else(|| {
            let expected = format!("at least {special}, the number of special tokens");
            Error::input("max_length", expected, max_length.to_string())
        })
    }
}

/// An error of the `tokenizers` library.
pub(super) fn refused(error: tokenizers::Error) -> Error {
    Error::Tokenizer(error.to_string())
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
