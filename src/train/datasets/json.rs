//! JSON: one value per line, or one document per file.

use std::path::Path;

use serde::de::DeserializeOwned;

use super::examples::Examples;
use super::lines::{BYTE_ORDER_MARK, Lines};
use crate::error::{Error, Result};
use crate::files::read_small;

/// The longest document. SQuAD 2 has 42 MB.
pub(super) const MAX_DOCUMENT: u64 = 1 << 30;

/// Reads a value per line, and turns each into an example. Empty lines are passed over.
///
/// What `example` says is wrong is put behind the file and the line.
pub(super) fn json_lines<V: DeserializeOwned + 'static, T: 'static>(
    path: &Path,
    example: impl Fn(V) -> Result<T, String> + Send + 'static,
) -> Result<Examples<T>> {
    let mut lines = Lines::open(path)?;
    Ok(Examples::from_reader(move || {
        loop {
            let Some(line) = lines.next_line()? else { return Ok(None) };
            if line.trim().is_empty() {
                continue;
            }
            let value = serde_json::from_str(line).map_err(|error| in_line(&error));
            let example = value.and_then(&example);
            return example.map(Some).map_err(|reason| lines.error(reason));
        }
    }))
}

/// Reads a document of at most `limit` bytes.
pub(super) fn json_document<V: DeserializeOwned>(path: &Path, limit: u64) -> Result<V> {
    let bytes = read_small(path, limit)?;
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&bytes);
    serde_json::from_slice(bytes)
        .map_err(|error| Error::format(path, format!("line {}, {}", error.line(), in_line(&error))))
}

/// `column 7: expected …`: what the library says, but for the number of the line.
fn in_line(error: &serde_json::Error) -> String {
    let place = format!(" at line {} column {}", error.line(), error.column());
    let text = error.to_string();
    format!("column {}: {}", error.column(), text.strip_suffix(&place).unwrap_or(&text))
}
