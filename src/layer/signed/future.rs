//! The future of a response behind the signing layer.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::SignedRequestLayer;
use super::judge::Claimed;
use crate::layer::reading::{Read, Reading};
use crate::layer::turned_away::TurnedAway;
use crate::layer::{ReadBody, ResponseBody};
use crate::rejection::{Rejection, RejectionKind};
use crate::signing::Verification;

pin_project! {
    /// The future returned by [`SignedRequestService`](super::SignedRequestService).
    ///
    /// Dropping it drops the request's body, or the inner service's future.
    pub struct SignedRequestFuture<S, B>
    where
        S: Service<Request<ReadBody<B>>>,
    {
        #[pin]
        state: State<S, B, S::Future>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, B, F> {
        Refused { turned_away: TurnedAway<B> },
        Reading { #[pin] reading: Reading<B, Verification>, call: Option<Call<S>> },
        Asking { answer: Answer, call: Option<(Call<S>, ReadBody<B>)> },
        Inner { #[pin] future: F },
    }
}

/// The guard's answer: boxed, as everything that a guard does is.
type Answer = Pin<Box<dyn Future<Output = Result<(), Rejection>> + Send>>;

/// The service that was ready, and what to call it with besides the body.
struct Call<S> {
    service: S,
    head: Parts,
    claimed: Claimed,
    layer: SignedRequestLayer,
}

impl<S, B> SignedRequestFuture<S, B>
where
    S: Service<Request<ReadBody<B>>>,
    B: Body,
{
    pub(super) fn passed(future: S::Future) -> Self {
        Self {
            state: State::Inner { future },
        }
    }

    pub(super) fn refused(response: Response<Bytes>, head: &Parts, body: B) -> Self {
        Self {
            state: State::Refused {
                turned_away: TurnedAway::unread(response, head, body),
            },
        }
    }

    pub(super) fn reading(
        reading: Reading<B, Verification>,
        claimed: Claimed,
        service: S,
        head: Parts,
        layer: SignedRequestLayer,
    ) -> Self {
        let call = Call {
            service,
            head,
            claimed,
            layer,
        };
        Self {
            state: State::Reading {
                reading,
                call: Some(call),
            },
        }
    }
}

impl<S, B, R> Future for SignedRequestFuture<S, B>
where
    S: Service<Request<ReadBody<B>>, Response = Response<R>>,
    B: Body,
{
    type Output = Result<Response<ResponseBody<R>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProjection::Inner { future } => {
                    let response = ready!(future.poll(cx))?;
                    return Poll::Ready(Ok(response.map(ResponseBody::inner)));
                }
                StateProjection::Refused { turned_away } => {
                    return turned_away.poll_answer(cx).map(Ok);
                }
                StateProjection::Reading { reading, call } => {
                    let read = ready!(reading.poll_read(cx));
                    let Some(call) = call.take() else {
                        return Poll::Pending;
                    };
                    match read {
                        Ok(read) => call.verified(read),
                        Err(kind) => call.broken(kind),
                    }
                }
                StateProjection::Asking { answer, call } => {
                    let answer = ready!(answer.as_mut().poll(cx));
                    let Some((call, body)) = call.take() else {
                        return Poll::Pending;
                    };
                    match answer {
                        Ok(()) => call.passed(body),
                        Err(rejection) => call.refused(rejection),
                    }
                }
            };
            state.set(next);
        }
    }
}

impl<S> Call<S> {
    /// What follows on a body that has been read.
    fn verified<B>(self, read: Read<Verification>) -> State<S, B, S::Future>
    where
        S: Service<Request<ReadBody<B>>>,
    {
        let code = match read.observer.finish() {
            Ok(code) => code,
            Err(fault) => {
                let rejection = self.claimed.refuse(fault);
                return self.refused(rejection);
            }
        };
        let body = ReadBody::buffered(read.data, read.trailers);
        match self.layer.ask_guard(self.claimed, code) {
            None => self.passed(body),
            Some(answer) => State::Asking {
                answer: Box::pin(answer),
                call: Some((self, body)),
            },
        }
    }

    fn passed<B>(mut self, body: ReadBody<B>) -> State<S, B, S::Future>
    where
        S: Service<Request<ReadBody<B>>>,
    {
        self.head.extensions.insert(self.claimed.claim.signed());
        let request = Request::from_parts(self.head, body);
        State::Inner {
            future: self.service.call(request),
        }
    }

    /// What follows on a body that could not be read.
    fn broken<B, F>(self, kind: RejectionKind) -> State<S, B, F> {
        let rejection = Rejection::new(kind).of_key(self.claimed.key);
        tracing::debug!(code = rejection.code(), key = %self.claimed.key, "signed request turned away");
        self.refused(rejection)
    }

    /// Whatever came of the body has been read, and the rest is not worth it.
    fn refused<B, F>(self, rejection: Rejection) -> State<S, B, F> {
        let answer = self.layer.answer(rejection, &self.head);
        State::Refused {
            turned_away: TurnedAway::with(answer),
        }
    }
}

impl<S, B> std::fmt::Debug for SignedRequestFuture<S, B>
where
    S: Service<Request<ReadBody<B>>>,
{
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignedRequestFuture")
            .finish_non_exhaustive()
    }
}
