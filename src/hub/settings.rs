//! Where models are downloaded from and to.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ureq::tls::{PemItem, RootCerts, parse_pem};

use super::cache::Cache;
use super::client::{Client, Listing};
use super::download::Downloader;
use super::environment::{is_set, path_variable, text_variable};
use super::failure::Failure;
use super::name::{Repository, is_commit};
use super::remote;
use super::wanted::Wanted;
use crate::error::{Error, Result};
use crate::files::{MAX_JSON, read_small, read_text};

const ENDPOINT: &str = "https://huggingface.co";

/// How long to wait for an answer, or for the next bytes of one.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How many of the pauses after a first failure make that up: of 30 seconds, 0.2.
const PAUSES: u32 = 150;

/// How far a download has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress<'a> {
    /// The file's name in its repository.
    pub file: &'a str,
    /// The bytes that are there, those of an earlier, interrupted download included.
    pub received: u64,
    /// All of its bytes; as many as were received, while the server has not said how many there
    /// are.
    pub total: u64,
}

type Hook = Arc<dyn Fn(Progress<'_>) + Send + Sync>;

/// The Hugging Face Hub, or a mirror of it, and the cache on this machine.
///
/// [`from_env`](Self::from_env) is what every `from_pretrained` uses; the rest is for programs that
/// want to be asked otherwise, or to show how a download comes along.
///
/// ```no_run
/// use ndalbert::hub::Hub;
/// use ndalbert::pipelines::Files;
///
/// let hub = Hub::from_env()?
///     .on_progress(|progress| eprint!("\r{}: {} of {}", progress.file, progress.received, progress.total));
/// let directory = hub.resolve("voidful/albert_chinese_small@main", Files::All)?;
/// # Ok::<(), ndalbert::Error>(())
/// ```
#[derive(Clone)]
pub struct Hub {
    endpoint: String,
    cache: PathBuf,
    token: Option<String>,
    offline: bool,
    timeout: Duration,
    authorities: Option<RootCerts>,
    progress: Option<Hook>,
}

/// Without the token.
impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("endpoint", &self.endpoint)
            .field("cache", &self.cache)
            .field("has_token", &self.token.is_some())
            .field("offline", &self.offline)
            .finish_non_exhaustive()
    }
}

impl Hub {
    /// What the environment says, in the variables of `huggingface_hub`:
    ///
    /// * `HF_ENDPOINT`: the Hub or a mirror of it (`https://huggingface.co`).
    /// * `HF_HUB_CACHE`: the cache; otherwise `hub` in `HF_HOME`, which is `huggingface` in
    ///   `XDG_CACHE_HOME` or `~/.cache`.
    /// * `HF_TOKEN`: who is asking; otherwise the file at `HF_TOKEN_PATH`, or `token` in `HF_HOME`
    ///   (unless `HF_HUB_DISABLE_IMPLICIT_TOKEN`).
    /// * `HF_HUB_OFFLINE` or `TRANSFORMERS_OFFLINE`: `1` to use the cache alone.
    /// * `SSL_CERT_FILE` or `REQUESTS_CA_BUNDLE`: a file with the [authorities](Self::authorities)
    ///   to trust instead of Mozilla's.
    /// * `HTTPS_PROXY` for `https` addresses, `HTTP_PROXY` for `http` ones, `ALL_PROXY` where these
    ///   are not set, and `NO_PROXY`. All of them in lower case, too, which comes first. Proxies
    ///   may be `http://`, `https://`, `socks5://` (which is asked to resolve names, as with
    ///   `socks5h://`), `socks4://` or `socks4a://`. What cannot be a proxy's address is an error,
    ///   not passed over.
    ///
    /// In paths, `~`, `$NAME` and `${NAME}` are expanded.
    ///
    /// # Errors
    /// `Error::Hub` if no home directory is known, and for an endpoint or token that cannot be one;
    /// [`Error::Io`] if the token's file cannot be read.
    pub fn from_env() -> Result<Self> {
        let home = hf_home();
        let cache = match path_variable("HF_HUB_CACHE")
            .or_else(|| path_variable("HUGGINGFACE_HUB_CACHE"))
        {
            Some(cache) => cache,
            None => home.clone().map(|home| home.join("hub")).ok_or_else(|| {
                Error::hub(
                    "HF_HOME",
                    "no home directory is known to put downloads in: set HF_HOME to a directory",
                )
            })?,
        };
        let mut hub = Self::new(cache)
            .offline(is_set("HF_HUB_OFFLINE") || is_set("TRANSFORMERS_OFFLINE"))
            .endpoint(text_variable("HF_ENDPOINT").as_deref().unwrap_or(ENDPOINT))?;
        let authorities = path_variable("SSL_CERT_FILE");
        if let Some(path) = authorities.or_else(|| path_variable("REQUESTS_CA_BUNDLE")) {
            hub = hub.authorities(&read_small(&path, MAX_JSON)?)?;
        }
        match token(home.as_deref())? {
            Some(token) => hub.token(&token),
            None => Ok(hub),
        }
    }

    /// The Hub itself, whatever the environment says, without a token, and a directory for the
    /// cache.
    pub fn new(cache: impl Into<PathBuf>) -> Self {
        Self {
            endpoint: ENDPOINT.to_owned(),
            cache: cache.into(),
            token: None,
            offline: false,
            timeout: TIMEOUT,
            authorities: None,
            progress: None,
        }
    }

