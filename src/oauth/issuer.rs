//! The public address of the authorization server, and the addresses below it.

use std::net::IpAddr;

use url::{Host, Url};

use crate::error::Error;

/// An issuer identifier (RFC 8414): where people and programs reach this server from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Issuer {
    /// As it stands in metadata: without a slash at its end.
    text: String,
    origin: String,
    /// Empty, or with a slash before and none after.
    path: String,
    is_tls: bool,
}

impl Issuer {
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let wrong = |message: &'static str| Error::invalid("issuer", message);
        let url = Url::parse(text).map_err(|_| wrong("is no URL"))?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("must have neither a query nor a fragment"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("must not hold a user name or password"));
        }
        let is_tls = match url.scheme() {
            "https" => true,
            "http" if is_loopback(&url) => false,
            _ => {
                return Err(wrong(
                    "must begin with https://, but for a loopback address",
                ));
            }
        };
        let origin = url.origin().ascii_serialization();
        let path = url.path().trim_end_matches('/').to_owned();
        if !is_plain_path(&path) {
            return Err(wrong("must have a path of plain segments"));
        }
        Ok(Self {
            text: format!("{origin}{path}"),
            origin,
            path,
            is_tls,
        })
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    pub(super) fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// The path of a place below the issuer, as it is served.
    pub(super) fn path(&self, below: &str) -> String {
        format!("{}{below}", self.path)
    }

    /// The URL of a place below the issuer.
    pub(super) fn url(&self, below: &str) -> String {
        format!("{}{below}", self.text)
    }

    /// The path of a well-known document about a place below the issuer: the well-known part goes
    /// between host and path.
    pub(super) fn well_known_path(&self, name: &str, below: &str) -> String {
        format!("/.well-known/{name}{}{below}", self.path)
    }
}

/// Whether a path can be written into a route as it stands: empty, or segments of characters that
/// mean nothing to a router, none of them a dot segment.
pub(super) fn is_plain_path(path: &str) -> bool {
    let is_plain = |segment: &str| {
        let allowed =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'~');
        !segment.is_empty() && segment != "." && segment != ".." && segment.bytes().all(allowed)
    };
    match path.strip_prefix('/') {
        None => path.is_empty(),
        Some(rest) => rest.split('/').all(is_plain),
    }
}

/// Whether a URL leads to the machine that follows it.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).to_canonical().is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_anywhere_and_http_on_this_machine_only() {
        for (text, issuer, is_tls) in [
            ("https://mcp.example.com", "https://mcp.example.com", true),
            (
                "https://MCP.example.com:443/",
                "https://mcp.example.com",
                true,
            ),
            ("https://example.com/a/b/", "https://example.com/a/b", true),
            ("http://localhost:8080", "http://localhost:8080", false),
            ("http://127.0.0.1:8080/", "http://127.0.0.1:8080", false),
            ("http://[::1]:8080", "http://[::1]:8080", false),
        ] {
            let parsed = Issuer::parse(text).unwrap();
            assert_eq!((parsed.as_str(), parsed.is_tls()), (issuer, is_tls));
        }
        for text in [
            "",
            "mcp.example.com",
            "http://mcp.example.com",
            "http://localhost.example.com",
            "ftp://localhost",
            "https://user@example.com",
            "https://example.com/?a=b",
            "https://example.com/#a",
            "https://example.com/{a}",
            "https://example.com//a",
        ] {
            let error = Issuer::parse(text).unwrap_err();
            assert_eq!(error.field(), Some("issuer"), "{text}");
        }
    }

    #[test]
    fn well_known_documents_stand_between_host_and_path() {
        let issuer = Issuer::parse("https://example.com/tenant").unwrap();
        assert_eq!(
            issuer.well_known_path("oauth-protected-resource", "/mcp"),
            "/.well-known/oauth-protected-resource/tenant/mcp"
        );
        assert_eq!(issuer.path("/oauth/token"), "/tenant/oauth/token");
        assert_eq!(
            issuer.url("/oauth/token"),
            "https://example.com/tenant/oauth/token"
        );
    }
}
