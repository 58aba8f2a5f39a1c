//! `tokenizer.json`: the library's own format, read as `transformers` reads it.

use serde::Deserialize;
use serde_json::{Map, Value};
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::processors::PostProcessorWrapper;
use tokenizers::{AddedToken, Tokenizer};

use super::added::Declarations;
use super::charsmap;
use super::config_files::{JsonFile, brief};
use super::guard;
use super::load::VocabularyFile;
use super::pipeline::{self, Draft, Family};
use super::sentencepiece::unigram;
use super::settings::Settings;
use crate::error::{Error, Result};
use crate::text::TruncationSide;

pub(super) fn read(file: &VocabularyFile<'_>) -> Result<Draft> {
    let &VocabularyFile { path, bytes, settings, declared } = file;
    let json = JsonFile::parse(path, bytes)?;
    guard::check(&json)?;
    let model = json.object("model")?;
    let model = model.ok_or_else(|| Error::format(path, "expected the key `model`, found none"))?;
    let draft = match (kind(model), settings.other_class.is_none()) {
        (Kind::Unigram, true) => rebuilt_unigram(&json, settings, declared)?,
        (Kind::WordPiece, true) => rebuilt_wordpiece(&json, settings, declared)?,
        (kind, _) => literal(&json, bytes, kind)?,
    };
    Ok(Draft {
        file_tokens: added_tokens(&json)?,
        truncation_side: truncation_side(&json),
        ..draft
    })
}

/// The algorithms whose surroundings are known here.
enum Kind {
    Unigram,
    WordPiece,
    Other,
}

/// By its `type`, or, in a file from before there was one, by what else it has.
fn kind(model: &Map<String, Value>) -> Kind {
    match model.get("type").and_then(Value::as_str) {
        Some("Unigram") => Kind::Unigram,
        Some("WordPiece") => Kind::WordPiece,
        Some(_) => Kind::Other,
        None if model.get("vocab").is_some_and(Value::is_array) => Kind::Unigram,
        None if model.contains_key("max_input_chars_per_word") => Kind::WordPiece,
        None => Kind::Other,
    }
}

/// `AlbertTokenizer`: pieces, charsmap and template of the file, the rest by the config.
fn rebuilt_unigram(file: &JsonFile, settings: &Settings, declared: &Declarations) -> Result<Draft> {
    let vocabulary = vocabulary(file);
    let pieces = Vec::<(String, f64)>::deserialize(vocabulary).map_err(|error| {
        wrong(file, "model.vocab", "a list of [piece, score]", vocabulary, error)
    })?;
    let unknown = declared.content("unk_token", Family::SentencePiece);
    let model = unigram(&file.path, pieces, &unknown)?;
    let charsmap = match charsmaps(&file.entries).first() {
        Some(encoded) => {
            Some(charsmap::precompiled(&file.path, &charsmap::from_base64(&file.path, encoded)?)?)
        }
        None => None,
    };
    let tokenizer = pipeline::sentencepiece(model, charsmap, settings)?;
    Ok(Draft {
        template: template(file)?,
        ..Draft::new(&file.path, tokenizer, Family::SentencePiece)
    })
}

/// `BertTokenizer`: only the pieces are of the file.
fn rebuilt_wordpiece(
    file: &JsonFile,
    settings: &Settings,
    declared: &Declarations,
) -> Result<Draft> {
    let vocabulary = vocabulary(file);
    // Through text, because the library's reader borrows its strings.
    let text = serde_json::json!({
        "type": "WordPiece",
        "unk_token": declared.content("unk_token", Family::WordPiece),
        "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100,
        "vocab": vocabulary,
    })
    .to_string();
    let model: WordPiece = serde_json::from_str(&text)
        .map_err(|error| wrong(file, "model.vocab", "an object of ids", vocabulary, error))?;
    let tokenizer = pipeline::wordpiece(model, settings)?;
    Ok(Draft::new(&file.path, tokenizer, Family::WordPiece))
}

/// Another class's file: used unchanged, except for its truncation and padding.
fn literal(file: &JsonFile, bytes: &[u8], kind: Kind) -> Result<Draft> {
    guard::check_literal(file)?;
    for encoded in charsmaps(&file.entries) {
        charsmap::precompiled(&file.path, &charsmap::from_base64(&file.path, encoded)?)?;
    }
    let mut tokenizer = Tokenizer::from_bytes(bytes).map_err(|error| {
        Error::format(&file.path, format!("expected a tokenizer, found {error}"))
    })?;
    tokenizer.with_padding(None);
    tokenizer.with_truncation(None).map_err(super::refused)?;
    let family = match kind {
        Kind::WordPiece => Family::WordPiece,
        Kind::Unigram | Kind::Other => Family::SentencePiece,
    };
    let template = tokenizer.get_post_processor().cloned();
    Ok(Draft { is_literal: true, template, ..Draft::new(&file.path, tokenizer, family) })
}

/// The charsmaps in the normalizer, still in base 64, outermost first.
fn charsmaps(entries: &Map<String, Value>) -> Vec<&str> {
    let mut found = Vec::new();
    let mut pending: Vec<&Value> = entries.get("normalizer").into_iter().collect();
    while let Some(value) = pending.pop() {
        match value {
            Value::Object(object) => {
                found.extend(object.get("precompiled_charsmap").and_then(Value::as_str));
                pending.extend(object.values().rev());
            }
            Value::Array(items) => pending.extend(items.iter().rev()),
            _ => {}
        }
    }
    found
}

/// The pieces; null if there are none, which no reader of them takes.
fn vocabulary(file: &JsonFile) -> &Value {
    file.get("model").and_then(|model| model.get("vocab")).unwrap_or(&Value::Null)
}

fn template(file: &JsonFile) -> Result<Option<PostProcessorWrapper>> {
    let Some(value) = file.get("post_processor") else { return Ok(None) };
    serde_json::from_str(&value.to_string())
        .map(Some)
        .map_err(|error| wrong(file, "post_processor", "a post-processor", value, error))
}

fn added_tokens(file: &JsonFile) -> Result<Vec<(u64, AddedToken)>> {
    let key = "added_tokens";
    let read = |value: &Value| {
        let id = value.get("id").and_then(Value::as_u64);
        let id = id.ok_or_else(|| file.wrong(key, "a list of tokens with ids", value))?;
        Ok((id, file.as_token(key, value, false)?.token))
    };
    file.list(key)?.into_iter().flatten().map(read).collect()
}

fn truncation_side(file: &JsonFile) -> Option<TruncationSide> {
    match file.get("truncation")?.get("direction")?.as_str()? {
        "Left" => Some(TruncationSide::Left),
        _ => Some(TruncationSide::Right),
    }
}

fn wrong(
    file: &JsonFile,
    key: &str,
    expected: &str,
    found: &Value,
    error: serde_json::Error,
) -> Error {
    let found = brief(found);
    Error::format(&file.path, format!("`{key}`: expected {expected}, found {found}: {error}"))
}
