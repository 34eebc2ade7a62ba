//! The future of a response behind the MCP layer.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::call::{Answered, Collected, State, StateProjection};
use super::exchange::Reply;
use crate::layer::reading::Reading;
use crate::layer::turned_away::TurnedAway;
use crate::layer::{ReadBody, ResponseBody};

pin_project! {
    /// The future returned by [`McpService`](super::McpService).
    ///
    /// Dropping it drops the request's body, or the inner service's future or answer.
    pub struct McpFuture<S, B, R>
    where
        S: Service<Request<ReadBody<B>>>,
    {
        #[pin]
        state: State<S, B, R, S::Future>,
    }
}

impl<S, B, R> McpFuture<S, B, R>
where
    S: Service<Request<ReadBody<B>>>,
    B: Body,
{
    pub(super) fn refused(response: Response<Bytes>, head: &Parts, body: B) -> Self {
        Self {
            state: State::Refused {
                turned_away: TurnedAway::unread(response, head, body),
            },
        }
    }

    pub(super) fn of(state: State<S, B, R, S::Future>) -> Self {
        Self { state }
    }
}

impl<S, B, R> Future for McpFuture<S, B, R>
where
    S: Service<Request<ReadBody<B>>, Response = Response<R>>,
    B: Body,
    R: Body<Data = Bytes>,
{
    type Output = Result<Response<ResponseBody<R>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            // In each arm nothing is there any more only if the future is polled again after it was
            // ready, which the contract of futures forbids.
            let next = match state.as_mut().project() {
                StateProjection::Refused { turned_away } => {
                    return turned_away.poll_answer(cx).map(Ok);
                }
                StateProjection::Reading { asked } => {
                    let asked = asked.as_mut().project();
                    let read = ready!(asked.reading.poll_read(cx));
                    let Some(call) = asked.call.take() else {
                        return Poll::Pending;
                    };
                    call.judged(read)
                }
                StateProjection::Charging { charge, passing } => {
                    let charged = ready!(charge.as_mut().poll(cx));
                    let Some(passing) = passing.take() else {
                        return Poll::Pending;
                    };
                    passing.charged(charged)
                }
                StateProjection::Inner { future, exchange } => {
                    let response = ready!(future.poll(cx))?;
                    let Some(mut exchange) = exchange.take() else {
                        return Poll::Pending;
                    };
                    match exchange.reply(response) {
                        Reply::Ready(response) => return Poll::Ready(Ok(response)),
                        Reply::Collect(head, body, filter) => {
                            let most = exchange.layer.settings.max_list;
                            let collected = Collected {
                                exchange,
                                head,
                                filter,
                            };
                            State::Collecting {
                                answered: Box::pin(Answered {
                                    reading: Reading::new(body, (), most, None),
                                    collected: Some(collected),
                                }),
                            }
                        }
                    }
                }
                StateProjection::Collecting { answered } => {
                    let answered = answered.as_mut().project();
                    let read = ready!(answered.reading.poll_read(cx));
                    let Some(Collected {
                        mut exchange,
                        head,
                        filter,
                    }) = answered.collected.take()
                    else {
                        return Poll::Pending;
                    };
                    let body = read.ok().map(|read| read.data);
                    return Poll::Ready(Ok(exchange.collected(head, body.as_ref(), &filter)));
                }
            };
            state.set(next);
        }
    }
}

impl<S, B, R> std::fmt::Debug for McpFuture<S, B, R>
where
    S: Service<Request<ReadBody<B>>>,
{
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("McpFuture").finish_non_exhaustive()
    }
}
