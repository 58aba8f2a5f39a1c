//! Resolves names to directories: existing ones, or models on the Hugging Face Hub (feature `hub`).
//!
//! Every `from_pretrained` of this crate resolves its name here. An existing directory takes
//! precedence. With the feature `hub`, another name of the form `owner/model` or
//! `owner/model@revision` is downloaded into the cache that transformers uses, so that both share
//! downloads:
//!
//! ```text
//! name.rs         what may be the name of a model, a revision, a file of a repository
//! settings.rs     where to and where from: HF_HOME, HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE
//! environment.rs  variables, and those that are named in paths
//! proxy.rs        the proxy for an address, if any
//! wanted.rs       which of a repository's files are needed
//! client.rs       requests, redirects, and what the answers must be
//! address.rs      parts of addresses, and of headers that have ranges
//! cache.rs        blobs, snapshots, refs, locks: the layout of the cache
//! download.rs     one file: received or resumed, verified, moved to its final path
//! failure.rs      what went wrong, and what to do about it
//! ```
//!
//! # What is trusted
//!
//! No answer of a server. Names of files, commits and ETags become paths only if they are plain; a
//! file of another length than announced, or weights with another SHA-256, are rejected; files in
//! the cache are never modified.

#[cfg(feature = "hub")]
mod address;
#[cfg(feature = "hub")]
mod cache;
#[cfg(feature = "hub")]
mod client;
#[cfg(feature = "hub")]
mod download;
#[cfg(feature = "hub")]
mod environment;
#[cfg(feature = "hub")]
mod failure;
mod name;
#[cfg(feature = "hub")]
mod proxy;
#[cfg(feature = "hub")]
mod settings;
mod wanted;

use std::path::{Path, PathBuf};

use self::name::Repository;
use crate::error::Result;

#[cfg(feature = "hub")]
pub use settings::{Hub, Progress};
pub use wanted::{Find, Lack, Wanted};

pub(crate) use name::is_relative;

/// The directory that `name` stands for, with the files that are wanted, of another revision than
/// the main one if there is one.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) for a name of a model without the feature `hub`; with it,
/// `Error::Hub`.
pub(crate) fn locate(name: &Path, revision: Option<&str>, files: &impl Wanted) -> Result<PathBuf> {
    match remote(name, files) {
        None => Ok(name.to_owned()),
        Some(repository) => download(name, repository, revision, files),
    }
}

/// The model that a name stands for if it is that of nothing that is here.
fn remote(name: &Path, files: &impl Wanted) -> Option<Repository> {
    (!files.is_here(name)).then(|| Repository::parse(name.to_str()?)).flatten()
}

#[cfg(feature = "hub")]
fn download(
    _: &Path,
    mut repository: Repository,
    revision: Option<&str>,
    files: &impl Wanted,
) -> Result<PathBuf> {
    if let Some(revision) = revision {
        repository.set_revision(revision)?;
    }
    Hub::from_env()?.get(&repository, files)
}

#[cfg(not(feature = "hub"))]
fn download(name: &Path, _: Repository, _: Option<&str>, _: &impl Wanted) -> Result<PathBuf> {
    let reason = "no such directory; a model of the Hugging Face Hub is downloaded only if ndalbert is built with its feature `hub`";
    Err(crate::Error::io(name, std::io::Error::new(std::io::ErrorKind::NotFound, reason)))
}
