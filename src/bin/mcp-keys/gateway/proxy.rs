//! What stands behind the key layer: the way to a server, and the pages of the gateway itself.
//!
//! Of a key that may not use everything, a server gets only what was judged, and reads it as it was
//! judged:
//!
//! 1. A body is JSON in a POST, or in another method that has one. Other bodies end here: a server
//!    may look at the body alone, whatever its type or method.
//! 2. Its type is said anew. In another `charset` the same bytes may be another message.
//! 3. The server is asked for answers without compression: a list that cannot be read is held back.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::request::Parts;
use http::{Method, Request, Response, StatusCode, Version};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use mcp_api_keys::KeyContext;
use mcp_api_keys::key::Access;
use tower_service::Service;

use super::answers::{self, Body, Shape};
use super::body::{Judged, Outgoing};
use super::connect::{Client, Reason};
use super::formats::Accepted;
use super::headers::{self, Trust, Via};
use super::location::Asked;
use super::upstream::{Upstream, holds_key};

/// Passes requests on that were admitted.
#[derive(Clone, Debug)]
pub(super) struct ToServer(pub(super) Arc<Server>);

/// Answers requests that were admitted and are for no server.
#[derive(Clone, Copy, Debug)]
pub(super) enum Page {
    /// Tells callers who they are.
    Me,
    /// Tells callers that there is nothing.
    Nothing,
}

/// One server, and how to reach it.
#[derive(Debug)]
pub(super) struct Server {
    /// What the gateway calls its root, such as `/files/mcp`.
    pub(super) prefix: String,
    pub(super) upstream: Upstream,
    pub(super) client: Client,
    pub(super) trust: Arc<Trust>,
    /// How keys are written: none may be left in the path that is asked for.
    pub(super) formats: Arc<[Accepted]>,
}

impl Service<Request<Judged>> for ToServer {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Judged>) -> Self::Future {
        let server = Arc::clone(&self.0);
        Box::pin(async move { Ok(server.forward(request).await) })
    }
}

impl<B> Service<Request<B>> for Page {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (head, _) = request.into_parts();
        ready(Ok(self.answer(&head)))
    }
}

impl Page {
    fn answer(self, head: &Parts) -> Response<Body> {
        let shape = Shape::of(&head.method, &head.headers);
        match self {
            Self::Nothing => answers::not_found(&shape),
            Self::Me if !matches!(head.method, Method::GET | Method::HEAD) => {
                answers::read_only(&shape)
            }
            Self::Me => match head.extensions.get::<KeyContext>() {
                Some(key) => answers::identity(key),
                None => answers::lost(&shape),
            },
        }
    }
}

impl Server {
    async fn forward(&self, request: Request<Judged>) -> Response<Body> {
        let (mut head, body) = request.into_parts();
        let shape = &Shape::of(&head.method, &head.headers);
        let Some(url) = self.url(&head) else {
            return answers::not_found(shape);
        };
        let (key, via) = (
            head.extensions.remove::<KeyContext>(),
            head.extensions.remove::<Via>(),
        );
        // Both are always there; without them nobody could say who is asking.
        let (Some(key), Some(via)) = (key, via) else {
            return answers::lost(shape);
        };
        let is_restricted = key.access() == Access::ReadOnly || !key.key().mcp.is_unrestricted();
        if is_restricted && is_left_to_the_server(&head, &body) {
            return answers::not_judged(shape);
        }
        headers::prepare(&mut head, &key, via, &self.trust, body.size_hint().exact());
        if is_restricted {
            headers::restrict(&mut head.headers);
        }
        let path = url.path().to_owned();
        let mut request = Request::new(Outgoing(body));
        *request.method_mut() = head.method;
        *request.uri_mut() = url;
        *request.version_mut() = Version::HTTP_11;
        *request.headers_mut() = head.headers;
        match self.client.request(request).await {
            Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                tracing::warn!(server = self.prefix, "the server changes protocols unasked");
                answers::unavailable(shape)
            }
            Ok(response) => {
                let status = response.status().as_u16();
                tracing::debug!(server = self.prefix, key = %key.key_id(), status, "passed on");
                self.answer(response, &path)
            }
            Err(error) => {
                let Reason { text, distrusted } = Reason::of(&error);
                let server = &self.prefix;
                if distrusted {
                    tracing::warn!(
                        server,
                        reason = text,
                        "the server's certificate is not trusted; --upstream-ca names the \
                         authority of one that is to be"
                    );
                } else {
                    tracing::warn!(server, reason = text, "the server does not answer");
                }
                answers::unavailable(shape)
            }
        }
    }

    /// What to ask the server for. Nothing, if the path is none of its own, or holds a key in a
    /// place where none is looked for.
    fn url(&self, head: &Parts) -> Option<http::Uri> {
        let tail = head.uri.path().strip_prefix(&self.prefix)?;
        let is_below = tail.is_empty() || tail.starts_with('/');
        if !is_below || holds_key(tail, &self.formats) {
            return None;
        }
        self.upstream.url(tail, head.uri.query())
    }

    /// The server's answer as it is, but for what belongs to its connection and what only the
    /// server would find. `path` is what it was asked for.
    fn answer(&self, response: Response<Incoming>, path: &str) -> Response<Body> {
        let (mut head, body) = response.into_parts();
        headers::clean_answer(&mut head.headers);
        let asked = Asked {
            upstream: &self.upstream,
            prefix: &self.prefix,
            path,
        };
        asked.rewrite(&mut head.headers);
        head.extensions.clear();
        // The version is that of the caller's connection, which is spoken there anyway.
        head.version = Version::HTTP_11;
        Response::from_parts(head, body.boxed_unsync())
    }
}

/// Whether there is a body that the layer for MCP passes without having read it.
fn is_left_to_the_server(head: &Parts, body: &Judged) -> bool {
    let has_no_messages = matches!(
        head.method,
        Method::GET | Method::HEAD | Method::DELETE | Method::OPTIONS
    );
    !body.is_end_stream()
        && (has_no_messages || matches!(Shape::of(&head.method, &head.headers), Shape::Grpc(_)))
}
