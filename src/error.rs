//! The crate's one error type.
//!
//! Everything that comes from outside (files, configs, ids, shapes) is answered with one of these; each names what
//! was wrong, what was expected and what was found.

use std::io;
use std::path::{Path, PathBuf};

/// The crate's result type.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or directory could not be read or written.
    ///
    /// What the operating system said is part of this error's text, and so it is not its
    /// [`source`](std::error::Error::source) too: a chain of errors that is printed would say it twice.
    #[error("{}: {error}", shown(path))]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },

    /// A config field has a value that no ALBERT model can have.
    #[error("{}config field `{field}`: expected {expected}, found {found}", prefix(path.as_deref()))]
    Config {
        /// The `config.json`, if it was read from a file.
        path: Option<PathBuf>,
        /// The field's Hugging Face name.
        field: String,
        /// What the field may be.
        expected: String,
        /// What it was.
        found: String,
    },

    /// A file is not what its name says: truncated, corrupt, or of an unknown format.
    #[error("{}: {reason}", shown(path))]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and where.
        reason: String,
    },

    /// A tensor of a checkpoint cannot be used.
    #[error("{}: tensor `{tensor}`: expected {expected}, found {found}", shown(path))]
    Tensor {
        /// The checkpoint file or directory.
        path: PathBuf,
        /// The tensor's name in the checkpoint.
        tensor: String,
        /// What was expected.
        expected: String,
        /// What was found.
        found: String,
    },

    /// An input to the model or to a loss does not fit: ids out of range, shapes that differ, nothing at all.
    #[error("{what}: expected {expected}, found {found}")]
    Input {
        /// Which input, and where in it.
        what: String,
        /// What was expected.
        expected: String,
        /// What was found.
        found: String,
    },

    /// The tokenizer refused a text or could not be built.
    #[error("tokenizer: {0}")]
    Tokenizer(String),

    /// Training could not go on. What was saved before is as it was.
    ///
    /// As with [`Io`](Self::Io), the error within is part of this one's text, and not its source.
    #[error("step {step}: {error}")]
    Training {
        /// The step, counted from 1.
        step: u64,
        /// What went wrong in it.
        error: Box<Error>,
    },

    /// One of many inputs could not be processed. Those beside it are as if it had not been there.
    ///
    /// As with [`Io`](Self::Io), the error within is part of this one's text, and not its source.
    #[error("input {index}: {error}")]
    Item {
        /// Its place among the inputs, counted from 0.
        index: usize,
        /// What is wrong with it.
        error: Box<Error>,
    },
}

impl Error {
    /// An I/O error at `path`.
    pub(crate) fn io(path: impl AsRef<Path>, error: io::Error) -> Self {
        Self::Io { path: path.as_ref().to_owned(), error }
    }

    /// A malformed file at `path`.
    pub(crate) fn format(path: impl AsRef<Path>, reason: impl Into<String>) -> Self {
        Self::Format { path: path.as_ref().to_owned(), reason: reason.into() }
    }

    /// A tensor of the checkpoint at `path` that is missing or not as expected.
    pub(crate) fn tensor(
        path: impl AsRef<Path>,
        tensor: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self::Tensor {
            path: path.as_ref().to_owned(),
            tensor: tensor.into(),
            expected: expected.into(),
            found: found.into(),
        }
    }

    /// An input that does not fit.
    pub(crate) fn input(
        what: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self::Input { what: what.into(), expected: expected.into(), found: found.into() }
    }

    /// A config field with an impossible value.
    pub(crate) fn config(
        field: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        let (field, expected, found) = (field.into(), expected.into(), found.into());
        Self::Config { path: None, field, expected, found }
    }

    /// The same error, in a step of training.
    pub(crate) fn in_step(self, step: u64) -> Self {
        Self::Training { step, error: Box::new(self) }
    }

    /// The same error, of one of many inputs.
    pub(crate) fn of_item(self, index: usize) -> Self {
        Self::Item { index, error: Box::new(self) }
    }

    /// The same error, which came from the `config.json` at `path` if it is one about a config.
    pub(crate) fn in_config(self, path: &Path) -> Self {
        match self {
            Self::Config { field, expected, found, .. } => {
                Self::Config { path: Some(path.to_owned()), field, expected, found }
            }
            other => other,
        }
    }
}

/// A path as an error shows it: also an empty one can be seen.
fn shown(path: &Path) -> String {
    if path.as_os_str().is_empty() { "\"\"".into() } else { path.display().to_string() }
}

/// What stands before an error in a file that may not be known.
fn prefix(path: Option<&Path>) -> String {
    path.map(|path| format!("{}: ", shown(path))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn a_chain_of_errors_says_nothing_twice() {
        let error = Error::io("spiece.model", io::Error::other("the disk is on fire"));
        let mut chain = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            chain += &format!(": {inner}");
            cause = inner.source();
        }
        assert_eq!(chain, "spiece.model: the disk is on fire");
    }
}
