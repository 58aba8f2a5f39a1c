//! Parts of addresses, and of the headers that speak of them.

/// Scheme, host and port of an address, as it has them.
fn without_path(url: &str) -> &str {
    let start = url.find("://").map_or(0, |at| at + 3);
    let end = url[start..].find(['/', '?', '#']).map_or(url.len(), |at| start + at);
    &url[..end]
}

/// Scheme, host and port of an address, in one spelling. With a user's name in front of the host,
/// it is not trusted.
pub(super) fn origin(url: &str) -> String {
    let origin = without_path(url).to_ascii_lowercase();
    let place = origin.split_once("://").map_or("", |(_, place)| place);
    // Of an IPv6 address, colons are in brackets.
    let has_port = place.rsplit(']').next().is_some_and(|rest| rest.contains(':'));
    match origin.split_once("://") {
        Some(("http", _)) if !has_port => origin + ":80",
        Some(("https", _)) if !has_port => origin + ":443",
        _ => origin,
    }
}

/// Where `location` leads from `url`: an address of its own, or a path on the same host.
pub(super) fn redirected(url: &str, location: &str) -> Option<String> {
    if location.starts_with("https://") || location.starts_with("http://") {
        Some(location.to_owned())
    } else if location.starts_with("//") {
        Some(format!("{}:{location}", url.split_once("://")?.0))
    } else if location.starts_with('/') {
        Some(format!("{}{location}", without_path(url)))
    } else {
        None
    }
}

/// What a `Content-Range` says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Range {
    /// The first byte.
    pub first: u64,
    /// How many bytes there are from there on.
    pub length: u64,
    /// How many bytes the file has, if that is said.
    pub total: Option<u64>,
}

impl Range {
    /// Of `bytes 5-9/10` or `bytes 5-9/*`.
    pub fn parse(header: &str) -> Option<Self> {
        let (range, total) = header.trim().strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
        let total = if total == "*" { None } else { Some(total.parse().ok()?) };
        let length = last.checked_sub(first)?.checked_add(1)?;
        total.is_none_or(|total| last < total).then_some(Self { first, length, total })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        assert_eq!(origin("https://a.b:1/c?d"), "https://a.b:1");
        assert_eq!(origin("https://a.b?x=/"), "https://a.b:443");
        assert_eq!(origin("HTTPS://A.b"), "https://a.b:443");
        assert_eq!(origin("http://[::1]/x"), "http://[::1]:80");
        assert_eq!(origin("http://[::1]:8/x"), "http://[::1]:8");
        assert_eq!(origin("nonsense"), "nonsense");
        for other in ["https://a.b@c/d", "https://a.b:443@c/d", "https://a.b\\@c", "http://a.b"] {
            assert_ne!(origin(other), origin("https://a.b"));
        }
        assert_eq!(redirected("https://a/b", "/c").as_deref(), Some("https://a/c"));
        assert_eq!(redirected("https://a:1?b", "/c").as_deref(), Some("https://a:1/c"));
        assert_eq!(redirected("https://a/b", "//c/d").as_deref(), Some("https://c/d"));
        assert_eq!(redirected("https://a/b", "http://c/d").as_deref(), Some("http://c/d"));
        assert_eq!(redirected("https://a/b", "ftp://c"), None);
    }

    #[test]
    fn ranges() {
        let range = |total| Some(Range { first: 5, length: 5, total });
        assert_eq!(Range::parse("bytes 5-9/10"), range(Some(10)));
        assert_eq!(Range::parse("bytes 5-9/*"), range(None));
        for header in [
            "",
            "bytes",
            "bytes */10",
            "5-9/10",
            "bytes 9-5/10",
            "bytes 5-9/9",
            "bytes -1-9/10",
            "bytes 0-18446744073709551615/*",
            "bytes 5-9/99999999999999999999",
        ] {
            assert_eq!(Range::parse(header), None, "{header}");
        }
    }
}
