//! A text file as a whole.

use std::fs;
use std::path::Path;

/// Reads a UTF-8 file. A byte order mark, which some editors put before the text, is no part of it.
pub fn read_text(path: &Path) -> Result<String, String> {
    let mut text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    if text.starts_with('\u{feff}') {
        text.remove(0);
    }
    Ok(text)
}
