//! The service that has signatures verified.

use std::task::{Context, Poll};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::{SignedRequestFuture, SignedRequestLayer};
use crate::layer::reading::Reading;
use crate::layer::{ReadBody, ResponseBody};

/// The service made by [`SignedRequestLayer`].
#[derive(Clone, Debug)]
pub struct SignedRequestService<S> {
    inner: S,
    layer: SignedRequestLayer,
}

impl<S> SignedRequestService<S> {
    pub(super) fn new(inner: S, layer: SignedRequestLayer) -> Self {
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

impl<S, B, R> Service<Request<B>> for SignedRequestService<S>
where
    S: Service<Request<ReadBody<B>>, Response = Response<R>> + Clone,
    B: Body,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = SignedRequestFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut head, body) = request.into_parts();
        match self.layer.judge(&mut head, &body) {
            Ok(None) => {
                let request = Request::from_parts(head, ReadBody::passed(body));
                SignedRequestFuture::passed(self.inner.call(request))
            }
            Err(rejection) => {
                let response = self.layer.answer(rejection, &head);
                SignedRequestFuture::refused(response, &head, body)
            }
            Ok(Some((claimed, verification))) => {
                // The service that was ready goes with the future; a fresh clone, which is not
                // ready, stays for the next `poll_ready`.
                let fresh = self.inner.clone();
                let ready = std::mem::replace(&mut self.inner, fresh);
                let layer = self.layer.clone();
                let reading = Reading::new(
                    body,
                    verification,
                    layer.max_body,
                    Some(layer.body_deadline),
                );
                SignedRequestFuture::reading(reading, claimed, ready, head, layer)
            }
        }
    }
}
