//! The tokenizer of a checkpoint directory, of any of ALBERT's three kinds.
//!
//! Files → [`settings`] and [`added`] (what the JSON files say), [`tokenizer_json`],
//! [`sentencepiece`] or [`wordpiece`] (the vocabulary, put into a [`pipeline`]) → [`load`] (special
//! tokens and template) → [`AlbertTokenizer`] → [`source`] (the files again).

mod added;
mod charsmap;
mod config_files;
mod decode;
mod encode;
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

use tokenizers::Tokenizer;
use tokenizers::normalizers::NormalizerWrapper;
use tokenizers::normalizers::utils::{Lowercase, Sequence as NormalizerSequence};
use tokenizers::processors::PostProcessorWrapper;

use self::pipeline::Family;
use self::source::Source;
use super::{Truncation, TruncationSide, TruncationStrategy};
use crate::error::{Error, Result};

/// Converts text to ids and back, as intended by the checkpoint's authors. Cheap to clone and to
/// share between threads.
///
/// Encodings are not truncated unless a [truncation](Self::with_truncation) is set, not even to
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
/// Results are those of `transformers` 5.23 for the same directory, with `AlbertTokenizer`, or
/// `BertTokenizer` for WordPiece vocabularies. Both use the `tokenizers` crate. Three surprising
/// rules by which `transformers` assembles it from files are followed:
///
/// - **`tokenizer.json` provides the vocabulary, not the rules.** Vocabulary, charsmap, added tokens and (for Unigram) the template come from the file; quotes, accents, case and words follow `tokenizer_config.json` and its defaults, so `do_lower_case` there overrides the file's normalizer. If `tokenizer_class` names another class (such as `PreTrainedTokenizerFast`), the file is used unchanged.
/// - **`spiece.model` alone is not quite the published tokenizer.** The `tokenizer.json` files on the Hub were written
///   by an older converter. It lowered the score of pieces like `9,` by 100 (the original tokenizer
///   splits that comma off), left the user-defined symbols ``( ) " - . – £ €`` to the model, and
///   let `[MASK]` swallow the space before it. From `spiece.model`, `transformers` 5 does none of
///   this: scores stay, each user-defined symbol splits the text first (`(a` becomes `(`, `▁a`),
///   `[MASK]` takes no space. Prefer the `tokenizer.json` of a checkpoint if it has one; with both
///   files there, that is the one that is read.
/// - **`special_tokens_map.json` and `added_tokens.json` count only** if `tokenizer_config.json`
///   has no `added_tokens_decoder`; then their keys override it (`do_lower_case`, …).
///
/// Some files with which `transformers` continues are errors here: a vocabulary without `[MASK]`
/// (which would get an id beyond the embedding table), a `spiece.model` of another algorithm or a
/// truncated one, a class whose rules are only in a missing `tokenizer.json`.
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
    /// Loads the tokenizer of a checkpoint directory, or of a model on the Hub (see
    /// [`hub`](crate::hub)): its `tokenizer.json`, else its `spiece.model` (SentencePiece), else
    /// its `vocab.txt` (WordPiece: the Chinese models), with the options of `tokenizer_config.json`
    /// (`do_lower_case`, `keep_accents`, `strip_accents`, `tokenize_chinese_chars`,
    /// `add_prefix_space`, `split_special_tokens`, `clean_up_tokenization_spaces`,
    /// `truncation_side`, `model_max_length` or, before it was called so, `max_len`,
    /// `model_input_names`, special and added tokens), `special_tokens_map.json` and
    /// `added_tokens.json`.
    ///
    /// Without these three, a `vocab` in `config.json` is a vocabulary of phonemes, as in the
    /// speech model Kokoro: each character is a token, unknown characters are dropped, and id 0 is
    /// added at both ends.
    ///
    /// # Errors
    /// Names the file and the problem: no vocabulary, unreadable, malformed, a value of the wrong
    /// type, or a vocabulary without a padding, unknown, `[CLS]`, `[SEP]` or `[MASK]` token.
    pub fn from_pretrained(directory: impl AsRef<Path>) -> Result<Self> {
        load::load(directory.as_ref())
    }

    /// Truncates encodings to `truncation.max_length` tokens.
    ///
    /// # Errors
    /// If there is no room for the special tokens of a single text.
    pub fn with_truncation(mut self, truncation: Truncation) -> Result<Self> {
        self.room(truncation.max_length, false)?;
        self.truncation = Some(truncation);
        Ok(self)
    }

    /// [`with_truncation`](Self::with_truncation), longest text first.
    ///
    /// # Errors
    /// If there is no room for the special tokens of a single text.
    pub fn with_max_length(self, max_length: usize) -> Result<Self> {
        self.with_truncation(Truncation { max_length, strategy: TruncationStrategy::LongestFirst })
    }

    /// The truncation that is set.
    pub fn truncation(&self) -> Option<Truncation> {
        self.truncation
    }

    /// The side at which texts are truncated; by default `truncation_side` of
    /// `tokenizer_config.json`, or else right.
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

    /// The checkpoint's maximum length in tokens, for information; it is not enforced.
    pub fn model_max_length(&self) -> Option<usize> {
        self.model_max_length
    }

    /// The id of the padding token, `<pad>` or `[PAD]`.
    pub fn pad_token_id(&self) -> u32 {
        self.special.pad
    }

    /// The id of the unknown token, `<unk>` or `[UNK]`. A vocabulary of phonemes has none:
    /// `u32::MAX`, which no model accepts.
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

    /// The id of `[MASK]`, the token to be guessed. A vocabulary of phonemes has none: `u32::MAX`,
    /// which no model accepts.
    pub fn mask_token_id(&self) -> u32 {
        self.special.mask
    }

    /// The ids of all special tokens, ascending: decoding can skip them, and masking must not
    /// replace them.
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

    /// The same, but `[MASK]` in a text is six characters like any other.
    pub(crate) fn for_plain_text(&self) -> Self {
        let mut tokenizer = Tokenizer::clone(&self.tokenizer);
        tokenizer.set_encode_special_tokens(true);
        Self { tokenizer: Arc::new(tokenizer), ..self.clone() }
    }

    /// The same, but letters are lower-cased before all else; special tokens in a text stay what
    /// they are.
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
}

/// An error of the `tokenizers` library.
pub(super) fn refused(error: tokenizers::Error) -> Error {
    Error::Tokenizer(error.to_string())
}
