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
#[cfg(feature = "hub")]
mod wanted;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use self::name::Repository;
use crate::error::Result;
use crate::layout::index_of;

#[cfg(feature = "hub")]
pub use settings::{Hub, Progress};

/// The files of a checkpoint to resolve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Files {
    /// `config.json`.
    Config,
    /// The tokenizer's.
    Tokenizer,
    /// `config.json` and the weights: safetensors if available, else PyTorch's.
    Model,
    /// All of these, and the modules of a sentence-transformers model.
    All,
}

/// The directory of a checkpoint: `name` itself if it exists. Otherwise, with the feature `hub`,
/// the model of that name (`owner/model` or `owner/model@revision`) in the cache, into which its
/// files are downloaded if necessary.
///
/// Every `from_pretrained` does this for the files that it reads. Calling it once beforehand avoids
/// further requests to the Hub, and guarantees that all calls see the same commit.
///
/// ```no_run
/// use ndalbert::{AlbertForMaskedLM, AlbertTokenizer, PreTrainedModel};
///
/// let directory = ndalbert::hub::resolve("voidful/albert_chinese_small")?;
/// let tokenizer = AlbertTokenizer::from_pretrained(&directory)?;
/// let (model, report) = AlbertForMaskedLM::from_pretrained(&directory)?;
/// # Ok::<(), ndalbert::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::Io`](crate::Error::Io) if there is no such directory and the name cannot be that of a
/// model, or the feature is missing; with the feature, `Error::Hub`, which says what to do, if the
/// model cannot be obtained.
pub fn resolve(name: impl AsRef<Path>) -> Result<PathBuf> {
    let directory = locate(name.as_ref(), None, Files::All)?;
    let found = fs::metadata(&directory).map_err(|error| crate::Error::io(&directory, error))?;
    if !found.is_dir() {
        let reason = "expected a checkpoint's directory, found a file";
        let error = std::io::Error::new(ErrorKind::NotADirectory, reason);
        return Err(crate::Error::io(directory, error));
    }
    Ok(directory)
}

/// As [`resolve`], for some of the files and perhaps another revision than the main one.
pub(crate) fn locate(name: &Path, revision: Option<&str>, files: Files) -> Result<PathBuf> {
    match remote(name) {
        None => Ok(name.to_owned()),
        Some(repository) => download(name, repository, revision, files),
    }
}

/// The model that a name stands for if it is that of nothing that exists, nor what a checkpoint's
/// files here begin with.
fn remote(name: &Path) -> Option<Repository> {
    if index_of(name).is_some_and(|index| index.is_file()) {
        return None;
    }
    let error = fs::symlink_metadata(name).err()?;
    (error.kind() == ErrorKind::NotFound).then(|| Repository::parse(name.to_str()?)).flatten()
}

#[cfg(feature = "hub")]
fn download(
    _: &Path,
    mut repository: Repository,
    revision: Option<&str>,
    files: Files,
) -> Result<PathBuf> {
    if let Some(revision) = revision {
        repository.set_revision(revision)?;
    }
    Hub::from_env()?.get(&repository, files)
}

#[cfg(not(feature = "hub"))]
fn download(name: &Path, _: Repository, _: Option<&str>, _: Files) -> Result<PathBuf> {
    let reason = "no such directory; a model of the Hugging Face Hub is downloaded only if ndalbert is built with its feature `hub`";
    Err(crate::Error::io(name, std::io::Error::new(ErrorKind::NotFound, reason)))
}
