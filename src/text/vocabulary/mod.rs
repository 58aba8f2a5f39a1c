//! Building vocabularies from text.
//!
//! Files → [`words`] (which words there are, and how often) → [`unigram`] or [`wordpiece`] (pieces) → [`files`] (a
//! tokenizer's directory).

mod files;
mod joining;
mod unigram;
mod wordpiece;
mod words;

use std::path::Path;

use self::words::Words;
use crate::error::{Error, Result};

/// The kind of a vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VocabularyKind {
    /// ALBERT's kind, SentencePiece's Unigram: pieces that maximise the likelihood of the text, with `▁` before each word.
    Unigram,
    /// BERT's WordPiece: pieces by the frequency of joined pairs, with `##` before those that continue a word. Every Chinese character is a word.
    WordPiece,
    /// WordPiece of single characters, by frequency: for Chinese text, in which it is WordPiece without the rare words of
    /// other scripts. Those are spelled (`a`, `##b`).
    Characters,
}

/// Options of building a vocabulary.
///
/// Use `..VocabularyOptions::default()`, so that code still compiles when fields are added.
#[derive(Clone, Debug, PartialEq)]
pub struct VocabularyOptions {
    /// The kind of vocabulary. Unigram by default.
    pub kind: VocabularyKind,
    /// The maximum number of tokens, including special ones; fewer if the text does not yield as many. 30000 by default.
    pub vocab_size: usize,
    /// Whether text is lower-cased, also by the resulting tokenizer. True by default. (This also removes accents.)
    pub do_lower_case: bool,
    /// The share of the text's characters that the vocabulary must cover; the rarest ones become unknown. 0.9995
    /// by default, as in SentencePiece. Characters vocabularies go by `vocab_size` alone.
    pub character_coverage: f64,
    /// The minimum frequency of pairs to be joined (WordPiece), or of characters to be kept (Characters). 2 by default.
    pub min_frequency: u64,
    /// The maximum number of lines that are used, sampled uniformly by `random_seed`; these are held in memory. 1,000,000 by default.
    pub max_sentences: usize,
    /// The seed for sampling lines, if there are too many.
    pub random_seed: u64,
    /// The `model_max_length` of the tokenizer. 512 by default.
    pub model_max_length: usize,
}

impl Default for VocabularyOptions {
    fn default() -> Self {
        Self {
            kind: VocabularyKind::Unigram,
            vocab_size: 30_000,
            do_lower_case: true,
            character_coverage: 0.9995,
            min_frequency: 2,
            max_sentences: 1_000_000,
            random_seed: 12345,
            model_max_length: 512,
        }
    }
}

/// The most tokens that can be asked for.
const MAX_SIZE: usize = 1 << 20;

