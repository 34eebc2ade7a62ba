//! Refusals as answers: the one place where a [`Rejection`] becomes HTTP.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY, RETRY_AFTER,
    WWW_AUTHENTICATE,
};
use http::request::Parts;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::body_fault::BodyFault;
use super::challenge::{Challenges, scope_list};
use super::limit_headers::LimitHeaders;
use super::shape::Shape;
use crate::key::Carrier;
use crate::key::LimitStatus;
use crate::limit::Standing;
use crate::rejection::{Rejection, RejectionKind, RejectionType};

/// Turns a refusal into an answer.
///
/// Implement it to answer in a shape of your own, then
/// [`ApiKeyLayer::responder`](super::ApiKeyLayer::responder). The head is the request's, without
/// the key. Whatever comes back, the layer attaches the [`Rejection`] to its extensions.
pub trait Respond: fmt::Debug + Send + Sync + 'static {
    /// The answer to a request with this head.
    fn respond(&self, rejection: &Rejection, head: &Parts) -> Response<Bytes>;
}

/// The standard answers, in the shape that the caller understands.
///
/// | request | answer |
/// |---|---|
/// | `content-type: application/grpc…` | HTTP 200 with `grpc-status` in the headers |
/// | MCP: has `MCP-Protocol-Version`, or is a `POST` that accepts JSON and event streams | the HTTP status, with a JSON-RPC error |
/// | any other | the HTTP status, with `{"error":{"code","message","type",…}}` |
///
/// Unknown, malformed, wrong and revoked keys get the same bytes. A 401 has
/// `WWW-Authenticate: Bearer`, a 429 or 503 has `Retry-After` in whole seconds.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct StandardResponder {
    challenges: Challenges,
    doc_url: Option<String>,
    prepared: Arc<Prepared>,
}

/// The answers that say no more than that there was no key, or no good one: written once. A flood of
/// wrong keys asks for little else.
#[derive(Debug, Default)]
struct Prepared {
    missing: [OnceLock<Answer>; 2],
    invalid: [OnceLock<Answer>; 2],
}

#[derive(Clone, Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Prepared {
    /// Where the answer to a rejection stands, if it is always the same.
    fn place(&self, rejection: &Rejection, shape: Shape) -> Option<&OnceLock<Answer>> {
        let answers = match rejection.kind() {
            RejectionKind::Missing => &self.missing,
            RejectionKind::Malformed
            | RejectionKind::Unknown
            | RejectionKind::WrongSecret
            | RejectionKind::Revoked => &self.invalid,
            _ => return None,
        };
        let is_plain = rejection.retry_after().is_none() && rejection.says_the_usual();
        let [api, mcp] = answers;
        match shape {
            Shape::Api if is_plain => Some(api),
            Shape::Mcp if is_plain => Some(mcp),
            _ => None,
        }
    }
}

impl StandardResponder {
    /// The standard answers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Leaves `WWW-Authenticate` out. Some MCP clients take any challenge as an invitation to look
    /// for an OAuth server.
    pub fn without_challenge(mut self) -> Self {
        self.challenges.are_off = true;
        self.prepared = Arc::default();
        self
    }

    /// Names the protected resource metadata (RFC 9728) in challenges. Set it only where such a
    /// document exists: clients go and look.
    pub fn resource_metadata(mut self, url: impl Into<String>) -> Self {
        // Quoted in the challenge, where neither of these may stand; nor do they in a URL.
        let url = url.into().replace('"', "%22").replace('\\', "%5C");
        self.challenges.resource_metadata = Some(url);
        self.prepared = Arc::default();
        self
    }

    /// Names the scopes, separated by spaces, that a program is to ask for that comes without a key or
    /// token, or with one that is no longer good. Where a scope is missing, those that the request needs
    /// are named in any case.
    pub fn challenge_scope(mut self, scope: impl Into<String>) -> Self {
        // Quoted in the challenge; no scope holds either of these.
        let scope = scope.into().replace(['"', '\\'], "");
        self.challenges.scope = Some(scope);
        self.prepared = Arc::default();
        self
    }

    /// Names `word`, beside those of the offered scopes that it has, to a connection that may only read
    /// and whose owner may let it do more. Other connections get no challenge for that: whoever they
    /// sent to the owner would ask in vain.
    #[cfg(feature = "oauth")]
    pub(crate) fn full_access(mut self, word: &'static str, offered: &[crate::key::Scope]) -> Self {
        self.challenges.full_access = Some(super::challenge::FullAccess::new(word, offered));
        self
    }

    /// Adds a link to your documentation to every answer.
    pub fn doc_url(mut self, url: impl Into<String>) -> Self {
        self.doc_url = Some(url.into());
        self.prepared = Arc::default();
        self
    }

