//! What kind of caller a refusal is written for.

use http::Method;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName};
use http::request::Parts;

/// In which of the three shapes a caller wants to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Api,
    Mcp,
    Grpc,
}

const FEW_LINES: usize = 10;

const MCP_PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");

impl Shape {
    pub(super) fn of(head: &Parts) -> Self {
        // Of a few lines, reading the names costs less than looking two of them up.
        let (content_type, has_version) = if head.headers.len() <= FEW_LINES {
            let mut lines = head.headers.iter();
            let content_type = lines.find(|(name, _)| **name == CONTENT_TYPE);
            let mut names = head.headers.keys();
            let has_version = names.any(|name| *name == MCP_PROTOCOL_VERSION);
            (content_type.map(|(_, value)| value), has_version)
        } else {
            let has_version = head.headers.contains_key(MCP_PROTOCOL_VERSION);
            (head.headers.get(CONTENT_TYPE), has_version)
        };
        if content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc")) {
            Self::Grpc
        } else if has_version
            || (head.method == Method::POST && accepts_json_and_events(&head.headers))
        {
            Self::Mcp
        } else {
            Self::Api
        }
    }
}

fn accepts_json_and_events(headers: &HeaderMap) -> bool {
    let accepts = |wanted: &str| {
        let lines = headers
            .get_all(ACCEPT)
            .iter()
            .filter_map(|line| line.to_str().ok());
        lines.flat_map(|line| line.split(',')).any(|range| {
            let media_type = range.split(';').next().unwrap_or_default().trim();
            media_type.eq_ignore_ascii_case(wanted)
        })
    };
    accepts("application/json") && accepts("text/event-stream")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MCP: &[(&str, &str)] = &[("accept", "application/json, text/event-stream")];

    #[test]
    fn the_shape_follows_the_request() {
        for (method, headers, shape) in [
            (Method::POST, MCP, Shape::Mcp),
            (Method::GET, MCP, Shape::Api),
            (
                Method::GET,
                &[("mcp-protocol-version", "2026-07-28")][..],
                Shape::Mcp,
            ),
            (
                Method::POST,
                &[("accept", "application/json")][..],
                Shape::Api,
            ),
            (
                Method::POST,
                &[
                    ("accept", "text/event-stream;q=0.5"),
                    ("accept", "application/json"),
                ][..],
                Shape::Mcp,
            ),
            (
                Method::POST,
                &[("content-type", "application/grpc")][..],
                Shape::Grpc,
            ),
        ] {
            // In a head of few lines, and in one of many.
            for more in [0, FEW_LINES] {
                let mut request = http::Request::builder().method(method.clone());
                for (name, value) in headers {
                    request = request.header(*name, *value);
                }
                for number in 0..more {
                    request = request.header(format!("x-more-{number}"), "more");
                }
                let (head, ()) = request.body(()).unwrap().into_parts();
                assert_eq!(Shape::of(&head), shape, "{headers:?} {more}");
            }
        }
    }
}
