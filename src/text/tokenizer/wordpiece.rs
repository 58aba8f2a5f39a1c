//! `vocab.txt`: one token per line, its id the number of the line.

use tokenizers::models::wordpiece::WordPiece;

use super::load::VocabularyFile;
use super::pipeline::{self, Draft, Family};
use crate::error::{Error, Result};

pub(super) fn read(file: &VocabularyFile<'_>) -> Result<Draft> {
    let &VocabularyFile { path, bytes, settings, declared } = file;
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = 1 + bytes[..error.valid_up_to()].iter().filter(|&&byte| byte == b'\n').count();
        Error::format(path, format!("line {line}: expected UTF-8, found other bytes"))
    })?;
    if text.trim().is_empty() {
        return Err(Error::format(path, "expected one token per line, found none"));
    }
    // The library trims the end of each line, and lets the last of two equal lines have the id.
    let invalid = |error: tokenizers::Error| Error::format(path, error.to_string());
    let vocabulary = WordPiece::read_bytes(bytes).map_err(invalid)?;
    let unknown = declared.content("unk_token", Family::WordPiece);
    let model = WordPiece::builder().vocab(vocabulary).unk_token(unknown).build();
    let tokenizer = pipeline::wordpiece(model.map_err(invalid)?, settings)?;
    Ok(Draft::new(path, tokenizer, Family::WordPiece))
}
