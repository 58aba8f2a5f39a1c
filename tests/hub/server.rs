//! A server on the loopback address that serves one repository the way the Hub does: listings at
//! `/api/models`, small files behind a relative redirection, large ones behind one to another host,
//! with ranges.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use sha2::{Digest, Sha256};

pub const NAME: &str = "owner/fixture";
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
/// The commit of the revision `refs/pr/1`.
pub const OTHER_COMMIT: &str = "89abcdef0123456789abcdef0123456789abcdef";
pub const TOKEN: &str = "hf_secret";

/// A request as it came in.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Whether it came to the host that large files are on.
    pub elsewhere: bool,
    pub method: String,
    pub path: String,
    pub headers: BTreeMap<String, String>,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// `GET /path`.
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// What is sent back, and how much of the body before the connection is closed.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub cut: Option<usize>,
    /// How long nothing is sent in place of what is cut off.
    pub stall: Duration,
    /// Whether a length is sent, if none of the headers has one.
    pub has_length: bool,
}

impl Reply {
    pub fn new(status: u16) -> Self {
        let (headers, body, stall) = (Vec::new(), Vec::new(), Duration::ZERO);
        Self { status, headers, body, cut: None, stall, has_length: true }
    }

    pub fn header(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Closes the connection after so many bytes of the body.
    pub fn cut(mut self, after: usize) -> Self {
        self.cut = Some(after);
        self
    }

    /// The bytes on the wire.
    pub fn bytes(&self, with_body: bool) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} Said\r\nConnection: close\r\n", self.status);
        for (name, value) in &self.headers {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        let says_length = ["Content-Length", "Transfer-Encoding"];
        if self.has_length
            && !self.headers.iter().any(|(name, _)| says_length.contains(&name.as_str()))
        {
            write!(head, "Content-Length: {}\r\n", self.body.len()).unwrap();
        }
        let mut bytes = (head + "\r\n").into_bytes();
        if with_body {
            bytes.extend(&self.body[..self.cut.unwrap_or(self.body.len()).min(self.body.len())]);
        }
        bytes
    }
}

/// A body in chunks.
pub fn chunked(status: u16, bytes: &[u8]) -> Reply {
    let chunk =
        |piece: &[u8]| [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
    let mut body: Vec<u8> = bytes.chunks(65_536).flat_map(chunk).collect();
    body.extend(b"0\r\n\r\n");
    Reply::new(status).header("Transfer-Encoding", "chunked").body(body)
}

/// Changes what is answered: gets the request and what the Hub would say.
type Meddle = Box<dyn FnMut(&Seen, Reply) -> Reply + Send>;
/// Changes the bytes that are sent.
type Garble = Box<dyn FnMut(Vec<u8>) -> Vec<u8> + Send>;

#[derive(Default)]
struct State {
    files: BTreeMap<String, Vec<u8>>,
    seen: Vec<Seen>,
    meddle: Option<Meddle>,
    garble: Option<Garble>,
    elsewhere: Option<SocketAddr>,
}

#[derive(Clone)]
pub struct Server {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Server {
    /// Serves these files.
    pub fn new<'a>(files: impl IntoIterator<Item = (&'a str, Vec<u8>)>) -> Self {
        let files = files.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect();
        let state = Arc::new(Mutex::new(State { files, ..State::default() }));
        let address = listen(&state, false);
        state.lock().unwrap().elsewhere = Some(listen(&state, true));
        Self { address, state }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn set(&self, name: &str, bytes: impl Into<Vec<u8>>) {
        self.state().files.insert(name.to_owned(), bytes.into());
    }

    pub fn remove(&self, name: &str) {
        self.state().files.remove(name);
    }

    /// Answers differently from now on.
    pub fn meddle(&self, meddle: impl FnMut(&Seen, Reply) -> Reply + Send + 'static) {
        self.state().meddle = Some(Box::new(meddle));
    }

    /// Sends other bytes from now on.
    pub fn garble(&self, garble: impl FnMut(Vec<u8>) -> Vec<u8> + Send + 'static) {
        self.state().garble = Some(Box::new(garble));
    }

    /// Is the Hub again.
    pub fn behave(&self) {
        let mut state = self.state();
        (state.meddle, state.garble) = (None, None);
    }

    /// The requests since it was asked for them last.
    pub fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.state().seen)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

fn listen(state: &Arc<Mutex<State>>, elsewhere: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let state = Arc::clone(state);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let state = Arc::clone(&state);
            // A client that hangs up is none of the server's business.
            thread::spawn(move || serve(stream, &state, elsewhere).unwrap_or_default());
        }
    });
    address
}

