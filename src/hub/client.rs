//! Requests to the Hub, and what its answers must be.

use std::collections::BTreeSet;
use std::io::Read;
use std::time::Duration;

use serde::Deserialize;
use ureq::http::{HeaderMap, Method, Request, Response, header};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body, BodyReader};

use super::failure::{Failure, Refusal};
use super::name::{Repository, escaped, is_commit, is_plain};
use crate::files::MAX_JSON;

/// As in `huggingface_hub`'s requests, from the Hub to where large files are, with room to spare.
const MAX_REDIRECTS: usize = 5;

/// The longest message of the server's that is handed on, in characters.
const MAX_MESSAGE: usize = 200;

/// Talks to one endpoint.
pub(super) struct Client<'a> {
    agent: Agent,
    endpoint: &'a str,
    token: Option<&'a str>,
}

/// A revision of a repository.
pub(super) struct Listing {
    pub commit: String,
    pub files: BTreeSet<String>,
}

/// A file as the Hub describes it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Metadata {
    /// The name of its content: of large files, the SHA-256.
    pub etag: String,
    pub size: u64,
}

/// The rest of a file.
pub(super) struct Part {
    /// Where it begins: where it was asked to, or at 0.
    pub start: u64,
    pub reader: BodyReader<'static>,
}

impl<'a> Client<'a> {
    pub fn new(
        endpoint: &'a str,
        token: Option<&'a str>,
        timeout: Duration,
        authorities: Option<RootCerts>,
    ) -> Self {
        let authorities = authorities.unwrap_or(RootCerts::WebPki);
        let config = Agent::config_builder()
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .tls_config(TlsConfig::builder().root_certs(authorities).build())
            .timeout_resolve(Some(timeout))
            .timeout_connect(Some(timeout))
            .timeout_recv_response(Some(timeout))
            .timeout_per_read(Some(timeout))
            .timeout_per_write(Some(timeout))
            .user_agent(concat!("ndalbert/", env!("CARGO_PKG_VERSION")));
        Self { agent: config.build().new_agent(), endpoint, token }
    }

    /// The commit that a revision is, and the names of its files.
    pub fn list(&self, repository: &Repository) -> Result<Listing, Failure> {
        #[derive(Deserialize)]
        struct Answer {
            sha: String,
            siblings: Vec<Sibling>,
        }
        #[derive(Deserialize)]
        struct Sibling {
            rfilename: String,
        }
        let (name, revision) = (repository.name(), escaped(repository.revision(), ""));
        let url = format!("{}/api/models/{name}/revision/{revision}", self.endpoint);
        let response = self.follow(Method::GET, &url, None, true)?;
        let mut bytes = Vec::new();
        let mut body = response.into_body().into_reader().take(MAX_JSON + 1);
        body.read_to_end(&mut bytes).map_err(|error| Failure::Unreachable(error.to_string()))?;
        if bytes.len() as u64 > MAX_JSON {
            return Err(Failure::Answer(format!("a list of files of more than {MAX_JSON} bytes")));
        }
        let answer: Answer = serde_json::from_slice(&bytes)
            .map_err(|error| Failure::Answer(format!("no list of files ({error}) at {url}")))?;
        if !is_commit(&answer.sha) {
            return Err(Failure::Answer(format!("{:?} as a commit", shortened(&answer.sha))));
        }
        let files = answer.siblings.into_iter().map(|sibling| sibling.rfilename).collect();
        Ok(Listing { commit: answer.sha, files })
    }

    /// The address of a commit's file.
    pub fn url(&self, repository: &Repository, commit: &str, file: &str) -> String {
        format!("{}/{}/resolve/{commit}/{}", self.endpoint, repository.name(), escaped(file, "/"))
    }

    /// What the Hub says of a file. Where it redirects elsewhere, it says so before.
    pub fn metadata(&self, url: &str) -> Result<Metadata, Failure> {
        let response = self.follow(Method::HEAD, url, None, false)?;
        let headers = response.headers();
        let etag = text(headers, "x-linked-etag").or_else(|| text(headers, "etag"));
        let etag = etag.ok_or_else(|| Failure::Answer(format!("no ETag for {url}")))?;
        let etag = etag.trim().trim_start_matches("W/").trim_matches('"');
        if !is_plain(etag) {
            return Err(Failure::Answer(format!("{:?} as the ETag of {url}", shortened(etag))));
        }
        let size = text(headers, "x-linked-size").or_else(|| text(headers, "content-length"));
        let size = size.and_then(|size| size.trim().parse().ok());
        let size = size.ok_or_else(|| Failure::Answer(format!("no size for {url}")))?;
        Ok(Metadata { etag: etag.to_owned(), size })
    }

    /// A file of `size` bytes, if possible from the byte `start`.
    pub fn part(&self, url: &str, start: u64, size: u64) -> Result<Part, Failure> {
        let response = self.follow(Method::GET, url, (start > 0).then_some(start), true)?;
        let headers = response.headers();
        let (start, total) = match response.status().as_u16() {
            206 => {
                let range = text(headers, "content-range").unwrap_or_default();
                let (first, total) = content_range(range).ok_or_else(|| {
                    Failure::Answer(format!("the range {:?} of {url}", shortened(range)))
                })?;
                if first != start {
                    return Err(Failure::Answer(format!(
                        "bytes from {first} of {url} instead of from {start}"
                    )));
                }
                (start, Some(total))
            }
            _ => (0, text(headers, "content-length").and_then(|length| length.parse().ok())),
        };
        if total.is_some_and(|total| total != size) {
            let found = total.unwrap_or_default();
            return Err(Failure::Answer(format!(
                "{found} bytes of {url}, which should have {size}"
            )));
        }
        Ok(Part { start, reader: response.into_body().into_reader() })
    }

