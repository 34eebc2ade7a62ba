//! The tower contract, and callers that leave at any moment.

use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use mcp_api_keys::key::Quota;
use mcp_api_keys::layer::{McpLayer, ReadBody};
use mcp_api_keys::store::MemoryStore;
use mcp_api_keys::testing::{Call, Fault, FaultyStore};
use mcp_api_keys::{NewKey, RateLimit};
use tower::limit::ConcurrencyLimit;
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::support::{bearer, issue, light, soon};
use crate::world::{call, layer, list, notes};

/// A body in two parts, the second of which comes after some polls.
type Parts =
    StreamBody<Pin<Box<dyn tokio_stream::Stream<Item = Result<Frame<Bytes>, Infallible>> + Send>>>;

fn slow(text: &str) -> Parts {
    let (first, second) = text.split_at(text.len() / 2);
    let parts = [first.to_owned(), second.to_owned()];
    let stream = futures(parts.map(Bytes::from).to_vec());
    StreamBody::new(Box::pin(stream))
}

fn futures(
    parts: Vec<Bytes>,
) -> impl tokio_stream::Stream<Item = Result<Frame<Bytes>, Infallible>> + Send {
    use tokio_stream::StreamExt;
    tokio_stream::iter(parts).then(|part| async {
        tokio::task::yield_now().await;
        Ok(Frame::data(part))
    })
}

fn message(key: &str, body: String) -> Request<Parts> {
    Request::post("/mcp")
        .header("authorization", bearer(key))
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .body(slow(&body))
        .unwrap()
}

/// A service that panics unless it said it was ready before each call.
#[derive(Debug)]
struct Strict {
    ready: bool,
    calls: Arc<AtomicU64>,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self {
            ready: false,
            calls: Arc::clone(&self.calls),
        }
    }
}

impl Service<Request<ReadBody<Parts>>> for Strict {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<ReadBody<Parts>>) -> Self::Future {
        assert!(
            std::mem::take(&mut self.ready),
            "called without being ready"
        );
        self.calls.fetch_add(1, Ordering::SeqCst);
        Box::pin(async {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            Ok(Response::new(Full::from(body)))
        })
    }
}

#[tokio::test]
async fn the_service_that_was_ready_is_the_one_that_is_called() {
    let keys = light(MemoryStore::new()).build().await.unwrap();
    let calls = Arc::new(AtomicU64::new(0));
    let strict = Strict {
        ready: false,
        calls: Arc::clone(&calls),
    };
    let layer = keys.layer().server("notes").with_mcp(layer());
    let mut service = layer.layer(ConcurrencyLimit::new(strict, 2));
    for _ in 0..20 {
        let key = issue(&keys, NewKey::named("a").server("notes").mcp(notes())).await;
        // Cold, remembered, denied, and a key without restrictions.
        for tool in ["read_note", "read_note", "shell"] {
            let called = service.ready().await.unwrap();
            let called = called.call(message(&key, call(tool).to_string()));
            let body = soon(called).await.unwrap().into_body();
            let text = body.collect().await.unwrap().to_bytes();
            assert_eq!(text == call(tool).to_string(), tool != "shell");
        }
        let get = message(&key, String::new()).map(|_| slow(""));
        let (mut head, body) = get.into_parts();
        head.method = http::Method::GET;
        let called = service.ready().await.unwrap();
        soon(called.call(Request::from_parts(head, body)))
            .await
            .unwrap();
    }
    assert_eq!(calls.load(Ordering::SeqCst), 60);
}

#[tokio::test]
async fn the_layer_is_ready_only_when_the_service_behind_it_is() {
    let keys = light(MemoryStore::new()).build().await.unwrap();
    let key = issue(&keys, NewKey::named("a").server("notes").mcp(notes())).await;
    let (mock, mut handle) =
        tower_test::mock::pair::<Request<ReadBody<Parts>>, Response<Full<Bytes>>>();
    let layer = keys.layer().server("notes").with_mcp(layer());
    let mut service = tower_test::mock::Spawn::new(layer.layer(mock));
    handle.allow(0);
    assert!(service.poll_ready().is_pending());
    handle.allow(1);
    assert!(service.poll_ready().is_ready());
    let called = tokio::spawn(service.call(message(&key, call("read_note").to_string())));
    let (seen, send) = handle.next_request().await.unwrap();
    assert!(seen.headers().get("authorization").is_none());
    assert!(
        seen.extensions()
            .get::<mcp_api_keys::KeyContext>()
            .is_some()
    );
    send.send_response(Response::new(Full::from("answer")));
    let body = soon(called).await.unwrap().unwrap().into_body();
    assert_eq!(body.collect().await.unwrap().to_bytes(), "answer");
}

