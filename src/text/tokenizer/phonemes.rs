//! A vocabulary of phonemes, `vocab` in a speech model's `config.json`: a character is a token.
//!
//! The reference is Kokoro's `KModel.forward`: characters that the vocabulary lacks are left out, and id 0 is put at both
//! ends.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use tokenizers::decoders::fuse::Fuse;
use tokenizers::models::bpe::BPE;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, SplitDelimiterBehavior, Tokenizer};

use super::config_files::JsonFile;
use super::pipeline::{self, Family};
use super::source::Source;
use super::{AlbertTokenizer, NO_TOKEN, SpecialIds, refused};
use crate::config::CONFIG;
use crate::error::{Error, Result};
use crate::files::write_atomically;
use crate::memory::Origin;
use crate::text::TruncationSide;

/// The id at both ends, which is also padding's.
const BOUNDARY: u32 = 0;

/// The tokenizer, if the file has such a vocabulary.
pub(super) fn read(config: &JsonFile) -> Result<Option<AlbertTokenizer>> {
    let Some(symbols) = config.object("vocab")? else { return Ok(None) };
    let mut vocabulary = symbols.clone();
    for (symbol, id) in symbols {
        if id.as_u64().is_none_or(|id| id >= u64::from(NO_TOKEN)) {
            return Err(config.wrong(&format!("vocab.{symbol}"), "an id", id));
        }
    }
    if symbols.is_empty() {
        return Err(Error::format(&config.path, "`vocab`: expected symbols with ids, found none"));
    }
    let boundary = match symbols.iter().find(|(_, id)| **id == BOUNDARY) {
        Some((symbol, _)) => symbol.clone(),
        None => {
            // Of more than one character, so that no text has it.
            let mut name = "<pad>".to_owned();
            while symbols.contains_key(&name) {
                name.push('>');
            }
            vocabulary.insert(name.clone(), BOUNDARY.into());
            name
        }
    };
    let positions = config.object("plbert")?.unwrap_or(&config.entries);
    let model_max_length = positions.get("max_position_embeddings").and_then(Value::as_u64);
    let source = json!({ "vocab": symbols, "max_position_embeddings": model_max_length });
    Ok(Some(AlbertTokenizer {
        source: Arc::new(Source::new(CONFIG, source.to_string().into_bytes(), Map::new())),
        gives_type_ids: true,
        tokenizer: Arc::new(tokenizer(config, vocabulary.into(), &boundary)?),
        template: Arc::new(
            pipeline::template((boundary.clone(), BOUNDARY), (boundary, BOUNDARY))?.into(),
        ),
        special: SpecialIds {
            pad: BOUNDARY,
            unk: NO_TOKEN,
            cls: BOUNDARY,
            sep: BOUNDARY,
            mask: NO_TOKEN,
        },
        truncation: None,
        truncation_side: TruncationSide::Right,
        model_max_length: model_max_length.and_then(|length| usize::try_from(length).ok()),
        clean_up_spaces: false,
        family: Family::Phonemes,
    }))
}

/// Puts the vocabulary into the `config.json` of a directory, or into a new one.
pub(super) fn save(source: &Source, directory: &Path) -> Result<()> {
    let mut config = JsonFile::read_if_there(Origin::Disk, &directory.join(CONFIG))?;
    let vocabulary = JsonFile::parse(&source.path, &source.bytes)?;
    // What a model takes is for its own configuration to say.
    let is_new = config.entries.is_empty();
    let wanted = |key: &str, value: &Value| key == "vocab" || (is_new && !value.is_null());
    let entries = vocabulary.entries.into_iter().filter(|(key, value)| wanted(key, value));
    config.entries.extend(entries);
    let text = Value::Object(config.entries);
    write_atomically(&config.path, |file| writeln!(file, "{text:#}"))
}

/// Splits at every character, and looks each up; a model of the library's that has no unknown token leaves out the rest.
fn tokenizer(config: &JsonFile, vocabulary: Value, boundary: &str) -> Result<Tokenizer> {
    // Through text, because the library's reader borrows its strings.
    let text = json!({ "type": "BPE", "vocab": vocabulary, "merges": [] }).to_string();
    let model: BPE = serde_json::from_str(&text)
        .map_err(|error| Error::format(&config.path, format!("`vocab`: {error}")))?;
    let mut tokenizer = Tokenizer::new(model);
    let any = SplitPattern::Regex("(?s).".to_owned());
    let split = Split::new(any, SplitDelimiterBehavior::Isolated, false).map_err(refused)?;
    tokenizer.with_pre_tokenizer(Some(split));
    tokenizer.with_decoder(Some(Fuse::default()));
    tokenizer.add_special_tokens([AddedToken::from(boundary.to_owned(), true)]).map_err(refused)?;
    // Written in a text, it is characters like any others.
    tokenizer.set_encode_special_tokens(true);
    Ok(tokenizer)
}