    /// Sends a request, and again to where it is redirected; to another host only if `elsewhere`.
    fn follow(
        &self,
        method: Method,
        url: &str,
        start: Option<u64>,
        elsewhere: bool,
    ) -> Result<Response<Body>, Failure> {
        let mut url = url.to_owned();
        for _ in 0..=MAX_REDIRECTS {
            let response = self.send(&method, &url, start)?;
            let status = response.status();
            if status.is_success() {
                return Ok(response);
            }
            if !status.is_redirection() {
                return Err(refusal(&response));
            }
            let next = text(response.headers(), "location").and_then(|to| redirected(&url, to));
            let next = next
                .ok_or_else(|| Failure::Answer(format!("a redirection to nowhere from {url}")))?;
            if url.starts_with("https:") && !next.starts_with("https:") {
                return Err(Failure::Answer(format!(
                    "a redirection from {url} to an address that is not encrypted"
                )));
            }
            if !elsewhere && origin(&next) != origin(&url) {
                return Ok(response);
            }
            url = next;
        }
        Err(Failure::Answer(format!(
            "more than {MAX_REDIRECTS} redirections, the last of them to {url}"
        )))
    }

    fn send(
        &self,
        method: &Method,
        url: &str,
        start: Option<u64>,
    ) -> Result<Response<Body>, Failure> {
        let mut request =
            Request::builder().method(method).uri(url).header(header::ACCEPT_ENCODING, "identity");
        if let Some(token) = self.token.filter(|_| origin(url) == origin(self.endpoint)) {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if let Some(start) = start {
            request = request.header(header::RANGE, format!("bytes={start}-"));
        }
        let request = request
            .body(())
            .map_err(|error| Failure::Answer(format!("the address {url:?} ({error})")))?;
        self.agent.run(request).map_err(|error| unanswered(&error))
    }
}

/// A header's value, if it is text.
fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Scheme, host and port of an address.
fn origin(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    let end = url[host..].find(['/', '?', '#']).map_or(url.len(), |at| host + at);
    &url[..end]
}

/// Where `location` leads from `url`: an address of its own, or a path on the same host.
fn redirected(url: &str, location: &str) -> Option<String> {
    if location.starts_with("https://") || location.starts_with("http://") {
        Some(location.to_owned())
    } else if location.starts_with("//") {
        Some(format!("{}:{location}", url.split_once("://")?.0))
    } else if location.starts_with('/') {
        Some(format!("{}{location}", origin(url)))
    } else {
        None
    }
}

/// First byte and length of the file, of `bytes 5-9/10`.
fn content_range(range: &str) -> Option<(u64, u64)> {
    let (range, total) = range.strip_prefix("bytes ")?.split_once('/')?;
    Some((range.split_once('-')?.0.parse().ok()?, total.parse().ok()?))
}

fn refusal(response: &Response<Body>) -> Failure {
    let status = response.status().as_u16();
    let header = |name| text(response.headers(), name).map(shortened);
    let (code, message) = (header("x-error-code"), header("x-error-message"));
    if status >= 500 {
        let message = message.map(|message| format!(" ({message})")).unwrap_or_default();
        return Failure::Unreachable(format!("it answers {status}{message}"));
    }
    Failure::Refused(Refusal { status, code, message })
}

/// What a server said, if it is not too long.
fn shortened(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(MAX_MESSAGE).collect()
}

fn unanswered(error: &ureq::Error) -> Failure {
    match error {
        ureq::Error::Http(_)
        | ureq::Error::BadUri(_)
        | ureq::Error::Protocol(_)
        | ureq::Error::LargeResponseHeader(..) => Failure::Answer(error.to_string()),
        _ => Failure::Unreachable(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        assert_eq!(origin("https://a.b:1/c?d"), "https://a.b:1");
        assert_eq!(origin("https://a.b?x=/"), "https://a.b");
        assert_eq!(origin("nonsense"), "nonsense");
        assert_eq!(redirected("https://a/b", "/c").as_deref(), Some("https://a/c"));
        assert_eq!(redirected("https://a/b", "//c/d").as_deref(), Some("https://c/d"));
        assert_eq!(redirected("https://a/b", "http://c/d").as_deref(), Some("http://c/d"));
        assert_eq!(redirected("https://a/b", "ftp://c"), None);
    }

    #[test]
    fn ranges() {
        assert_eq!(content_range("bytes 5-9/10"), Some((5, 10)));
        for range in [
            "",
            "bytes",
            "bytes 5-9/*",
            "bytes */10",
            "5-9/10",
            "bytes -1-9/10",
            "bytes 5-9/99999999999999999999",
        ] {
            assert_eq!(content_range(range), None, "{range}");
        }
    }
}