#[tokio::test]
async fn without_a_key_layer_in_the_right_place_nothing_passes() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let inner = service_fn(move |_: Request<ReadBody<Parts>>| {
        counted.fetch_add(1, Ordering::SeqCst);
        std::future::ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())))
    });
    let alone = McpLayer::new().layer(inner.clone());
    let answer = alone
        .oneshot(message("a", call("read_note").to_string()))
        .await;
    assert_eq!(answer.unwrap().status(), 503);
    // Behind a key layer that was not told of it.
    let keys = light(MemoryStore::new()).build().await.unwrap();
    let key = issue(&keys, NewKey::named("a").server("notes")).await;
    let stacked = keys
        .layer()
        .server("notes")
        .layer(McpLayer::new().layer(inner));
    let answer = stacked
        .oneshot(message(&key, call("read_note").to_string()))
        .await;
    assert_eq!(answer.unwrap().status(), 503);
    assert_eq!(calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_handler_knows_the_rules_of_its_caller() {
    let keys = light(MemoryStore::new()).build().await.unwrap();
    let key = issue(&keys, NewKey::named("a").server("notes").mcp(notes())).await;
    let inner = service_fn(|request: Request<ReadBody<Parts>>| {
        let key = request.extensions().get::<mcp_api_keys::KeyContext>();
        let text = serde_json::to_string(key.unwrap()).unwrap();
        std::future::ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(
            text,
        ))))
    });
    let service = keys.layer().server("notes").with_mcp(layer()).layer(inner);
    let answer = service
        .oneshot(message(&key, call("read_note").to_string()))
        .await;
    let body = answer.unwrap().into_body().collect().await.unwrap();
    let seen: serde_json::Value = serde_json::from_slice(&body.to_bytes()).unwrap();
    assert_eq!(seen["mcp"], serde_json::to_value(notes()).unwrap());
}

#[tokio::test]
async fn a_list_of_rules_has_a_bound() {
    let keys = light(MemoryStore::new()).build().await.unwrap();
    for (patterns, fits) in [(200, true), (201, false)] {
        let lists: [fn(_, _) -> _; 3] = [
            mcp_api_keys::key::McpRules::deny_tool,
            mcp_api_keys::key::McpRules::allow_prompt,
            mcp_api_keys::key::McpRules::allow_resource,
        ];
        for add in lists {
            let names = (0..patterns).map(|number| format!("n{number}").parse().unwrap());
            let rules = names.fold(notes(), add);
            // What was there already counts.
            let fits = fits && rules.resources().allow().len() <= 200;
            let issued = keys
                .manager()
                .issue(NewKey::named("a").mcp(rules.clone()))
                .await;
            assert_eq!(issued.is_ok(), fits);
            let plain = keys.manager().issue(NewKey::named("b")).await.unwrap();
            let update = mcp_api_keys::KeyUpdate::new().mcp(rules);
            let updated = keys.manager().update(plain.info().id, update).await;
            assert_eq!(updated.is_ok(), fits);
            if let Err(error) = updated {
                assert_eq!(error.field(), Some("mcp"), "{error}");
            }
        }
    }
}

/// Counts how many of it there are.
struct Alive(Arc<AtomicUsize>);

