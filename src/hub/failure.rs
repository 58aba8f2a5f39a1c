//! What went wrong, and what to do about it.

use std::io;
use std::path::Path;

use super::name::Repository;
use super::settings::Hub;
use super::wanted::Lack;
use crate::error::Error;

/// Why a model could not be had.
#[derive(Debug)]
pub(super) enum Failure {
    /// There is no answer, or no end of one.
    Unreachable(String),
    /// The server declines.
    Refused(Refusal),
    /// The server's answer makes no sense.
    Answer(String),
    /// The server's answer to a question for the rest of a file is none.
    Range(String),
    /// The proxy is none, or does not do what is asked of it.
    Proxy(String),
    /// The cache lacks a file, and the network may not be used.
    NotCached(String),
    /// The repository has no such file, and needs it.
    Missing(&'static str),
    /// The repository lacks something else, and why that is so.
    Lacking(String),
    /// Nothing can be written.
    Disk(io::Error),
    /// A file of the cache cannot be used.
    Local(Error),
}

/// A status that is no success.
#[derive(Debug)]
pub(super) struct Refusal {
    pub status: u16,
    /// The Hub's name of it (`x-error-code`).
    pub code: Option<String>,
    /// The Hub's words for it (`x-error-message`).
    pub message: Option<String>,
}

impl Failure {
    /// The error, in the words of somebody who wants the model.
    pub fn explain(self, repository: &Repository, hub: &Hub) -> Error {
        let may_be_a_path = self.may_be_a_path();
        let reason = match self {
            Self::Local(error) => return error,
            Self::Unreachable(why) => unreachable(&why, hub),
            Self::Refused(refusal) => refused(&refusal, repository, hub),
            Self::Answer(what) | Self::Range(what) => format!(
                "{} sent an invalid answer: {what}; if HF_ENDPOINT names a mirror, try without it. The cache is intact",
                hub.endpoint_url()
            ),
            Self::Proxy(why) => format!(
                "the proxy cannot be used: {why}; correct it, unset it, or name the host in NO_PROXY"
            ),
            Self::NotCached(file) => format!(
                "{file} is not in {}, and HF_HUB_OFFLINE forbids downloading it: unset it once, or copy the cache from a machine that has it",
                hub.cache_directory().display()
            ),
            Self::Missing(file) => {
                format!("its files on {} lack {file}", hub.endpoint_url())
            }
            Self::Lacking(reason) => reason,
            Self::Disk(error) => disk(&error, hub.cache_directory()),
        };
        let (name, revision) = (repository.name(), repository.revision());
        let before = match may_be_a_path {
            true => format!("there is no directory {name:?} here, and as a model of the Hub: "),
            false => String::new(),
        };
        Error::hub(format!("{name}@{revision}"), before + &reason)
    }

    /// Whether nothing tells the name of a model from that of a directory that is not there.
    fn may_be_a_path(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Answer(_) | Self::Proxy(_) | Self::NotCached(_) => true,
            // What has gates, revisions or files is a model.
            Self::Refused(Refusal { status, code, .. }) => {
                let is_known = ["GatedRepo", "RevisionNotFound", "EntryNotFound"]
                    .map(Some)
                    .contains(&code.as_deref());
                matches!(status, 401 | 403 | 404) && !is_known
            }
            _ => false,
        }
    }
}

fn unreachable(why: &str, hub: &Hub) -> String {
    format!(
        "{} cannot be reached: {why}; check the network, the proxy (HTTPS_PROXY) and its authority (SSL_CERT_FILE), or set HF_ENDPOINT to a mirror. \
         The part received is kept: the next attempt resumes from it",
        hub.endpoint_url()
    )
}

fn refused(refusal: &Refusal, repository: &Repository, hub: &Hub) -> String {
    let (name, revision, endpoint) = (repository.name(), repository.revision(), hub.endpoint_url());
    let advice = match (refusal.status, refusal.code.as_deref()) {
        (_, Some("GatedRepo")) => format!(
            "it is gated: accept its conditions at {endpoint}/{name}, and set HF_TOKEN to a token of that account"
        ),
        (404, Some("RevisionNotFound")) => format!("it has no branch, tag or commit {revision:?}"),
        (404, Some("EntryNotFound")) => "a file that was listed is gone: try again".to_owned(),
        // The Hub does not tell strangers whether a private model exists.
        (401, _) if !hub.has_token() => {
            "there is no such public model: check the name; if it is private, set HF_TOKEN to a token that may read it".to_owned()
        }
        (401, _) => "the token is not valid: renew HF_TOKEN, or log in again (huggingface-cli login)".to_owned(),
        (403, _) => "the token may not read it: set HF_TOKEN to one that may".to_owned(),
        (404, _) if hub.has_token() => {
            "there is no such model, or the token may not see it: check the name, or set HF_TOKEN to another".to_owned()
        }
        (404, _) => "there is no such model: check the name".to_owned(),
        (429, _) => "too many requests: wait some minutes, or set HF_TOKEN to get limits of your own".to_owned(),
        _ => "try again later".to_owned(),
    };
    let message = refusal.message.as_deref().map(|message| format!(" ({message})"));
    format!("{endpoint} answers {}{}: {advice}", refusal.status, message.unwrap_or_default())
}

fn disk(error: &io::Error, cache: &Path) -> String {
    use io::ErrorKind as K;
    let advice = match error.kind() {
        K::StorageFull | K::QuotaExceeded | K::FileTooLarge => {
            "free some space, or set HF_HOME to a directory on another disk; the part received is kept"
        }
        K::PermissionDenied | K::ReadOnlyFilesystem => {
            "set HF_HOME to a writable directory, or HF_HUB_OFFLINE=1 if the cache is complete"
        }
        _ => "set HF_HOME to another directory",
    };
    format!("cannot write to the cache {}: {error}; {advice}", cache.display())
}

impl From<Lack> for Failure {
    fn from(lack: Lack) -> Self {
        match lack {
            Lack::File(file) => Self::Missing(file),
            Lack::Part { reason, .. } => Self::Lacking(reason),
            Lack::Reference { reason, .. } => Self::Answer(reason),
            Lack::Unreadable(error) => Self::Local(error),
        }
    }
}

/// What is on a disk is not the server's fault.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}
