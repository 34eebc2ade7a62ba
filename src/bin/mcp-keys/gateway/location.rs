//! Where an answer says that something is: `Location` and `Content-Location`, in the gateway's words.
//!
//! A server knows itself by its own address and path, and callers do not.
//!
//! 1. A location below the server's root becomes the same place below the gateway's: for the route
//!    `files` to `http://host/api/mcp`, `http://host/api/mcp/x?y` becomes `/files/mcp/x?y`. It is
//!    written without scheme and host, so it holds at whatever address a caller knows the gateway.
//! 2. A location without a host is the server's own too: `/api/mcp/x`, or `x` beside what was asked
//!    for. `http` and `https` make no difference: servers that hear of a caller's `https` say it of
//!    themselves.
//! 3. Every other location is passed on as it came: of other hosts, of the server outside its root,
//!    which has no place at the gateway, and with dots in its path, which lead anywhere.
//!
//! A location never holds a key. A caller with the key in its path has to add it again.

use std::borrow::Cow;

use http::header::{CONTENT_LOCATION, HeaderMap, HeaderValue, LOCATION};
use http::uri::Scheme;

use super::upstream::Upstream;

/// What a location is relative to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) upstream: &'a Upstream,
    /// What callers call the server's root, such as `/files/mcp`.
    pub(super) prefix: &'a str,
    /// The path that the server was asked for.
    pub(super) path: &'a str,
}

