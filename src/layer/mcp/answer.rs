//! How callers are told.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};

use super::stated::is_modern;
use super::{DenialStyle, McpLayer};
use crate::context::Brief;
use crate::key::KeyId;
use crate::layer::Respond;
use crate::layer::guard::json_rpc_answer;
use crate::layer::respond::{Charged, StandardResponder};
use crate::mcp::{Class, Denied, Unreadable};
use crate::rejection::{Rejection, RejectionKind};

/// Why a message is not passed on.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The request as such is turned away, whatever it asks.
    Request(Rejection),
    /// The body cannot be judged.
    Unreadable(Unreadable),
    /// One message asks for what the key may not do.
    Denied {
        id: Option<Box<str>>,
        method: Box<str>,
        denied: Denied,
    },
    /// So does at least one of a batch: the ids of its requests, and what is denied of each.
    DeniedBatch(Vec<(Box<str>, Box<str>, Option<Denied>)>),
    /// The key's limits do not allow it now: the id of the one request, or those of a batch.
    Limited {
        id: Option<Box<str>>,
        batch: Vec<Box<str>>,
        rejection: Rejection,
    },
}

fn of(rejection: Rejection, key: Brief<'_>) -> Rejection {
    rejection.of(key.id, key.connection, key.scopes)
}

impl McpLayer {
    /// The answer to a request that is not passed on.
    pub(super) fn refuse(&self, refusal: Refusal, head: &Parts, key: Brief<'_>) -> Response<Bytes> {
        let style = self.settings.style;
        match refusal {
            Refusal::Request(rejection) => self.by_http(of(rejection, key), head),
            Refusal::Unreadable(fault) => unreadable(fault, key.id),
            Refusal::Denied { id, method, denied } => {
                let rejection = of(rejection_of(&denied), key);
                log(&rejection);
                match (id, style) {
                    (None, _) => accepted(rejection),
                    // Not even a status tells a task of another key from one that is not there.
                    (Some(id), _) if matches!(denied, Denied::Task(_)) => {
                        by_json_rpc(unknown(&denied, &method, &id), rejection)
                    }
                    // As of a method that the server does not have. There is no session to end.
                    (Some(id), _) if is_modern(&head.headers) && !Class::is_of_2026(&method) => {
                        let body = error(&id, -32_601, NO_METHOD);
                        let mut response = by_json_rpc(body, rejection);
                        *response.status_mut() = StatusCode::NOT_FOUND;
                        response
                    }
                    (Some(_), DenialStyle::Http) => self.by_http(rejection, head),
                    (Some(id), style) => {
                        let body = message(&rejection, &denied, &method, &id, style);
                        by_json_rpc(body, rejection)
                    }
                }
            }
            Refusal::DeniedBatch(entries) => self.refuse_batch(&entries, head, key),
            Refusal::Limited {
                id,
                batch,
                rejection,
            } => {
                let answer = |id: &str| json_rpc_answer(&rejection, id);
                let body = match (id, &*batch, style) {
                    (_, _, DenialStyle::Http) | (None, [], _) => {
                        return self.by_http(rejection, head);
                    }
                    (Some(id), ..) => answer(&id),
                    (None, ids, _) => {
                        format!(
                            "[{}]",
                            ids.iter()
                                .map(|id| answer(id))
                                .collect::<Vec<_>>()
                                .join(",")
                        )
                    }
                };
                by_json_rpc(body, rejection)
            }
        }
    }

    fn refuse_batch(
        &self,
        entries: &[(Box<str>, Box<str>, Option<Denied>)],
        head: &Parts,
        key: Brief<'_>,
    ) -> Response<Bytes> {
        let first = entries.iter().find_map(|(_, _, denied)| denied.as_ref());
        let rejection =
            first.map_or_else(|| Rejection::new(RejectionKind::ToolDenied), rejection_of);
        let rejection = of(rejection, key);
        log(&rejection);
        if entries.is_empty() {
            return accepted(rejection);
        }
        if self.settings.style == DenialStyle::Http {
            return self.by_http(rejection, head);
        }
        let answers = entries.iter().map(|(id, method, denied)| match denied {
            Some(denied) => {
                let rejection = rejection_of(denied);
                message(&rejection, denied, method, id, self.settings.style)
            }
            None => {
                let text = "The batch holds a message that is not permitted for this key";
                let refused = Rejection::new(RejectionKind::ToolDenied).saying(text.to_owned());
                json_rpc_answer(&refused, id)
            }
        });
        let body = format!("[{}]", answers.collect::<Vec<_>>().join(","));
        by_json_rpc(body, rejection)
    }

