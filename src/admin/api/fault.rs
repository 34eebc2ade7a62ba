//! What goes wrong, as an answer: `{"error":{"code","message","type",…}}`, as the layer's refusals.
//!
//! | what | status | code | type |
//! |---|---|---|---|
//! | the body is no JSON, the query or a header cannot be read | 400 | `malformed_request` | `invalid_request_error` |
//! | the key lacks a scope, or is read-only | 403 | `insufficient_scope`, `read_only_key` | `permission_error` |
//! | it would reach further than the caller | 403 | `not_allowed` | `permission_error` |
//! | a page of another origin asks | 403 | `cross_origin` | `permission_error` |
//! | there is no such thing | 404 | `not_found` | `invalid_request_error` |
//! | the path knows no such method | 405 | `method_not_allowed` | `invalid_request_error` |
//! | the body came too slowly | 408 | `body_timeout` | `invalid_request_error` |
//! | what is stored does not allow it | 409 | `conflict`, `idempotency_key_used` | `invalid_request_error` |
//! | it is no longer of the revision in `If-Match` | 412 | `revision_mismatch` | `invalid_request_error` |
//! | the body is too large | 413 | `body_too_large` | `invalid_request_error` |
//! | the body is not said to be JSON | 415 | `unsupported_media_type` | `invalid_request_error` |
//! | a value cannot be | 422 | `invalid_input`, `idempotency_key_reused` | `invalid_request_error` |
//! | what is stored cannot be read | 500 | `corrupt` | `api_error` |
//! | the store or the hashing pool does not answer | 503 | `unavailable` | `api_error` |
//!
//! No message repeats what is long enough to be a secret: a key that was pasted into the wrong place
//! does not come back.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use http::header::RETRY_AFTER;
use http::{Request, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use super::answer;
use crate::admin::redacted::redacted;
use crate::error::{Error, ErrorKind};
use crate::key::KeyId;
use crate::layer::{Respond, StandardResponder};
use crate::rejection::{Rejection, RejectionType};

/// Why a request is not answered as it was hoped.
#[derive(Debug)]
pub(super) enum Fault {
    /// A refusal as the layer would have made it.
    Refused(Rejection),
    /// Anything else.
    Told(Box<Told>),
}

/// What an answer says of a fault.
#[derive(Debug)]
pub(super) struct Told {
    status: StatusCode,
    code: &'static str,
    message: Cow<'static, str>,
    field: Option<String>,
    key: Option<KeyId>,
}

/// The body of every answer that is no success.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Error)]
pub(super) struct FaultBody<'a> {
    error: FaultDetails<'a>,
}

/// What went wrong.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ErrorDetails)]
pub(super) struct FaultDetails<'a> {
    /// A stable word for programs.
    #[schema(example = "invalid_input")]
    code: &'a str,
    /// A sentence for people.
    #[schema(example = "invalid name: must not be empty")]
    message: &'a str,
    /// The family of the code.
    #[serde(rename = "type")]
    #[schema(value_type = FaultType)]
    kind: &'static str,
    /// The field at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false, example = "name")]
    field: Option<&'a str>,
    /// The key that was made before under the same `Idempotency-Key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    key_id: Option<KeyId>,
    /// The scope that the request needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false, example = "keys:write")]
    required_scope: Option<&'a str>,
    /// How long to wait before trying again, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = u64, required = false)]
    retry_after_ms: Option<u64>,
}

/// The families of codes.
#[derive(Debug, ToSchema)]
#[schema(as = ErrorType)]
#[allow(dead_code, reason = "describes what is written elsewhere")]
pub(super) enum FaultType {
    #[serde(rename = "authentication_error")]
    Authentication,
    #[serde(rename = "permission_error")]
    Permission,
    #[serde(rename = "rate_limit_error")]
    RateLimit,
    #[serde(rename = "invalid_request_error")]
    InvalidRequest,
    #[serde(rename = "api_error")]
    Api,
}

impl Fault {
    pub(super) fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::Told(Box::new(Told {
            status,
            code,
            message: message.into(),
            field: None,
            key: None,
        }))
    }

    /// What cannot be read at all.
    pub(super) fn malformed(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed_request", message)
    }

    /// What can be read and cannot be meant.
    pub(super) fn invalid(field: impl Into<String>, message: &str) -> Self {
        let field = field.into();
        let message = format!("invalid {field}: {message}");
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_input", message).in_field(field)
    }

    pub(super) fn not_found(what: &'static str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", what)
    }

    pub(super) fn conflict(message: &'static str) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", message)
    }

    /// What was to be changed is not as it was read.
    pub(super) fn changed_since() -> Self {
        let message = "it was changed since it was read; read it again";
        Self::new(
            StatusCode::PRECONDITION_FAILED,
            "revision_mismatch",
            message,
        )
    }

    pub(super) fn in_field(mut self, field: impl Into<String>) -> Self {
        if let Self::Told(told) = &mut self {
            told.field = Some(field.into());
        }
        self
    }

    pub(super) fn about(mut self, key: KeyId) -> Self {
        if let Self::Told(told) = &mut self {
            told.key = Some(key);
        }
        self
    }

    /// What to say within an answer about many.
    pub(super) fn object(&self) -> serde_json::Value {
        let value = match self {
            Self::Refused(rejection) => serde_json::to_value(FaultDetails {
                code: rejection.code(),
                message: rejection.message(),
                kind: rejection.kind().rejection_type().as_str(),
                field: None,
                key_id: None,
                required_scope: None,
                retry_after_ms: None,
            }),
            Self::Told(told) => {
                let (message, field) = told.clean();
                serde_json::to_value(told.details(&message, field.as_deref()))
            }
        };
        value.unwrap_or_default()
    }
}

