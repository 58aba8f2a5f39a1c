//! The files that a tokenizer may consist of.

use std::fs;
use std::path::Path;

use super::cli::Failure;

const FILES: [&str; 6] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "spiece.model",
];

/// Copies the tokenizer of one directory to another.
pub fn copy_tokenizer(from: &Path, to: &Path) -> Result<(), Failure> {
    if fs::canonicalize(from).ok() == fs::canonicalize(to).ok() {
        return Ok(());
    }
    for source in FILES.map(|file| from.join(file)).iter().filter(|source| source.is_file()) {
        let name = source.file_name().unwrap_or_default();
        fs::copy(source, to.join(name))
            .map_err(|error| format!("{}: {error}", source.display()))?;
    }
    Ok(())
}
