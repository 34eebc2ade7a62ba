//! The future of a response: refused, admitted, or still to be found out.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::request::Parts;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::guard::{Ending, EventData, Guard};
use super::respond::{Charged, decorate, decorate_refusal};
use super::ticket::{Ticket, note_refusal};
use super::turned_away::TurnedAway;
use super::{ApiKeyLayer, LimitHeaders, ResponseBody};
use crate::gate::{Permit, Unproven};
use crate::rejection::Rejection;

pin_project! {
    /// The future returned by [`ApiKeyService`](super::ApiKeyService).
    ///
    /// Dropping it drops the inner service's future.
    pub struct ResponseFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        state: State<S, B, S::Future>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, B, F> {
        Refused { turned_away: TurnedAway<B> },
        Verifying { decision: Decision, call: Option<(S, B, ApiKeyLayer)> },
        Admitted { #[pin] future: F, ticket: Ticket, headers: LimitHeaders },
    }
}

/// The gate's work on a key it does not remember: the one boxed future, beside which a store
/// lookup and a slow hash make the box invisible.
type Decision = Pin<Box<dyn Future<Output = (Parts, Result<Permit, Rejection>)> + Send>>;

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    #[cold]
    pub(super) fn refused(rejection: &Rejection, head: &Parts, body: B, layer: &ApiKeyLayer) -> Self
    where
        B: Body,
    {
        Self {
            state: State::refused(rejection, head, body, layer),
        }
    }

    pub(super) fn admitted(future: S::Future, ticket: Ticket, headers: LimitHeaders) -> Self {
        Self {
            state: State::Admitted {
                future,
                ticket,
                headers,
            },
        }
    }

    pub(super) fn verifying(
        layer: ApiKeyLayer,
        mut head: Parts,
        unproven: Unproven,
        inner: S,
        body: B,
    ) -> Self {
        let gate = layer.gate.clone();
        let decision = Box::pin(async move {
            let decision = gate.resume(&mut head, unproven).await;
            (head, decision)
        });
        Self {
            state: State::Verifying {
                decision,
                call: Some((inner, body, layer)),
            },
        }
    }
}

impl<S, B, R> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<R>>,
    B: Body,
{
    type Output = Result<Response<ResponseBody<R>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProjection::Admitted {
                    future,
                    ticket,
                    headers,
                } => {
                    let response = ready!(future.poll(cx)).inspect_err(|_| ticket.failed())?;
                    // Polled again after it was ready, which the contract of futures forbids.
                    let answered = ticket.answered(response.status(), response.extensions());
                    let Some(permit) = answered else {
                        return Poll::Pending;
                    };
                    return Poll::Ready(Ok(admitted(response, permit, *headers)));
                }
                StateProjection::Refused { turned_away } => {
                    return turned_away.poll_answer(cx).map(Ok);
                }
                StateProjection::Verifying { decision, call } => {
                    let (mut head, decision) = ready!(decision.as_mut().poll(cx));
                    let Some((mut inner, body, layer)) = call.take() else {
                        return Poll::Pending;
                    };
                    match decision {
                        Ok(permit) => {
                            let ticket = Ticket::new(permit, &mut head, &layer.gate, &layer.naming);
                            State::Admitted {
                                future: inner.call(Request::from_parts(head, body)),
                                ticket,
                                headers: layer.headers,
                            }
                        }
                        Err(rejection) => State::refused(&rejection, &head, body, &layer),
                    }
                }
            };
            state.set(next);
        }
    }
}

impl<S, B: Body, F> State<S, B, F> {
    fn refused(rejection: &Rejection, head: &Parts, body: B, layer: &ApiKeyLayer) -> Self {
        note_refusal(rejection, head, &layer.gate, &layer.naming);
        let answer = answer(rejection, head, layer);
        Self::Refused {
            turned_away: TurnedAway::unread(answer, head, body),
        }
    }
}

impl<S, B> std::fmt::Debug for ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

/// The answer to an admitted request: with headers about its limits, and watched if it goes on.
fn admitted<R>(
    mut response: Response<R>,
    permit: Permit,
    headers: LimitHeaders,
) -> Response<ResponseBody<R>> {
    let charged = response.extensions_mut().remove::<Charged>();
    let standing = match &charged {
        Some(Charged(limit)) => Some(limit.into()),
        None => permit.standing(),
    };
    decorate(response.headers_mut(), standing, permit.carrier(), headers);
    let Some(admission) = permit.into_admission() else {
        return response.map(ResponseBody::inner);
    };
    let ending = Ending::of(response.headers(), EventData::Api);
    let guard = Guard::new(admission, ending);
    response.map(|body| ResponseBody::inner(body).guarded(guard))
}

/// Whatever responder made the answer, outer layers find the reason in it.
fn answer(rejection: &Rejection, head: &Parts, layer: &ApiKeyLayer) -> Response<bytes::Bytes> {
    let mut response = layer.responder.respond(rejection, head);
    decorate_refusal(response.headers_mut(), rejection, layer.headers);
    response.extensions_mut().insert(rejection.clone());
    response
}
