//! What a request's headers say of its message.
//!
//! Since revision 2026-07-28 a client repeats in headers what its message asks for, and a server must
//! refuse a message that says otherwise. Under any other revision, or if a header stands there
//! twice, servers run what the body says.

use http::header::HeaderName;
use http::request::Parts;
use http::{HeaderMap, Method};

use super::judge::SESSION_ID;
use crate::mcp::Class;

const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");

/// The revisions in which a server must refuse a message that its headers do not fit.
const CHECKED: &[&str] = &["2026-07-28"];

/// Whether the request is one of a revision without sessions that checks headers, and says so
/// once.
pub(super) fn is_modern(headers: &HeaderMap) -> bool {
    let version = only(headers, &VERSION);
    version.is_some_and(|version| CHECKED.contains(&version)) && !headers.contains_key(SESSION_ID)
}

/// The use of one tool, prompt or resource, as the headers state it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stated<'h> {
    pub(super) class: Class,
    pub(super) name: &'h str,
}

impl<'h> Stated<'h> {
    /// What the headers state, if a server must refuse a message that does otherwise and nothing but
    /// the name decides on it.
    pub(super) fn read(head: &'h Parts) -> Option<Self> {
        let headers = &head.headers;
        if head.method != Method::POST || !is_modern(headers) {
            return None;
        }
        let method = only(headers, &METHOD)?;
        if !matches!(method, "tools/call" | "prompts/get" | "resources/read") {
            return None;
        }
        let name = only(headers, &NAME)?;
        // One in Base64 is decoded by the server, and which one it then finds is its own matter.
        let is_plain = !name.is_empty() && !name.starts_with("=?");
        let class = Class::of(method);
        is_plain.then_some(Self { class, name })
    }

    /// The tool, or the method of what calls none.
    pub(super) fn operation(self, head: &'h Parts) -> &'h str {
        match self.class {
            Class::Call => self.name,
            _ => only(&head.headers, &METHOD).unwrap_or_default(),
        }
    }
}

/// The value of a header that stands there once, in visible ASCII.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &[(&str, &str)] = &[
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "read_note"),
    ];

    fn head(method: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = http::Request::builder().method(method);
        for (name, value) in headers {
            request = request.header(*name, value.as_bytes());
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn one_of_each_states_what_is_used() {
        for (method, class) in [
            ("tools/call", Class::Call),
            ("prompts/get", Class::of("prompts/get")),
            ("resources/read", Class::of("resources/read")),
        ] {
            let mut headers = FULL.to_vec();
            headers[1].1 = method;
            let head = head("POST", &headers);
            let name = "read_note";
            assert_eq!(Stated::read(&head), Some(Stated { class, name }));
        }
    }

    #[test]
    fn anything_else_states_nothing() {
        let with = |more: &[(&'static str, &'static str)]| [FULL, more].concat();
        let but = |at: usize, value: &'static str| {
            let mut headers = FULL.to_vec();
            headers[at].1 = value;
            headers
        };
        for headers in [
            vec![],
            FULL[1..].to_vec(),
            FULL[..2].to_vec(),
            vec![FULL[0], FULL[2]],
            but(0, "2025-11-25"),
            but(0, "2099-01-01"),
            but(0, "2026-07-28, 2026-07-28"),
            but(0, ""),
            but(1, "tools/list"),
            but(1, "Tools/call"),
            but(1, "skills/get"),
            but(1, "tasks/get"),
            but(1, ""),
            but(2, ""),
            but(2, "=?base64?c2hlbGw=?="),
            but(2, "caf\u{e9}"),
            with(&FULL[..1]),
            with(&FULL[1..2]),
            with(&FULL[2..]),
            with(&[("mcp-protocol-version", "2025-11-25")]),
            with(&[("mcp-session-id", "s")]),
        ] {
            assert_eq!(Stated::read(&head("POST", &headers)), None, "{headers:?}");
        }
        assert_eq!(Stated::read(&head("PUT", FULL)), None);
    }
}
