//! The proxy for an address, if any: what `huggingface_hub`, or rather `httpx`,
//! makes of the environment.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::net::IpAddr;

use ureq::http::Uri;
use ureq::{Proxy, ProxyProtocol};

use super::failure::Failure;

/// The proxies that the environment names.
pub(super) struct Proxies {
    http: Option<Setting>,
    https: Option<Setting>,
    /// For whatever has none of its own.
    all: Option<Setting>,
    /// The hosts that are asked directly (`NO_PROXY`).
    direct: Vec<String>,
}

/// A variable and its value.
struct Setting {
    variable: String,
    value: String,
}

/// A proxy, and what it is called without the password that it may have been given.
pub(super) struct Via {
    pub proxy: Proxy,
    variable: String,
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { proxy, variable } = self;
        let protocol = proxy.protocol().to_string().to_lowercase();
        write!(f, "{protocol}://{}:{} ({variable})", proxy.host(), proxy.port())
    }
}

impl Proxies {
    pub fn from_env() -> Self {
        Self::new(|name| env::var_os(name))
    }

    fn new(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let is_cgi = variable("REQUEST_METHOD").is_some();
        // What is set in lower case counts, even if it is empty. Nothing good comes of bytes that
        // are not text.
        let setting = |lower: &str| {
            let upper = lower.to_uppercase();
            // In a web server (CGI), a client could set this one with the header `Proxy`.
            let names =
                if is_cgi && lower == "http_proxy" { vec![lower] } else { vec![lower, &upper] };
            let (name, value) = names.into_iter().find_map(|name| Some((name, variable(name)?)))?;
            let value = value.to_string_lossy().trim().to_owned();
            (!value.is_empty()).then(|| Setting { variable: name.to_owned(), value })
        };
        let direct = setting("no_proxy").map(|setting| setting.value).unwrap_or_default();
        let is_between = |character: char| character == ',' || character.is_whitespace();
        let direct = direct.split(is_between).filter(|entry| !entry.is_empty());
        Self {
            http: setting("http_proxy"),
            https: setting("https_proxy"),
            all: setting("all_proxy"),
            direct: direct.map(str::to_lowercase).collect(),
        }
    }

    /// The proxy for an address; `None` for a direct connection.
    ///
    /// # Errors
    /// [`Failure::Proxy`] if the environment names something that cannot be one. It is not ignored: who needs a proxy must not be connected directly.
    pub fn of(&self, url: &str) -> Result<Option<Via>, Failure> {
        // An invalid address is rejected when the request is sent.
        let Ok(url) = url.parse::<Uri>() else { return Ok(None) };
        let is_https = url.scheme_str() == Some("https");
        let own = if is_https { &self.https } else { &self.http };
        let Some(setting) = own.as_ref().or(self.all.as_ref()) else { return Ok(None) };
        let target = Target::of(&url);
        if self.direct.iter().any(|entry| target.is_meant_by(entry)) {
            return Ok(None);
        }
        setting.parse().map(Some)
    }
}

impl Setting {
    fn parse(&self) -> Result<Via, Failure> {
        let Self { variable, value } = self;
        let url = if value.contains("://") { value.clone() } else { format!("http://{value}") };
        let proxy = Proxy::new(&url).ok().filter(has_host).and_then(resolving).ok_or_else(|| {
            // Without a password.
            let shown = value.rsplit('@').next().unwrap_or_default();
            Failure::Proxy(format!(
                "{variable} is not the address of a proxy: expected http://host:port, https://… or socks5://…, found {shown:?}"
            ))
        })?;
        Ok(Via { proxy, variable: variable.clone() })
    }
}

/// Whether a proxy's address has a host and, if any, a port that is one.
fn has_host(proxy: &Proxy) -> bool {
    let authority = proxy.uri().authority().map(|authority| authority.as_str());
    let place = authority.and_then(|authority| authority.rsplit('@').next()).unwrap_or_default();
    let port = place.strip_prefix(proxy.host()).and_then(|port| match port {
        "" => Some(1),
        port => port.strip_prefix(':')?.parse::<u16>().ok(),
    });
    !proxy.host().is_empty() && port.is_some_and(|port| port > 0)
}

/// Has a SOCKS 5 proxy resolve names, as `httpx` does: this machine may not be able to, and need
/// not tell.
fn resolving(proxy: Proxy) -> Option<Proxy> {
    if proxy.protocol() != ProxyProtocol::Socks5 {
        return Some(proxy);
    }
    let mut builder = Proxy::builder(ProxyProtocol::Socks5h).host(proxy.host()).port(proxy.port());
    if let Some(username) = proxy.username() {
        builder = builder.username(username);
    }
    if let Some(password) = proxy.password() {
        builder = builder.password(password);
    }
    builder.build().ok()
}

