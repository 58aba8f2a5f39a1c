//! A vocabulary → the files of a tokenizer.

use std::path::Path;

use serde_json::{Map, Value, json};
use tokenizers::{AddedToken, Tokenizer};

use super::{Pieces, Vocabulary, VocabularyKind, VocabularyOptions};
use crate::error::{Error, Result};
use crate::files::{check_path, commit_all};
use crate::text::tokenizer::settings::Settings;
use crate::text::tokenizer::source::{Changes, Source};
use crate::text::tokenizer::{pipeline, refused};

pub(super) fn save(vocabulary: &Vocabulary, directory: &Path) -> Result<()> {
    check_path(directory, "a tokenizer's directory")?;
    let options = &vocabulary.options;
    let (name, text) = match &vocabulary.pieces {
        Pieces::Unigram(pieces) => {
            let tokenizer = unigram(pieces.clone(), options)?;
            ("tokenizer.json", tokenizer.to_string(false).map_err(refused)?)
        }
        Pieces::WordPiece(pieces) => {
            ("vocab.txt", pieces.iter().flat_map(|piece| [piece, "\n"]).collect())
        }
    };
    let source = Source::new(name, text.into_bytes(), config(options));
    commit_all(source.stage(directory, &Changes::default())?)
}

/// The rules that this vocabulary was made by, as the tokenizer's loader reads them.
pub(super) fn settings(options: &VocabularyOptions) -> Result<Settings> {
    Settings::of_entries(config(options))
}

fn config(options: &VocabularyOptions) -> Map<String, Value> {
    let [pad, unk, cls, sep, mask] = options.kind.special_tokens();
    let class = match options.kind {
        VocabularyKind::Unigram => "AlbertTokenizer",
        VocabularyKind::WordPiece | VocabularyKind::Characters => "BertTokenizer",
    };
    let mut config = Map::new();
    let mut set = |key: &str, value: Value| config.insert(key.to_owned(), value);
    set("tokenizer_class", json!(class));
    set("do_lower_case", json!(options.do_lower_case));
    if options.kind == VocabularyKind::Unigram {
        set("keep_accents", json!(!options.do_lower_case));
    }
    set("model_max_length", json!(options.model_max_length));
    set("pad_token", json!(pad));
    set("unk_token", json!(unk));
    set("cls_token", json!(cls));
    set("sep_token", json!(sep));
    set("mask_token", json!(mask));
    config
}

/// The whole tokenizer, so that `tokenizer.json` can be used without its config too.
fn unigram(pieces: Vec<(String, f64)>, options: &VocabularyOptions) -> Result<Tokenizer> {
    let special = options.kind.special_tokens();
    let [_, unk, cls, sep, mask] = special;
    let unknown = pieces.iter().position(|(piece, _)| piece == unk);
    let model = tokenizers::models::unigram::Unigram::from(pieces, unknown, false);
    let model = model.map_err(|error| Error::Tokenizer(error.to_string()))?;
    let mut tokenizer = pipeline::sentencepiece(model, None, &settings(options)?)?;
    // As in the published files: a mask takes the space before it along.
    let added = special.map(|token| AddedToken::from(token, true).lstrip(token == mask));
    tokenizer.add_special_tokens(added).map_err(refused)?;
    let id = |token: &str| (token.to_owned(), tokenizer.token_to_id(token).unwrap_or_default());
    let template = pipeline::template(id(cls), id(sep))?;
    tokenizer.with_post_processor(Some(template));
    Ok(tokenizer)
}
