//! The service that has messages judged.

use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::answer::Refusal;
use super::call::{Call, Caller, Known, State};
use super::judge::Opening;
use super::stated::Stated;
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
        let opening = match self.layer.open(&mut head, &key) {
            Ok(opening) => opening,
            Err(rejection) => {
                let refusal = Refusal::Request(rejection);
                let response = self.layer.refuse(refusal, &head, key.brief());
                return McpFuture::refused(response, &head, body);
            }
        };
        let caller = Caller {
            admission,
            key,
            slot,
            layer: self.layer.clone(),
        };
        let mut known = Known::default();
        let (costs, body) = match opening {
            Opening::Pass(costs) => (costs, ReadBody::passed(body)),
            Opening::Bare(costs) => (costs, ReadBody::buffered(Bytes::new(), None)),
            Opening::Stated(costs, begins) => {
                if let (Some((slot, gate)), Some(stated)) = (caller.word(), Stated::read(&head)) {
                    slot.asks_for(gate, stated.operation(&head));
                }
                (known.begins, known.is_stated) = (begins, true);
                (costs, ReadBody::passed(body))
            }
            Opening::Read => {
                let call = Call::taking(&mut self.inner, head, caller);
                return McpFuture::of(call.reading(body));
            }
        };
        let state = State::unread(&mut self.inner, head, body, caller, known, costs);
        McpFuture::of(state)
    }
}
