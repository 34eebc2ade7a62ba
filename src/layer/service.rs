//! The service that asks the gate.

use std::task::{Context, Poll};

use http::request::Parts;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::ticket::Ticket;
use super::{ApiKeyLayer, ResponseBody, ResponseFuture};
use crate::gate::{Attempt, Unproven};

/// The service made by [`ApiKeyLayer`].
#[derive(Clone, Debug)]
pub struct ApiKeyService<S> {
    inner: S,
    layer: ApiKeyLayer,
}

impl<S> ApiKeyService<S> {
    pub(super) fn new(inner: S, layer: ApiKeyLayer) -> Self {
        Self { inner, layer }
    }

    /// The service behind the layer.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service behind the layer, for changing it.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Takes the layer off.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B, R> Service<Request<B>> for ApiKeyService<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    B: Body,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut head, body) = request.into_parts();
        match self.layer.gate.try_admit(&mut head) {
            Attempt::Decided(Ok(permit)) => {
                let ticket = Ticket::new(permit, &mut head, &self.layer.gate, &self.layer.naming);
                let future = self.inner.call(Request::from_parts(head, body));
                ResponseFuture::admitted(future, ticket, self.layer.headers)
            }
            Attempt::Decided(Err(rejection)) => {
                ResponseFuture::refused(&rejection, &head, body, &self.layer)
            }
            Attempt::Unproven(unproven) => self.verify(head, unproven, body),
        }
    }
}

impl<S: Clone> ApiKeyService<S> {
    #[cold]
    fn verify<B>(&mut self, head: Parts, unproven: Unproven, body: B) -> ResponseFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        // The service that was ready goes with the future; a fresh clone, which is not ready, stays
        // for the next `poll_ready`.
        let fresh = self.inner.clone();
        let ready = std::mem::replace(&mut self.inner, fresh);
        ResponseFuture::verifying(self.layer.clone(), head, unproven, ready, body)
    }
}