/// What `NO_PROXY` may name.
struct Target {
    scheme: String,
    host: String,
    port: u16,
}

impl Target {
    fn of(url: &Uri) -> Self {
        let scheme = url.scheme_str().unwrap_or_default().to_lowercase();
        let port = url.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
        Self { host: bare(&url.host().unwrap_or_default().to_lowercase()), scheme, port }
    }

    /// Whether an entry names it: `*`, a domain (its subdomains, too), `.domain` or `*.domain`
    /// (these alone), the beginning of an address (`10.*`), an address, a network (`10.0.0.0/8`),
    /// each perhaps with a scheme before or a port behind it.
    fn is_meant_by(&self, entry: &str) -> bool {
        let (scheme, entry) = match entry.split_once("://") {
            Some((scheme, entry)) => (Some(scheme), entry.trim_end_matches('/')),
            None => (None, entry),
        };
        if scheme.is_some_and(|scheme| scheme != "all" && scheme != self.scheme) {
            return false;
        }
        if let Some((network, length)) = entry.split_once('/') {
            return self.is_within(network, length);
        }
        let (host, port) = with_port(entry);
        port.is_none_or(|port| port == self.port) && self.has_name(&bare(host))
    }

    fn has_name(&self, name: &str) -> bool {
        let host = self.host.as_str();
        if let (Ok(one), Ok(other)) = (host.parse::<IpAddr>(), name.parse::<IpAddr>()) {
            return one == other;
        }
        match (name.strip_prefix('*').unwrap_or(name), name.strip_suffix('*')) {
            ("", _) => !name.is_empty(),
            (_, Some(start)) => host.starts_with(start),
            (end, None) if end != name => host.ends_with(end),
            (end, None) if end.starts_with('.') => host.ends_with(end),
            (domain, None) => host
                .strip_suffix(domain)
                .is_some_and(|before| before.is_empty() || before.ends_with('.')),
        }
    }

    fn is_within(&self, network: &str, length: &str) -> bool {
        let bits = |address: IpAddr| match address {
            IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, 32),
            IpAddr::V6(address) => (address.to_bits(), 128),
        };
        let (Ok(host), Ok(network), Ok(length)) =
            (self.host.parse(), bare(network).parse(), length.parse::<u32>())
        else {
            return false;
        };
        let ((host, size), (network, network_size)) = (bits(host), bits(network));
        let mask = u128::MAX.checked_shl(128 - length.min(128)).unwrap_or(0);
        size == network_size && length <= size && host & mask == network & mask
    }
}

/// A host and, if there is one, a port.
fn with_port(entry: &str) -> (&str, Option<u16>) {
    match entry.rsplit_once(':') {
        // Not of an IPv6 address without brackets.
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => match port.parse() {
            Ok(port) => (host, Some(port)),
            Err(_) => (entry, None),
        },
        _ => (entry, None),
    }
}

