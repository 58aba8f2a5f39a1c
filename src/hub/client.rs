//! Requests to the Hub, and what its answers must be.

use std::collections::BTreeSet;
use std::io::Read;
use std::time::Duration;

use serde::Deserialize;
use ureq::http::{HeaderMap, Method, Request, Response, header};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body, BodyReader};

use super::address::{Range, origin, redirected};
use super::failure::{Failure, Refusal};
use super::name::{Repository, escaped, is_commit, is_plain};
use super::proxy::Proxies;
use crate::files::MAX_JSON;

/// As in `huggingface_hub`'s requests, from the Hub to where large files are, with room to spare.
const MAX_REDIRECTS: usize = 5;

/// The longest message of the server's that is handed on, in characters.
const MAX_MESSAGE: usize = 200;

/// Where the Hub is, by whatever mirror it is asked: these are shown the token, as
/// `huggingface_hub` does.
const HUBS: [&str; 2] = ["https://huggingface.co", "https://hf.co"];

/// Talks to one endpoint.
pub(super) struct Client<'a> {
    agent: Agent,
    endpoint: &'a str,
    token: Option<&'a str>,
    proxies: Proxies,
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
    /// Its length, unless only the host of the file reports it.
    pub size: Option<u64>,
}

/// The rest of a file.
pub(super) struct Part {
    /// Where it begins: where it was asked to, or at 0.
    pub start: u64,
    /// Whether the server says that it begins there.
    pub is_certain: bool,
    /// The length of the file, if the server says it.
    pub total: Option<u64>,
    /// Whether the end of what is read is an end that the server has marked.
    pub is_delimited: bool,
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
        let agent = config.proxy(None).build().new_agent();
        Self { agent, endpoint, token, proxies: Proxies::from_env() }
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

    /// What the Hub says of a file. Where it redirects elsewhere, it says so before, as a rule.
    pub fn metadata(&self, url: &str) -> Result<Metadata, Failure> {
        let response = self.follow(Method::HEAD, url, None, false)?;
        let headers = response.headers();
        let etag = text(headers, "x-linked-etag").or_else(|| text(headers, "etag"));
        let etag = etag.ok_or_else(|| Failure::Answer(format!("no ETag for {url}")))?;
        let etag = etag.trim().trim_start_matches("W/").trim_matches('"');
        if !is_plain(etag) {
            return Err(Failure::Answer(format!("{:?} as the ETag of {url}", shortened(etag))));
        }
        let size = match text(headers, "x-linked-size") {
            Some(size) => Some(size.trim().parse().map_err(|_| {
                Failure::Answer(format!("{:?} as the size of {url}", shortened(size)))
            })?),
            // A redirection has a length of its own; some servers answer such questions with none
            // at all.
            None if response.status().is_redirection() => None,
            None => content_length(headers).filter(|&size| size > 0),
        };
        Ok(Metadata { etag: etag.to_owned(), size })
    }

    /// A file, if possible from the byte `start`.
    ///
    /// # Errors
    /// [`Failure::Range`] if the response is not the requested range, so that the file must be restarted
    /// again.
    pub fn part(&self, url: &str, start: u64) -> Result<Part, Failure> {
        let asked = (start > 0).then_some(start);
        let response = match self.follow(Method::GET, url, asked, true) {
            // What is there may be more than the server has.
            Err(Failure::Refused(refusal)) if refusal.status == 416 => {
                return Err(Failure::Range(format!("416 for {url} from byte {start}")));
            }
            response => response?,
        };
        let headers = response.headers();
        if let Some(encoding) = text(headers, "content-encoding").filter(|it| *it != "identity") {
            let encoding = shortened(encoding);
            return Err(Failure::Answer(format!("{url} in the encoding {encoding:?}")));
        }
        let length = content_length(headers);
        let is_chunked =
            text(headers, "transfer-encoding").is_some_and(|it| it.contains("chunked"));
        let (start, is_certain, total) =
            match (response.status().as_u16(), headers.get("content-range")) {
                (206, Some(_)) => {
                    let header = text(headers, "content-range").unwrap_or_default();
                    let range = Range::parse(header).filter(|range| {
                        range.first == start && length.is_none_or(|length| length == range.length)
                    });
                    let range = range.ok_or_else(|| {
                        Failure::Range(format!("the range {:?} of {url}", shortened(header)))
                    })?;
                    (start, true, range.total)
                }
                // Nothing says which part it is.
                (206, None) if start > 0 => {
                    (start, false, length.map(|length| start.saturating_add(length)))
                }
                _ => (0, true, length),
            };
        // A part may be any part of the file.
        let is_delimited = response.status() != 206 && (is_chunked || length.is_some());
        Ok(Part {
            start,
            is_certain,
            total,
            is_delimited,
            reader: response.into_body().into_reader(),
        })
    }

    /// Sends a request, and again to where it is redirected. To a host other than the Hub's only if
    /// `elsewhere`, or if the Hub does not say what file it is that is there.
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
            let headers = response.headers();
            let is_described = text(headers, "x-linked-etag").or(text(headers, "etag")).is_some();
            let is_elsewhere = origin(&next) != origin(&url) && !self.is_hub(&next);
            if !elsewhere && is_elsewhere && is_described {
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
        if let Some(token) = self.token.filter(|_| self.is_hub(url)) {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if let Some(start) = start {
            request = request.header(header::RANGE, format!("bytes={start}-"));
        }
        let request = request
            .body(())
            .map_err(|error| Failure::Answer(format!("the address {url:?} ({error})")))?;
        let (via, proxy) = match self.proxies.of(url)? {
            Some(via) => (format!(", through {via}"), Some(via.proxy)),
            None => (String::new(), None),
        };
        let request = self.agent.configure_request(request).proxy(proxy).build();
        self.agent.run(request).map_err(|error| unanswered(&error, &via))
    }

    /// Whether an address is one of the endpoint's or the Hub's, which may know who is asking.
    fn is_hub(&self, url: &str) -> bool {
        let origin_of_url = origin(url);
        [self.endpoint].iter().chain(&HUBS).any(|hub| origin(hub) == origin_of_url)
    }
}

/// A header's value, if it is text.
fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The length of an answer.
fn content_length(headers: &HeaderMap) -> Option<u64> {
    text(headers, "content-length")?.trim().parse().ok()
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

/// `via` is the proxy that was asked, if there was one.
fn unanswered(error: &ureq::Error, via: &str) -> Failure {
    let said = format!("{error}{via}");
    match error {
        ureq::Error::Http(_)
        | ureq::Error::BadUri(_)
        | ureq::Error::Protocol(_)
        | ureq::Error::LargeResponseHeader(..) => Failure::Answer(said),
        // It does not want to be asked, or not by somebody without a password.
        ureq::Error::ConnectProxyFailed(why) if why.contains("responded 4") => Failure::Proxy(said),
        _ => Failure::Unreachable(said),
    }
}
