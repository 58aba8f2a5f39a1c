//! Proxies, which the environment names: one of HTTP and one of SOCKS, that connect to whatever
//! port of this machine they are asked for.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::Home;
use crate::environment::{demo, run};
use crate::server::{NAME, Server};

/// A proxy, and what it was asked for.
struct Proxy {
    port: u16,
    seen: Arc<Mutex<Vec<String>>>,
}

/// Reads what is asked for and answers; the port to connect to, unless it was refused.
type Greet = fn(&mut TcpStream) -> io::Result<(String, Option<u16>)>;

impl Proxy {
    fn new(greet: Greet) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, seen) = (listener.local_addr().unwrap().port(), Arc::default());
        let log: Arc<Mutex<Vec<String>>> = Arc::clone(&seen);
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let log = Arc::clone(&log);
                thread::spawn(move || -> io::Result<()> {
                    let (asked, port) = greet(&mut stream)?;
                    log.lock().unwrap().push(asked);
                    port.map_or(Ok(()), |port| {
                        join(&stream, &TcpStream::connect(("127.0.0.1", port))?)
                    })
                });
            }
        });
        Self { port, seen }
    }

    fn seen(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

/// Hands on what either says to the other.
fn join(one: &TcpStream, other: &TcpStream) -> io::Result<()> {
    let (mut from, mut to) = (one.try_clone()?, other.try_clone()?);
    thread::spawn(move || io::copy(&mut from, &mut to));
    let (mut from, mut to) = (other, one);
    io::copy(&mut from, &mut to)?;
    to.shutdown(std::net::Shutdown::Both)
}

fn port(place: &str) -> Option<u16> {
    place.rsplit(':').next()?.parse().ok()
}

fn head(stream: &TcpStream) -> io::Result<Vec<String>> {
    let mut lines = Vec::new();
    for line in BufReader::new(stream.take(1 << 16)).lines() {
        match line?.as_str() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    Ok(lines)
}

fn http(stream: &mut TcpStream) -> io::Result<(String, Option<u16>)> {
    let lines = head(stream)?;
    let place = lines[0].split(' ').nth(1).unwrap_or_default().to_owned();
    stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n")?;
    Ok((format!("HTTP {place}"), port(&place)))
}

fn refusing(stream: &mut TcpStream) -> io::Result<(String, Option<u16>)> {
    head(stream)?;
    stream.write_all(b"HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n")?;
    Ok(("refused".to_owned(), None))
}

/// SOCKS 5, for names alone.
fn socks(stream: &mut TcpStream) -> io::Result<(String, Option<u16>)> {
    let mut bytes = [0; 256];
    stream.read_exact(&mut bytes[..2])?;
    let methods = usize::from(bytes[1]);
    stream.read_exact(&mut bytes[..methods])?;
    stream.write_all(&[5, 0])?;
    stream.read_exact(&mut bytes[..5])?;
    let (kind, length) = (bytes[3], usize::from(bytes[4]));
    if kind != 3 {
        return Ok((format!("SOCKS of kind {kind}"), None));
    }
    stream.read_exact(&mut bytes[..length + 2])?;
    let port = u16::from_be_bytes([bytes[length], bytes[length + 1]]);
    stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])?;
    Ok((format!("SOCKS {}:{port}", String::from_utf8_lossy(&bytes[..length])), Some(port)))
}

/// A Hub that only a proxy can find.
fn hidden(server: &Server) -> String {
    format!("http://hub.invalid:{}", port(&server.url()).unwrap())
}

/// Loads the model with these variables, in a new home. What came of it.
fn load(endpoint: &str, variables: &[(&str, &str)]) -> String {
    let home = Home::new();
    run(NAME, &[&[("HF_ENDPOINT", endpoint)], variables].concat(), home.0.path())
}

