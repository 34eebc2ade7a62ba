//! The service that has messages judged.

use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::answer::Refusal;
use super::future::Call;
use super::judge::Opening;
use super::{McpFuture, McpLayer};
use crate::context::KeyContext;
use crate::gate::Admission;
use crate::layer::ticket::Slot;
use crate::layer::{ReadBody, ResponseBody};
use crate::rejection::{Rejection, RejectionKind};

/// The service made by [`McpLayer`].
#[derive(Clone, Debug)]
pub struct McpService<S> {
    inner: S,
    layer: McpLayer,
}

impl<S> McpService<S> {
    pub(super) fn new(inner: S, layer: McpLayer) -> Self {
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

impl<S, B, R> Service<Request<B>> for McpService<S>
where
    S: Service<Request<ReadBody<B>>, Response = Response<R>> + Clone,
    B: Body,
    R: Body<Data = Bytes>,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = McpFuture<S, B, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut head, body) = request.into_parts();
        let admission = head.extensions.remove::<Admission>();
        let key = head.extensions.get::<KeyContext>().cloned();
        let Some((admission, key)) = admission.zip(key) else {
            self.layer.settings.misplaced.report();
            let rejection = Rejection::new(RejectionKind::Unavailable);
            let response = self.layer.by_http(rejection, &head);
            return McpFuture::refused(response, &head, body);
        };
        let slot = head.extensions.remove::<Slot>();
        let opening = self.layer.open(&mut head, &key);
        if let Err(rejection) = opening {
            let refusal = Refusal::Request(rejection);
            let response = self.layer.refuse(refusal, &head, key.brief());
            return McpFuture::refused(response, &head, body);
        }
        // The service that was ready goes with the future; a fresh clone, which is not ready, stays
        // for the next `poll_ready`.
        let fresh = self.inner.clone();
        let service = std::mem::replace(&mut self.inner, fresh);
        let call = Call {
            service,
            head,
            admission,
            key,
            slot,
            layer: self.layer.clone(),
        };
        match opening {
            Ok(Opening::Pass(costs)) => McpFuture::passed(call, ReadBody::passed(body), costs),
            Ok(Opening::Stated(costs, begins)) => McpFuture::stated(call, body, costs, begins),
            Ok(Opening::Bare(costs)) => {
                let nothing = ReadBody::buffered(Bytes::new(), None);
                McpFuture::passed(call, nothing, costs)
            }
            _ => McpFuture::reading(call, body),
        }
    }
}
