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
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },

    /// A config field has a value that no ALBERT model can have.
    #[error("config field `{field}`: expected {expected}, found {found}")]
    Config {
        /// The field's Hugging Face name.
        field: String,
        /// What the field may be.
        expected: String,
        /// What it was.
        found: String,
    },

    /// A file is not what its name says: truncated, corrupt, or of an unknown format.
    #[error("{}: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and where.
        reason: String,
    },

    /// A tensor of a checkpoint cannot be used.
    #[error("{}: tensor `{tensor}`: expected {expected}, found {found}", path.display())]
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
}

impl Error {
    /// An I/O error at `path`.
    pub(crate) fn io(path: impl AsRef<Path>, source: io::Error) -> Self {
        Self::Io { path: path.as_ref().to_owned(), source }
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
        Self::Config { field: field.into(), expected: expected.into(), found: found.into() }
    }
}
