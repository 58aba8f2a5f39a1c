//! Vocabularies made from text.
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

/// Which tokens a vocabulary consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VocabularyKind {
    /// ALBERT's own, SentencePiece's Unigram: pieces that make the text most likely, `▁` before each word.
    Unigram,
    /// BERT's WordPiece: pieces by frequency of what is joined, `##` before those that continue a word. Every Chinese
    /// character is a word.
    WordPiece,
    /// WordPiece of single characters, by frequency: for Chinese text, in which it is WordPiece without the rare words of
    /// other scripts. Those are spelled (`a`, `##b`).
    Characters,
}

/// How a vocabulary is made.
///
/// To be written with `..VocabularyOptions::default()`, so that it still compiles when there is more to choose.
#[derive(Clone, Debug, PartialEq)]
pub struct VocabularyOptions {
    /// Which tokens it consists of. Unigram by default.
    pub kind: VocabularyKind,
    /// The most tokens, special ones included; there are fewer if the text does not have them. 30000 by default.
    pub vocab_size: usize,
    /// Whether letters lose their case, as the tokenizer that is made does it too. True by default. (Then accents go too.)
    pub do_lower_case: bool,
    /// The share of the text's characters that the vocabulary must be able to write; the rarest others are unknown. 0.9995
    /// by default, as in SentencePiece. Characters vocabularies go by `vocab_size` alone.
    pub character_coverage: f64,
    /// How often pieces must occur to be joined (WordPiece), or characters to be kept (Characters). 2 by default.
    pub min_frequency: u64,
    /// The most lines that are looked at, drawn evenly from all of them by `random_seed`: they are in memory. 1,000,000 by
    /// default.
    pub max_sentences: usize,
    /// Draws the lines, if there are too many.
    pub random_seed: u64,
    /// What the tokenizer says of the longest input. 512 by default.
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
    /// How many tokens it has, special ones included: a model's `vocab_size`.
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
    /// [`Error::Io`] if the directory cannot be written to; files that were there before are then as they were.
    pub fn save(&self, directory: impl AsRef<Path>) -> Result<()> {
        files::save(self, directory.as_ref())
    }
}

/// Makes a vocabulary of text files with a sentence per line, in UTF-8.
///
/// The same files and options give the same vocabulary, whatever the number of threads. Unigram is trained by the
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