    /// Asks another server: `https://…`.
    ///
    /// # Errors
    /// `Error::Hub` if that is not the address of one.
    pub fn endpoint(mut self, url: &str) -> Result<Self> {
        let url = url.trim().trim_end_matches('/');
        let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        if !host.is_some_and(|host| {
            !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic())
        }) {
            let reason = format!(
                "expected an address that begins with https:// (HF_ENDPOINT), found {url:?}"
            );
            return Err(Error::hub("endpoint", reason));
        }
        self.endpoint = url.to_owned();
        Ok(self)
    }

    /// Sends this token to the endpoint, but not to hosts that it redirects to.
    ///
    /// # Errors
    /// `Error::Hub` if it has characters that no token has.
    pub fn token(mut self, token: &str) -> Result<Self> {
        let token = token.trim();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            let reason = "expected letters, digits and signs (HF_TOKEN), found something else";
            return Err(Error::hub("token", reason));
        }
        self.token = Some(token.to_owned());
        Ok(self)
    }

    /// Trusts these authorities (certificates in PEM form) instead of Mozilla's: a company's proxy
    /// may have one of its own.
    ///
    /// # Errors
    /// `Error::Hub` if there is none among them, or one cannot be read.
    pub fn authorities(mut self, pem: &[u8]) -> Result<Self> {
        let refused = |found: String| {
            let reason =
                format!("expected certificates in PEM form (SSL_CERT_FILE), found {found}");
            Error::hub("authorities", reason)
        };
        let mut certificates = Vec::new();
        for item in parse_pem(pem) {
            if let PemItem::Certificate(found) = item.map_err(|error| refused(error.to_string()))? {
                certificates.push(found);
            }
        }
        if certificates.is_empty() {
            return Err(refused("none".to_owned()));
        }
        self.authorities = Some(RootCerts::new_with_certs(&certificates));
        Ok(self)
    }

    /// Uses the cache alone.
    #[must_use]
    pub fn offline(mut self, offline: bool) -> Self {
        self.offline = offline;
        self
    }

    /// Waits so long for an answer, or for the next bytes of one: 30 seconds if nothing else is
    /// said.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Calls `hook` while files are received.
    #[must_use]
    pub fn on_progress(mut self, hook: impl Fn(Progress<'_>) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(hook));
        self
    }

    /// As [`pipelines::resolve`](crate::pipelines::resolve), with these settings, and for some of
    /// the files.
    ///
    /// A commit of which all is in the cache is not asked for. A branch or tag is: if the Hub
    /// cannot be reached, what it was in the cache is used, as transformers does.
    ///
    /// # Errors
    /// As [`pipelines::resolve`](crate::pipelines::resolve).
    pub fn resolve(&self, name: impl AsRef<Path>, files: impl Wanted) -> Result<PathBuf> {
        let name = name.as_ref();
        match remote(name, &files) {
            None => Ok(name.to_owned()),
            Some(repository) => self.get(&repository, &files),
        }
    }

    /// The directory of a model in the cache.
    pub(super) fn get(&self, repository: &Repository, files: &impl Wanted) -> Result<PathBuf> {
        let cache = Cache::new(&self.cache, repository);
        let revision = repository.revision();
        if is_commit(revision) && cache.is_complete(revision, files) {
            return Ok(cache.snapshot(revision));
        }
        // Sufficient without a network: the necessary files, if perhaps not all that the Hub has.
        let cached = cache.needed(cache.commit(revision).as_deref(), files);
        let result = match (self.offline, cached) {
            (true, cached) => cached,
            (false, Err(Failure::Local(error))) => return Err(error),
            (false, cached) => match self.download(&cache, repository, files) {
                Err(Failure::Unreachable(why)) => cached.map_err(|_| Failure::Unreachable(why)),
                result => result,
            },
        };
        result.map_err(|failure| failure.explain(repository, self))
    }

    fn download(
        &self,
        cache: &Cache,
        repository: &Repository,
        files: &impl Wanted,
    ) -> Result<PathBuf, Failure> {
        let authorities = self.authorities.clone();
        let client = Client::new(&self.endpoint, self.token.as_deref(), self.timeout, authorities);
        let Listing { commit, files: there } = client.list(repository)?;
        let progress = self.progress.as_deref();
        let pause = self.timeout / PAUSES;
        let downloader =
            Downloader { client: &client, cache, repository, commit: &commit, pause, progress };
        files.find_all::<Failure>(&mut |file| {
            if there.contains(file) {
                return downloader.fetch(file).map(Some);
            }
            cache.note_absence(&commit, file);
            Ok(None)
        })?;
        cache.record(repository.revision(), &commit);
        Ok(cache.snapshot(&commit))
    }

    pub(super) fn endpoint_url(&self) -> &str {
        &self.endpoint
    }

    pub(super) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    pub(super) fn cache_directory(&self) -> &Path {
        &self.cache
    }
}

/// `huggingface_hub`'s own directory.
fn hf_home() -> Option<PathBuf> {
    path_variable("HF_HOME").or_else(|| {
        let cache = path_variable("XDG_CACHE_HOME");
        cache
            .or_else(|| env::home_dir().map(|home| home.join(".cache")))
            .map(|cache| cache.join("huggingface"))
    })
}

/// Who is asking: `HF_TOKEN`, or who has logged in.
fn token(home: Option<&Path>) -> Result<Option<String>> {
    let variable = text_variable("HF_TOKEN").or_else(|| text_variable("HUGGING_FACE_HUB_TOKEN"));
    if variable.is_some() || is_set("HF_HUB_DISABLE_IMPLICIT_TOKEN") {
        return Ok(variable);
    }
    let path = path_variable("HF_TOKEN_PATH").or_else(|| home.map(|home| home.join("token")));
    let Some(path) = path.filter(|path| path.exists()) else { return Ok(None) };
    let token = String::from_utf8(read_text(&path, MAX_JSON)?).unwrap_or_default();
    Ok(Some(token.trim().to_owned()).filter(|token| !token.is_empty()))
}
