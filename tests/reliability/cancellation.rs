//! P28: the tower contract, and callers that leave at any moment.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{Empty, Full};
use mcp_api_keys::store::MemoryStore;
use mcp_api_keys::testing::{Call, Fault, FaultyStore};
use tower::limit::ConcurrencyLimit;
use tower::util::ServiceExt;
use tower::{Layer, Service};

use crate::world::{ALONE, Guarded, builder, forged, issue, request, size};

/// A service that panics unless it said it was ready before each call.
#[derive(Debug)]
struct Strict {
    ready: bool,
    calls: Arc<AtomicU64>,
}

impl Clone for Strict {
    /// A clone is not ready because its original was.
    fn clone(&self) -> Self {
        Self {
            ready: false,
            calls: Arc::clone(&self.calls),
        }
    }
}

impl Service<Request<Empty<Bytes>>> for Strict {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Empty<Bytes>>) -> Self::Future {
        assert!(
            std::mem::take(&mut self.ready),
            "called without being ready"
        );
        self.calls.fetch_add(1, Ordering::SeqCst);
        Box::pin(async {
            tokio::task::yield_now().await;
            Ok(Response::new(Full::default()))
        })
    }
}

#[tokio::test]
async fn the_service_that_was_ready_is_the_one_that_is_called() {
    let keys = builder(MemoryStore::new()).build().await.unwrap();
    let calls = Arc::new(AtomicU64::new(0));
    let strict = Strict {
        ready: false,
        calls: Arc::clone(&calls),
    };
    let mut service = keys.layer().layer(ConcurrencyLimit::new(strict, 2));
    for round in 0..50 {
        let issued = issue(&keys).await;
        // Cold, remembered, refused and cold again, in turn on one service.
        for _ in 0..2 {
            let call = service
                .ready()
                .await
                .unwrap()
                .call(request(issued.key().expose_secret()));
            assert_eq!(call.await.unwrap().status(), StatusCode::OK);
        }
        let call = service
            .ready()
            .await
            .unwrap()
            .call(request(&forged("Stranger", round)));
        assert_eq!(call.await.unwrap().status(), StatusCode::UNAUTHORIZED);
    }
    assert_eq!(calls.load(Ordering::SeqCst), 100);
}

#[tokio::test]
async fn the_layer_is_ready_only_when_the_service_behind_it_is() {
    let keys = builder(MemoryStore::new()).build().await.unwrap();
    let issued = issue(&keys).await;
    let (mock, mut handle) =
        tower_test::mock::pair::<Request<Empty<Bytes>>, Response<Full<Bytes>>>();
    let mut service = tower_test::mock::Spawn::new(keys.layer().layer(mock));
    handle.allow(0);
    assert!(service.poll_ready().is_pending());
    handle.allow(1);
    assert!(service.poll_ready().is_ready());
    let call = tokio::spawn(service.call(request(issued.key().expose_secret())));
    let (seen, send) = handle.next_request().await.unwrap();
    assert!(seen.headers().get("authorization").is_none());
    assert!(
        seen.extensions()
            .get::<mcp_api_keys::KeyContext>()
            .is_some()
    );
    send.send_response(Response::new(Full::default()));
    assert_eq!(call.await.unwrap().unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn an_error_of_the_service_behind_is_passed_on_as_it_is() {
    let keys = builder(MemoryStore::new()).build().await.unwrap();
    let issued = issue(&keys).await;
    let failing = tower::service_fn(|_: Request<Empty<Bytes>>| {
        std::future::ready(Err::<Response<Full<Bytes>>, _>("as it is"))
    });
    let service = keys.layer().layer(failing);
    for _ in 0..2 {
        let call = service
            .clone()
            .oneshot(request(issued.key().expose_secret()));
        assert_eq!(call.await.unwrap_err(), "as it is");
    }
}

/// Polls a future a number of times, then drops it.
async fn poll_then_drop<F: Future>(future: F, polls: u32) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    for _ in 0..polls {
        let polled = std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
        if let Poll::Ready(output) = polled {
            return Some(output);
        }
        tokio::task::yield_now().await;
    }
    None
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_leave_at_any_moment_leave_nothing_behind() {
    let _alone = ALONE.lock().await;
    let drops = size(20_000, 100_000);
    let keys = builder(MemoryStore::new())
        .hash_permits(2.try_into().unwrap())
        .cached_keys(8)
        .build()
        .await
        .unwrap();
    let guarded = Guarded::new(keys.layer());
    let mut issued = Vec::new();
    for _ in 0..64 {
        issued.push(issue(&keys).await);
    }
    let mut left = 0;
    for at in 0..drops {
        let key = issued[(at * 37) % issued.len()].key().expose_secret();
        match poll_then_drop(guarded.send(key), (at % 5) as u32).await {
            Some(answer) => assert_eq!(answer.status(), StatusCode::OK),
            None => left += 1,
        }
    }
    println!("P28: {drops} requests, {left} dropped before their answer");
    assert!(left > drops / 10, "{left}");
    // Every permit and every place in the queue is back: as many new keys at once as ever.
    let fresh = builder(MemoryStore::new()).build().await.unwrap();
    drop(fresh);
    let mut all = Vec::new();
    for key in &issued {
        all.push(tokio::spawn(guarded.send(key.key().expose_secret())));
    }
    for answer in all {
        assert_eq!(answer.await.unwrap().status(), StatusCode::OK);
    }
}

/// The work that a caller left behind ends by itself, and its place in the store's queue with it.
#[tokio::test]
async fn work_on_a_hanging_store_ends_at_the_deadline() {
    let store = FaultyStore::new(MemoryStore::new());
    let faults = store.faults();
    let keys = builder(store)
        .verify_deadline(Duration::from_millis(50))
        .build()
        .await
        .unwrap();
    let guarded = Guarded::new(keys.layer());
    let issued = issue(&keys).await;
    faults.every_call_of(Call::FindByHandle, Fault::Hang);
    // More than may be looked up at once, and nobody waits for the answers.
    for number in 0..200 {
        let sent = guarded.send(&forged("Stranger", number));
        assert!(poll_then_drop(sent, 1).await.is_none());
    }
    tokio::time::sleep(Duration::from_millis(120)).await;
    faults.clear();
    assert_eq!(
        guarded.send(issued.key().expose_secret()).await.status(),
        StatusCode::OK
    );
}

/// Dropping the response future drops the inner future; dropping the body drops the inner body.
#[tokio::test]
async fn dropping_the_outside_drops_the_inside() {
    struct Told(Arc<AtomicBool>);
    impl Drop for Told {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    let keys = builder(MemoryStore::new()).build().await.unwrap();
    let issued = issue(&keys).await;
    let dropped = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&dropped);
    let hanging = tower::service_fn(move |_: Request<Empty<Bytes>>| {
        let told = Told(Arc::clone(&told));
        async move {
            let _told = told;
            std::future::pending::<Result<Response<Full<Bytes>>, Infallible>>().await
        }
    });
    let service = keys.layer().layer(hanging);
    for _ in 0..2 {
        dropped.store(false, Ordering::SeqCst);
        let call = service
            .clone()
            .oneshot(request(issued.key().expose_secret()));
        let waited = tokio::time::timeout(Duration::from_millis(50), call).await;
        assert!(waited.is_err());
        assert!(dropped.load(Ordering::SeqCst));
    }
}