/// The padding, unknown, `[CLS]`, `[SEP]` and `[MASK]` tokens, in the order of their ids.
type SpecialTokens = [&'static str; 5];

impl VocabularyKind {
    fn special_tokens(self) -> SpecialTokens {
        match self {
            Self::Unigram => ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"],
            Self::WordPiece | Self::Characters => ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"],
        }
    }
}

/// The tokens of a vocabulary, special ones first.
#[derive(Clone, Debug, PartialEq)]
pub struct Vocabulary {
    options: VocabularyOptions,
    pieces: Pieces,
}

#[derive(Clone, Debug, PartialEq)]
enum Pieces {
    /// With their log-probabilities.
    Unigram(Vec<(String, f64)>),
    WordPiece(Vec<String>),
}

impl Vocabulary {
    /// The number of tokens, including special ones: a model's `vocab_size`.
    pub fn size(&self) -> usize {
        match &self.pieces {
            Pieces::Unigram(pieces) => pieces.len(),
            Pieces::WordPiece(pieces) => pieces.len(),
        }
    }

    /// The tokens, in the order of their ids.
    pub fn tokens(&self) -> Vec<&str> {
        match &self.pieces {
            Pieces::Unigram(pieces) => pieces.iter().map(|(piece, _)| piece.as_str()).collect(),
            Pieces::WordPiece(pieces) => pieces.iter().map(String::as_str).collect(),
        }
    }

    /// Writes what [`AlbertTokenizer::from_pretrained`](crate::AlbertTokenizer::from_pretrained) and the `AutoTokenizer` of
    /// transformers read into an existing directory: `tokenizer.json` (Unigram) or `vocab.txt` (else), and
    /// `tokenizer_config.json`.
    ///
    /// # Errors
    /// [`Error::Io`] if the directory cannot be written to; existing files are then left intact.
    pub fn save(&self, directory: impl AsRef<Path>) -> Result<()> {
        files::save(self, directory.as_ref())
    }
}

/// Builds a vocabulary from UTF-8 text files with one sentence per line.
///
/// The same files and options give the same vocabulary on any number of threads. Unigram is trained by the
/// `tokenizers` crate on words cut where the script changes, as SentencePiece does it.
///
/// ```
/// use ndalbert::AlbertTokenizer;
/// use ndalbert::text::{VocabularyKind, VocabularyOptions, train_vocabulary};
///
/// # fn main() -> ndalbert::Result<()> {
/// # let directory = tempfile::tempdir().unwrap();
/// # let directory = directory.path();
/// # std::fs::write(directory.join("poem.txt"), "关关雎鸠,在河之洲.\n窈窕淑女,君子好逑.\n").unwrap();
/// let kind = VocabularyKind::Characters;
/// let options = VocabularyOptions { kind, min_frequency: 1, ..VocabularyOptions::default() };
/// let vocabulary = train_vocabulary(&[directory.join("poem.txt")], &options)?;
/// assert_eq!(vocabulary.tokens()[..8], ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ",", ".", "关"]);
///
/// vocabulary.save(directory)?;
/// let tokenizer = AlbertTokenizer::from_pretrained(directory)?;
/// assert_eq!(tokenizer.encode("君子?")?.tokens, ["[CLS]", "君", "子", "[UNK]", "[SEP]"]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Io`], and [`Error::Format`], which names file and line, if a line is longer than 1 MiB or no UTF-8;
/// [`Error::Input`] if an option is out of its range, if there are no words in the files, or if `vocab_size` is too small
/// for the characters that `character_coverage` asks for.
pub fn train_vocabulary<P: AsRef<Path>>(
    files: &[P],
    options: &VocabularyOptions,
) -> Result<Vocabulary> {
    check(options)?;
    let words = Words::count(files, options)?;
    let pieces = match options.kind {
        VocabularyKind::Unigram => Pieces::Unigram(unigram::train(&words, options)?),
        VocabularyKind::WordPiece => Pieces::WordPiece(wordpiece::train(&words, options)?),
        VocabularyKind::Characters => Pieces::WordPiece(wordpiece::characters(&words, options)),
    };
    Ok(Vocabulary { options: options.clone(), pieces })
}

fn check(options: &VocabularyOptions) -> Result<()> {
    let wrong =
        |what: &str, expected: String, found: String| Err(Error::input(what, expected, found));
    let VocabularyOptions { vocab_size, character_coverage, max_sentences, .. } = options;
    let least = options.kind.special_tokens().len() + 1;
    if !(least..=MAX_SIZE).contains(vocab_size) {
        let expected = format!("a number from {least} to {MAX_SIZE}");
        return wrong("vocab_size", expected, vocab_size.to_string());
    }
    if !(*character_coverage > 0.0 && *character_coverage <= 1.0) {
        let expected = "more than 0 and at most 1".to_owned();
        return wrong("character_coverage", expected, character_coverage.to_string());
    }
    if *max_sentences == 0 {
        return wrong("max_sentences", "at least 1".to_owned(), "0".to_owned());
    }
    Ok(())
}