impl Alive {
    fn of(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Polls a future a number of times, then drops it.
async fn poll_then_drop<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..polls {
        let polled = std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
        if let Poll::Ready(output) = polled {
            return Some(output);
        }
        tokio::task::yield_now().await;
    }
    None
}

#[tokio::test]
async fn a_caller_may_leave_at_any_moment() {
    let store = FaultyStore::new(MemoryStore::new());
    let keys = light(store).build().await.unwrap();
    let new = NewKey::named("a").server("notes").mcp(notes());
    let new = new
        .quota(Quota::per_day(1_000_000))
        .rate(RateLimit::per_second(1_000_000));
    let key = issue(&keys, new).await;
    let alive = Arc::new(AtomicUsize::new(0));
    let calls = Arc::new(AtomicUsize::new(0));
    let (count, called) = (Arc::clone(&alive), Arc::clone(&calls));
    let inner = service_fn(move |request: Request<ReadBody<Parts>>| {
        let guard = Alive::of(&count);
        called.fetch_add(1, Ordering::SeqCst);
        async move {
            let _guard = guard;
            let _ = request.into_body().collect().await;
            tokio::task::yield_now().await;
            let text = r#"{"jsonrpc":"2.0","id":3,"result":{"tools":[{"name":"shell"}]}}"#;
            let mut response = Response::new(slow(text));
            let json = "application/json".parse().unwrap();
            response.headers_mut().insert("content-type", json);
            Ok::<_, Infallible>(response)
        }
    });
    let service = keys.layer().server("notes").with_mcp(layer()).layer(inner);
    let (mut left, mut done) = (0, 0);
    for round in 0..4_000 {
        let body = if round % 2 == 0 {
            list("tools")
        } else {
            call("write_note")
        };
        let sent = service.clone().oneshot(message(&key, body.to_string()));
        match poll_then_drop(sent, round % 12).await {
            None => left += 1,
            Some(answer) => {
                assert_eq!(answer.unwrap().status(), 200);
                done += 1;
            }
        }
        assert_eq!(
            alive.load(Ordering::SeqCst),
            0,
            "the service's future is gone"
        );
    }
    println!(
        "{left} callers left before their answer, {done} had one, {} calls",
        calls.load(Ordering::SeqCst)
    );
    assert!(left > 1_000 && done > 500, "{left} {done}");
    // Everything is as it was.
    let answer = service
        .oneshot(message(&key, call("read_note").to_string()))
        .await;
    assert_eq!(answer.unwrap().status(), 200);
}

#[tokio::test]
async fn when_the_store_fails_while_a_quota_is_asked_for_nothing_passes() {
    let store = FaultyStore::new(MemoryStore::new());
    let faults = store.faults();
    let keys = light(store).build().await.unwrap();
    let new = NewKey::named("a").server("notes").mcp(notes());
    let key = issue(&keys, new.quota(Quota::per_day(10))).await;
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let inner = service_fn(move |_: Request<ReadBody<Parts>>| {
        counted.fetch_add(1, Ordering::SeqCst);
        std::future::ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())))
    });
    let service = keys.layer().server("notes").with_mcp(layer()).layer(inner);
    let get = Request::get("/mcp").header("authorization", bearer(&key));
    let known = service.clone().oneshot(get.body(slow("")).unwrap()).await;
    assert_eq!(known.unwrap().status(), 200);
    faults.every_call_of(Call::Take, Fault::Fail);
    let answer = service
        .clone()
        .oneshot(message(&key, call("read_note").to_string()))
        .await;
    assert_eq!(answer.unwrap().status(), 503);
    faults.clear();
    let answer = service
        .oneshot(message(&key, call("read_note").to_string()))
        .await;
    assert_eq!(answer.unwrap().status(), 200);
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn errors_and_panics_of_the_service_are_its_own() {
    let keys = light(MemoryStore::new()).build().await.unwrap();
    let key = issue(&keys, NewKey::named("a").server("notes").mcp(notes())).await;
    let layer = keys.layer().server("notes").with_mcp(layer());
    let failing = service_fn(|_: Request<ReadBody<Parts>>| {
        std::future::ready(Err::<Response<Full<Bytes>>, _>("as it is"))
    });
    let answer = layer
        .layer(failing)
        .oneshot(message(&key, call("read_note").to_string()));
    assert_eq!(soon(answer).await.unwrap_err(), "as it is");
    let panicking = service_fn(|_: Request<ReadBody<Parts>>| async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        if true {
            panic!("as it is");
        }
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let service = layer.layer(panicking);
    for _ in 0..3 {
        let sent = service
            .clone()
            .oneshot(message(&key, call("read_note").to_string()));
        assert!(soon(tokio::spawn(sent)).await.unwrap_err().is_panic());
    }
}
