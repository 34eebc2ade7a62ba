//! Requests of strangers, through the whole layer: method and path, header lines, an empty line, a body.
//! `$K` stands for a good key.
//!
//! 1. Only requests that hold the key are admitted.
//! 2. All others are answered with 400, 401, 403 or 429; callers of gRPC are told in their own way.
//! 3. No handler finds a key in a place where keys are looked for, and none stands in an answer.

#![no_main]

use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use libfuzzer_sys::fuzz_target;
use mcp_api_keys::layer::ResponseBody;
use mcp_api_keys::store::MemoryStore;
use mcp_api_keys::{ApiKeys, NewKey};
use tokio::runtime::Runtime;
use tower::util::BoxCloneService;
use tower::{Layer, ServiceExt, service_fn};

type Guarded = BoxCloneService<Request<Full<Bytes>>, Response<Bytes>, Infallible>;

thread_local! {
    static SERVER: (Runtime, Guarded, String) = {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (service, key) = runtime.block_on(server());
        (runtime, service, key)
    };
}

async fn server() -> (Guarded, String) {
    let builder = ApiKeys::builder(MemoryStore::new()).failure_limit(None);
    let keys = builder.build().await.unwrap();
    let new = NewKey::named("good").server("files");
    let key = keys
        .manager()
        .issue(new)
        .await
        .unwrap()
        .key()
        .expose_secret()
        .to_owned();
    let layer = keys
        .layer()
        .server("files")
        .path_keys("/mcp/{key}")
        .unwrap();
    let secret = key.clone();
    let handler = service_fn(move |request: Request<Full<Bytes>>| {
        // Another scheme, or any other header, is the integrator's, whatever is written there.
        let bearer = request.headers().get_all("authorization");
        let mut bearer = bearer.iter().filter(|value| is_bearer(value));
        let mut plain = request.headers().get_all("x-api-key").iter();
        assert!(
            !bearer.any(|value| holds(&secret, value)),
            "the handler sees the key"
        );
        assert!(
            !plain.any(|value| holds(&secret, value)),
            "the handler sees the key"
        );
        let presented = format!("/mcp/{secret}");
        assert!(
            !request.uri().path().starts_with(&presented),
            "the handler sees the key"
        );
        let answer = Response::builder()
            .header("admitted", "yes")
            .body(Full::<Bytes>::default());
        async move { Ok::<_, Infallible>(answer.unwrap()) }
    });
    let service = layer.layer(handler);
    let collected = service.and_then(|response: Response<ResponseBody<Full<Bytes>>>| async move {
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Ok(Response::from_parts(head, body))
    });
    (BoxCloneService::new(collected), key)
}

fuzz_target!(|text: &[u8]| {
    SERVER.with(|(runtime, service, key)| {
        let Some(request) = request(text, key) else {
            return;
        };
        let has_key = text.windows(2).any(|pair| pair == b"$K");
        let response = runtime.block_on(service.clone().oneshot(request)).unwrap();
        let (head, body) = response.into_parts();
        let said = String::from_utf8_lossy(&body);
        assert!(!said.contains(key.as_str()), "the answer shows the key");
        let mut values = head.headers.values();
        assert!(
            !values.any(|value| holds(key, value)),
            "the answer shows the key"
        );
        if head.headers.contains_key("admitted") {
            assert!(has_key, "admitted without a key");
        } else if !head.headers.contains_key("grpc-status") {
            let allowed = [
                StatusCode::BAD_REQUEST,
                StatusCode::UNAUTHORIZED,
                StatusCode::FORBIDDEN,
                StatusCode::TOO_MANY_REQUESTS,
            ];
            assert!(allowed.contains(&head.status), "{}", head.status);
        }
    });
});

fn is_bearer(value: &HeaderValue) -> bool {
    let scheme = value.as_bytes().trim_ascii_start();
    scheme.len() > 6
        && scheme[..6].eq_ignore_ascii_case(b"bearer")
        && matches!(scheme[6], b' ' | b'\t')
}

fn holds(key: &str, value: &HeaderValue) -> bool {
    String::from_utf8_lossy(value.as_bytes()).contains(key)
}

fn request(text: &[u8], key: &str) -> Option<Request<Full<Bytes>>> {
    let mut written = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.windows(2).position(|pair| pair == b"$K") {
        written.extend_from_slice(&rest[..at]);
        written.extend_from_slice(key.as_bytes());
        rest = &rest[at + 2..];
    }
    written.extend_from_slice(rest);
    let mut lines = written.split(|byte| *byte == b'\n');
    let mut first = lines.next()?.splitn(2, |byte| *byte == b' ');
    let mut request = Request::builder().method(first.next()?).uri(first.next()?);
    for line in lines.by_ref().take_while(|line| !line.is_empty()) {
        let colon = line.iter().position(|byte| *byte == b':')?;
        request = request.header(&line[..colon], &line[colon + 1..]);
    }
    let body = Bytes::copy_from_slice(lines.next().unwrap_or_default());
    request.body(Full::new(body)).ok()
}