#[test]
fn the_scheme_s_own_proxy_is_used_and_socks_where_there_is_none() {
    let (server, one, other) = (demo(), Proxy::new(http), Proxy::new(socks));
    let hidden = hidden(&server);
    let place = hidden.trim_start_matches("http://");
    let [http, socks] = [("http", &one), ("socks5", &other)]
        .map(|(scheme, proxy)| format!("{scheme}://127.0.0.1:{}", proxy.port));
    for variables in [
        &[("HTTP_PROXY", http.as_str())][..],
        &[("http_proxy", &http)],
        &[("ALL_PROXY", &http)],
        &[("all_proxy", &socks), ("HTTP_PROXY", &http)],
        &[("HTTPS_PROXY", &socks), ("HTTP_PROXY", &http)],
    ] {
        let said = load(&hidden, variables);
        assert!(said.starts_with("loaded "), "{variables:?}: {said}");
        assert!(one.seen().contains(&format!("HTTP {place}")), "{variables:?}");
        assert!(other.seen().is_empty(), "{variables:?}");
    }
    for scheme in ["socks5", "socks5h", "socks"] {
        let socks = format!("{scheme}://127.0.0.1:{}", other.port);
        let said = load(&hidden, &[("ALL_PROXY", &socks), ("no_proxy", "127.0.0.1")]);
        assert!(said.starts_with("loaded "), "{said}");
        assert!(other.seen().contains(&format!("SOCKS {place}")));
    }
}

/// What comes after `CONNECT` would need a certificate; that it is asked of the right proxy is
/// enough here.
#[test]
fn https_addresses_have_a_proxy_of_their_own() {
    let (one, other) = (Proxy::new(http), Proxy::new(socks));
    let [own, all] = [("http", &one), ("socks5", &other)]
        .map(|(scheme, proxy)| format!("{scheme}://127.0.0.1:{}", proxy.port));
    let place = "hub.invalid:443";
    for (variables, http, socks) in [
        (&[("HTTPS_PROXY", own.as_str()), ("all_proxy", &all)][..], Some("HTTP"), None),
        (&[("https_proxy", &all), ("HTTP_PROXY", &own)], None, Some("SOCKS")),
        (&[("HTTP_PROXY", &own), ("ALL_PROXY", &all)], None, Some("SOCKS")),
        (&[("HTTP_PROXY", &own)], None, None),
    ] {
        let said = load(&format!("https://{place}"), variables);
        assert!(said.contains("cannot be reached"), "{variables:?}: {said}");
        let expected = |kind: Option<&str>| kind.map(|kind| format!("{kind} {place}")).into_iter();
        assert!(one.seen().into_iter().eq(expected(http)), "{variables:?}");
        assert!(other.seen().into_iter().eq(expected(socks)), "{variables:?}");
    }
}

/// Neither a proxy that is for other addresses is used, nor one for a host that has none.
#[test]
fn proxies_for_others_are_not_used() {
    let (server, proxy) = (demo(), Proxy::new(http));
    let address = format!("http://127.0.0.1:{}", proxy.port);
    for variables in [
        &[("HTTPS_PROXY", address.as_str())][..],
        &[("HTTP_PROXY", &address), ("NO_PROXY", "127.0.0.0/8")],
        &[("ALL_PROXY", &address), ("no_proxy", "localhost, 127.0.0.1")],
    ] {
        let said = load(&server.url(), variables);
        assert!(said.starts_with("loaded "), "{variables:?}: {said}");
        assert!(proxy.seen().is_empty(), "{variables:?}");
    }
}

/// A failing proxy is never bypassed.
#[test]
fn a_proxy_that_does_not_do_is_an_error() {
    let (server, proxy) = (demo(), Proxy::new(refusing));
    let refusing = format!("http://me:secret@127.0.0.1:{}", proxy.port);
    for (value, words) in [
        ("nonsense://x", "HTTP_PROXY is not the address of a proxy"),
        ("not a proxy", "HTTP_PROXY is not the address of a proxy"),
        ("http://127.0.0.1:1", "through http://127.0.0.1:1 (HTTP_PROXY)"),
        ("socks5://127.0.0.1:1", "through socks5h://127.0.0.1:1 (HTTP_PROXY)"),
        (&refusing, "407"),
    ] {
        let said = load(&server.url(), &[("HTTP_PROXY", value)]);
        assert!(said.contains(words) && !said.contains("secret"), "{value}: {said}");
        assert!(server.seen().is_empty(), "{value}");
    }
}
