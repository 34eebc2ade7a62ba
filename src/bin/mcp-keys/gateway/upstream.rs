//! Where a server is, and which of its paths a request means.
//!
//! 1. The URL's path replaces `/mcp`: with `http://host/api/mcp/` a request for `/mcp` asks for
//!    exactly `/api/mcp/`, one for `/mcp/x` for `/api/mcp/x`.
//! 2. A URL without a path, or with `/` alone, keeps `/mcp`. A route's name is the gateway's own
//!    and never part of what the server is asked for.
//! 3. A path that means something else to whoever resolves its dots, encoded ones included, means
//!    nothing here: it would lead out of the server's part of a host that holds several.

use std::borrow::Cow;

use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};

use super::formats::{Accepted, begins_as_key};

/// What a request for the server's root is called inside the gateway.
pub(super) const MCP: &str = "/mcp";

/// An MCP server.
#[derive(Clone, Debug)]
pub(super) struct Upstream {
    scheme: Scheme,
    authority: Authority,
    base: String,
}

impl Upstream {
    /// Reads a URL; the error says what one looks like.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let url: Uri = text.parse().map_err(|_| "is no URL")?;
        let parts = url.into_parts();
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
            return Err("must begin with http:// or https:// and name a host");
        };
        if scheme != Scheme::HTTP && scheme != Scheme::HTTPS {
            return Err("must begin with http:// or https://");
        }
        if authority.host().is_empty() {
            return Err("must name a host");
        }
        if authority.as_str().contains('@') {
            return Err("must not hold a user name or password");
        }
        let has_port = authority.as_str() != authority.host();
        if has_port && authority.port_u16().is_none_or(|port| port == 0) {
            return Err("has no valid port");
        }
        if text.contains(['?', '#']) {
            return Err("must not hold a query or fragment");
        }
        let base = match parts.path_and_query.as_ref().map(PathAndQuery::path) {
            None | Some("" | "/") => MCP,
            Some(path) => path,
        };
        Ok(Self {
            scheme,
            authority,
            base: base.to_owned(),
        })
    }

    /// The URL of what stands at `tail` below the server's root. Nothing, if that leads elsewhere.
    pub(super) fn url(&self, tail: &str, query: Option<&str>) -> Option<Uri> {
        if leads_elsewhere(tail) {
            return None;
        }
        let base = match tail {
            "" => self.base.as_str(),
            _ => self.base.trim_end_matches('/'),
        };
        let path = match query {
            None => format!("{base}{tail}"),
            Some(query) => format!("{base}{tail}?{query}"),
        };
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(path)
            .build()
            .ok()
    }

    /// Where `path` of the server is below its root: what [`url`](Self::url) makes `path` of.
    /// Nothing, if it is elsewhere.
    pub(super) fn tail<'p>(&self, path: &'p str) -> Option<&'p str> {
        if path == self.base {
            return Some("");
        }
        let tail = path.strip_prefix(self.base.trim_end_matches('/'))?;
        (tail.starts_with('/') && !leads_elsewhere(tail)).then_some(tail)
    }

    /// Whether `authority` is the server's own, in a URL of this scheme, or else of the server's.
    pub(super) fn is_at(&self, scheme: Option<&Scheme>, authority: &str) -> bool {
        if self.authority == *authority {
            return true;
        }
        let Ok(authority) = authority.parse::<Authority>() else {
            return false;
        };
        let port = |authority: &Authority, scheme: &Scheme| match authority.port_u16() {
            Some(port) => port,
            None if *scheme == Scheme::HTTPS => 443,
            None => 80,
        };
        let theirs = port(&authority, scheme.unwrap_or(&self.scheme));
        !authority.as_str().contains('@')
            && authority.host().eq_ignore_ascii_case(self.authority.host())
            && theirs == port(&self.authority, &self.scheme)
    }
}

/// Whether a server that resolves dots, decoded or not, would leave its own part.
fn leads_elsewhere(tail: &str) -> bool {
    segments(&percent_decode(tail.as_bytes())).any(|segment| {
        // Some servers cut parameters off before they resolve the dots.
        let name = segment.split(|&byte| byte == b';').next();
        matches!(name, Some(b"." | b".."))
    })
}

