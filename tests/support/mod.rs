//! What several test files need: keys with a light hash, a handler that tells what it sees, servers
//! on loopback ports, and a client.

#![allow(dead_code, reason = "no test file needs all of it")]

#[cfg(feature = "oauth")]
pub(crate) mod consent;
pub(crate) mod tools;

use std::convert::Infallible;
use std::future::ready;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::OriginalUri;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use mcp_api_keys::client_ip::PeerAddr;
use mcp_api_keys::store::KeyStore;
use mcp_api_keys::{ApiKeys, ApiKeysBuilder, Argon2Params, KeyContext, NewKey};
use serde_json::{Value, json};
use tower::{Service, ServiceExt, service_fn};

/// Sets up keys whose slow hash is quick.
pub(crate) fn light(store: impl KeyStore) -> ApiKeysBuilder {
    ApiKeys::builder(store).argon2(Argon2Params::new(8, 1, 1).unwrap())
}

/// Issues a key and returns its clear text.
pub(crate) async fn issue(keys: &ApiKeys, new: NewKey) -> String {
    let issued = keys.manager().issue(new).await.unwrap();
    issued.key().expose_secret().to_owned()
}

/// The part of a key that nobody may ever see again.
pub(crate) fn secret(key: &str) -> &str {
    key.get(key.len() - 30..).unwrap()
}

pub(crate) fn bearer(key: &str) -> String {
    format!("Bearer {key}")
}

/// The other end of a connection that was never made.
pub(crate) fn peer(address: &str) -> PeerAddr {
    PeerAddr((address.parse::<IpAddr>().unwrap(), 50_000).into())
}

/// Waits for what must happen soon.
pub(crate) async fn soon<T>(event: impl Future<Output = T>) -> T {
    let patience = Duration::from_secs(20);
    let outcome = tokio::time::timeout(patience, event).await;
    outcome.expect("it happens soon")
}

/// A handler that answers with what it sees of the request, and counts its calls.
#[derive(Clone, Debug, Default)]
pub(crate) struct Probe(Arc<AtomicUsize>);

impl Probe {
    pub(crate) fn calls(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    /// The handler as a service for requests with any body.
    pub(crate) fn service<B: Send + 'static>(
        &self,
    ) -> impl Service<
        Request<B>,
        Response = Response<Full<Bytes>>,
        Error = Infallible,
        Future: Send + 'static,
    > + Clone
    + Send
    + Sync
    + 'static {
        let calls = Arc::clone(&self.0);
        service_fn(move |request: Request<B>| {
            calls.fetch_add(1, Ordering::SeqCst);
            let (head, _) = request.into_parts();
            let text = seen(&head).to_string();
            ready(Ok(Response::new(Full::from(text))))
        })
    }
}

/// What a handler can see of a request.
pub(crate) fn seen(head: &Parts) -> Value {
    let headers = head.headers.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes());
        (name.to_string(), Value::from(value))
    });
    json!({
        "method": head.method.as_str(),
        "uri": head.uri.to_string(),
        "original_uri": head.extensions.get::<OriginalUri>().map(|uri| uri.to_string()),
        "headers": headers.collect::<serde_json::Map<_, _>>(),
        "key": head.extensions.get::<KeyContext>(),
    })
}

/// A response whose body has been read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) async fn of<B>(response: Response<B>) -> Self
    where
        B: Body<Error: std::fmt::Debug>,
    {
        let (head, body) = response.into_parts();
        let text = body.collect().await.unwrap().to_bytes();
        Self {
            status: head.status,
            headers: head.headers,
            text: String::from_utf8(text.into()).unwrap(),
        }
    }

    /// The value of a header; empty if there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).map(|value| value.to_str());
        value.unwrap_or(Ok("")).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Status and code of a refusal.
    pub(crate) fn refusal(&self) -> (u16, String) {
        let body = self.json();
        let error = &body["error"];
        let code = error["code"].as_str().or(error["data"]["code"].as_str());
        (self.status.as_u16(), code.unwrap_or_default().to_owned())
    }
}

/// Asks a service once.
pub(crate) async fn ask<S, B, R>(service: S, request: Request<B>) -> Answer
where
    S: Service<Request<B>, Response = Response<R>, Error: std::fmt::Debug>,
    R: Body<Error: std::fmt::Debug>,
{
    Answer::of(service.oneshot(request).await.unwrap()).await
}

/// A server on a loopback port, until it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    pub(crate) fn new(
        address: SocketAddr,
        serving: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        let task = tokio::spawn(serving);
        Self { address, task }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves an axum app, the peer's address included.
pub(crate) async fn serve(app: Router) -> Server {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    Server::new(address, async {
        axum::serve(listener, app).await.unwrap();
    })
}

/// A client of HTTP/1.1, or of HTTP/2 by prior knowledge.
#[derive(Clone, Debug)]
pub(crate) struct Client(
    hyper_util::client::legacy::Client<HttpConnector, BoxBody<Bytes, Infallible>>,
);

impl Client {
    pub(crate) fn http1() -> Self {
        Self(hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build_http())
    }

    pub(crate) fn http2() -> Self {
        let mut builder = hyper_util::client::legacy::Client::builder(TokioExecutor::new());
        Self(builder.http2_only(true).build_http())
    }

    /// Sends a request and returns as soon as the head of the response is there.
    pub(crate) async fn open<B>(&self, request: Request<B>) -> Response<Incoming>
    where
        B: Body<Data = Bytes, Error = Infallible> + Send + Sync + 'static,
    {
        let request = request.map(BodyExt::boxed);
        soon(self.0.request(request)).await.unwrap()
    }

    pub(crate) async fn send(&self, request: Request<impl Into<Full<Bytes>>>) -> Answer {
        let response = self.open(request.map(Into::into)).await;
        soon(Answer::of(response)).await
    }

    /// The request is made at once; only the answer is waited for.
    pub(crate) fn get(
        &self,
        url: &str,
        headers: &[(&str, &str)],
    ) -> impl Future<Output = Answer> + use<> {
        let mut request = Request::get(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (client, request) = (self.clone(), request.body("").unwrap());
        async move { client.send(request).await }
    }
}