    /// What an answer says for programs, beside code, message and type.
    fn details(&self, rejection: &Rejection) -> serde_json::Map<String, Value> {
        let mut details = serde_json::Map::new();
        if let [_, ..] = rejection.required_scopes() {
            details.insert("required_scope".to_owned(), scope_list(rejection).into());
        }
        if let Some(wait) = rejection.retry_after() {
            let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            details.insert("retry_after_ms".to_owned(), millis.into());
        }
        if let Some(url) = &self.doc_url {
            details.insert("doc_url".to_owned(), url.as_str().into());
        }
        details
    }

    fn api_body(&self, rejection: &Rejection, kind: RejectionType) -> String {
        let mut error = self.details(rejection);
        error.insert("code".to_owned(), rejection.code().into());
        error.insert("message".to_owned(), rejection.message().into());
        error.insert("type".to_owned(), kind.as_str().into());
        json!({ "error": error }).to_string()
    }

    fn json_rpc_body(&self, rejection: &Rejection, kind: RejectionType) -> String {
        let error = self.json_rpc_error(rejection, kind);
        json!({ "jsonrpc": "2.0", "id": null, "error": error }).to_string()
    }

    /// What a JSON-RPC answer says of a refusal.
    pub(super) fn json_rpc_error(&self, rejection: &Rejection, kind: RejectionType) -> Value {
        let mut data = self.details(rejection);
        data.insert("code".to_owned(), rejection.code().into());
        data.insert("type".to_owned(), kind.as_str().into());
        // Several clients show the message and nothing else, so the wait is in it too.
        let message = match rejection.retry_after() {
            Some(wait) => format!(
                "{} (retry in {} s)",
                rejection.message(),
                whole_seconds(wait)
            ),
            None => rejection.message().to_owned(),
        };
        json!({ "code": json_rpc_code(rejection, kind), "message": message, "data": data })
    }

    /// What an answer for programs that speak no JSON-RPC says of a refusal.
    pub(super) fn event_data(rejection: &Rejection) -> String {
        Self::new().api_body(rejection, rejection.kind().rejection_type())
    }
}

impl Respond for StandardResponder {
    fn respond(&self, rejection: &Rejection, head: &Parts) -> Response<Bytes> {
        let shape = Shape::of(head);
        if shape == Shape::Grpc {
            return grpc(rejection, head);
        }
        let Some(prepared) = self.prepared.place(rejection, shape) else {
            return self.answer(rejection, shape).into_response();
        };
        let prepared = prepared.get_or_init(|| self.answer(rejection, shape));
        prepared.clone().into_response()
    }
}

impl StandardResponder {
    fn answer(&self, rejection: &Rejection, shape: Shape) -> Answer {
        let (status, kind) = status(rejection, shape);
        let body = match shape {
            Shape::Mcp => self.json_rpc_body(rejection, kind),
            Shape::Api | Shape::Grpc => self.api_body(rejection, kind),
        };
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        insert(
            &mut headers,
            WWW_AUTHENTICATE,
            self.challenges.to(rejection, status),
        );
        let wait = rejection.retry_after().map(whole_seconds);
        insert(&mut headers, RETRY_AFTER, wait.map(|wait| wait.to_string()));
        Answer {
            status,
            headers,
            body: body.into(),
        }
    }
}

