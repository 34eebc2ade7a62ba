//! What browsers are told, and which pages may ask.
//!
//! 1. A request that a page of another site has made is refused, whatever it carries: by
//!    `Sec-Fetch-Site`, and by an `Origin` that is neither the host that was asked nor one of those that
//!    were [allowed](super::AdminApi::allow_origin). Programs send neither.
//! 2. Every answer, refusals included, is for nobody to keep, to guess the type of, or to show in a
//!    frame.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::uri::{Authority, Uri};
use http::{StatusCode, request::Parts};

use super::fault::Fault;
use super::read::one;
use crate::error::Error;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Pages of which origins may ask, beside those of the host that is asked.
#[derive(Clone, Debug, Default)]
pub(super) struct Origins(Vec<Origin>);

/// A scheme, a host in lower case and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    scheme: String,
    host: String,
    port: Option<u16>,
}

impl Origins {
    pub(super) fn allow(&mut self, origin: &str) -> Result<(), Error> {
        const SHAPE: &str = "must be a scheme and a host such as https://admin.example.com";
        let origin = Origin::parse(origin).ok_or_else(|| Error::invalid("origin", SHAPE))?;
        self.0.push(origin);
        Ok(())
    }

    fn check(&self, head: &Parts) -> Result<(), Fault> {
        let mut origins = head.headers.get_all(ORIGIN).iter().peekable();
        let is_named = origins.peek().is_some();
        let origins: Option<Vec<Origin>> = origins
            .map(|value| Origin::parse(value.to_str().ok()?))
            .collect();
        let Some(origins) = origins else {
            return Err(foreign("the page that asks is of no known origin"));
        };
        if is_named && origins.iter().all(|origin| self.0.contains(origin)) {
            return Ok(());
        }
        let host = asked_host(&head.uri, &head.headers);
        let is_own = |origin: &Origin| host.as_ref().is_some_and(|host| origin.is_of(host));
        if !origins.iter().all(is_own) {
            return Err(foreign("pages of another origin may not ask here"));
        }
        let site = head.headers.get_all(SEC_FETCH_SITE);
        if site.iter().any(|site| site == "cross-site") {
            return Err(foreign("pages of another site may not ask here"));
        }
        Ok(())
    }
}

fn foreign(message: &'static str) -> Fault {
    Fault::new(StatusCode::FORBIDDEN, "cross_origin", message)
}

impl Origin {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        let authority: Authority = rest.parse().ok()?;
        let host = authority.host().to_ascii_lowercase();
        let is_plain = !host.is_empty() && !rest.contains('@') && !scheme.is_empty();
        let port = authority.port_u16();
        let says_port = authority.as_str().len() > authority.host().len();
        (is_plain && says_port == port.is_some()).then(|| Self {
            port: port.or(usual_port(&scheme)),
            scheme,
            host,
        })
    }

    /// Whether it is the origin of pages of this host. That names no scheme, so a host without a port
    /// is taken for the usual one.
    fn is_of(&self, host: &Authority) -> bool {
        let port = host.port_u16().or(usual_port(&self.scheme));
        self.host.eq_ignore_ascii_case(host.host()) && self.port == port
    }
}

fn usual_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

fn asked_host(uri: &Uri, headers: &HeaderMap) -> Option<Authority> {
    let written = || one(headers, &HOST)?.parse().ok();
    uri.authority().cloned().or_else(written)
}

/// Asks who wants to know before anything else is looked at, and marks every answer.
pub(super) async fn keep_out(
    State(origins): State<Origins>,
    request: Request,
    next: Next,
) -> Response {
    let (head, body) = request.into_parts();
    let mut response = match origins.check(&head) {
        Ok(()) => next.run(Request::from_parts(head, body)).await,
        Err(fault) => fault.into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may_ask(origins: &Origins, lines: &[(&str, &str)]) -> bool {
        let request = lines
            .iter()
            .fold(http::Request::builder(), |request, line| {
                request.header(line.0, line.1)
            });
        let head = request.body(()).unwrap().into_parts().0;
        origins.check(&head).is_ok()
    }

    #[test]
    fn pages_of_the_same_host_may_ask() {
        let none = Origins::default();
        assert!(may_ask(&none, &[("host", "keys.test")]));
        for (host, origin) in [
            ("keys.test", "https://keys.test"),
            ("keys.test", "http://KEYS.test"),
            ("keys.test:8443", "https://keys.test:8443"),
            ("[::1]:9", "http://[::1]:9"),
        ] {
            assert!(
                may_ask(&none, &[("host", host), ("origin", origin)]),
                "{origin}"
            );
        }
        let same = [("host", "keys.test"), ("sec-fetch-site", "same-origin")];
        assert!(may_ask(&none, &same));
    }

    #[test]
    fn pages_of_others_may_not() {
        let none = Origins::default();
        for origin in [
            "https://evil.test",
            "https://keys.test.evil.test",
            "https://keys.test:444",
            "https://evil@keys.test",
            "null",
            "keys.test",
            "https://",
            "",
        ] {
            assert!(
                !may_ask(&none, &[("host", "keys.test"), ("origin", origin)]),
                "{origin}"
            );
        }
        assert!(!may_ask(&none, &[("origin", "https://keys.test")]));
        assert!(!may_ask(
            &none,
            &[("host", "keys.test"), ("sec-fetch-site", "cross-site")]
        ));
        let two = [
            ("host", "keys.test"),
            ("origin", "https://keys.test"),
            ("origin", "https://evil.test"),
        ];
        assert!(!may_ask(&none, &two));
    }

    #[test]
    fn pages_that_are_allowed_may() {
        let mut some = Origins::default();
        some.allow("https://admin.test").unwrap();
        let page = [
            ("host", "keys.test"),
            ("origin", "https://admin.test:443"),
            ("sec-fetch-site", "cross-site"),
        ];
        assert!(may_ask(&some, &page));
        assert!(!may_ask(
            &some,
            &[("host", "keys.test"), ("origin", "http://admin.test")]
        ));
        for wrong in [
            "admin.test",
            "https://",
            "https://a@b",
            "https://a/b",
            "*",
            "null",
        ] {
            assert!(some.allow(wrong).is_err(), "{wrong}");
        }
    }
}