/// A host without the brackets of an IPv6 address, or the dot of a name that is complete.
fn bare(host: &str) -> String {
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.strip_suffix('.').unwrap_or(host).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HUB: &str = "https://huggingface.co/x";
    const MIRROR: &str = "http://10.1.2.3:8080/x";

    fn proxies(variables: &[(&str, &str)]) -> Proxies {
        Proxies::new(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into())
        })
    }

    fn way(variables: &[(&str, &str)], url: &str) -> Option<String> {
        proxies(variables).of(url).unwrap().map(|via| via.to_string())
    }

    #[test]
    fn an_address_has_the_proxy_of_its_scheme() {
        let both = [("HTTPS_PROXY", "http://s:1"), ("HTTP_PROXY", "http://p:2")];
        assert_eq!(way(&both, HUB).as_deref(), Some("http://s:1 (HTTPS_PROXY)"));
        assert_eq!(way(&both, MIRROR).as_deref(), Some("http://p:2 (HTTP_PROXY)"));
        assert_eq!(way(&both[..1], MIRROR), None);
        assert_eq!(way(&both[1..], HUB), None);
        let all = [both[0], ("all_proxy", "socks5://a:3")];
        assert_eq!(way(&all, HUB).as_deref(), Some("http://s:1 (HTTPS_PROXY)"));
        assert_eq!(way(&all, MIRROR).as_deref(), Some("socks5h://a:3 (all_proxy)"));
        assert_eq!(way(&[], HUB), None);
    }

    #[test]
    fn lower_case_comes_first() {
        let https = |lower| [("HTTPS_PROXY", "http://upper"), ("https_proxy", lower)];
        assert_eq!(way(&https("http://l"), HUB).as_deref(), Some("http://l:80 (https_proxy)"));
        assert_eq!(way(&https(""), HUB), None);
        let cgi = [("HTTP_PROXY", "http://evil"), ("REQUEST_METHOD", "GET")];
        assert_eq!(way(&cgi, MIRROR), None);
    }

    #[test]
    fn what_a_proxy_may_be() {
        for (value, expected) in [
            ("proxy:3128", "http://proxy:3128"),
            ("http://proxy:3128/", "http://proxy:3128"),
            (" http://proxy ", "http://proxy:80"),
            ("https://me:p%40ss@proxy", "https://proxy:443"),
            ("http://[::1]:3128", "http://[::1]:3128"),
            ("SOCKS5://me:word@proxy", "socks5h://proxy:1080"),
            ("socks5h://proxy", "socks5h://proxy:1080"),
            ("socks://proxy:1", "socks5h://proxy:1"),
            ("socks4://proxy", "socks4://proxy:1080"),
            ("socks4a://proxy", "socks4a://proxy:1080"),
        ] {
            let found = way(&[("HTTPS_PROXY", value)], HUB);
            assert_eq!(found, Some(format!("{expected} (HTTPS_PROXY)")), "{value}");
        }
        let via = proxies(&[("ALL_PROXY", "socks5://me:p%40ss@proxy")]).of(HUB).unwrap().unwrap();
        assert_eq!((via.proxy.username(), via.proxy.password()), (Some("me"), Some("p@ss")));
        assert!(!via.proxy.resolve_target());
    }

    #[test]
    fn what_cannot_be_a_proxy_is_an_error() {
        for value in [
            "nonsense://proxy",
            "htp://me:secret@proxy:3128",
            "http://",
            "http://:3128",
            "http://proxy:port",
            "http://proxy:99999",
            "http://proxy:0",
            "http:/proxy",
            "two words",
            "/a/path",
            "://",
            ":",
        ] {
            let Err(Failure::Proxy(why)) = proxies(&[("https_proxy", value)]).of(HUB) else {
                panic!("{value}");
            };
            assert!(why.starts_with("https_proxy is not the address of a proxy"), "{why}");
            assert!(!why.contains("secret"), "{why}");
        }
        // Those of other schemes do no harm.
        assert_eq!(way(&[("HTTP_PROXY", "nonsense://x")], HUB), None);
    }

    #[test]
    fn hosts_that_are_asked_directly() {
        let is_direct = |entries: &str, url: &str| {
            let all = [("ALL_PROXY", "http://p"), ("NO_PROXY", entries)];
            proxies(&all).of(url).unwrap().is_none()
        };
        for (entries, url) in [
            ("*", HUB),
            ("example.org,*", HUB),
            ("huggingface.co", HUB),
            ("HuggingFace.CO", HUB),
            ("example.org, huggingface.co", HUB),
            ("example.org huggingface.co", HUB),
            ("huggingface.co:443", HUB),
            ("https://huggingface.co", HUB),
            ("all://huggingface.co", HUB),
            ("huggingface.co", "https://cdn.huggingface.co/x"),
            (".huggingface.co", "https://cdn.huggingface.co/x"),
            ("*.huggingface.co", "https://cdn.huggingface.co/x"),
            ("huggingface.co", "https://huggingface.co./x"),
            ("10.1.2.3", MIRROR),
            ("10.1.2.3:8080", MIRROR),
            ("10.0.0.0/8", MIRROR),
            ("10.1.2.3/32", MIRROR),
            ("0.0.0.0/0", MIRROR),
            ("10.1.*", MIRROR),
            ("localhost", "http://localhost:1234"),
            ("::1", "http://[::1]:1234"),
            ("[::1]", "http://[::1]:1234"),
            ("[::1]:1234", "http://[::1]:1234"),
            ("0:0:0:0:0:0:0:1", "http://[::1]:1234"),
            ("fe80::/10", "http://[fe80::7]/"),
        ] {
            assert!(is_direct(entries, url), "{entries} {url}");
        }
        for (entries, url) in [
            ("", HUB),
            (",", HUB),
            ("face.co", HUB),
            ("co.uk", HUB),
            (".huggingface.co", HUB),
            ("*.huggingface.co", HUB),
            ("huggingface.co:80", HUB),
            ("http://huggingface.co", HUB),
            ("cdn.huggingface.co", HUB),
            ("10.1.2.4", MIRROR),
            ("0.1.2.3", MIRROR),
            ("10.1.2.3:80", MIRROR),
            ("11.0.0.0/8", MIRROR),
            ("10.1.2.0/33", MIRROR),
            ("10.1.2.0/x", MIRROR),
            ("::/0", MIRROR),
            ("10.2.*", MIRROR),
        ] {
            assert!(!is_direct(entries, url), "{entries} {url}");
        }
        let lower = [("ALL_PROXY", "http://p"), ("NO_PROXY", "*"), ("no_proxy", "example.org")];
        assert!(way(&lower, HUB).is_some());
    }
}
