//! The gateway's own answers, in the shape that the caller understands.
//!
//! The shapes are those of the key layer: nothing but trailers for gRPC, sent as headers with HTTP
//! 200; a JSON-RPC error for MCP requests; `{"error":{…}}` for any other.

use std::convert::Infallible;

use bytes::Bytes;
use http::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY,
};
use http::{Method, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use mcp_api_keys::KeyContext;
use serde_json::{Value, json};

/// The body of an answer: one of the gateway's own, or a server's as it comes.
pub(super) type Body = UnsyncBoxBody<Bytes, hyper::Error>;

/// In which shape a caller wants to be told of a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Api,
    Mcp,
    /// With the type that was asked in: gRPC-Web clients read an answer only of that.
    Grpc(HeaderValue),
}

const GRPC: &[u8] = b"application/grpc";
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

impl Shape {
    pub(super) fn of(method: &Method, headers: &HeaderMap) -> Self {
        if let Some(grpc) = headers.get(CONTENT_TYPE)
            && grpc.as_bytes().starts_with(GRPC)
        {
            return Self::Grpc(grpc.clone());
        }
        let is_mcp = headers.contains_key("mcp-protocol-version")
            || (*method == Method::POST && accepts_json_and_events(headers));
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
        Err(_) => lost(&Shape::Api),
    }
}

/// There is nothing under this path.
pub(super) fn not_found(shape: &Shape) -> Response<Body> {
    let failure = Failure {
        status: StatusCode::NOT_FOUND,
        code: "not_found",
        kind: "invalid_request_error",
        message: "There is nothing under this path",
        number: -31_004,
        grpc: UNIMPLEMENTED,
    };
    failure.answer(shape)
}

/// There is a key in the query.
pub(super) fn key_in_query(shape: &Shape) -> Response<Body> {
    let failure = Failure {
        status: StatusCode::BAD_REQUEST,
        code: "key_in_query",
        kind: "invalid_request_error",
        message: "An API key must not stand in the query, where it is logged on the way: replace \
                  this key, and send it as Authorization: Bearer or X-API-Key",
        number: -31_000,
        grpc: INVALID_ARGUMENT,
    };
    let mut response = failure.answer(shape);
    let headers = response.headers_mut();
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// The request came under a name that is none of the gateway's.
pub(super) fn host_not_allowed(shape: &Shape) -> Response<Body> {
    let failure = Failure {
        status: StatusCode::FORBIDDEN,
        code: "host_not_allowed",
        kind: "permission_error",
        message: "This gateway is not to be asked for under the name in Host or Origin; its \
                  operator names allowed ones with --allowed-host",
        number: -31_003,
        grpc: PERMISSION_DENIED,
    };
    failure.answer(shape)
}

/// The body is in a type or a place in which what it asks for cannot be judged.
pub(super) fn not_judged(shape: &Shape) -> Response<Body> {
    let failure = Failure {
        status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
        code: "unsupported_media_type",
        kind: "invalid_request_error",
        message: "With this key a body must be JSON in a POST",
        number: -31_015,
        grpc: INVALID_ARGUMENT,
    };
    failure.answer(shape)
}

/// The path is there to be read.
pub(super) fn read_only(shape: &Shape) -> Response<Body> {
    let failure = Failure {
        status: StatusCode::METHOD_NOT_ALLOWED,
        code: "method_not_allowed",
        kind: "invalid_request_error",
        message: "Only GET and HEAD are understood here",
        number: -31_000,
        grpc: UNIMPLEMENTED,
    };
    let mut response = failure.answer(shape);
    let methods = HeaderValue::from_static("GET, HEAD");
    response.headers_mut().insert(ALLOW, methods);
    response
}

/// The server failed before its answer began.
pub(super) fn unavailable(shape: &Shape) -> Response<Body> {
    let failure = Failure {
        status: StatusCode::BAD_GATEWAY,
        code: "upstream_unavailable",
        kind: "api_error",
        message: "The server behind this gateway does not answer",
        number: -31_053,
        grpc: UNAVAILABLE,
    };
    failure.answer(shape)
}

/// The gateway itself is at fault.
pub(super) fn lost(shape: &Shape) -> Response<Body> {
    let failure = Failure {
        status: StatusCode::INTERNAL_SERVER_ERROR,
        code: "internal_error",
        kind: "api_error",
        message: "The gateway failed",
        number: -31_050,
        grpc: INTERNAL,
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
    /// The status for gRPC.
    grpc: &'static str,
}

const INVALID_ARGUMENT: &str = "3";
const PERMISSION_DENIED: &str = "7";
const UNIMPLEMENTED: &str = "12";
const INTERNAL: &str = "13";
const UNAVAILABLE: &str = "14";

impl Failure {
    fn answer(&self, shape: &Shape) -> Response<Body> {
        let Self {
            code,
            kind,
            message,
            number,
            ..
        } = self;
        let body = match shape {
            Shape::Grpc(content_type) => return self.trailers_only(content_type.clone()),
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

    fn trailers_only(&self, content_type: HeaderValue) -> Response<Body> {
        let mut response = Response::new(whole(Bytes::new()));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, content_type);
        headers.insert(GRPC_STATUS, HeaderValue::from_static(self.grpc));
        // Codes and messages are plain ASCII without a percent sign, so there is nothing to encode.
        let message = format!("{}: {}", self.code, self.message);
        if let Ok(message) = HeaderValue::try_from(message) {
            headers.insert(GRPC_MESSAGE, message);
        }
        response
    }
}

fn json_answer(status: StatusCode, body: &Value) -> Response<Body> {
    let mut response = Response::new(whole(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn whole(text: Bytes) -> Body {
    let body = Full::new(text).map_err(|never: Infallible| match never {});
    body.boxed_unsync()
}
