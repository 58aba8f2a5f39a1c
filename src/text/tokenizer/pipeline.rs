//! From a vocabulary to a pipeline: what `AlbertTokenizer.__init__` and `BertTokenizer.__init__` put around it.

use std::path::PathBuf;

use tokenizers::decoders::wordpiece::WordPiece as WordPieceDecoder;
use tokenizers::models::unigram::Unigram;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::{
    BertNormalizer, Lowercase, NFKD, NormalizerWrapper, Precompiled, Replace, Sequence,
    StripAccents,
};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::pre_tokenizers::sequence::Sequence as PreTokenizers;
use tokenizers::pre_tokenizers::whitespace::WhitespaceSplit;
use tokenizers::processors::PostProcessorWrapper;
use tokenizers::processors::template::{SpecialToken, TemplateProcessing};
use tokenizers::{AddedToken, Tokenizer};

use super::config_files::Declared;
use super::refused;
use super::settings::Settings;
use crate::error::{Error, Result};
use crate::text::TruncationSide;

/// The kinds of vocabulary; they differ in the names of special tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    SentencePiece,
    WordPiece,
    /// A character is a token.
    Phonemes,
}

/// A tokenizer that still lacks its added tokens.
pub(super) struct Draft {
    /// The file that the vocabulary came from.
    pub path: PathBuf,
    pub tokenizer: Tokenizer,
    pub family: Family,
    /// Whether the file is used unchanged, apart from declared additions.
    pub is_literal: bool,
    /// Added tokens of a `tokenizer.json`.
    pub file_tokens: Vec<(u64, AddedToken)>,
    /// Control and user-defined symbols of a `spiece.model`.
    pub pieces: Option<Vec<Declared>>,
    /// The template of a `tokenizer.json`, where it has a say.
    pub template: Option<PostProcessorWrapper>,
    pub truncation_side: Option<TruncationSide>,
}

impl Draft {
    pub fn new(path: impl Into<PathBuf>, tokenizer: Tokenizer, family: Family) -> Self {
        Self {
            path: path.into(),
            tokenizer,
            family,
            is_literal: false,
            file_tokens: Vec::new(),
            pieces: None,
            template: None,
            truncation_side: None,
        }
    }

    /// The name of the class whose rules these are in `transformers`.
    pub fn class(&self) -> &'static str {
        match self.family {
            _ if self.is_literal => "PreTrainedTokenizerFast",
            Family::SentencePiece => "AlbertTokenizer",
            Family::WordPiece => "BertTokenizer",
            // transformers has none for them.
            Family::Phonemes => "PreTrainedTokenizer",
        }
    }
}

/// Quotes, accents, case, charsmap; then words, each with a `▁`; then Unigram.
pub(in crate::text) fn sentencepiece(
    model: Unigram,
    charsmap: Option<Precompiled>,
    settings: &Settings,
) -> Result<Tokenizer> {
    let mut normalizers: Vec<NormalizerWrapper> = Vec::new();
    for quotes in ["``", "''"] {
        normalizers.push(Replace::new(quotes, "\"").map_err(refused)?.into());
    }
    if !settings.keep_accents {
        normalizers.push(NFKD.into());
        normalizers.push(StripAccents.into());
    }
    if settings.do_lower_case {
        normalizers.push(Lowercase.into());
    }
    normalizers.extend(charsmap.map(NormalizerWrapper::from));
    let scheme = match settings.add_prefix_space {
        true => PrependScheme::Always,
        false => PrependScheme::Never,
    };
    let metaspace = Metaspace::new('▁', scheme, true);
    let words: [PreTokenizerWrapper; 2] = [WhitespaceSplit.into(), metaspace.clone().into()];

    let mut tokenizer = Tokenizer::new(model);
    tokenizer.with_normalizer(Some(Sequence::new(normalizers))).map_err(refused)?;
    tokenizer.with_pre_tokenizer(Some(PreTokenizers::new(words.into())));
    tokenizer.with_decoder(Some(metaspace));
    Ok(tokenizer)
}

/// BERT's cleaning, its splitting at punctuation and Chinese characters, then the longest piece first.
pub(in crate::text) fn wordpiece(model: WordPiece, settings: &Settings) -> Result<Tokenizer> {
    let normalizer = BertNormalizer::new(
        true,
        settings.tokenize_chinese_chars,
        settings.strip_accents,
        settings.do_lower_case,
    );
    let mut tokenizer = Tokenizer::new(model);
    tokenizer.with_normalizer(Some(normalizer)).map_err(refused)?;
    tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
    tokenizer.with_decoder(Some(WordPieceDecoder::new("##".to_owned(), true)));
    Ok(tokenizer)
}

/// `[CLS] first [SEP]`, and `second [SEP]` of type 1.
pub(in crate::text) fn template(
    cls: (String, u32),
    sep: (String, u32),
) -> Result<TemplateProcessing> {
    // The names inside the template are only labels: real ones may hold characters that its syntax lacks.
    let special = |label: &str, (token, id): (String, u32)| {
        SpecialToken::new(label.to_owned(), vec![id], vec![token]).map_err(refused)
    };
    let special = vec![special("CLS", cls)?, special("SEP", sep)?];
    processing("CLS:0 $A:0 SEP:0", "CLS:0 $A:0 SEP:0 $B:1 SEP:1", special)
}

/// No special tokens at all: what a file without a post-processor gets.
pub(super) fn bare_template() -> Result<TemplateProcessing> {
    processing("$A:0", "$A:0 $B:1", Vec::new())
}

fn processing(single: &str, pair: &str, special: Vec<SpecialToken>) -> Result<TemplateProcessing> {
    TemplateProcessing::builder()
        .try_single(single)
        .map_err(Error::Tokenizer)?
        .try_pair(pair)
        .map_err(Error::Tokenizer)?
        .special_tokens(special)
        .build()
        .map_err(|error| Error::Tokenizer(error.to_string()))
}
