//! Where a checkpoint is.

use std::io::{Error as IoError, ErrorKind};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// The directory of a checkpoint, of which `name` is the path.
///
/// # Errors
/// [`Error::Io`] if there is no such directory.
pub fn resolve(name: impl AsRef<Path>) -> Result<PathBuf> {
    let name = name.as_ref();
    let problem = match name.metadata() {
        Ok(found) if found.is_dir() => return Ok(name.to_owned()),
        Ok(_) => IoError::new(ErrorKind::NotADirectory, "expected a checkpoint's directory"),
        Err(error) if error.kind() == ErrorKind::NotFound && is_on_the_hub(name) => {
            let hint = "no such directory (names on the Hugging Face Hub need the feature `hub`)";
            IoError::new(ErrorKind::NotFound, hint)
        }
        Err(error) => error,
    };
    Err(Error::io(name, problem))
}

/// Whether a repository could have that name: `owner/name`, or `name` alone.
fn is_on_the_hub(name: &Path) -> bool {
    let is_word = |part: &str| {
        let allowed = |char: char| char.is_ascii_alphanumeric() || "-_.".contains(char);
        !part.is_empty() && !part.starts_with('.') && part.chars().all(allowed)
    };
    name.to_str().is_some_and(|name| name.split('/').count() <= 2 && name.split('/').all(is_word))
}