impl Asked<'_> {
    /// Rewrites the locations of an answer.
    pub(super) fn rewrite(self, headers: &mut HeaderMap) {
        for (name, value) in headers.iter_mut() {
            if name != LOCATION && name != CONTENT_LOCATION {
                continue;
            }
            let public = value.to_str().ok().and_then(|text| self.public(text));
            if let Some(public) = public.and_then(|text| HeaderValue::try_from(text).ok()) {
                *value = public;
            }
        }
    }

    /// What callers are to be told instead of `location`, if anything else.
    fn public(self, location: &str) -> Option<String> {
        let end = location.find(['?', '#']).unwrap_or(location.len());
        let (reference, rest) = location.split_at_checked(end)?;
        let path = self.path_of(reference)?;
        let tail = self.upstream.tail(&path)?;
        Some(format!("{}{tail}{rest}", self.prefix))
    }

    /// The path that `reference` means on the server; nothing if it does not name one there.
    fn path_of<'r>(self, reference: &'r str) -> Option<Cow<'r, str>> {
        let (scheme, rest) = match reference.split_once(':') {
            Some((scheme, rest)) if !scheme.contains('/') => (Some(scheme), rest),
            _ => (None, reference),
        };
        let scheme = match scheme {
            None => None,
            Some(text) if text.eq_ignore_ascii_case("http") => Some(Scheme::HTTP),
            Some(text) if text.eq_ignore_ascii_case("https") => Some(Scheme::HTTPS),
            Some(_) => return None,
        };
        match (rest.strip_prefix("//"), scheme) {
            (Some(rest), scheme) => {
                let (authority, path) = rest.split_at_checked(rest.find('/')?)?;
                let is_own = self.upstream.is_at(scheme.as_ref(), authority);
                is_own.then_some(Cow::Borrowed(path))
            }
            (None, Some(_)) => None,
            // A query alone stays with what was asked for, here as there.
            (None, None) if reference.is_empty() => None,
            (None, None) if reference.starts_with('/') => Some(Cow::Borrowed(reference)),
            (None, None) => {
                let (beside, _) = self.path.rsplit_once('/')?;
                Some(Cow::Owned(format!("{beside}/{reference}")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of a location in the answer to a request for `path` of the server.
    fn told(upstream: &str, path: &str, location: &'static str) -> String {
        let upstream = Upstream::parse(upstream).unwrap();
        let asked = Asked {
            upstream: &upstream,
            prefix: "/files/mcp",
            path,
        };
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, HeaderValue::from_static(location));
        headers.insert(CONTENT_LOCATION, HeaderValue::from_static(location));
        asked.rewrite(&mut headers);
        assert_eq!(headers[LOCATION], headers[CONTENT_LOCATION]);
        headers[LOCATION].to_str().unwrap().to_owned()
    }

    #[test]
    fn a_location_below_the_servers_root_is_one_below_the_gateways() {
        for (upstream, asked, location, public) in [
            ("http://h:9", "/mcp", "http://h:9/mcp/", "/files/mcp/"),
            ("http://h:9", "/mcp", "http://H:9/mcp", "/files/mcp"),
            ("http://h:9", "/mcp", "HTTPS://h:9/mcp/", "/files/mcp/"),
            ("http://h", "/mcp", "http://h:80/mcp/x", "/files/mcp/x"),
            ("http://h:80", "/mcp", "http://h/mcp/x", "/files/mcp/x"),
            ("http://h", "/mcp", "https://h/mcp/x", "/files/mcp/x"),
            ("https://h", "/mcp", "//h/mcp/x", "/files/mcp/x"),
            ("https://h", "/mcp", "//h:443/mcp/x", "/files/mcp/x"),
            (
                "http://[::1]:9",
                "/mcp",
                "http://[::1]:9/mcp/x",
                "/files/mcp/x",
            ),
            (
                "http://h/a/b",
                "/a/b",
                "/a/b/x?y=/z#w",
                "/files/mcp/x?y=/z#w",
            ),
            ("http://h/a/b", "/a/b", "/a/b?y", "/files/mcp?y"),
            ("http://h/a/b/", "/a/b/", "/a/b/", "/files/mcp"),
            ("http://h/a/b/", "/a/b/", "/a/b/x", "/files/mcp/x"),
            ("http://h/a/b/", "/a/b/", "x", "/files/mcp/x"),
            ("http://h/a/b", "/a/b", "b/", "/files/mcp/"),
            ("http://h/a/b", "/a/b/c/d", "x/y:z", "/files/mcp/c/x/y:z"),
        ] {
            assert_eq!(told(upstream, asked, location), public, "{location}");
        }
    }

    #[test]
    fn every_other_location_stays_as_it_is() {
        for (upstream, asked, location) in [
            ("http://h:9", "/mcp", "http://other:9/mcp/x"),
            ("http://h:9", "/mcp", "http://h:8/mcp/x"),
            ("http://h:9", "/mcp", "http://h/mcp/x"),
            ("http://h:9", "/mcp", "http://u@h:9/mcp/x"),
            ("http://h:9", "/mcp", "http://h:9.evil.test/mcp/x"),
            ("http://h:9", "/mcp", "//other/mcp/x"),
            ("http://h:9", "/mcp", "http://h:9"),
            ("http://h:9", "/mcp", "http://h:9/login"),
            ("http://h:9", "/mcp", "http://h:9/mcpx"),
            ("http://h:9", "/mcp", "ftp://h:9/mcp"),
            ("http://h:9", "/mcp", "http:/mcp"),
            ("http://h:9", "/mcp", "mailto:x@h"),
            ("http://h:9", "/mcp/a", "x:y/z"),
            ("http://h:9", "/mcp", "/login"),
            ("http://h:9", "/mcp", "/"),
            ("http://h:9", "/mcp", "x"),
            ("http://h:9", "/mcp", ""),
            ("http://h:9", "/mcp", "?x=http://h:9/mcp"),
            ("http://h:9", "/mcp", "#x"),
            ("http://h:9", "/mcp", "/mcp/../admin"),
            ("http://h:9", "/mcp", "/mcp/%2e%2e/admin"),
            ("http://h:9", "/mcp/a/b", "../x"),
            // What it would become leads to where it came from.
            ("http://h/a/b/", "/a/b/", "/a/b"),
        ] {
            assert_eq!(told(upstream, asked, location), location);
        }
    }
}