/// Whether a segment of `path` begins as keys do.
pub(super) fn holds_key(path: &str, formats: &[Accepted]) -> bool {
    segments(&percent_decode(path.as_bytes())).any(|segment| begins_as_key(segment, formats))
}

fn segments(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| matches!(byte, b'/' | b'\\'))
}

pub(super) fn percent_decode(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'%') {
        return Cow::Borrowed(text);
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = match after {
            [high, low, after @ ..] if byte == b'%' => hex(*high)
                .zip(hex(*low))
                .map(|(high, low)| (high * 16 + low, after)),
            _ => None,
        };
        let (byte, after) = escaped.unwrap_or((byte, after));
        decoded.push(byte);
        rest = after;
    }
    Cow::Owned(decoded)
}

fn hex(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_the_url_replaces_mcp_and_none_keeps_it() {
        for (upstream, tail, query, url) in [
            ("http://h:9000", "", None, "http://h:9000/mcp"),
            ("http://h:9000/", "/x", None, "http://h:9000/mcp/x"),
            ("http://h/mcp", "", None, "http://h/mcp"),
            ("http://h/mcp", "/", None, "http://h/mcp/"),
            ("https://h/a/b/", "", Some("c=d"), "https://h/a/b/?c=d"),
            ("https://h/a/b/", "/x/y", Some(""), "https://h/a/b/x/y?"),
            ("http://[::1]:9/a", "/x%20y", None, "http://[::1]:9/a/x%20y"),
        ] {
            let upstream = Upstream::parse(upstream).unwrap();
            assert_eq!(upstream.url(tail, query).unwrap().to_string(), url);
        }
    }

    #[test]
    fn a_path_below_the_root_is_told_from_one_that_is_not() {
        for base in ["", "/", "/a", "/a/", "/a/b"] {
            let upstream = Upstream::parse(&format!("http://h{base}")).unwrap();
            for tail in ["", "/x", "/x/y", "/x/"] {
                let url = upstream.url(tail, Some("q")).unwrap();
                assert_eq!(upstream.tail(url.path()), Some(tail), "{url}");
            }
            for path in ["/other", "/mcpx", "/ax", ""] {
                assert_eq!(upstream.tail(path), None, "{base} {path}");
            }
        }
    }

    #[test]
    fn paths_that_lead_elsewhere_have_no_url() {
        let upstream = Upstream::parse("http://h/a/mcp").unwrap();
        for tail in [
            "/..",
            "/../b",
            "/x/../../b",
            "/.",
            "/%2e%2E/b",
            "/..%2fb",
            "/x%5c..%5cb",
            "/..;x/b",
        ] {
            assert_eq!(upstream.url(tail, None), None, "{tail}");
        }
        for tail in ["/...", "/x..y", "/.well-known", "/%2", "/%", "/a%2fb"] {
            assert!(upstream.url(tail, None).is_some(), "{tail}");
        }
    }

    #[test]
    fn urls_that_say_too_much_or_too_little_are_refused() {
        for text in [
            "",
            "h:9000",
            "/mcp",
            "ftp://h",
            "http://",
            "http://user:word@h",
            "http://h/mcp?x",
            "http://h/#x",
            "http://h:",
            "http://h:0",
            "http://h:99999",
            "http://h:x",
        ] {
            assert!(Upstream::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_begins_as_a_key_is_seen_in_any_segment_and_encoding() {
        let formats = [
            Accepted::default(),
            Accepted::parse("segmented=ok1").unwrap(),
        ];
        for path in [
            "/mcp_sk_x",
            "/a/mcp_sk_x/b",
            "/%6dcp_sk_x",
            "/a%2fmcp_sk_",
            "/x/ok1%2dada",
        ] {
            assert!(holds_key(path, &formats), "{path}");
        }
        for path in ["/messages/xmcp_sk_", "/ok1", "/ok10-x"] {
            assert!(!holds_key(path, &formats), "{path}");
        }
    }
}
