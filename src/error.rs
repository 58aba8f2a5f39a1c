//! The crate's one error type.
//!
//! Invalid input of any kind (files, configs, ids, shapes) results in one of these errors, which name what was wrong, what was expected and what was found.

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
    /// The operating system's error is part of the text and therefore not the [`source`](std::error::Error::source): otherwise, printing the chain of errors would repeat it.
    #[error("{}: {error}", shown(path))]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The operating system's error.
        error: io::Error,
    },

    /// A config field has a value that no ALBERT model can have.
    #[error("{}config field `{field}`: expected {expected}, found {found}", prefix(path.as_deref()))]
    Config {
        /// The `config.json`, if it was read from a file.
        path: Option<PathBuf>,
        /// The field's Hugging Face name.
        field: String,
        /// The values that are allowed.
        expected: String,
        /// The value found.
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

    /// An invalid input to a model or a loss: ids out of range, shapes that differ, empty inputs.
    #[error("{what}: expected {expected}, found {found}")]
    Input {
        /// The input, and the position in it.
        what: String,
        /// What was expected.
        expected: String,
        /// What was found.
        found: String,
    },

    /// The tokenizer rejected a text or could not be built.
    #[error("tokenizer: {0}")]
    Tokenizer(String),

    /// A model could not be obtained from the Hugging Face Hub.
    #[cfg(feature = "hub")]
    #[error("{name}: {reason}")]
    Hub {
        /// The model with its revision, or the invalid setting.
        name: String,
        /// The problem, and what to do about it.
        reason: String,
    },

    /// Training failed. Saved checkpoints are intact.
    ///
    /// As with [`Io`](Self::Io), the inner error is part of the text, and not the source.
    #[error("step {step}: {error}")]
    Training {
        /// The step, counted from 1.
        step: u64,
        /// What went wrong in it.
        error: Box<Error>,
    },

    /// One of many inputs could not be processed. The others are not affected.
    ///
    /// As with [`Io`](Self::Io), the inner error is part of the text, and not the source.
    #[error("input {index}: {error}")]
    Item {
        /// Its index among the inputs.
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

    /// A model that cannot be obtained.
    #[cfg(feature = "hub")]
    pub(crate) fn hub(name: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Hub { name: name.into(), reason: reason.into() }
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

/// A path as errors show it, so that an empty one is visible.
fn shown(path: &Path) -> String {
    if path.as_os_str().is_empty() { "\"\"".into() } else { path.display().to_string() }
}

/// The prefix of an error in a file, if the file is known.
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