    pub(super) fn by_http(&self, rejection: Rejection, head: &Parts) -> Response<Bytes> {
        let mut response = match &self.settings.responder {
            Some(responder) => responder.respond(&rejection, head),
            None => StandardResponder::new().respond(&rejection, head),
        };
        if let Some(limit) = rejection.limit() {
            response.extensions_mut().insert(Charged(limit.clone()));
        }
        response.extensions_mut().insert(rejection);
        response
    }
}

fn rejection_of(denied: &Denied) -> Rejection {
    let kind = match denied {
        Denied::ReadOnlyTool(_) | Denied::ReadOnlyMethod(_) => RejectionKind::ReadOnly,
        _ => RejectionKind::ToolDenied,
    };
    Rejection::new(kind).saying(denied.to_string())
}

fn message(
    rejection: &Rejection,
    denied: &Denied,
    method: &str,
    id: &str,
    style: DenialStyle,
) -> String {
    match (style, denied) {
        (DenialStyle::Unknown, _) | (_, Denied::Task(_)) => unknown(denied, method, id),
        _ => json_rpc_answer(rejection, id),
    }
}

/// What a server says of something that it does not have.
fn unknown(denied: &Denied, method: &str, id: &str) -> String {
    let (code, text) = match (denied, Class::of(method)) {
        (Denied::Tool(name) | Denied::ReadOnlyTool(name), _) => {
            (-32_602, format!("Unknown tool: {name}"))
        }
        (Denied::Prompt(name), _) => (-32_602, format!("Unknown prompt: {name}")),
        (Denied::Task(_), _) => (-32_602, "Task not found".to_owned()),
        (Denied::Resource(_), _) => (-32_602, "Resource not found".to_owned()),
        (Denied::Method(_), _) | (_, Class::Unknown) => (-32_601, NO_METHOD.to_owned()),
        _ => (-32_602, "Invalid params".to_owned()),
    };
    error(id, code, &text)
}

const NO_METHOD: &str = "Method not found";

/// An error as a server makes it; the id is raw JSON.
fn error(id: &str, code: i32, text: &str) -> String {
    let error = serde_json::json!({ "code": code, "message": text });
    format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#)
}

fn by_json_rpc(body: String, rejection: Rejection) -> Response<Bytes> {
    let mut response = json(StatusCode::OK, body);
    if let Some(wait) = rejection.retry_after() {
        let seconds = crate::layer::respond::whole_seconds(wait);
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    if let Some(limit) = rejection.limit() {
        response.extensions_mut().insert(Charged(limit.clone()));
    }
    response.extensions_mut().insert(rejection);
    response
}

/// The answer to what wants none. It was not passed on, and saying so would have no place to go.
fn accepted(rejection: Rejection) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::ACCEPTED;
    response.extensions_mut().insert(rejection);
    response
}

fn unreadable(fault: Unreadable, key: KeyId) -> Response<Bytes> {
    let rejection = Rejection::new(RejectionKind::MessageUnreadable)
        .saying(format!("The message cannot be judged: {fault}"))
        .of_key(key);
    log(&rejection);
    let code = if fault.is_parse_error() {
        -32_700
    } else {
        -32_600
    };
    let error = serde_json::json!({
        "code": code,
        "message": rejection.message(),
        "data": { "code": rejection.code(), "type": rejection.kind().rejection_type().as_str() },
    });
    let body = format!(r#"{{"jsonrpc":"2.0","id":null,"error":{error}}}"#);
    let mut response = json(StatusCode::BAD_REQUEST, body);
    response.extensions_mut().insert(rejection);
    response
}

/// The answer in place of a list that could not be filtered.
pub(super) fn unfilterable(id: Option<&str>) -> Response<Bytes> {
    let body = unfilterable_message(id);
    json(StatusCode::BAD_GATEWAY, body)
}

/// What stands in place of a list that could not be filtered.
pub(super) fn unfilterable_message(id: Option<&str>) -> String {
    let id = id.unwrap_or("null");
    let text = "The server's list cannot be shown to this key: it is too large or cannot be read";
    let error = serde_json::json!({ "code": -31_002, "message": text });
    format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#)
}

fn json(status: StatusCode, body: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn log(rejection: &Rejection) {
    tracing::debug!(
        code = rejection.code(),
        key = rejection.key_id().map(tracing::field::display),
        "a message is turned away"
    );
}