impl Told {
    fn kind(&self) -> RejectionType {
        match self.status {
            StatusCode::FORBIDDEN => RejectionType::Permission,
            status if status.is_server_error() => RejectionType::Api,
            _ => RejectionType::InvalidRequest,
        }
    }

    /// What may be repeated.
    fn clean(&self) -> (String, Option<String>) {
        (redacted(&self.message), self.field.as_deref().map(redacted))
    }

    fn details<'a>(&self, message: &'a str, field: Option<&'a str>) -> FaultDetails<'a> {
        FaultDetails {
            code: self.code,
            message,
            kind: self.kind().as_str(),
            field,
            key_id: self.key,
            required_scope: None,
            retry_after_ms: self.wait().map(|seconds| seconds * 1_000),
        }
    }

    /// After how many seconds the same request may do.
    fn wait(&self) -> Option<u64> {
        (self.status == StatusCode::SERVICE_UNAVAILABLE).then_some(1)
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        match self {
            Self::Refused(rejection) => refusal(rejection),
            Self::Told(told) => {
                let (message, field) = told.clean();
                let error = told.details(&message, field.as_deref());
                let mut response = answer::json(told.status, &FaultBody { error });
                if let Some(seconds) = told.wait() {
                    response.headers_mut().insert(RETRY_AFTER, seconds.into());
                }
                response
            }
        }
    }
}

/// As the layer answers, always as an API.
fn refusal(rejection: Rejection) -> Response {
    let response = PlainResponder::default().respond(&rejection, &plain_head());
    let mut response = response.map(axum::body::Body::from);
    response.extensions_mut().insert(rejection);
    response
}

/// The standard answers of an API, whatever a request says that it would like to read: there is
/// nothing else here.
#[derive(Debug, Default)]
pub(super) struct PlainResponder(StandardResponder);

impl Respond for PlainResponder {
    fn respond(
        &self,
        rejection: &Rejection,
        _: &http::request::Parts,
    ) -> http::Response<bytes::Bytes> {
        self.0.respond(rejection, &plain_head())
    }
}

fn plain_head() -> http::request::Parts {
    Request::new(()).into_parts().0
}

impl From<Rejection> for Fault {
    fn from(rejection: Rejection) -> Self {
        Self::Refused(rejection)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let (status, code) = match error.kind() {
            ErrorKind::InvalidInput => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_input"),
            ErrorKind::Forbidden => (StatusCode::FORBIDDEN, "not_allowed"),
            ErrorKind::NotFound => (StatusCode::NOT_FOUND, "not_found"),
            ErrorKind::Conflict => (StatusCode::CONFLICT, "conflict"),
            ErrorKind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            ErrorKind::Corrupt => (StatusCode::INTERNAL_SERVER_ERROR, "corrupt"),
        };
        if status.is_server_error() {
            tracing::warn!(%error, cause = error_cause(&error), "an act of the admin API failed");
        }
        let fault = Self::new(status, code, error.to_string());
        match error.field() {
            Some(field) => fault.in_field(field),
            None => fault,
        }
    }
}

fn error_cause(error: &Error) -> Option<String> {
    std::error::Error::source(error).map(ToString::to_string)
}

/// Answers to what no route knows.
pub(super) async fn no_such_path() -> Fault {
    Fault::not_found("there is nothing under this path")
}

/// Answers to methods that a path does not know. The router says which it does.
pub(super) async fn no_such_method() -> Fault {
    Fault::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "the path knows no such method",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_error_has_a_status() {
        for (kind, status) in [
            (ErrorKind::InvalidInput, 422),
            (ErrorKind::Forbidden, 403),
            (ErrorKind::NotFound, 404),
            (ErrorKind::Conflict, 409),
            (ErrorKind::Unavailable, 503),
            (ErrorKind::Corrupt, 500),
        ] {
            let response = Fault::from(Error::new(kind, "so it is")).into_response();
            assert_eq!(response.status(), status, "{kind:?}");
            let waits = response.headers().contains_key(RETRY_AFTER);
            assert_eq!(waits, status == 503);
        }
    }

    #[test]
    fn a_missing_scope_is_named() {
        let missing = crate::admin::rights::Right::AuditRead.missing();
        let response = Fault::from(missing).into_response();
        assert_eq!(response.status(), 403);
        let challenge = &response.headers()["www-authenticate"];
        assert!(challenge.to_str().unwrap().contains("audit:read"));
    }
}
