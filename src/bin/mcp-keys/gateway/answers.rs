//! The gateway's own answers, in the shape that the caller understands.
//!
//! The shapes are those of the key layer: a JSON-RPC error for MCP requests, `{"error":{…}}` for
//! any other.

use std::convert::Infallible;

use bytes::Bytes;
use http::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use mcp_api_keys::KeyContext;
use serde_json::{Value, json};

/// The body of an answer: one of the gateway's own, or a server's as it comes.
pub(super) type Body = UnsyncBoxBody<Bytes, hyper::Error>;

/// In which shape a caller wants to be told of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Api,
    Mcp,
}

impl Shape {
    pub(super) fn of(head: &Parts) -> Self {
        let is_mcp = head.headers.contains_key("mcp-protocol-version")
            || (head.method == Method::POST && accepts_json_and_events(&head.headers));
        if is_mcp { Self::Mcp } else { Self::Api }
    }
}

fn accepts_json_and_events(headers: &HeaderMap) -> bool {
    let accepts = |wanted: &str| {
        let lines = headers.get_all(ACCEPT).iter();
        let mut ranges = lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(','));
        ranges.any(|range| {
            let media_type = range.split(';').next().unwrap_or_default().trim();
            media_type.eq_ignore_ascii_case(wanted)
        })
    };
    accepts("application/json") && accepts("text/event-stream")
}

/// The gateway is there. It says nothing of the servers behind it.
pub(super) fn healthy() -> Response<Body> {
    json_answer(StatusCode::OK, &json!({ "status": "ok" }))
}

/// Who is calling.
pub(super) fn identity(key: &KeyContext) -> Response<Body> {
    match serde_json::to_value(key) {
        Ok(identity) => json_answer(StatusCode::OK, &identity),
        Err(_) => lost(Shape::Api),
    }
}

/// There is nothing under this path.
pub(super) fn not_found(shape: Shape) -> Response<Body> {
    let failure = Failure {
        status: StatusCode::NOT_FOUND,
        code: "not_found",
        kind: "invalid_request_error",
        message: "There is nothing under this path",
        number: -31_004,
    };
    failure.answer(shape)
}

/// The path is there to be read.
pub(super) fn read_only(shape: Shape) -> Response<Body> {
    let failure = Failure {
        status: StatusCode::METHOD_NOT_ALLOWED,
        code: "method_not_allowed",
        kind: "invalid_request_error",
        message: "Only GET and HEAD are understood here",
        number: -31_000,
    };
    let mut response = failure.answer(shape);
    let methods = HeaderValue::from_static("GET, HEAD");
    response.headers_mut().insert(ALLOW, methods);
    response
}

/// The server failed before its answer began.
pub(super) fn unavailable(shape: Shape) -> Response<Body> {
    let failure = Failure {
        status: StatusCode::BAD_GATEWAY,
        code: "upstream_unavailable",
        kind: "api_error",
        message: "The server behind this gateway does not answer",
        number: -31_053,
    };
    failure.answer(shape)
}

/// The gateway itself is at fault.
pub(super) fn lost(shape: Shape) -> Response<Body> {
    let failure = Failure {
        status: StatusCode::INTERNAL_SERVER_ERROR,
        code: "internal_error",
        kind: "api_error",
        message: "The gateway failed",
        number: -31_050,
    };
    failure.answer(shape)
}

struct Failure {
    status: StatusCode,
    code: &'static str,
    kind: &'static str,
    message: &'static str,
    /// Of the JSON-RPC error: outside -32768 to -32000, which JSON-RPC and MCP keep for themselves.
    number: i32,
}

impl Failure {
    fn answer(&self, shape: Shape) -> Response<Body> {
        let Self {
            code,
            kind,
            message,
            number,
            ..
        } = self;
        let body = match shape {
            Shape::Api => json!({
                "error": { "code": code, "message": message, "type": kind },
            }),
            Shape::Mcp => json!({
                "jsonrpc": "2.0",
                "id": null,
                "error": {
                    "code": number,
                    "message": message,
                    "data": { "code": code, "type": kind },
                },
            }),
        };
        json_answer(self.status, &body)
    }
}

fn json_answer(status: StatusCode, body: &Value) -> Response<Body> {
    let body = Full::new(Bytes::from(body.to_string()));
    let body = body.map_err(|never: Infallible| match never {});
    let mut response = Response::new(body.boxed_unsync());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