fn serve(mut stream: TcpStream, state: &Mutex<State>, elsewhere: bool) -> std::io::Result<()> {
    let Some(seen) = read_request(&stream, elsewhere)? else { return Ok(()) };
    let (bytes, stall) = {
        let mut state = state.lock().unwrap();
        let mut reply = if elsewhere { large(&state, &seen) } else { hub(&state, &seen) };
        if let Some(meddle) = &mut state.meddle {
            reply = meddle(&seen, reply);
        }
        let mut bytes = reply.bytes(seen.method != "HEAD");
        if let Some(garble) = &mut state.garble {
            bytes = garble(bytes);
        }
        state.seen.push(seen);
        (bytes, reply.stall)
    };
    stream.write_all(&bytes)?;
    thread::sleep(stall);
    stream.shutdown(std::net::Shutdown::Write)?;
    // Until the client has read it all: otherwise the system may throw away what is on its way.
    std::io::copy(&mut stream, &mut std::io::sink()).map(drop)
}

fn read_request(stream: &TcpStream, elsewhere: bool) -> std::io::Result<Option<Seen>> {
    let mut lines = BufReader::new(stream.take(1 << 16)).lines();
    let Some(first) = lines.next().transpose()? else { return Ok(None) };
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = BTreeMap::new();
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    Ok(Some(Seen { elsewhere, method, path, headers }))
}

/// What the Hub itself says.
fn hub(state: &State, seen: &Seen) -> Reply {
    if let Some(rest) = seen.path.strip_prefix("/api/models/") {
        return listing(state, seen, rest);
    }
    // Models of before there were owners.
    if let Some(rest) = seen.path.strip_prefix("/old-fixture/") {
        return Reply::new(307).header("Location", format!("/{NAME}/{rest}"));
    }
    let cached = format!("/api/resolve-cache/models/{NAME}/");
    let direct = format!("/{NAME}/resolve/");
    let (rest, is_cached) = match (seen.path.strip_prefix(&cached), seen.path.strip_prefix(&direct))
    {
        (Some(rest), _) => (rest, true),
        (_, Some(rest)) => (rest, false),
        _ => return unknown(seen),
    };
    let Some((commit, file)) = rest.split_once('/') else { return unknown(seen) };
    let Some(bytes) = state.files.get(file) else {
        return Reply::new(404)
            .header("X-Error-Code", "EntryNotFound")
            .header("X-Repo-Commit", commit);
    };
    let reply = |status| Reply::new(status).header("X-Repo-Commit", commit);
    if is_large(file) {
        let location = format!("http://{}/{file}?signature=1", state.elsewhere.unwrap());
        return reply(302)
            .header("Location", location)
            .header("ETag", "\"of-the-redirection\"")
            .header("X-Linked-Etag", format!("\"{}\"", sha256(bytes)))
            .header("X-Linked-Size", bytes.len());
    }
    if !is_cached {
        return reply(307).header("Location", format!("{cached}{rest}"));
    }
    let etag = format!("W/\"{}\"", &sha256(bytes)[..40]);
    reply(200).header("ETag", etag).header("Content-Length", bytes.len()).body(bytes.as_slice())
}

fn listing(state: &State, seen: &Seen, rest: &str) -> Reply {
    if let Some(rest) = rest.strip_prefix("old-fixture/") {
        return Reply::new(307).header("Location", format!("/api/models/{NAME}/{rest}"));
    }
    let Some(revision) = rest.strip_prefix(&format!("{NAME}/revision/")) else {
        return unknown(seen);
    };
    let commit = match revision {
        "main" | COMMIT => COMMIT,
        "refs%2Fpr%2F1" | OTHER_COMMIT => OTHER_COMMIT,
        _ => return Reply::new(404).header("X-Error-Code", "RevisionNotFound"),
    };
    let names: Vec<_> =
        state.files.keys().map(|name| serde_json::json!({ "rfilename": name })).collect();
    let answer =
        serde_json::json!({ "id": NAME, "sha": commit, "private": false, "siblings": names });
    Reply::new(200).body(answer.to_string())
}

/// The Hub tells only those that have a token that there is no such model.
fn unknown(seen: &Seen) -> Reply {
    let (status, message) = match seen.header("authorization") {
        Some(_) => (404, "Repository not found"),
        None => (401, "Invalid username or password."),
    };
    Reply::new(status).header("X-Error-Message", message).header("X-Error-Code", "RepoNotFound")
}

/// What the host of large files says.
fn large(state: &State, seen: &Seen) -> Reply {
    let name = seen.path.trim_start_matches('/').split('?').next().unwrap();
    let Some(bytes) = state.files.get(name) else { return Reply::new(404) };
    let start =
        seen.header("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'));
    let Some(start) = start.map(|start| start.parse::<usize>().unwrap()) else {
        return Reply::new(200).body(bytes.as_slice());
    };
    let total = bytes.len();
    if start >= total {
        return Reply::new(416).header("Content-Range", format!("bytes */{total}"));
    }
    Reply::new(206)
        .header("Content-Range", format!("bytes {start}-{}/{total}", total - 1))
        .body(&bytes[start..])
}

fn is_large(file: &str) -> bool {
    file.ends_with(".safetensors") || file.ends_with(".bin")
}

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
