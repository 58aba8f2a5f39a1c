//! Which files of a repository its caller wants.

use std::path::{Path, PathBuf};

use crate::error::Error;

/// Where a file of a repository is, or `None` if the repository has none of this name, which has
/// `/` between its steps.
pub type Find<'f, E> = dyn FnMut(&str) -> Result<Option<PathBuf>, E> + 'f;

/// Which files of a repository are wanted. The hub itself knows of no checkpoint: its callers say
/// what one consists of.
///
/// [`pipelines::Files`](crate::pipelines::Files) are those of this crate's models.
pub trait Wanted {
    /// Asks `find` for every file that is wanted, the small ones first.
    ///
    /// # Errors
    /// Those of `find`, as they are, and what the repository [lacks](Lack).
    fn find_all<E: From<Lack>>(&self, find: &mut Find<'_, E>) -> Result<(), E>;

    /// Whether `name` stands for files on this machine, so that it names no repository.
    fn is_here(&self, name: &Path) -> bool;
}

/// Why a repository is none of the kind that its caller wants.
#[derive(Debug)]
#[non_exhaustive]
pub enum Lack {
    /// It has none of these files, of which one is needed.
    File(&'static str),
    /// It lacks a part that several kinds of files can be.
    Part {
        /// What is lacking: `its weights`.
        name: &'static str,
        /// What was looked for, and what to do about it.
        reason: String,
    },
    /// A file of this part refers to one that the repository does not have.
    Reference {
        /// What is lacking.
        name: &'static str,
        /// Which file refers to which.
        reason: String,
    },
    /// A file that says what else is needed cannot be read.
    Unreadable(Error),
}

impl From<Error> for Lack {
    fn from(error: Error) -> Self {
        Self::Unreadable(error)
    }
}