impl Answer {
    fn into_response(self) -> Response<Bytes> {
        let mut response = Response::new(self.body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

/// Never 404: MCP clients read that as the end of their session. Nor 400 towards them: they take
/// it for a server of an older protocol and start over.
fn status(rejection: &Rejection, shape: Shape) -> (StatusCode, RejectionType) {
    let kind = rejection.kind().rejection_type();
    if let Some(fault) = BodyFault::of(rejection) {
        return (fault.status(), kind);
    }
    match kind {
        RejectionType::InvalidRequest if shape == Shape::Mcp => {
            (StatusCode::UNAUTHORIZED, RejectionType::Authentication)
        }
        RejectionType::InvalidRequest => (StatusCode::BAD_REQUEST, kind),
        RejectionType::Authentication => (StatusCode::UNAUTHORIZED, kind),
        RejectionType::Permission => (StatusCode::FORBIDDEN, kind),
        RejectionType::RateLimit => (StatusCode::TOO_MANY_REQUESTS, kind),
        RejectionType::Api => (StatusCode::SERVICE_UNAVAILABLE, kind),
    }
}

/// Outside -32768 to -32000, which JSON-RPC and MCP keep for themselves.
fn json_rpc_code(rejection: &Rejection, kind: RejectionType) -> i32 {
    if let Some(fault) = BodyFault::of(rejection) {
        return fault.json_rpc_code();
    }
    match kind {
        RejectionType::InvalidRequest => -31_000,
        RejectionType::Authentication => -31_001,
        RejectionType::Permission => -31_003,
        RejectionType::RateLimit => -31_029,
        RejectionType::Api => -31_053,
    }
}

/// A gRPC answer that is nothing but trailers, sent as headers.
fn grpc(rejection: &Rejection, head: &Parts) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    let headers = response.headers_mut();
    // gRPC-web clients read an answer only of the type they asked in.
    let content_type = head.headers.get(CONTENT_TYPE).cloned();
    headers.insert(
        CONTENT_TYPE,
        content_type.unwrap_or(HeaderValue::from_static("application/grpc")),
    );
    grpc_status(headers, rejection);
    let wait = rejection
        .retry_after()
        .map(|wait| whole_seconds(wait).to_string());
    insert(headers, RETRY_AFTER, wait);
    response
}

/// The status of a refusal, as gRPC sends it.
pub(super) fn grpc_status(trailers: &mut HeaderMap, rejection: &Rejection) {
    const UNAUTHENTICATED: &str = "16";
    const PERMISSION_DENIED: &str = "7";
    const RESOURCE_EXHAUSTED: &str = "8";
    const UNAVAILABLE: &str = "14";
    let code = match (BodyFault::of(rejection), rejection.kind().rejection_type()) {
        (Some(fault), _) => fault.grpc_status(),
        (None, RejectionType::Authentication | RejectionType::InvalidRequest) => UNAUTHENTICATED,
        (None, RejectionType::Permission) => PERMISSION_DENIED,
        (None, RejectionType::RateLimit) => RESOURCE_EXHAUSTED,
        (None, RejectionType::Api) => UNAVAILABLE,
    };
    trailers.insert("grpc-status", HeaderValue::from_static(code));
    let message = format!("{}: {}", rejection.code(), rejection.message());
    insert(
        trailers,
        HeaderName::from_static("grpc-message"),
        Some(percent_encode(&message)),
    );
}

/// As `grpc-message` asks for: everything but printable ASCII, and the percent sign itself.
fn percent_encode(message: &str) -> String {
    let mut encoded = String::with_capacity(message.len());
    for byte in message.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// The most restrictive limit of a request that was charged behind the layer.
#[derive(Clone, Debug)]
pub(super) struct Charged(pub(super) LimitStatus);

/// What the layer adds to the response of an admitted request.
pub(super) fn decorate(
    headers: &mut HeaderMap,
    standing: Option<Standing<'_>>,
    carrier: Carrier,
    wanted: LimitHeaders,
) {
    if let Some(standing) = standing {
        wanted.insert(headers, standing);
    }
    if carrier == Carrier::Path {
        conceal(headers);
    }
}

/// What the layer adds to the answer of a refused request, whatever responder made it.
pub(super) fn decorate_refusal(
    headers: &mut HeaderMap,
    rejection: &Rejection,
    wanted: LimitHeaders,
) {
    if let Some(limit) = rejection.limit() {
        wanted.insert(headers, limit.into());
    }
    if rejection.carrier() == Some(Carrier::Path) {
        conceal(headers);
    }
}

/// Keeps the URL of the request, which holds a key, out of caches and of other sites' logs.
fn conceal(headers: &mut HeaderMap) {
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: Option<String>) {
    if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
        headers.insert(name, value);
    }
}

/// Rounded up, at least one: a caller that waits this long has waited long enough.
pub(super) fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs()
        .saturating_add(u64::from(wait.subsec_nanos() > 0))
        .max(1)
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    fn head(method: Method, headers: &[(&str, &str)]) -> Parts {
        let mut request = http::Request::builder().method(method);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn rejected(kind: RejectionKind) -> Rejection {
        Rejection::new(kind)
    }

    const MCP: &[(&str, &str)] = &[("accept", "application/json, text/event-stream")];

    #[test]
    fn the_documented_body_of_an_invalid_key() {
        let response = StandardResponder::new()
            .respond(&rejected(RejectionKind::Unknown), &head(Method::GET, &[]));
        assert_eq!(response.status(), 401);
        let body: Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(
            body,
            json!({"error": {
                "code": "invalid_api_key",
                "message": "The API key provided is invalid or has been revoked",
                "type": "authentication_error",
            }})
        );
        assert_eq!(
            response.headers()["www-authenticate"],
            r#"Bearer error="invalid_token""#
        );
    }

    #[test]
    fn each_reason_has_its_status_code_and_grpc_code() {
        use RejectionKind::*;
        for (kind, status, mcp_status, code, grpc_code) in [
            (Missing, 401, 401, "missing_api_key", "16"),
            (Ambiguous, 400, 401, "ambiguous_credentials", "16"),
            (Malformed, 401, 401, "invalid_api_key", "16"),
            (WrongSecret, 401, 401, "invalid_api_key", "16"),
            (Revoked, 401, 401, "invalid_api_key", "16"),
            (Expired, 401, 401, "expired_api_key", "16"),
            (TokenExpired, 401, 401, "expired_api_key", "16"),
            (Disabled, 401, 401, "disabled_api_key", "16"),
            (AddressDenied, 403, 403, "ip_not_allowed", "7"),
            (ServerDenied, 403, 403, "server_not_allowed", "7"),
            (ScopeMissing, 403, 403, "insufficient_scope", "7"),
            (ReadOnly, 403, 403, "read_only_key", "7"),
            (RateLimited, 429, 429, "rate_limit_exceeded", "8"),
            (TooManyFailures, 429, 429, "too_many_failures", "8"),
            (Unavailable, 503, 503, "unavailable", "14"),
            (SignatureMissing, 401, 401, "missing_signature", "16"),
            (SignatureAmbiguous, 400, 401, "ambiguous_signature", "16"),
            (SignatureInvalid, 401, 401, "invalid_signature", "16"),
            (TimestampStale, 401, 401, "stale_timestamp", "16"),
            (Replayed, 401, 401, "replayed_request", "16"),
            (BodyTooLarge, 413, 413, "body_too_large", "8"),
            (BodyTimeout, 408, 408, "body_timeout", "4"),
            (BodyIncomplete, 408, 408, "body_incomplete", "4"),
        ] {
            let responder = StandardResponder::new();
            let api = responder.respond(&rejected(kind), &head(Method::POST, &[]));
            let mcp = responder.respond(&rejected(kind), &head(Method::POST, MCP));
            let grpc_head = head(Method::POST, &[("content-type", "application/grpc+proto")]);
            let grpc = responder.respond(&rejected(kind), &grpc_head);
            assert_eq!(
                (api.status().as_u16(), mcp.status().as_u16()),
                (status, mcp_status)
            );
            let api: Value = serde_json::from_slice(api.body()).unwrap();
            let mcp: Value = serde_json::from_slice(mcp.body()).unwrap();
            assert_eq!(api["error"]["code"], code);
            assert_eq!(mcp["error"]["data"]["code"], code);
            assert_eq!(mcp["id"], Value::Null);
            let number = mcp["error"]["code"].as_i64().unwrap();
            assert!(!(-32_768..=-32_000).contains(&number));
            assert_eq!(grpc.status(), 200);
            assert_eq!(grpc.headers()["grpc-status"], grpc_code);
            assert!(grpc.body().is_empty());
        }
    }

    #[test]
    fn waits_are_rounded_up_and_never_zero() {
        assert_eq!(whole_seconds(Duration::ZERO), 1);
        assert_eq!(whole_seconds(Duration::from_millis(1)), 1);
        assert_eq!(whole_seconds(Duration::from_millis(1_001)), 2);
    }

    #[test]
    fn a_missing_scope_is_named_and_a_challenge_can_be_switched_off() {
        let rejection = Rejection::scope_missing(["a:b", "c"].map(|s| s.parse().unwrap()).into());
        let response = StandardResponder::new().respond(&rejection, &head(Method::GET, &[]));
        assert_eq!(
            response.headers()["www-authenticate"],
            r#"Bearer error="insufficient_scope", scope="a:b c""#
        );
        let quiet = StandardResponder::new().without_challenge();
        let response = quiet.respond(&rejection, &head(Method::GET, &[]));
        assert!(!response.headers().contains_key("www-authenticate"));
        let missing = StandardResponder::new().resource_metadata("https://example.test/m");
        let response = missing.respond(&rejected(RejectionKind::Missing), &head(Method::GET, &[]));
        assert_eq!(
            response.headers()["www-authenticate"],
            r#"Bearer resource_metadata="https://example.test/m""#
        );
    }

    #[test]
    fn programs_are_told_what_to_ask_for() {
        let responder = StandardResponder::new()
            .resource_metadata("https://example.test/m")
            .challenge_scope("a:b \"c");
        let challenge = |rejection: &Rejection| {
            let response = responder.respond(rejection, &head(Method::POST, MCP));
            response.headers()["www-authenticate"]
                .to_str()
                .unwrap()
                .to_owned()
        };
        let metadata = r#"resource_metadata="https://example.test/m""#;
        assert_eq!(
            challenge(&rejected(RejectionKind::Missing)),
            format!(r#"Bearer {metadata}, scope="a:b c""#)
        );
        assert_eq!(
            challenge(&rejected(RejectionKind::Unknown)),
            format!(r#"Bearer error="invalid_token", {metadata}, scope="a:b c""#)
        );
        // Of what is missing, and of nothing else.
        let missing = Rejection::scope_missing(["d"].map(|s| s.parse().unwrap()).into());
        assert_eq!(
            challenge(&missing),
            format!(r#"Bearer error="insufficient_scope", scope="d", {metadata}"#)
        );
    }
}
